//! Figures, in bytes unless they are named otherwise.

use crate::pools::{self, slabuf_pool};
use crate::sized::{self, Plain};
use crate::status::{guard, slabuf_status};

/// What one pool holds.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct slabuf_pool_usage {
    /// Bytes mapped, caches and the pool's own headers included.
    external: u64,
    /// Bytes of slabs that are not empty, plus the lengths asked for of live large buffers.
    array_buffers: u64,
    /// Bytes of slots that are with live buffers, plus the lengths asked for of live large buffers.
    in_use: u64,
    /// Bytes kept for reuse.
    cached: u64,
    /// Slabs none of whose slots is out.
    slabs_empty: u64,
    /// Slabs some of whose slots are out.
    slabs_partial: u64,
    /// Slabs all of whose slots are out.
    slabs_full: u64,
    /// Lengths asked for of live large buffers, in bytes.
    large_live: u64,
    /// Bytes mapped in freed mappings that are kept for reuse.
    large_cached: u64,
}

// SAFETY: nine integers of eight bytes.
unsafe impl Plain for slabuf_pool_usage {
    const FIRST: usize = 72;
}
const _: () = assert!(size_of::<slabuf_pool_usage>() == 72);

/// What the whole process holds, all pools together: Node's process.memoryUsage().
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct slabuf_memory_usage {
    /// Physical memory of the process; 0 where the system does not tell.
    rss: u64,
    /// Bytes that malloc's heap has from the system; 0 where there is no such figure.
    heap_total: u64,
    /// Bytes in use in that heap; 0 where there is no such figure.
    heap_used: u64,
    /// Bytes mapped by all pools.
    external: u64,
    /// The sum of the pools' array_buffers; a part of external.
    array_buffers: u64,
}

// SAFETY: five integers of eight bytes.
unsafe impl Plain for slabuf_memory_usage {
    const FIRST: usize = 40;
}
const _: () = assert!(size_of::<slabuf_memory_usage>() == 40);

/// Tells what a pool holds. size is sizeof *usage: a program built with an older header gets the figures it knows.
///
/// # Safety
///
/// usage leads to size bytes that can be written; nobody destroys the pool meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_pool_usage_get(
    pool: *const slabuf_pool,
    usage: *mut slabuf_pool_usage,
    size: usize,
) -> slabuf_status {
    let figures = |pool: &slabuf_rust::Pool| {
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
        })
    };
    slabuf_status::of(guard(|| {
        // SAFETY: nobody destroys it meanwhile.
        let figures = unsafe { pools::with(pool, figures) }?;
        // SAFETY: as above.
        unsafe { sized::write(usage, size, figures) }
    }))
}

/// Tells what the process holds. size is sizeof *usage. Makes system calls.
///
/// # Safety
///
/// usage leads to size bytes that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_memory_usage_get(
    usage: *mut slabuf_memory_usage,
    size: usize,
) -> slabuf_status {
    slabuf_status::of(guard(|| {
        let figures = slabuf_rust::memory_usage();
        let figures = slabuf_memory_usage {
            rss: figures.rss,
            heap_total: figures.heap_total,
            heap_used: figures.heap_used,
            external: figures.external,
            array_buffers: figures.array_buffers,
        };
        // SAFETY: as above.
        unsafe { sized::write(usage, size, figures) }
    }))
}
