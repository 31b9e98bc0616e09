//! Counters as JavaScript objects. Bytes are numbers, exact up to 2^53.

use crate::array_buffer;
use napi_derive::napi;
use slabuf::{Budget, Pool};

/// Counters of one pool: bytes, and numbers of slabs.
#[napi(object, object_from_js = false)]
pub struct PoolUsage {
    /// Bytes mapped, including caches and the pool's own headers.
    pub external: f64,
    /// Bytes of slabs that are not empty, plus the lengths of live large buffers.
    pub array_buffers: f64,
    /// Bytes of slots in live buffers, plus the lengths of live large buffers.
    pub in_use: f64,
    /// Resident bytes kept for reuse.
    pub cached: f64,
    /// Slabs with no slot in use.
    pub slabs_empty: f64,
    /// Slabs with some slots in use.
    pub slabs_partial: f64,
    /// Slabs with all slots in use.
    pub slabs_full: f64,
    /// Lengths of live large buffers.
    pub large_live: f64,
    /// Resident bytes of freed mappings kept for reuse.
    pub large_cached: f64,
    /// The most bytes that were mapped at a time.
    pub external_peak: f64,
    /// Requests that wait for memory now.
    pub waiters: f64,
    /// Requests that the limit, the budget or the system refused.
    pub refused: f64,
    /// Requests that waited until their time ended.
    pub timed_out: f64,
}

/// Reads a pool's counters. `timed_out` is the number of requests whose time JavaScript measured,
/// which the crate does not count.
pub(crate) fn of(pool: &Pool, timed_out: u64) -> PoolUsage {
    let usage = pool.usage();
    PoolUsage {
        external: usage.external as f64,
        array_buffers: usage.array_buffers as f64,
        in_use: usage.in_use as f64,
        cached: usage.cached as f64,
        slabs_empty: usage.slabs_empty as f64,
        slabs_partial: usage.slabs_partial as f64,
        slabs_full: usage.slabs_full as f64,
        large_live: usage.large_live as f64,
        large_cached: usage.large_cached as f64,
        external_peak: usage.external_peak as f64,
        waiters: usage.waiters as f64,
        refused: usage.refused as f64,
        timed_out: (usage.timed_out + timed_out) as f64,
    }
}

/// Counters of one budget.
#[napi(object, object_from_js = false)]
pub struct BudgetUsage {
    /// The budget, in bytes.
    pub limit: f64,
    /// Bytes that its pools have mapped.
    pub mapped: f64,
    /// The most bytes that its pools had mapped at a time.
    pub peak: f64,
    /// Its pools, including closed ones that still have buffers.
    pub pools: f64,
    /// Requests that wait for memory of its pools now.
    pub waiters: f64,
    /// Requests that it refused.
    pub refused: f64,
    /// Requests of its pools that waited until their time ended.
    pub timed_out: f64,
}

/// Reads a budget's counters. `timed_out` is as for [`of`].
pub(crate) fn of_budget(budget: &Budget, timed_out: u64) -> BudgetUsage {
    let usage = budget.usage();
    BudgetUsage {
        limit: usage.limit as f64,
        mapped: usage.mapped as f64,
        peak: usage.peak as f64,
        pools: usage.pools as f64,
        waiters: usage.waiters as f64,
        refused: usage.refused as f64,
        timed_out: (usage.timed_out + timed_out) as f64,
    }
}

/// Counters of the process, over all pools and all workers, in bytes.
#[napi(object, object_from_js = false)]
pub struct MemoryUsage {
    /// Resident memory of the process.
    pub rss: f64,
    /// Bytes that the `malloc` heap has from the system.
    pub heap_total: f64,
    /// Bytes in use in that heap.
    pub heap_used: f64,
    /// Bytes mapped by all pools.
    pub external: f64,
    /// The part of `external` that buffers hold.
    pub array_buffers: f64,
    /// The part of `array_buffers` whose workers ended before it could be freed safely.
    pub leaked: f64,
}

/// Returns the counters of the process.
#[napi]
pub fn memory_usage() -> MemoryUsage {
    let usage = slabuf::memory_usage();
    MemoryUsage {
        rss: usage.rss as f64,
        heap_total: usage.heap_total as f64,
        heap_used: usage.heap_used as f64,
        external: usage.external as f64,
        array_buffers: usage.array_buffers as f64,
        leaked: array_buffer::leaked() as f64,
    }
}
