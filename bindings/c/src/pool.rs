//! Pools, and the allocation of buffers from them.

use crate::buffer::{fill_in, free_unless, slabuf_buffer};
use crate::handle_table::{self, slabuf_pool};
use crate::settings::slabuf_settings;
use crate::status::{check, guard, slabuf_status};
use crate::versioned_struct;

/// Returns the pool that slabuf_alloc uses, for the functions that take a pool. It cannot be
/// destroyed.
#[unsafe(no_mangle)]
pub extern "C" fn slabuf_pool_global() -> *const slabuf_pool {
    handle_table::global()
}

/// Creates a pool. size is sizeof *settings.
///
/// # Safety
///
/// size bytes can be read at settings; pool can be written; no thread destroys the budget in the
/// settings during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_pool_create(
    settings: *const slabuf_settings,
    size: usize,
    pool: *mut *mut slabuf_pool,
) -> slabuf_status {
    if let Err(status) = check(pool) {
        return status;
    }
    let created = guard(|| {
        // SAFETY: the caller guarantees that `size` bytes can be read.
        let settings = unsafe { versioned_struct::read(settings, size) }?;
        // SAFETY: the caller guarantees that no thread destroys the budget.
        let builder = unsafe { settings.builder() }?;
        handle_table::insert(builder.build()?)
    });
    // SAFETY: the pointer is neither null nor misaligned; the caller guarantees the rest.
    unsafe { pool.write(created.unwrap_or(std::ptr::null_mut())) };
    slabuf_status::of(created)
}

/// Destroys a pool and sets *pool to null.
///
/// Unused memory returns to the system now, the rest when the buffers are freed. Destroying the
/// pool again, also through a copy of the pointer, returns SLABUF_STATUS_NOT_A_POOL.
///
/// # Safety
///
/// pool can be read and written, and no other thread uses the pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_pool_destroy(pool: *mut *mut slabuf_pool) -> slabuf_status {
    if let Err(status) = check(pool) {
        return status;
    }
    // SAFETY: the pointer is neither null nor misaligned; the caller guarantees the rest.
    let handle = unsafe { pool.read() };
    let destroyed = guard(|| handle_table::remove(handle).map(drop));
    if destroyed.is_ok() {
        // SAFETY: read above; the caller guarantees that it can be written.
        unsafe { pool.write(std::ptr::null_mut()) };
    }
    slabuf_status::of(destroyed)
}

/// Allocates len zeros from a pool.
///
/// # Safety
///
/// buffer can be written. Its contents are overwritten: a live buffer in it would be leaked. No
/// thread destroys the pool during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_pool_alloc(
    pool: *const slabuf_pool,
    len: usize,
    buffer: *mut slabuf_buffer,
) -> slabuf_status {
    // SAFETY: the caller guarantees that no thread destroys the pool.
    let allocate = || unsafe { handle_table::with(pool, |pool| Ok(pool.try_alloc(len)?)) };
    // SAFETY: the caller guarantees that `buffer` can be written.
    unsafe { fill_in(buffer, allocate) }
}

/// Allocates len stale bytes from a pool, like slabuf_alloc_unsafe.
///
/// # Safety
///
/// As for slabuf_pool_alloc.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_pool_alloc_unsafe(
    pool: *const slabuf_pool,
    len: usize,
    buffer: *mut slabuf_buffer,
) -> slabuf_status {
    // SAFETY: the caller guarantees that no thread destroys the pool.
    let allocate = || unsafe { handle_table::with(pool, |pool| Ok(pool.try_alloc_unsafe(len)?)) };
    // SAFETY: the caller guarantees that `buffer` can be written.
    unsafe { fill_in(buffer, allocate) }
}

/// Frees a buffer of this pool, like slabuf_free. A buffer of another pool stays unchanged.
///
/// # Safety
///
/// As for slabuf_free; no thread destroys the pool during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_pool_free(
    pool: *const slabuf_pool,
    buffer: *mut slabuf_buffer,
) -> slabuf_status {
    let refuse = |buffer: &_| {
        let owns = |pool: &slabuf_rust::Pool| match pool.owns(buffer) {
            true => Ok(()),
            false => Err(slabuf_status::ForeignPool),
        };
        // SAFETY: the caller guarantees that no thread destroys the pool.
        unsafe { handle_table::with(pool, owns) }
    };
    // SAFETY: the caller guarantees that `buffer` can be written and is no copy of a freed one.
    unsafe { free_unless(buffer, refuse) }
}

/// Returns unused memory of the pool to the system, and sets *given_back to the number of bytes.
///
/// # Safety
///
/// given_back can be written; no thread destroys the pool during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_pool_trim(
    pool: *const slabuf_pool,
    given_back: *mut usize,
) -> slabuf_status {
    if let Err(status) = check(given_back) {
        return status;
    }
    // SAFETY: the caller guarantees that no thread destroys the pool.
    let trimmed = guard(|| unsafe { handle_table::with(pool, |pool| Ok(pool.trim())) });
    // SAFETY: the pointer is neither null nor misaligned; the caller guarantees the rest.
    unsafe { given_back.write(trimmed.unwrap_or(0)) };
    slabuf_status::of(trimmed)
}

/// Returns unused memory of all pools, including the global pool, to the system, and sets
/// *given_back to the number of bytes.
///
/// # Safety
///
/// given_back can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_trim_all(given_back: *mut usize) -> slabuf_status {
    if let Err(status) = check(given_back) {
        return status;
    }
    let trimmed = guard(|| Ok(slabuf_rust::trim_all()));
    // SAFETY: the pointer is neither null nor misaligned; the caller guarantees the rest.
    unsafe { given_back.write(trimmed.unwrap_or(0)) };
    slabuf_status::of(trimmed)
}
