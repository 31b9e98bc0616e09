//! Pools, and buffers of theirs.

use crate::buffer::{fill_in, give, slabuf_buffer};
use crate::pools::{self, slabuf_pool};
use crate::settings::slabuf_settings;
use crate::sized;
use crate::status::{check, guard, slabuf_status};

/// The pool that slabuf_alloc takes from, for the functions that want to know which. It can't be destroyed.
#[unsafe(no_mangle)]
pub extern "C" fn slabuf_pool_global() -> *const slabuf_pool {
    pools::global()
}

/// Creates a pool. size is sizeof *settings.
///
/// # Safety
///
/// settings leads to size bytes that can be read; pool can be written.
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
        // SAFETY: as above.
        let settings = unsafe { sized::read(settings, size) }?;
        pools::insert(settings.builder()?.build()?)
    });
    // SAFETY: checked as far as can be, the rest is the caller's word.
    unsafe { pool.write(created.unwrap_or(std::ptr::null_mut())) };
    slabuf_status::of(created)
}

/// Destroys a pool and leaves null in *pool. What no buffer uses goes back to the system now, the rest as the
/// buffers are freed. A pool that is destroyed once more, also through a copy of the pointer, is
/// SLABUF_STATUS_NOT_A_POOL.
///
/// # Safety
///
/// pool can be read and written, and no other call on *pool is under way.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_pool_destroy(pool: *mut *mut slabuf_pool) -> slabuf_status {
    if let Err(status) = check(pool) {
        return status;
    }
    // SAFETY: checked as far as can be, the rest is the caller's word.
    let number = unsafe { pool.read() };
    let destroyed = guard(|| pools::remove(number).map(drop));
    if destroyed.is_ok() {
        // SAFETY: as above.
        unsafe { pool.write(std::ptr::null_mut()) };
    }
    slabuf_status::of(destroyed)
}

/// Allocates len zeros from a pool.
///
/// # Safety
///
/// buffer can be written. What it holds is overwritten: a live buffer in it would be lost. Nobody destroys the pool
/// meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_pool_alloc(
    pool: *const slabuf_pool,
    len: usize,
    buffer: *mut slabuf_buffer,
) -> slabuf_status {
    // SAFETY: nobody destroys it meanwhile.
    let allocate = || unsafe { pools::with(pool, |pool| Ok(pool.try_alloc(len)?)) };
    // SAFETY: as above.
    unsafe { fill_in(buffer, allocate) }
}

/// Allocates len stale bytes from a pool, as slabuf_alloc_unsafe.
///
/// # Safety
///
/// As with slabuf_pool_alloc.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_pool_alloc_unsafe(
    pool: *const slabuf_pool,
    len: usize,
    buffer: *mut slabuf_buffer,
) -> slabuf_status {
    // SAFETY: nobody destroys it meanwhile.
    let allocate = || unsafe { pools::with(pool, |pool| Ok(pool.try_alloc_unsafe(len)?)) };
    // SAFETY: as above.
    unsafe { fill_in(buffer, allocate) }
}

/// Gives back a buffer of this pool, as slabuf_free. Another pool's stays as it is.
///
/// # Safety
///
/// As with slabuf_free; nobody destroys the pool meanwhile.
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
        // SAFETY: nobody destroys it meanwhile.
        unsafe { pools::with(pool, owns) }
    };
    // SAFETY: as above.
    unsafe { give(buffer, refuse) }
}

/// Gives back to the system what no buffer of the pool uses, and tells how many bytes that was. What other threads
/// keep for themselves they give back when they next free a buffer of the pool.
///
/// # Safety
///
/// given_back can be written; nobody destroys the pool meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_pool_trim(
    pool: *const slabuf_pool,
    given_back: *mut usize,
) -> slabuf_status {
    if let Err(status) = check(given_back) {
        return status;
    }
    // SAFETY: nobody destroys it meanwhile.
    let trimmed = guard(|| unsafe { pools::with(pool, |pool| Ok(pool.trim())) });
    // SAFETY: checked as far as can be, the rest is the caller's word.
    unsafe { given_back.write(trimmed.unwrap_or(0)) };
    slabuf_status::of(trimmed)
}
