//! The tables of the pools and budgets that C holds handles to. A handle is a number, which the
//! library never follows as a pointer.
//!
//! The bits of a handle:
//!
//! | bits | meaning |
//! |---|---|
//! | 0 | 1, which no address of an aligned object has |
//! | 1..17 | the place in the table of its kind |
//! | 17..64 | the serial number, in the order of creation; 0 is the global pool, at place 0 |
//!
//! A place serves many pools, one after the other. A serial number is used once, for a pool or for
//! a budget. The handle of a destroyed pool therefore differs from the handle of the pool that has
//! its place now, and no budget has the handle of a pool.
//!
//! # Safety
//!
//! `insert` and `remove` write the value of a place under the lock, while its `serial` is 0. `with`
//! reads it after it has seen its own serial there. The header requires that no thread destroys a
//! pool or a budget that another uses.

use crate::status::{guard, slabuf_status};
use slabuf_rust::{Budget, Pool};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// A pool. The pointer is a number by which the library finds the pool; it points to nothing.
pub struct slabuf_pool {
    _private: [u8; 0],
}

/// A budget. The pointer is a number, like that of a pool.
pub struct slabuf_budget {
    _private: [u8; 0],
}

/// A kind of handle.
pub(crate) trait Handle: Sized {
    type Value: Send + Sync + 'static;
    /// The status for a number that is no handle of this kind.
    const UNKNOWN: slabuf_status;
    /// The status if all places are in use.
    const TOO_MANY: slabuf_status;
    /// Returns what the handle `GLOBAL` refers to, if this kind has it.
    const GLOBAL: Option<fn() -> &'static Self::Value>;
    fn table() -> &'static Table<Self::Value>;
}

impl Handle for slabuf_pool {
    type Value = Pool;
    const UNKNOWN: slabuf_status = slabuf_status::NotAPool;
    const TOO_MANY: slabuf_status = slabuf_status::TooManyPools;
    const GLOBAL: Option<fn() -> &'static Pool> = Some(Pool::global);
    #[inline(always)]
    fn table() -> &'static Table<Pool> {
        static POOLS: Table<Pool> = Table::new();
        &POOLS
    }
}

impl Handle for slabuf_budget {
    type Value = Budget;
    const UNKNOWN: slabuf_status = slabuf_status::NotABudget;
    const TOO_MANY: slabuf_status = slabuf_status::TooManyBudgets;
    const GLOBAL: Option<fn() -> &'static Budget> = None;
    fn table() -> &'static Table<Budget> {
        static BUDGETS: Table<Budget> = Table::new();
        &BUDGETS
    }
}

const PLACES_IN_BLOCK: usize = 256;
/// The test that fills all blocks has fewer.
const BLOCKS: usize = if cfg!(test) { 2 } else { 256 };
const PLACE_SHIFT: u32 = 1;
const SERIAL_SHIFT: u32 = 17;
const GLOBAL: usize = 1;

struct Place<T> {
    /// The serial number of the value in this place, or 0.
    serial: AtomicU64,
    value: UnsafeCell<Option<T>>,
    /// The next free place or `NO_PLACE`, used under the lock.
    next_free: AtomicUsize,
}

// SAFETY: `value` changes under the lock only, while no handle leads to it; a `T` is `Send` and
// `Sync`.
unsafe impl<T: Send + Sync> Sync for Place<T> {}

const NO_PLACE: usize = usize::MAX;

/// The places of one kind of handle.
pub(crate) struct Table<T> {
    free: Mutex<Free>,
    blocks: [OnceLock<Vec<Place<T>>>; BLOCKS],
}

/// The places without a value.
struct Free {
    /// The first place that was never used.
    fresh: usize,
    /// The first place that was used, or `NO_PLACE`.
    used: usize,
}

/// The serial number of the next pool or budget.
static NEXT_SERIAL: AtomicU64 = AtomicU64::new(1);

impl<T> Table<T> {
    const fn new() -> Self {
        Self {
            free: Mutex::new(Free {
                fresh: 0,
                used: NO_PLACE,
            }),
            blocks: [const { OnceLock::new() }; BLOCKS],
        }
    }

    fn lock(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline(always)]
    fn place(&self, number: usize) -> Option<&Place<T>> {
        let block = self.blocks.get(number / PLACES_IN_BLOCK)?.get()?;
        block.get(number % PLACES_IN_BLOCK)
    }

    /// Returns a place that was never used, or `None` if there is none. The caller holds the lock.
    fn fresh(&self, free: &mut Free) -> Result<Option<usize>, slabuf_status> {
        let number = free.fresh;
        let Some(block) = self.blocks.get(number / PLACES_IN_BLOCK) else {
            return Ok(None);
        };
        if block.get().is_none() {
            let mut places = Vec::new();
            let room = places.try_reserve_exact(PLACES_IN_BLOCK);
            room.map_err(|_| slabuf_status::OutOfMemory)?;
            places.extend((0..PLACES_IN_BLOCK).map(|_| Place {
                serial: AtomicU64::new(0),
                value: UnsafeCell::new(None),
                next_free: AtomicUsize::new(NO_PLACE),
            }));
            // This thread holds the lock, so no other thread has set it.
            let _ = block.set(places);
        }
        free.fresh += 1;
        Ok(Some(number))
    }
}

