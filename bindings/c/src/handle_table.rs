//! The table of the pools that C holds handles to. A handle is a number, which the library never
//! follows as a pointer.
//!
//! The bits of a handle:
//!
//! | bits | meaning |
//! |---|---|
//! | 0 | 1, which no address of an aligned object has |
//! | 1..17 | the place in the table |
//! | 17..64 | the serial number of the pool, in the order of creation; 0 is the global pool, at place 0 |
//!
//! A place serves many pools, one after the other. A serial number is used once, so the handle of a
//! destroyed pool differs from the handle of the pool that has its place now.
//!
//! # Safety
//!
//! `insert` and `remove` write the pool of a place under the lock, while its `serial` is 0. `with`
//! reads it after it has seen its own serial there. The header requires that no thread destroys a
//! pool that another uses.

use crate::status::{guard, slabuf_status};
use slabuf_rust::Pool;
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// A pool. The pointer is a number by which the library finds the pool; it points to nothing.
pub struct slabuf_pool {
    _private: [u8; 0],
}

const PLACES_IN_BLOCK: usize = 256;
/// The test that fills all blocks has fewer.
const BLOCKS: usize = if cfg!(test) { 2 } else { 256 };
const PLACE_SHIFT: u32 = 1;
const SERIAL_SHIFT: u32 = 17;
const GLOBAL: usize = 1;

struct Place {
    /// The serial number of the pool in this place, or 0.
    serial: AtomicU64,
    pool: UnsafeCell<Option<Pool>>,
    /// The next free place or `NO_PLACE`, used under the lock.
    next_free: AtomicUsize,
}

// SAFETY: `pool` changes under the lock only, while no handle leads to it; a `Pool` is `Send` and
// `Sync`.
unsafe impl Sync for Place {}

const NO_PLACE: usize = usize::MAX;

struct Table {
    /// The first place that was never used.
    fresh: usize,
    free: usize,
    next_serial: u64,
}

static TABLE: Mutex<Table> = Mutex::new(Table {
    fresh: 0,
    free: NO_PLACE,
    next_serial: 1,
});
static BLOCKS_OF_PLACES: [OnceLock<Vec<Place>>; BLOCKS] = [const { OnceLock::new() }; BLOCKS];

fn lock() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn place(number: usize) -> Option<&'static Place> {
    let block = BLOCKS_OF_PLACES.get(number / PLACES_IN_BLOCK)?.get()?;
    block.get(number % PLACES_IN_BLOCK)
}

/// Splits a handle into place and serial number.
#[inline(always)]
fn parts(pool: *const slabuf_pool) -> Result<(usize, u64), slabuf_status> {
    if pool.is_null() {
        return Err(slabuf_status::BadPointer);
    }
    let bits = pool.addr();
    let place = bits >> PLACE_SHIFT & (BLOCKS * PLACES_IN_BLOCK - 1);
    let serial = (bits >> SERIAL_SHIFT) as u64;
    match bits & 1 == 1 && serial != 0 {
        true => Ok((place, serial)),
        false => Err(slabuf_status::NotAPool),
    }
}

pub(crate) fn global() -> *const slabuf_pool {
    std::ptr::without_provenance(GLOBAL)
}

/// Calls with the pool of a handle.
///
/// # Safety
///
/// No thread destroys the pool during the call.
#[inline(always)]
pub(crate) unsafe fn with<T>(
    pool: *const slabuf_pool,
    call: impl FnOnce(&Pool) -> Result<T, slabuf_status>,
) -> Result<T, slabuf_status> {
    if pool.addr() == GLOBAL {
        // The first use panics if there is no memory for the pool's own structures.
        let pool = guard(|| Ok(Pool::global()));
        return call(pool.map_err(|_| slabuf_status::OutOfMemory)?);
    }
    let (at, serial) = parts(pool)?;
    let place = place(at).ok_or(slabuf_status::NotAPool)?;
    // Acquire: pairs with the Release in `insert`.
    if place.serial.load(Ordering::Acquire) != serial {
        return Err(slabuf_status::NotAPool);
    }
    // SAFETY: the place has this serial, so its pool is complete, and the caller guarantees that it
    // stays.
    let pool = unsafe { &*place.pool.get() };
    call(pool.as_ref().ok_or(slabuf_status::NotAPool)?)
}

/// Adds a pool, and returns its handle.
pub(crate) fn insert(pool: Pool) -> Result<*mut slabuf_pool, slabuf_status> {
    let mut table = lock();
    let number = match table.free {
        NO_PLACE => fresh(&mut table)?,
        free => free,
    };
    let place = place(number).ok_or(slabuf_status::Internal)?;
    if table.free == number {
        table.free = place.next_free.load(Ordering::Relaxed);
    }
    let serial = table.next_serial;
    table.next_serial += 1;
    // SAFETY: the place is free, so no handle leads to it, and this thread holds the lock.
    unsafe { *place.pool.get() = Some(pool) };
    // Release: pairs with the Acquire in `with`.
    place.serial.store(serial, Ordering::Release);
    let bits = (serial as usize) << SERIAL_SHIFT | number << PLACE_SHIFT | 1;
    Ok(std::ptr::without_provenance_mut(bits))
}

/// Returns a place that was never used.
fn fresh(table: &mut Table) -> Result<usize, slabuf_status> {
    let number = table.fresh;
    let block = BLOCKS_OF_PLACES.get(number / PLACES_IN_BLOCK);
    let block = block.ok_or(slabuf_status::TooManyPools)?;
    if block.get().is_none() {
        let mut places = Vec::new();
        let room = places.try_reserve_exact(PLACES_IN_BLOCK);
        room.map_err(|_| slabuf_status::OutOfMemory)?;
        places.extend((0..PLACES_IN_BLOCK).map(|_| Place {
            serial: AtomicU64::new(0),
            pool: UnsafeCell::new(None),
            next_free: AtomicUsize::new(NO_PLACE),
        }));
        // This thread holds the lock, so no other thread has set it.
        let _ = block.set(places);
    }
    table.fresh += 1;
    Ok(number)
}

/// Removes a pool. Its handle is invalid from now on.
pub(crate) fn remove(pool: *const slabuf_pool) -> Result<Pool, slabuf_status> {
    if pool.addr() == GLOBAL {
        return Err(slabuf_status::GlobalPool);
    }
    let (number, serial) = parts(pool)?;
    let mut table = lock();
    let place = place(number).ok_or(slabuf_status::NotAPool)?;
    // Relaxed: written under this lock.
    if place.serial.load(Ordering::Relaxed) != serial {
        return Err(slabuf_status::NotAPool);
    }
    place.serial.store(0, Ordering::Relaxed);
    // SAFETY: this thread holds the lock, no handle leads here any more, and the header forbids
    // concurrent use.
    let pool = unsafe { (*place.pool.get()).take() };
    place.next_free.store(table.free, Ordering::Relaxed);
    table.free = number;
    pool.ok_or(slabuf_status::Internal)
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
}
