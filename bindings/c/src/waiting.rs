//! Allocations that wait for room in a pool and its budget.

use crate::buffer::{fill_in, slabuf_buffer};
use crate::handle_table::{self, slabuf_pool};
use crate::status::slabuf_status;
use std::time::Duration;

/// Allocates len zeros from a pool, and waits up to timeout_ms milliseconds while its limit or its
/// budget leaves no room.
///
/// Blocks the calling thread. Waiters are served first in, first out. Returns
/// SLABUF_STATUS_LIMIT_EXCEEDED or SLABUF_STATUS_BUDGET_EXCEEDED at once if the length can never
/// fit. Without a limit and a budget, the function never waits.
///
/// # Safety
///
/// buffer can be written. Its contents are overwritten: a live buffer in it would be leaked. No
/// thread destroys the pool during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_pool_alloc_timeout(
    pool: *const slabuf_pool,
    len: usize,
    timeout_ms: u64,
    buffer: *mut slabuf_buffer,
) -> slabuf_status {
    let timeout = Duration::from_millis(timeout_ms);
    // SAFETY: the caller guarantees that no thread destroys the pool.
    let allocate =
        || unsafe { handle_table::with(pool, |pool| Ok(pool.alloc_timeout(len, timeout)?)) };
    // SAFETY: the caller guarantees that `buffer` can be written.
    unsafe { fill_in(buffer, allocate) }
}

/// Allocates len stale bytes from a pool, like slabuf_pool_alloc_unsafe, and waits like
/// slabuf_pool_alloc_timeout.
///
/// # Safety
///
/// As for slabuf_pool_alloc_timeout.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_pool_alloc_unsafe_timeout(
    pool: *const slabuf_pool,
    len: usize,
    timeout_ms: u64,
    buffer: *mut slabuf_buffer,
) -> slabuf_status {
    let timeout = Duration::from_millis(timeout_ms);
    // SAFETY: the caller guarantees that no thread destroys the pool.
    let allocate =
        || unsafe { handle_table::with(pool, |pool| Ok(pool.alloc_unsafe_timeout(len, timeout)?)) };
    // SAFETY: the caller guarantees that `buffer` can be written.
    unsafe { fill_in(buffer, allocate) }
}
