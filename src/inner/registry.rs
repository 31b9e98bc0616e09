//! The pools of the process, by index, and the lock that decides between a thread's end and a pool's.
//!
//! A pool's *index* is what a slot's tag and a thread's table name it by. Indices are dense and used again: a pool gives
//! its index back when it is freed, after the thread that frees it has removed it from every thread's table. A thread
//! that ends removes its own entries. Both do it under this lock.

use crate::error::AllocFailure;
use crate::sync::{MODEL, Mutex, MutexGuard, lock, static_ref};
use std::ptr::NonNull;

/// The index of the global pool.
pub(crate) const GLOBAL: usize = 0;
/// Indices are below this.
pub(crate) const MAX_POOLS: usize = if MODEL { 4 } else { 1 << 16 };

static_ref! {
    fn registry() -> &'static Mutex<Registry> = Mutex::new(Registry {
        global: Place::Free,
        others: Vec::new(),
    });
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Free,
    /// For a pool that is being built.
    Reserved,
    Pool(NonNull<()>),
}

/// The live pools, opaque here.
pub(crate) struct Registry {
    global: Place,
    /// Of index 1, 2, ...
    others: Vec<Place>,
}

// SAFETY: the pointers are keys; their users know when what they point to is alive.
unsafe impl Send for Registry {}

/// Locks the registry. A pool is removed before it is freed, and so lives while the guard does.
pub(crate) fn pools() -> MutexGuard<'static, Registry> {
    lock(registry())
}

impl Registry {
    pub(crate) fn iter(&self) -> impl Iterator<Item = NonNull<()>> {
        let all = std::iter::once(&self.global).chain(&self.others);
        all.filter_map(|place| match place {
            Place::Pool(pool) => Some(*pool),
            Place::Free | Place::Reserved => None,
        })
    }

    fn place(&mut self, index: usize) -> Option<&mut Place> {
        match index.checked_sub(1) {
            None => Some(&mut self.global),
            Some(other) => self.others.get_mut(other),
        }
    }

    /// Adds a pool under its index, which was reserved or is the global pool's.
    pub(crate) fn add(&mut self, index: usize, pool: NonNull<()>) {
        if let Some(place) = self.place(index) {
            *place = Place::Pool(pool);
        }
    }

    /// Frees the index of a pool, or one that was reserved for a pool that could not be built. Does nothing for a pool
    /// that was never added: of two global pools that are built at once, one is dropped.
    pub(crate) fn remove(&mut self, index: usize, pool: Option<NonNull<()>>) {
        let expected = pool.map_or(Place::Reserved, Place::Pool);
        if let Some(place) = self.place(index).filter(|place| **place == expected) {
            *place = Place::Free;
        }
    }
}

/// Reserves the least free index. `None`: there are [`MAX_POOLS`].
pub(crate) fn reserve() -> Result<Option<usize>, AllocFailure> {
    let mut larger: Vec<Place> = Vec::new();
    loop {
        let mut pools = pools();
        let others = &mut pools.others;
        if let Some(free) = others.iter().position(|place| *place == Place::Free) {
            others[free] = Place::Reserved;
            return Ok(Some(free + 1));
        }
        let count = others.len();
        if count + 1 >= MAX_POOLS {
            return Ok(None);
        }
        if count < others.capacity() {
            others.push(Place::Reserved);
            return Ok(Some(count + 1));
        }
        if count < larger.capacity() {
            larger.clear();
            larger.extend_from_slice(others);
            std::mem::swap(&mut larger, others);
            continue;
        }
        // Not under the lock: the heap may have hooks, which may use pools.
        drop(pools);
        larger
            .try_reserve(2 * count + 8)
            .map_err(|_| AllocFailure::System)?;
    }
}
