//! Counters of a budget, and trimming several pools.

use super::trim;
use crate::inner::PoolInner;
use crate::inner::budget::Retained;
use crate::inner::registry;
use crate::pressure::budget::Budget;
use crate::sync::Ordering::Relaxed;
use crate::util::events;
use crate::util::format::Binary;
use std::fmt;

/// Counters of a budget. From [`Budget::usage`]. `Display` prints them one to a line, bytes in
/// binary units.
///
/// ```
/// use slabuf::{Budget, Pool};
///
/// let budget = Budget::new(64 << 20);
/// let pool = Pool::builder().budget(&budget).build()?;
/// drop(pool.alloc(3 << 20));
/// pool.trim();
/// let usage = budget.usage();
/// assert_eq!((usage.limit, usage.mapped, usage.peak, usage.pools), (64 << 20, 0, 3 << 20, 1));
/// assert!(usage.to_string().starts_with("limit         64.0 MiB\n"));
/// # Ok::<(), slabuf::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetUsage {
    /// The budget, in bytes.
    pub limit: u64,
    /// Bytes that its pools have mapped, including caches and headers: the sum of their
    /// [`PoolUsage::external`](crate::PoolUsage::external).
    pub mapped: u64,
    /// The most bytes that its pools had mapped at a time.
    pub peak: u64,
    /// Number of its pools, including those without a handle that still have buffers.
    pub pools: u64,
    /// Number of requests that wait for memory of its pools now.
    pub waiters: u64,
    /// Number of requests that failed with [`BudgetExceeded`](crate::AllocError::BudgetExceeded).
    pub refused: u64,
    /// Number of requests of its pools that failed with [`TimedOut`](crate::AllocError::TimedOut).
    pub timed_out: u64,
}

impl fmt::Display for BudgetUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, bytes) in [
            ("limit", self.limit),
            ("mapped", self.mapped),
            ("peak", self.peak),
        ] {
            writeln!(f, "{name:<10}{:>12}", Binary(bytes))?;
        }
        writeln!(f, "pools     {:>8}", self.pools)?;
        writeln!(f, "waiters   {:>8}", self.waiters)?;
        writeln!(f, "refused   {:>8}", self.refused)?;
        write!(f, "timed_out {:>8}", self.timed_out)
    }
}

impl Budget {
    /// Returns the budget's counters. See [`BudgetUsage`].
    ///
    /// # Complexity
    ///
    /// Linear in the number of pools of the process. Makes no system call.
    pub fn usage(&self) -> BudgetUsage {
        let inner = self.inner();
        let pools = registry::pools();
        let mut live = pools.iter().map(|at| PoolInner::of(at.cast()));
        // No pool refers to a budget that is not the caller's, whose handle keeps it alive.
        let count = live.by_ref().filter(|pool| pool.draws_on(self)).count();
        drop(live);
        drop(pools);
        let mapped = inner.quota.mapped();
        BudgetUsage {
            limit: inner.quota.limit() as u64,
            mapped: mapped as u64,
            // A thread that maps raises the counter first, and the peak a moment later.
            peak: inner.quota.peak().max(mapped) as u64,
            pools: count as u64,
            waiters: inner.arbiter.waiting.len() as u64,
            refused: inner.refused.load(Relaxed),
            timed_out: inner.timed_out.load(Relaxed),
        }
    }

    /// Trims every pool of the budget, as [`Pool::trim`](crate::Pool::trim), and returns the number
    /// of bytes that they released to the system.
    ///
    /// ```
    /// use slabuf::{Budget, Pool};
    ///
    /// let budget = Budget::new(64 << 20);
    /// let pools = [0; 2].map(|_| Pool::builder().budget(&budget).build().unwrap());
    /// pools.iter().for_each(|pool| drop(pool.alloc(100)));
    /// assert!(budget.trim() > 0);
    /// assert_eq!(budget.usage().mapped, 0);
    /// ```
    ///
    /// # Complexity
    ///
    /// That of `Pool::trim` for each pool of the budget, and linear in the number of pools of the
    /// process. Makes system calls.
    pub fn trim(&self) -> usize {
        trim_those(|pool| pool.draws_on(self))
    }
}

/// Trims every pool of the process, the global pool included, as
/// [`Pool::trim`](crate::Pool::trim), and returns the number of bytes that they released to the
/// system.
///
/// ```
/// let pool = slabuf::Pool::builder().build()?;
/// drop(pool.alloc(100_000));
/// drop(slabuf::Buffer::alloc(100_000));
/// assert!(slabuf::trim_all() >= 200_000);
/// assert_eq!(pool.usage().external, 0);
/// # Ok::<(), slabuf::ConfigError>(())
/// ```
///
/// # Complexity
///
/// That of `Pool::trim` for each pool. Makes system calls.
pub fn trim_all() -> usize {
    trim_those(|_| true)
}

/// Trims the pools for which `pick` returns `true`.
fn trim_those(pick: impl Fn(&PoolInner) -> bool) -> usize {
    let (mut bytes, mut next) = (0, 0);
    while let Some((pool, index)) = Retained::next(next, &pick) {
        bytes += trim(pool.inner());
        next = index + 1;
        drop(pool);
        events::emit();
    }
    bytes
}
