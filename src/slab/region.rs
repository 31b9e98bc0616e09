//! Regions: large aligned mappings carved into slabs, and the empty slabs in them.
//!
//! A region with an empty slab is in the list of available regions. A region without empty slabs is
//! in no list; it is found again through the address of the first slab that is returned. Slabs are
//! taken from the front of the list. A region that gets its first empty slab joins at the front,
//! and a region whose last slab was returned moves to the back. So fuller regions are used before
//! emptier ones, which may become all-empty. An all-empty region is kept while the caches' bound
//! allows, and unmapped otherwise.
//!
//! The lock is never held across a system call: functions return the regions to unmap, and the
//! caller unmaps them.
//!
//! # Safety
//!
//! The head of a region is accessed by the holder of the lock, or by the thread that has just
//! mapped the region and not shared it, or that removed it from the list all-empty: then no slot of
//! it is in use, so no other thread can find it.

use crate::error::AllocFailure;
use crate::os::mapping::{Mapper, Mapping};
use crate::slab::geometry::REGION_HEAD;
use crate::slab::{ADDRESS, EmptySlab, EmptySlabs, Geometry, SlabHeader};
use crate::sync::{Cell, InPlace, Mutex, MutexGuard, lock};
use crate::util::heap::lock_with_room;
use std::ptr::NonNull;

type Link = Option<NonNull<RegionHead>>;

/// The structure at the start of a region.
type RegionHead = InPlace<Head>;

#[repr(C)]
#[derive(Default)]
struct Head {
    /// The pool's own structure, opaque here. Written once, before other threads see the region.
    owner: Cell<Option<NonNull<()>>>,
    next: Cell<Link>,
    previous: Cell<Link>,
    /// The list of slabs that were in use and are empty again.
    freed: Cell<Option<NonNull<SlabHeader>>>,
    /// Number of empty slabs, including those that were never used.
    empty: Cell<u32>,
    /// Index of the first slab that was never used. It and those behind it have no memory yet.
    fresh: Cell<u32>,
    /// Time at which the last slab was returned, in milliseconds.
    emptied_ms: Cell<u64>,
}

const _: () = assert!(size_of::<RegionHead>() <= REGION_HEAD);

fn head<'a>(region: NonNull<RegionHead>) -> &'a Head {
    // SAFETY: the caller may access the head by the module's rule; a zeroed head is valid, and all
    // its fields are cells.
    unsafe { region.as_ref() }.get()
}

/// Returns the owner named when the region of this slot was mapped.
///
/// # Safety
///
/// The slot is in use, in a slab of a region of this size.
pub(crate) unsafe fn owner_of(slot: NonNull<u8>, region_shift: u32) -> NonNull<()> {
    let mask = (1usize << region_shift) - 1;
    let base = slot.as_ptr().map_addr(|address| address & !mask);
    // SAFETY: the region is mapped while a slot of it is in use, and no thread has a reference to
    // the head that excludes others.
    let head = unsafe { &*base.cast::<RegionHead>() }.get();
    // SAFETY: the owner was set before the region had slots, and does not change.
    unsafe { head.owner.get().unwrap_unchecked() }
}

/// All-empty regions that were removed from the list, to be unmapped.
#[must_use]
#[derive(Debug, Default)]
pub(crate) struct EmptyRegions {
    first: Link,
}

impl EmptyRegions {
    fn push(&mut self, region: NonNull<RegionHead>) {
        head(region).next.set(self.first);
        self.first = Some(region);
    }

    fn pop(&mut self) -> Link {
        let region = self.first?;
        self.first = head(region).next.take();
        Some(region)
    }
}

/// The result of unmapping regions.
#[must_use]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unmapped {
    pub(crate) count: usize,
    /// Whether the system refused to unmap some regions, which joined the list again.
    pub(crate) any_rejoined: bool,
}

/// The bound on all-empty regions that stay mapped: their bytes, and their age.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    pub(crate) bytes: usize,
    pub(crate) decay_ms: u64,
}

impl Keep {
    pub(crate) const NOTHING: Self = Self {
        bytes: 0,
        decay_ms: 0,
    };
}

/// Numbers of slabs that belong to no class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlabCounts {
    pub(crate) empty: u64,
    /// The empty slabs without memory: never used, or purged since their last use.
    pub(crate) clean: u64,
}

#[derive(Debug, Default)]
struct State {
    first: Link,
    last: Link,
    slabs: SlabCounts,
    /// Number of regions whose slabs are all empty; all of them are in the list.
    all_empty: usize,
    /// Every region, by address, for inspection. A region for which the heap had no room here is
    /// used all the same.
    all: Vec<NonNull<RegionHead>>,
}

// SAFETY: the links point to regions that the pool owns, and are followed under the lock.
unsafe impl Send for State {}

