//! Counters of pools and of the process.

use crate::handle_table::{self, slabuf_pool};
use crate::status::{guard, slabuf_status};
use crate::versioned_struct::{self, Plain};

/// Counters of one pool.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct slabuf_pool_usage {
    /// Bytes mapped, including caches and the pool's own headers.
    external: u64,
    /// Bytes of slabs that are not empty, plus the requested lengths of live large buffers.
    array_buffers: u64,
    /// Bytes of slots in live buffers, plus the requested lengths of live large buffers.
    in_use: u64,
    /// Resident bytes kept for reuse.
    cached: u64,
    /// Slabs with no slot in use.
    slabs_empty: u64,
    /// Slabs with some slots in use.
    slabs_partial: u64,
    /// Slabs with all slots in use.
    slabs_full: u64,
    /// Requested lengths of live large buffers, in bytes.
    large_live: u64,
    /// Resident bytes of freed mappings kept for reuse.
    large_cached: u64,
    /// The most bytes that were mapped at a time.
    external_peak: u64,
    /// Requests that wait for memory now.
    waiters: u64,
    /// Requests that the limit, the budget or the system refused.
    refused: u64,
    /// Requests that waited until their time ended.
    timed_out: u64,
}

// SAFETY: thirteen integers of eight bytes.
unsafe impl Plain for slabuf_pool_usage {
    const FIRST: usize = 72;
}
const _: () = assert!(size_of::<slabuf_pool_usage>() == 104);

/// Counters of the process, over all pools, like Node's process.memoryUsage().
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct slabuf_memory_usage {
    /// Resident memory of the process; 0 if the system does not report it.
    rss: u64,
    /// Bytes that malloc's heap has from the system; 0 if unknown.
    heap_total: u64,
    /// Bytes in use in that heap; 0 if unknown.
    heap_used: u64,
    /// Bytes mapped by all pools.
    external: u64,
    /// The sum of the pools' array_buffers, a part of external.
    array_buffers: u64,
}

// SAFETY: five integers of eight bytes.
unsafe impl Plain for slabuf_memory_usage {
    const FIRST: usize = 40;
}
const _: () = assert!(size_of::<slabuf_memory_usage>() == 40);

/// Reads a pool's counters. size is sizeof *usage: a program built with an older header gets the
/// counters it knows.
///
/// # Safety
///
/// size bytes can be written at usage; no thread destroys the pool during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_pool_usage_get(
    pool: *const slabuf_pool,
    usage: *mut slabuf_pool_usage,
    size: usize,
) -> slabuf_status {
    let counters = |pool: &slabuf_rust::Pool| {
        let usage = pool.usage();
        Ok(slabuf_pool_usage {
            external: usage.external,
            array_buffers: usage.array_buffers,
            in_use: usage.in_use,
            cached: usage.cached,
            slabs_empty: usage.slabs_empty,
            slabs_partial: usage.slabs_partial,
            slabs_full: usage.slabs_full,
            large_live: usage.large_live,
            large_cached: usage.large_cached,
            external_peak: usage.external_peak,
            waiters: usage.waiters,
            refused: usage.refused,
            timed_out: usage.timed_out,
        })
    };
    slabuf_status::of(guard(|| {
        // SAFETY: the caller guarantees that no thread destroys the pool.
        let counters = unsafe { handle_table::with(pool, counters) }?;
        // SAFETY: the caller guarantees that `size` bytes can be written.
        unsafe { versioned_struct::write(usage, size, counters) }
    }))
}

/// Reads the process's counters. size is sizeof *usage. Makes system calls.
///
/// # Safety
///
/// size bytes can be written at usage.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_memory_usage_get(
    usage: *mut slabuf_memory_usage,
    size: usize,
) -> slabuf_status {
    slabuf_status::of(guard(|| {
        let counters = slabuf_rust::memory_usage();
        let counters = slabuf_memory_usage {
            rss: counters.rss,
            heap_total: counters.heap_total,
            heap_used: counters.heap_used,
            external: counters.external,
            array_buffers: counters.array_buffers,
        };
        // SAFETY: the caller guarantees that `size` bytes can be written.
        unsafe { versioned_struct::write(usage, size, counters) }
    }))
}
