//! The limit of a pool, and how much of it is left.

use super::{Pool, usage};
use crate::inner::{PoolInner, registry};
use crate::slab::size_class::SPAN;

/// The part of a pool's mapped bytes that no buffer uses.
struct Free {
    /// Bytes that buffers of the pool can use: free slots, empty slabs, cached mappings.
    reusable: usize,
    /// Bytes that the pool can release to the system.
    releasable: usize,
}

impl Free {
    fn of_pool(inner: &PoolInner) -> Self {
        let large = usage::kept_mappings(inner);
        let mut free = Self {
            reusable: large,
            releasable: large,
        };
        for (spans, slabs_in_one) in [(false, 1), (true, SPAN)] {
            let regions = &inner.regions[usize::from(spans)];
            let (mut slabs, mut slots, mut any_live) = (0, 0, false);
            let classes =
                (0..inner.table.count()).filter(|class| inner.table.get(*class).spans == spans);
            for number in classes {
                let class = inner.table.get(number);
                let owned = inner.depot.counts(number).slabs as usize / slabs_in_one;
                let live = usage::live_slots(inner, number) as usize;
                let free_slots = (owned * class.slots as usize).saturating_sub(live);
                slots += free_slots * class.slot_size as usize;
                slabs += owned;
                any_live |= live > 0;
            }
            let empty = regions.slabs().empty as usize;
            if any_live {
                free.reusable += slots + empty * regions.slab_offsets().1;
                free.releasable += regions.all_empty_bytes();
            } else {
                // All regions are empty after a release.
                let bytes = regions.bytes_of(slabs + empty);
                free.reusable += bytes;
                free.releasable += bytes;
            }
        }
        free
    }
}

/// Returns the bytes that other pools leave in the budget of a pool, beside what it has mapped.
fn left_in_budget(inner: &PoolInner) -> Option<usize> {
    let budget = inner.budget.as_ref()?;
    let quota = &budget.inner().quota;
    let mut left = quota.limit().saturating_sub(quota.mapped());
    let pools = registry::pools();
    for other in pools.iter().map(|at| PoolInner::of(at.cast())) {
        if other.draws_on(budget) && other.index != inner.index {
            // The pools change meanwhile: the sum of what is free in each may exceed the budget.
            left = left.saturating_add(Free::of_pool(other).releasable);
        }
    }
    Some(left.min(quota.limit()))
}

impl Pool {
    /// Returns the pool's [limit](crate::PoolBuilder::limit) in bytes; `None` without a limit.
    ///
    /// ```
    /// use slabuf::Pool;
    ///
    /// assert_eq!(Pool::builder().limit(1 << 20).build()?.limit(), Some(1 << 20));
    /// assert_eq!(Pool::global().limit(), None);
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    ///
    /// # Complexity
    ///
    /// Constant. Makes no system call.
    pub fn limit(&self) -> Option<usize> {
        PoolInner::of(self.inner).config.limit
    }

    /// Returns the bytes that could still be allocated if all caches were released; with a
    /// [budget](crate::Budget), the smaller of what the pool's limit and what the budget leaves.
    /// `None` without a limit and without a budget.
    ///
    /// It counts what is not mapped yet, and free slots, empty slabs and cached mappings. A free
    /// slot serves requests of its size class only, so that a request for all of these bytes may
    /// fail.
    ///
    /// ```
    /// let pool = slabuf::Pool::builder().limit(1 << 20).build()?;
    /// assert_eq!(pool.available(), Some(1 << 20));
    /// let buffer = pool.alloc(409_600);
    /// assert_eq!(pool.available(), Some((1 << 20) - 409_600));
    /// drop(buffer);
    /// assert_eq!(pool.available(), Some(1 << 20));
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    ///
    /// # Complexity
    ///
    /// That of [`usage`](Self::usage), for each pool of the budget. Makes no system call.
    pub fn available(&self) -> Option<usize> {
        let inner = PoolInner::of(self.inner);
        let by_limit = inner
            .config
            .limit
            .map(|limit| limit.saturating_sub(inner.mapper.mapped()));
        let unmapped = [by_limit, left_in_budget(inner)]
            .into_iter()
            .flatten()
            .min()?;
        // Other threads may have unmapped some of the free bytes meanwhile.
        let sum = unmapped.saturating_add(Free::of_pool(inner).reusable);
        Some(sum.min(inner.config.bound()))
    }
}
