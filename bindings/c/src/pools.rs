//! The pools that C knows, by number: what C holds as a pointer is never followed.
//!
//! A number is made of bits:
//!
//! | bits | meaning |
//! |---|---|
//! | 0 | 1: no address of anything that C aligns |
//! | 1..17 | the place |
//! | 17..64 | which pool, in the order of creation; 0 is the global pool, at place 0 |
//!
//! A place serves many pools, one after the other; a pool's number is never used again. So a pool that was
//! destroyed is told from the one that has its place now.
//!
//! # Safety
//!
//! The pool of a place is written under the lock, while `serial` is 0, and read by who saw its own serial there. Who
//! destroys a pool while another uses it breaks the header's word.

use crate::status::{guard, slabuf_status};
use slabuf_rust::Pool;
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// A pool. Not to be followed: it is a number, by which the library knows its pools.
pub struct slabuf_pool {
    _private: [u8; 0],
}

const PLACES_IN_BLOCK: usize = 256;
/// Few in the test that fills them all.
const BLOCKS: usize = if cfg!(test) { 2 } else { 256 };
const PLACE_SHIFT: u32 = 1;
const SERIAL_SHIFT: u32 = 17;
const GLOBAL: usize = 1;

struct Place {
    /// Of the pool that is there; 0 is none.
    serial: AtomicU64,
    pool: UnsafeCell<Option<Pool>>,
    /// The next free place, used under the lock; `NO_PLACE` is none.
    next_free: AtomicUsize,
}

// SAFETY: `pool` changes under the lock alone, while no number leads to it; a `Pool` is `Send` and `Sync`.
unsafe impl Sync for Place {}

const NO_PLACE: usize = usize::MAX;

struct Table {
    /// Places from this one on were never used.
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

/// Place and serial, if the pointer can be a number at all.
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

/// Calls with the pool of this number.
///
/// # Safety
///
/// Nobody destroys the pool meanwhile.
#[inline(always)]
pub(crate) unsafe fn with<T>(
    pool: *const slabuf_pool,
    call: impl FnOnce(&Pool) -> Result<T, slabuf_status>,
) -> Result<T, slabuf_status> {
    if pool.addr() == GLOBAL {
        // It panics, at its first use, where there is no memory for its own structures.
        let pool = guard(|| Ok(Pool::global()));
        return call(pool.map_err(|_| slabuf_status::OutOfMemory)?);
    }
    let (at, serial) = parts(pool)?;
    let place = place(at).ok_or(slabuf_status::NotAPool)?;
    // Acquire: pairs with the Release in `insert`.
    if place.serial.load(Ordering::Acquire) != serial {
        return Err(slabuf_status::NotAPool);
    }
    // SAFETY: the serial is there, so the pool is, and it stays for the time of the call.
    let pool = unsafe { &*place.pool.get() };
    call(pool.as_ref().ok_or(slabuf_status::NotAPool)?)
}

/// Numbers a new pool.
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
    // SAFETY: free, and under the lock: no number leads to the place yet.
    unsafe { *place.pool.get() = Some(pool) };
    // Release: pairs with the Acquire in `with`.
    place.serial.store(serial, Ordering::Release);
    let bits = (serial as usize) << SERIAL_SHIFT | number << PLACE_SHIFT | 1;
    Ok(std::ptr::without_provenance_mut(bits))
}

/// A place that was never used.
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
        // Under the lock: nobody was faster.
        let _ = block.set(places);
    }
    table.fresh += 1;
    Ok(number)
}

/// Takes a pool out; its number leads nowhere from now on.
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
    // SAFETY: under the lock, no number leads here any more, and nobody uses the pool: the caller's word.
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
        // SAFETY: the test alone has it.
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
            pools[at] = create().expect("the place that came free");
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