/// The regions of one pool.
#[derive(Debug)]
pub(crate) struct Regions {
    geometry: Geometry,
    state: Mutex<State>,
}

impl Regions {
    pub(crate) fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            state: Mutex::new(State::default()),
        }
    }

    pub(super) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Returns the numbers of empty slabs.
    pub(crate) fn slabs(&self) -> SlabCounts {
        lock(&self.state).slabs
    }

    /// Returns the bytes in regions whose slabs are all empty.
    pub(crate) fn all_empty_bytes(&self) -> usize {
        lock(&self.state).all_empty * self.geometry.region_size()
    }

    /// Removes and returns an empty slab, if a region has one.
    pub(crate) fn take(&self) -> Option<EmptySlab> {
        lock(&self.state).take(&self.geometry)
    }

    /// Maps a new region for `owner` and returns an empty slab from it. Makes a system call.
    pub(crate) fn take_new(
        &self,
        mapper: &Mapper,
        owner: NonNull<()>,
    ) -> Result<EmptySlab, AllocFailure> {
        let size = self.geometry.region_size();
        let mapping = mapper.map(size, size, false)?;
        // Headers are linked by addresses of 48 bits.
        if mapping.base().addr().get() > ADDRESS - (size - 1) {
            mapper.discard(mapping);
            return Err(AllocFailure::System);
        }
        mapper.advise_small(&mapping);
        let region = mapping.into_base().cast();
        head(region).owner.set(Some(owner));
        head(region).empty.set(self.geometry.slabs() as u32);
        let mut state = self.lock_with_room();
        state.join(region, &self.geometry);
        state.link_first(region);
        // The new region has joined the list under the same lock.
        state.take(&self.geometry).ok_or(AllocFailure::System)
    }

    /// Returns empty slabs to their regions. Returns the regions that exceed `keep`, to be
    /// unmapped.
    pub(crate) fn give(&self, mut slabs: EmptySlabs, keep: Keep, now_ms: u64) -> EmptyRegions {
        let mut state = lock(&self.state);
        while let Some(slab) = slabs.pop() {
            state.give(slab, &self.geometry, now_ms);
        }
        state.release(&self.geometry, keep, now_ms)
    }

    /// Returns the all-empty regions that exceed `keep`, to be unmapped.
    pub(crate) fn release(&self, keep: Keep, now_ms: u64) -> EmptyRegions {
        lock(&self.state).release(&self.geometry, keep, now_ms)
    }

    /// Locks the state, with room for one more region in `all` if the heap has memory.
    fn lock_with_room(&self) -> MutexGuard<'_, State> {
        lock_with_room(&self.state, |state| &mut state.all).unwrap_or_else(|| lock(&self.state))
    }

    /// Unmaps regions. Those that the system refuses to unmap join the list again.
    pub(crate) fn unmap(&self, mapper: &Mapper, mut regions: EmptyRegions) -> Unmapped {
        let mut unmapped = Unmapped::default();
        while let Some(region) = regions.pop() {
            // SAFETY: the base came from a mapping in `take_new`, and no other thread has a pointer
            // to the region.
            let mapping = unsafe { Mapping::from_base(region.cast(), self.geometry.region_size()) };
            match mapper.unmap(mapping) {
                Ok(()) => unmapped.count += 1,
                Err(mapping) => {
                    let region = mapping.into_base().cast();
                    let mut state = self.lock_with_room();
                    state.join(region, &self.geometry);
                    state.link_last(region);
                    unmapped.any_rejoined = true;
                }
            }
        }
        unmapped
    }

    /// Calls `look` with the first region behind `address` and the number of its slabs that were
    /// ever used. The lock is held meanwhile, so the region stays mapped, and none of its unused
    /// slabs is taken.
    pub(super) fn look_at_next<T>(
        &self,
        address: usize,
        look: impl FnOnce(NonNull<u8>, usize) -> T,
    ) -> Option<T> {
        let state = lock(&self.state);
        let region = state.behind(address)?;
        Some(look(region.cast(), head(region).fresh.get() as usize))
    }

    /// Returns the offset of the first slab of a region, and the distance from each slab to the
    /// next.
    pub(crate) fn slab_offsets(&self) -> (usize, usize) {
        (self.geometry.slab_offset(0), self.geometry.slab_size())
    }

    /// Returns the number of bytes in the regions that hold this number of slabs, all of them.
    pub(crate) fn bytes_of(&self, slabs: usize) -> usize {
        // Regions that are shorter than a span have none.
        slabs.checked_div(self.geometry.slabs()).unwrap_or(0) * self.geometry.region_size()
    }

    /// Returns the number of bytes in a region.
    pub(crate) fn region_size(&self) -> usize {
        self.geometry.region_size()
    }
}

mod purge;
mod state;

#[cfg(all(test, not(loom)))]
mod tests;
