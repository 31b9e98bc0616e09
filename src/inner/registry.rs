//! The pools of the process, by index, and the lock that orders a thread's end and a pool's.
//!
//! A pool's *index* is its name in slots' tags and threads' tables. Indices are dense and are used
//! again: a pool's index is free when the pool is freed, after the thread that frees it has removed
//! it from every thread's table. A thread that ends removes its own entries. Both do so under this
//! lock.

use crate::error::AllocFailure;
use crate::sync::{MODEL, Mutex, MutexGuard, lock, static_ref};
use crate::util::heap::lock_with_room;
use std::ptr::NonNull;

/// The index of the global pool.
pub(crate) const GLOBAL: usize = 0;
/// Number of pools that may exist at once. Indices are below it.
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
    /// The index is reserved for a pool that is being built.
    Reserved,
    Pool(NonNull<()>),
}

/// The live pools, as opaque pointers.
pub(crate) struct Registry {
    global: Place,
    /// The places of index 1, 2, ...
    others: Vec<Place>,
}

// SAFETY: the pointers are keys; their users know when what they point to is alive.
unsafe impl Send for Registry {}

/// Locks the registry. A pool is removed before it is freed, so a pool in the registry lives at
/// least as long as the guard.
pub(crate) fn pools() -> MutexGuard<'static, Registry> {
    lock(registry())
}

impl Registry {
    pub(crate) fn iter(&self) -> impl Iterator<Item = NonNull<()>> {
        self.iter_from(GLOBAL)
    }

    /// Returns the pools whose index is at least `index`.
    pub(crate) fn iter_from(&self, index: usize) -> impl Iterator<Item = NonNull<()>> {
        let global = (index == GLOBAL).then_some(&self.global);
        let others = self.others.get(index.saturating_sub(1)..);
        let all = global.into_iter().chain(others.into_iter().flatten());
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

    /// Frees the index of a pool, or one that was reserved for a pool that could not be built. Does
    /// nothing for a pool that was never added: of two global pools that are built at once, one is
    /// dropped.
    pub(crate) fn remove(&mut self, index: usize, pool: Option<NonNull<()>>) {
        let expected = pool.map_or(Place::Reserved, Place::Pool);
        if let Some(place) = self.place(index).filter(|place| **place == expected) {
            *place = Place::Free;
        }
    }
}

/// Reserves the least free index. Returns `None` if [`MAX_POOLS`] pools exist.
pub(crate) fn reserve() -> Result<Option<usize>, AllocFailure> {
    let mut pools =
        lock_with_room(registry(), |pools| &mut pools.others).ok_or(AllocFailure::System)?;
    let others = &mut pools.others;
    if let Some(free) = others.iter().position(|place| *place == Place::Free) {
        others[free] = Place::Reserved;
        return Ok(Some(free + 1));
    }
    if others.len() + 1 >= MAX_POOLS {
        return Ok(None);
    }
    others.push(Place::Reserved);
    Ok(Some(others.len()))
}
