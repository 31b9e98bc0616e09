//! Watermarks: when producers should pause, and when they may resume.

use crate::handle_table::{self, slabuf_pool};
use crate::status::{check, guard, slabuf_status};
use std::ffi::c_int;
use std::time::Duration;

/// Sets *over to 1 if the pool has reached its high-water mark and has not drained to its low-water
/// mark since, otherwise to 0. A pool without marks is never over.
///
/// # Safety
///
/// over can be written; no thread destroys the pool during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_pool_is_over_high_water(
    pool: *const slabuf_pool,
    over: *mut c_int,
) -> slabuf_status {
    if let Err(status) = check(over) {
        return status;
    }
    // SAFETY: the caller guarantees that no thread destroys the pool.
    let is_over =
        guard(|| unsafe { handle_table::with(pool, |pool| Ok(pool.is_over_high_water())) });
    // SAFETY: `over` is neither null nor misaligned, and the caller guarantees that it can be
    // written.
    unsafe { over.write(c_int::from(is_over.unwrap_or(false))) };
    slabuf_status::of(is_over)
}

/// Waits up to timeout_ms milliseconds while the pool is over its high-water mark: until its live
/// buffers have gone down to the low-water mark, or else returns SLABUF_STATUS_TIMED_OUT. Blocks
/// the calling thread.
///
/// # Safety
///
/// No thread destroys the pool during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_pool_wait_drained(
    pool: *const slabuf_pool,
    timeout_ms: u64,
) -> slabuf_status {
    let wait = |pool: &slabuf_rust::Pool| match pool.wait_drained(Duration::from_millis(timeout_ms))
    {
        true => Ok(()),
        false => Err(slabuf_status::TimedOut),
    };
    // SAFETY: the caller guarantees that no thread destroys the pool.
    slabuf_status::of(guard(|| unsafe { handle_table::with(pool, wait) }))
}
