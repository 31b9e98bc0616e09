//! Budgets: a limit that several pools share.

use crate::handle_table::{self, slabuf_budget};
use crate::status::{check, guard, slabuf_status};
use crate::versioned_struct::{self, Plain};
use slabuf_rust::Budget;

/// Counters of a budget.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct slabuf_budget_usage {
    /// The budget, in bytes.
    limit: u64,
    /// Bytes that its pools have mapped, including caches and headers.
    mapped: u64,
    /// The most bytes that its pools had mapped at a time.
    peak: u64,
    /// Its pools, including destroyed ones that still have buffers.
    pools: u64,
    /// Requests that wait for memory of its pools now.
    waiters: u64,
    /// Requests that it refused.
    refused: u64,
    /// Requests of its pools that waited until their time ended.
    timed_out: u64,
}

// SAFETY: seven integers of eight bytes.
unsafe impl Plain for slabuf_budget_usage {
    const FIRST: usize = 56;
}
const _: () = assert!(size_of::<slabuf_budget_usage>() == 56);

/// Creates a budget: a limit of bytes, which the pools that are created with it share. Its size is
/// checked when a pool is created.
///
/// # Safety
///
/// budget can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_budget_create(
    bytes: usize,
    budget: *mut *mut slabuf_budget,
) -> slabuf_status {
    if let Err(status) = check(budget) {
        return status;
    }
    // Panics if there is no memory for the budget's own structures.
    let made = guard(|| Ok(Budget::new(bytes))).map_err(|_| slabuf_status::OutOfMemory);
    let created = made.and_then(|made| guard(|| handle_table::insert(made)));
    // SAFETY: the pointer is neither null nor misaligned; the caller guarantees the rest.
    unsafe { budget.write(created.unwrap_or(std::ptr::null_mut())) };
    slabuf_status::of(created)
}

/// Destroys a budget and sets *budget to null.
///
/// Its pools keep it: it holds for them until they are destroyed and their buffers freed.
/// Destroying the budget again, also through a copy of the pointer, returns
/// SLABUF_STATUS_NOT_A_BUDGET.
///
/// # Safety
///
/// budget can be read and written, and no other thread uses the budget.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_budget_destroy(budget: *mut *mut slabuf_budget) -> slabuf_status {
    if let Err(status) = check(budget) {
        return status;
    }
    // SAFETY: the pointer is neither null nor misaligned; the caller guarantees the rest.
    let handle = unsafe { budget.read() };
    let destroyed = guard(|| handle_table::remove(handle).map(drop));
    if destroyed.is_ok() {
        // SAFETY: read above; the caller guarantees that it can be written.
        unsafe { budget.write(std::ptr::null_mut()) };
    }
    slabuf_status::of(destroyed)
}

/// Reads a budget's counters. size is sizeof *usage: a program built with an older header gets the
/// counters it knows.
///
/// # Safety
///
/// size bytes can be written at usage; no thread destroys the budget during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_budget_usage_get(
    budget: *const slabuf_budget,
    usage: *mut slabuf_budget_usage,
    size: usize,
) -> slabuf_status {
    let counters = |budget: &Budget| {
        let usage = budget.usage();
        Ok(slabuf_budget_usage {
            limit: usage.limit,
            mapped: usage.mapped,
            peak: usage.peak,
            pools: usage.pools,
            waiters: usage.waiters,
            refused: usage.refused,
            timed_out: usage.timed_out,
        })
    };
    slabuf_status::of(guard(|| {
        // SAFETY: the caller guarantees that no thread destroys the budget.
        let counters = unsafe { handle_table::with(budget, counters) }?;
        // SAFETY: the caller guarantees that `size` bytes can be written.
        unsafe { versioned_struct::write(usage, size, counters) }
    }))
}

/// Returns unused memory of the budget's pools to the system, and sets *given_back to the number of
/// bytes.
///
/// # Safety
///
/// given_back can be written; no thread destroys the budget during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_budget_trim(
    budget: *const slabuf_budget,
    given_back: *mut usize,
) -> slabuf_status {
    if let Err(status) = check(given_back) {
        return status;
    }
    // SAFETY: the caller guarantees that no thread destroys the budget.
    let trimmed = guard(|| unsafe { handle_table::with(budget, |budget| Ok(budget.trim())) });
    // SAFETY: the pointer is neither null nor misaligned; the caller guarantees the rest.
    unsafe { given_back.write(trimmed.unwrap_or(0)) };
    slabuf_status::of(trimmed)
}
