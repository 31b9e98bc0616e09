//! Releasing the caches of the other pools of a budget for a request that is about to fail.
//!
//! The pools of a budget are found in the registry. Under its lock, a pool that has a reference
//! gets one more, so it is not freed while its caches are released. The caller holds the turn of
//! the budget, so no other request releases the same caches.

use super::{PoolInner, registry};
use crate::error::AllocFailure;
use crate::pressure::budget::Budget;
use crate::sync::Ordering::Relaxed;
use crate::util::attempt;
use std::ptr::{self, NonNull};

/// Number of pools that are retained at a time.
const BATCH: usize = 16;

/// A pool with a reference, which is released on drop.
pub(crate) struct Retained(NonNull<PoolInner>);

impl Retained {
    /// Retains the pool with the least index from `index` on for which `pick` returns `true`, and
    /// returns it with its index.
    pub(crate) fn next(
        index: usize,
        pick: impl Fn(&PoolInner) -> bool,
    ) -> Option<(Retained, usize)> {
        let pools = registry::pools();
        let mut live = pools.iter_from(index).map(NonNull::cast::<PoolInner>);
        let found = live.find(|at| {
            let pool = PoolInner::of(*at);
            pick(pool) && pool.try_retain()
        })?;
        Some((Self(found), PoolInner::of(found).index))
    }

    pub(crate) fn inner(&self) -> &PoolInner {
        PoolInner::of(self.0)
    }
}

impl Drop for Retained {
    fn drop(&mut self) {
        PoolInner::release(self.0);
    }
}

/// Pools that may have something to release, the least recently used first.
#[derive(Default)]
struct Candidates {
    /// The pools and when they were used last, in ascending order.
    pools: [Option<(usize, NonNull<PoolInner>)>; BATCH],
}

impl Candidates {
    /// Adds a pool. If there are too many, forgets the most recently used one.
    fn add(&mut self, last_used: usize, pool: NonNull<PoolInner>) {
        let later = |place: &Option<(usize, _)>| place.is_none_or(|(other, _)| other > last_used);
        if let Some(place) = self.pools.iter().position(later) {
            self.pools[place..].rotate_right(1);
            self.pools[place] = Some((last_used, pool));
        }
    }
}

impl PoolInner {
    /// Returns whether the pool's bytes count in the budget.
    pub(crate) fn draws_on(&self, budget: &Budget) -> bool {
        let own = self.budget.as_ref();
        own.is_some_and(|own| own.is_same(budget))
    }

    /// If the budget refused a request, releases the caches of the budget's other pools, the least
    /// recently used first, and retries after each.
    pub(super) fn release_others_and_retry<T>(
        &self,
        failure: AllocFailure,
        attempt: impl Fn() -> Result<T, AllocFailure>,
    ) -> Result<T, AllocFailure> {
        let Some(budget) = &self.budget else {
            return Err(failure);
        };
        let is_known = !attempt::is_running() && budget.inner().transit.is_fruitless();
        let is_last = is_known || !attempt::may_use_budget(self.index);
        if failure != AllocFailure::Budget || is_last {
            return Err(failure);
        }
        let mut after = None;
        loop {
            let batch = self.least_recently_used(budget, after);
            if batch.iter().all(Option::is_none) {
                return Err(failure);
            }
            for (last_used, pool) in batch.into_iter().flatten() {
                after = Some(last_used);
                let seen = pool.inner().transit.arrived();
                pool.inner().release_for_request();
                pool.inner().transit.set_fruitless(seen);
                drop(pool);
                match attempt() {
                    Err(AllocFailure::Budget) => {}
                    result => return result,
                }
            }
        }
    }

    /// Retains the other pools of the budget that may have something to release and were used last
    /// at `after` or later: the least recently used of them.
    fn least_recently_used(
        &self,
        budget: &Budget,
        after: Option<usize>,
    ) -> [Option<(usize, Retained)>; BATCH] {
        let mut candidates = Candidates::default();
        let pools = registry::pools();
        for at in pools.iter().map(NonNull::cast::<PoolInner>) {
            let pool = PoolInner::of(at);
            let last_used = pool.last_used.load(Relaxed);
            if pool.draws_on(budget)
                && !ptr::eq(pool, self)
                && after.is_none_or(|after| last_used > after)
                && pool.mapper.mapped() > 0
                && !pool.is_fruitless()
            {
                candidates.add(last_used, at);
            }
        }
        candidates.pools.map(|candidate| {
            let (last_used, at) = candidate?;
            let retained = PoolInner::of(at).try_retain();
            retained.then(|| (last_used, Retained(at)))
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_the_least_recently_used() {
        let mut candidates = Candidates::default();
        for last_used in (0..100).rev().chain([3, 200]) {
            candidates.add(last_used, NonNull::dangling());
        }
        let found = candidates.pools.map(|pool| pool.unwrap().0);
        assert_eq!(found, [0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
    }
}
