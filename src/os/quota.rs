//! Counters of mapped bytes: a pool's own, with its limit, and that of a budget, which pools share.

use crate::error::AllocFailure;
use crate::sync::{AtomicUsize, Mutex, Ordering::Relaxed, lock};
use crate::util::attempt;
use crate::util::counted::Counted;
use std::sync::atomic;

/// A counter of mapped bytes with a limit. Relaxed: the counter orders no other access.
#[derive(Debug)]
pub(crate) struct Quota {
    limit: usize,
    mapped: AtomicUsize,
    /// The most bytes that were mapped at a time. An atomic of `std` also under loom, because no
    /// other access depends on it.
    peak: atomic::AtomicUsize,
}

impl Quota {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            mapped: AtomicUsize::new(0),
            peak: atomic::AtomicUsize::new(0),
        }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn mapped(&self) -> usize {
        self.mapped.load(Relaxed)
    }

    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Relaxed)
    }

    fn with(&self, mapped: usize, bytes: usize) -> Option<usize> {
        mapped.checked_add(bytes).filter(|sum| *sum <= self.limit)
    }

    fn try_add(&self, bytes: usize) -> bool {
        let add = |mapped| self.with(mapped, bytes);
        let before = self.mapped.fetch_update(Relaxed, Relaxed, add);
        before.is_ok_and(|before| {
            self.peak.fetch_max(before + bytes, Relaxed);
            true
        })
    }

    fn add(&self, bytes: usize) {
        let before = self.mapped.fetch_add(bytes, Relaxed);
        self.peak.fetch_max(before + bytes, Relaxed);
    }

    fn subtract(&self, bytes: usize) {
        self.mapped.fetch_sub(bytes, Relaxed);
    }
}

/// The quota that the pools of a budget share.
#[derive(Debug)]
pub(crate) struct SharedQuota {
    quota: Quota,
    /// Held while bytes are added to the quota and to that of a pool, so that a request that one of
    /// them refuses changes neither.
    adding: Mutex<()>,
}

impl SharedQuota {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            quota: Quota::new(limit),
            adding: Mutex::new(()),
        }
    }
}

impl std::ops::Deref for SharedQuota {
    type Target = Quota;

    fn deref(&self) -> &Quota {
        &self.quota
    }
}

/// A pool's part in the quota of its budget.
pub(crate) struct Share {
    pub(crate) quota: Counted<SharedQuota>,
    /// The index of the pool.
    pub(crate) pool: usize,
}

/// The quotas of one pool: its own, and that of its budget.
pub(super) struct Quotas {
    own: Quota,
    shared: Option<Share>,
}

impl Quotas {
    pub(super) fn new(limit: usize, shared: Option<Share>) -> Self {
        Self {
            own: Quota::new(limit),
            shared,
        }
    }

    pub(super) fn own(&self) -> &Quota {
        &self.own
    }

    /// Counts `bytes` as mapped if the limit and the budget allow it.
    pub(super) fn reserve(&self, bytes: usize) -> Result<(), AllocFailure> {
        let Some(Share { quota, pool }) = &self.shared else {
            return self
                .own
                .try_add(bytes)
                .then_some(())
                .ok_or(AllocFailure::Limit);
        };
        let _adding = lock(&quota.adding);
        // Other threads lower the counters at the same time, and do not raise them.
        let own = self.own.with(self.own.mapped(), bytes);
        own.ok_or(AllocFailure::Limit)?;
        let fits = quota.with(quota.mapped(), bytes).is_some();
        if !fits || !attempt::may_use_budget(*pool) {
            return Err(AllocFailure::Budget);
        }
        self.own.add(bytes);
        quota.add(bytes);
        Ok(())
    }

    /// Counts bytes that are mapped already, also above the limits.
    pub(super) fn force(&self, bytes: usize) {
        let shared = self.shared.as_ref();
        let _adding = shared.map(|shared| lock(&shared.quota.adding));
        self.own.add(bytes);
        if let Some(shared) = &self.shared {
            shared.quota.add(bytes);
        }
    }

    pub(super) fn release(&self, bytes: usize) {
        self.own.subtract(bytes);
        if let Some(shared) = &self.shared {
            shared.quota.subtract(bytes);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_changes_neither_counter() {
        let shared = Counted::new(SharedQuota::new(100)).unwrap();
        let [a, b] = [(60, 1), (usize::MAX, 2)].map(|(limit, pool)| {
            let quota = shared.clone();
            Quotas::new(limit, Some(Share { quota, pool }))
        });
        assert_eq!(a.reserve(61), Err(AllocFailure::Limit));
        assert_eq!(b.reserve(101), Err(AllocFailure::Budget));
        assert_eq!(b.reserve(usize::MAX), Err(AllocFailure::Budget));
        a.reserve(60).unwrap();
        assert_eq!(b.reserve(41), Err(AllocFailure::Budget));
        b.reserve(40).unwrap();
        assert_eq!((a.own().mapped(), b.own().mapped()), (60, 40));
        assert_eq!((shared.mapped(), shared.peak()), (100, 100));
        a.release(60);
        let in_attempt_of_a = attempt::run(attempt::Attempt::Mapped(1), || {
            let hook = b.reserve(1).inspect(|()| b.release(1));
            (a.reserve(1), hook)
        });
        assert_eq!(in_attempt_of_a, (Err(AllocFailure::Budget), Ok(())));
        assert_eq!((shared.mapped(), shared.peak()), (40, 100));
        b.force(70);
        assert_eq!((shared.mapped(), shared.peak()), (110, 110));
        assert_eq!(b.own().peak(), 110);
    }
}
