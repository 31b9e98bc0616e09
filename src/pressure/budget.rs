//! Budgets: a limit that several pools share.

use crate::error::AllocFailure;
use crate::os::quota::SharedQuota;
use crate::pressure::transit::{Arbiter, Transit};
use crate::sync::{AtomicUsize, Mutex, Ordering::Relaxed, lock, static_ref};
use crate::util::counted::Counted;
use crate::util::heap::lock_with_room;
use std::fmt;
use std::sync::atomic::AtomicU64;

/// A limit that several pools share.
///
/// The bytes that the pools of a budget have mapped never exceed the budget, in addition to the
/// [limit](crate::PoolBuilder::limit) that each pool may have. A pool joins the budget when it is
/// [built](crate::PoolBuilder::budget), and leaves it when it has no handle and no buffer any more.
///
/// A request that the budget refuses first releases the caches of its own pool, then those of the
/// other pools, the least recently used first, until it succeeds. If that is not enough, it fails
/// with [`AllocError::BudgetExceeded`](crate::AllocError::BudgetExceeded). The functions that wait,
/// such as [`Pool::alloc_timeout`](crate::Pool::alloc_timeout) and
/// [`Pool::alloc_async`](crate::Pool::alloc_async), wait for room in the pool and in the budget.
/// The waiters for room in the budget are served first in, first out, whatever their pools.
///
/// A `Budget` is a handle: a clone is another handle to the same budget, and cheap. Its pools keep
/// the budget alive. Budgets do not nest.
///
/// ```
/// use slabuf::{AllocError, Budget, Pool};
///
/// let budget = Budget::new(1 << 20);
/// let tenants = [0; 2].map(|_| Pool::builder().budget(&budget).build().unwrap());
/// let first = tenants[0].alloc(700_000);
/// let error = tenants[1].try_alloc(700_000).unwrap_err();
/// assert!(matches!(
///     error,
///     AllocError::BudgetExceeded { requested: 700_000, limit: 1_048_576, .. }
/// ));
///
/// // The first pool keeps the memory for reuse, until the second one needs it.
/// drop(first);
/// assert_eq!(tenants[1].alloc(700_000).len(), 700_000);
/// assert!(budget.usage().peak <= 1 << 20);
/// ```
pub struct Budget(Counted<BudgetInner>);

/// A name of a budget that does not keep it alive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BudgetId {
    id: u64,
    limit: usize,
}

static_ref! {
    /// The budgets that have a handle. Handles are dropped, and budgets found, under this lock.
    fn live() -> &'static Mutex<Vec<Counted<BudgetInner>>> = Mutex::new(Vec::new());
}

/// The source of [`BudgetInner::id`].
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// A budget's state.
pub(crate) struct BudgetInner {
    id: u64,
    /// Number of handles, including those of pools.
    handles: AtomicUsize,
    pub(crate) quota: Counted<SharedQuota>,
    pub(crate) arbiter: Arbiter,
    /// The carriers of all its pools.
    pub(crate) transit: Transit,
    /// Number of requests that the budget refused. Atomics of `std` also under loom, because no
    /// other access depends on them.
    pub(crate) refused: AtomicU64,
    /// Number of requests of its pools that timed out.
    pub(crate) timed_out: AtomicU64,
}

impl Budget {
    /// Creates a budget of `bytes` for pools that are yet to be built. The least budget depends on
    /// the slab size of each pool, so [`build`](crate::PoolBuilder::build) checks it.
    ///
    /// ```
    /// use slabuf::{Budget, Pool};
    ///
    /// let budget = Budget::new(256 << 20);
    /// let pool = Pool::builder().limit(8 << 20).budget(&budget).build()?;
    /// assert!(Pool::builder().budget(&Budget::new(0)).build().is_err());
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If there is no memory for the budget's own structures (less than 1 KiB).
    ///
    /// # Complexity
    ///
    /// Constant. Makes no system call.
    pub fn new(bytes: usize) -> Self {
        match Self::try_new(bytes) {
            Ok(budget) => budget,
            Err(_) => panic!("no memory for the structures of a budget of {bytes} bytes"),
        }
    }

    fn try_new(bytes: usize) -> Result<Self, AllocFailure> {
        let inner = Counted::new(BudgetInner {
            id: NEXT_ID.fetch_add(1, Relaxed),
            handles: AtomicUsize::new(1),
            quota: Counted::new(SharedQuota::new(bytes))?,
            arbiter: Arbiter::new(true),
            transit: Transit::new(),
            refused: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
        })?;
        let mut live = lock_with_room(live(), |live| live).ok_or(AllocFailure::System)?;
        live.push(inner.clone());
        Ok(Self(inner))
    }

    pub(crate) fn id(&self) -> BudgetId {
        BudgetId {
            id: self.inner().id,
            limit: self.inner().quota.limit(),
        }
    }

    /// Returns a handle to the budget, or to a new one of the same size if it has no handle any
    /// more.
    pub(crate) fn find_or_new(id: BudgetId) -> Result<Self, AllocFailure> {
        {
            let live = lock(live());
            if let Some(found) = live.iter().find(|inner| inner.id == id.id) {
                found.handles.fetch_add(1, Relaxed);
                return Ok(Self(found.clone()));
            }
        }
        Self::try_new(id.limit)
    }

    pub(crate) fn inner(&self) -> &BudgetInner {
        &self.0
    }

    /// Returns whether both are handles to one budget.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0.is_same(&other.0)
    }
}

impl Clone for Budget {
    fn clone(&self) -> Self {
        // Relaxed: the caller's handle keeps the budget in the list.
        self.inner().handles.fetch_add(1, Relaxed);
        Self(self.0.clone())
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        let unlisted = {
            let mut live = lock(live());
            let is_last = self.inner().handles.fetch_sub(1, Relaxed) == 1;
            let mut places = live.iter();
            let place = places.position(|inner| is_last && inner.is_same(&self.0));
            place.map(|place| live.swap_remove(place))
        };
        // Freed outside of the lock, as it calls the heap.
        drop(unlisted);
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quota = &self.inner().quota;
        f.debug_struct("Budget")
            .field("limit", &quota.limit())
            .field("mapped", &quota.mapped())
            .finish_non_exhaustive()
    }
}