/// Splits a handle into place and serial number.
#[inline(always)]
fn parts<H: Handle>(handle: *const H) -> Result<(usize, u64), slabuf_status> {
    if handle.is_null() {
        return Err(slabuf_status::BadPointer);
    }
    let bits = handle.addr();
    let place = bits >> PLACE_SHIFT & (BLOCKS * PLACES_IN_BLOCK - 1);
    let serial = (bits >> SERIAL_SHIFT) as u64;
    match bits & 1 == 1 && serial != 0 {
        true => Ok((place, serial)),
        false => Err(H::UNKNOWN),
    }
}

pub(crate) fn global() -> *const slabuf_pool {
    std::ptr::without_provenance(GLOBAL)
}

/// Calls with the pool or budget of a handle.
///
/// # Safety
///
/// No thread destroys it during the call.
#[inline(always)]
pub(crate) unsafe fn with<H: Handle, T>(
    handle: *const H,
    call: impl FnOnce(&H::Value) -> Result<T, slabuf_status>,
) -> Result<T, slabuf_status> {
    if let (GLOBAL, Some(global)) = (handle.addr(), H::GLOBAL) {
        // The first use panics if there is no memory for the pool's own structures.
        let value = guard(|| Ok(global()));
        return call(value.map_err(|_| slabuf_status::OutOfMemory)?);
    }
    let (at, serial) = parts(handle)?;
    let place = H::table().place(at).ok_or(H::UNKNOWN)?;
    // Acquire: pairs with the Release in `insert`.
    if place.serial.load(Ordering::Acquire) != serial {
        return Err(H::UNKNOWN);
    }
    // SAFETY: the place has this serial, so its value is complete, and the caller guarantees that
    // it stays.
    let value = unsafe { &*place.value.get() };
    call(value.as_ref().ok_or(H::UNKNOWN)?)
}

/// Adds a pool or a budget, and returns its handle.
pub(crate) fn insert<H: Handle>(value: H::Value) -> Result<*mut H, slabuf_status> {
    let table = H::table();
    let mut free = table.lock();
    let number = match free.used {
        NO_PLACE => table.fresh(&mut free)?.ok_or(H::TOO_MANY)?,
        used => used,
    };
    let place = table.place(number).ok_or(slabuf_status::Internal)?;
    if free.used == number {
        free.used = place.next_free.load(Ordering::Relaxed);
    }
    let serial = NEXT_SERIAL.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the place is free, so no handle leads to it, and this thread holds the lock.
    unsafe { *place.value.get() = Some(value) };
    // Release: pairs with the Acquire in `with`.
    place.serial.store(serial, Ordering::Release);
    let bits = (serial as usize) << SERIAL_SHIFT | number << PLACE_SHIFT | 1;
    Ok(std::ptr::without_provenance_mut(bits))
}

/// Removes a pool or a budget. Its handle is invalid from now on.
pub(crate) fn remove<H: Handle>(handle: *const H) -> Result<H::Value, slabuf_status> {
    if handle.addr() == GLOBAL && H::GLOBAL.is_some() {
        return Err(slabuf_status::GlobalPool);
    }
    let (number, serial) = parts(handle)?;
    let table = H::table();
    let mut free = table.lock();
    let place = table.place(number).ok_or(H::UNKNOWN)?;
    // Relaxed: written under this lock.
    if place.serial.load(Ordering::Relaxed) != serial {
        return Err(H::UNKNOWN);
    }
    place.serial.store(0, Ordering::Relaxed);
    // SAFETY: this thread holds the lock, no handle leads here any more, and the header forbids
    // concurrent use.
    let value = unsafe { (*place.value.get()).take() };
    place.next_free.store(free.used, Ordering::Relaxed);
    free.used = number;
    value.ok_or(slabuf_status::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create() -> Result<*mut slabuf_pool, slabuf_status> {
        insert(Pool::builder().build().expect("memory"))
    }

    fn is_there(pool: *const slabuf_pool) -> bool {
        // SAFETY: only this test has the pool.
        unsafe { with(pool, |_| Ok(())) }.is_ok()
    }

    #[test]
    fn places_run_out_and_come_back() {
        let mut pools: Vec<_> = (0..BLOCKS * PLACES_IN_BLOCK)
            .map(|_| create().expect("a place"))
            .collect();
        assert_eq!(create(), Err(slabuf_status::TooManyPools));
        for at in [5, 300, 511] {
            let gone = pools[at];
            assert!(remove(gone).is_ok() && !is_there(gone));
            pools[at] = create().expect("the freed place");
            assert_eq!(create(), Err(slabuf_status::TooManyPools));
            assert!(is_there(pools[at]) && !is_there(gone));
        }
        let mut sorted = pools.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), pools.len());
        for pool in &pools {
            assert!(is_there(*pool));
            assert!(remove(*pool).is_ok());
        }
        assert!(pools.into_iter().all(|pool| !is_there(pool)));
    }

    #[test]
    fn a_handle_of_one_kind_is_none_of_the_other() {
        let budget: *mut slabuf_budget = insert(Budget::new(1 << 20)).expect("a place");
        assert!(!is_there(budget.cast()));
        // SAFETY: no thread destroys a budget at this number, which belongs to no budget.
        let found = unsafe { with(global().cast::<slabuf_budget>(), |_| Ok(())) };
        assert_eq!(found, Err(slabuf_status::NotABudget));
        assert!(remove(budget).is_ok());
        assert_eq!(remove(budget).err(), Some(slabuf_status::NotABudget));
    }
}
