//! Regions: large aligned mappings carved into slabs, and the empty slabs in them.
//!
//! A region with an empty slab is in the list of available regions; one whose slabs are all out is in
//! no list and is found again through the address of the first slab that comes back. The front of the
//! list gives first. A region that gets its first empty slab joins at the front and one whose last slab
//! came back moves to the back, so fuller regions are used before emptier ones, and those have a chance
//! to empty. An all-empty region is kept while the caches' bound allows, else unmapped.
//!
//! The lock is never held across a system call: functions return the regions to unmap, and the caller
//! does it.
//!
//! # Safety
//!
//! The head of a region is touched by the holder of the lock, or by the thread that has just mapped the
//! region and shown it to nobody, or that took it out of the list all-empty: then no slot of it is out,
//! so nobody can find it.

use crate::error::AllocFailure;
use crate::os::mapping::{Mapper, Mapping};
use crate::slab::{ADDRESS, EmptySlab, EmptySlabs, Geometry, REGION_HEAD, SlabHeader, header};
use crate::sync::{Mutex, MutexGuard, lock};
use crate::util::heap::lock_with_room;
use std::cell::Cell;
use std::ptr::NonNull;

type Link = Option<NonNull<RegionHead>>;

/// What is kept at the start of a region.
#[repr(C)]
struct RegionHead {
    /// The pool's own structure, opaque here. Written once, before anybody else sees the region.
    owner: Cell<Option<NonNull<()>>>,
    next: Cell<Link>,
    previous: Cell<Link>,
    /// Slabs that were in use and are empty again.
    freed: Cell<Option<NonNull<SlabHeader>>>,
    /// Empty slabs, those never used included.
    empty: Cell<u32>,
    /// Slabs from this one on were never used: they take no memory yet.
    fresh: Cell<u32>,
    /// When the last slab came back, in milliseconds.
    emptied_ms: Cell<u64>,
}

const _: () = assert!(size_of::<RegionHead>() <= REGION_HEAD);

fn head<'a>(region: NonNull<RegionHead>) -> &'a RegionHead {
    // SAFETY: see the module's rule; a zeroed head is valid, and all its fields are cells.
    unsafe { region.as_ref() }
}

/// The owner named when the region of this slot was mapped.
///
/// # Safety
///
/// The slot is out of a slab of a region of this size.
pub(crate) unsafe fn owner_of(slot: NonNull<u8>, region_shift: u32) -> NonNull<()> {
    let mask = (1usize << region_shift) - 1;
    let base = slot.as_ptr().map_addr(|address| address & !mask);
    let owner: *const NonNull<()> = base.cast();
    // SAFETY: the region is mapped while a slot of it is out, and `owner`, its first field, does not
    // change.
    unsafe { owner.read() }
}

/// All-empty regions that nobody else knows any more, to be unmapped.
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

/// What became of regions that were to be unmapped.
#[must_use]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unmapped {
    pub(crate) count: usize,
    /// Whether the system refused to take some, which serve again.
    pub(crate) any_rejoined: bool,
}

/// How many bytes of all-empty regions may stay, and how long.
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

/// Slabs that belong to no class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlabCounts {
    pub(crate) empty: u64,
    /// Those of them that were never used.
    pub(crate) fresh: u64,
}

#[derive(Debug, Default)]
struct State {
    first: Link,
    last: Link,
    slabs: SlabCounts,
    /// Regions whose slabs are all empty; all of them are in the list.
    all_empty: usize,
    /// Every region, by address, for who looks. One that the heap had no room to note serves all the same.
    all: Vec<NonNull<RegionHead>>,
}

// SAFETY: the links lead to regions the pool owns, and are followed under the lock.
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

    /// How many slabs are empty.
    pub(crate) fn slabs(&self) -> SlabCounts {
        lock(&self.state).slabs
    }

    /// Bytes in regions whose slabs are all empty.
    pub(crate) fn all_empty_bytes(&self) -> usize {
        lock(&self.state).all_empty * self.geometry.region_size()
    }

    /// An empty slab, if a region has one.
    pub(crate) fn take(&self) -> Option<EmptySlab> {
        lock(&self.state).take(&self.geometry)
    }

    /// An empty slab from a new region, which names `owner`. Makes a system call.
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
        let mut state = self.lock_with_room();
        state.join(region, &self.geometry);
        // The new region joined the list just now, under the same lock.
        state.take(&self.geometry).ok_or(AllocFailure::System)
    }

    /// Takes empty slabs back; returns the regions that are to be unmapped for it.
    pub(crate) fn give(&self, mut slabs: EmptySlabs, keep: Keep, now_ms: u64) -> EmptyRegions {
        let mut state = lock(&self.state);
        while let Some(slab) = slabs.pop() {
            state.give(slab, &self.geometry, now_ms);
        }
        state.release(&self.geometry, keep, now_ms)
    }

    /// Returns the regions that are to be unmapped because they are too many or too old.
    pub(crate) fn release(&self, keep: Keep, now_ms: u64) -> EmptyRegions {
        lock(&self.state).release(&self.geometry, keep, now_ms)
    }

    /// Locks the state, if possible with room to note one more region.
    fn lock_with_room(&self) -> MutexGuard<'_, State> {
        lock_with_room(&self.state, |state| &mut state.all).unwrap_or_else(|| lock(&self.state))
    }

    /// Unmaps regions. Those that the system does not take join the list again.
    pub(crate) fn unmap(&self, mapper: &Mapper, mut regions: EmptyRegions) -> Unmapped {
        let mut unmapped = Unmapped::default();
        while let Some(region) = regions.pop() {
            // SAFETY: the base went into a region in `take_new`, and the region is nobody else's now.
            let mapping = unsafe { Mapping::from_base(region.cast(), self.geometry.region_size()) };
            match mapper.unmap(mapping) {
                Ok(()) => unmapped.count += 1,
                Err(mapping) => {
                    let region = mapping.into_base().cast();
                    self.lock_with_room().rejoin(region, &self.geometry);
                    unmapped.any_rejoined = true;
                }
            }
        }
        unmapped
    }

    /// Lets `look` see the first region behind `address`, and how many of its slabs were ever used. The region
    /// stays mapped meanwhile, because the lock is held, and none of its fresh slabs is taken.
    pub(super) fn look_at_next<T>(
        &self,
        address: usize,
        look: impl FnOnce(NonNull<u8>, usize) -> T,
    ) -> Option<T> {
        let state = lock(&self.state);
        let region = state.behind(address)?;
        Some(look(region.cast(), head(region).fresh.get() as usize))
    }

    /// Where the first slab of a region begins, and bytes from each to the next.
    pub(crate) fn slab_offsets(&self) -> (usize, usize) {
        (self.geometry.slab_offset(0), self.geometry.slab_size())
    }

    /// Bytes in a region.
    pub(crate) fn region_size(&self) -> usize {
        self.geometry.region_size()
    }
}

impl State {
    fn take(&mut self, geometry: &Geometry) -> Option<EmptySlab> {
        let region = self.first?;
        let this = head(region);
        let slab = match this.freed.get() {
            Some(slab) => {
                this.freed.set(header(slab).next());
                header(slab).set_next(None);
                slab
            }
            None => {
                let fresh = this.fresh.get();
                this.fresh.set(fresh + 1);
                self.slabs.fresh -= 1;
                geometry.header_at(region.cast(), fresh as usize)
            }
        };
        if this.empty.get() as usize == geometry.slabs() {
            self.all_empty -= 1;
        }
        self.slabs.empty -= 1;
        this.empty.set(this.empty.get() - 1);
        if this.empty.get() == 0 {
            self.unlink(region);
        }
        Some(EmptySlab(slab))
    }

    fn give(&mut self, slab: EmptySlab, geometry: &Geometry, now_ms: u64) {
        let EmptySlab(at) = slab;
        let region = geometry.region_of(at).cast();
        let this = head(region);
        header(at).set_next(this.freed.replace(Some(at)));
        if this.empty.get() == 0 {
            self.link_first(region);
        }
        this.empty.set(this.empty.get() + 1);
        self.slabs.empty += 1;
        if this.empty.get() as usize == geometry.slabs() {
            this.emptied_ms.set(now_ms);
            self.all_empty += 1;
            self.unlink(region);
            self.link_last(region);
        }
    }

    /// Adds a region that was mapped just now.
    fn join(&mut self, region: NonNull<RegionHead>, geometry: &Geometry) {
        head(region).empty.set(geometry.slabs() as u32);
        self.slabs.fresh += geometry.slabs() as u64;
        self.slabs.empty += geometry.slabs() as u64;
        self.all_empty += 1;
        self.link_first(region);
        self.note(region);
    }

    /// Adds a region that the system would not take.
    fn rejoin(&mut self, region: NonNull<RegionHead>, geometry: &Geometry) {
        let fresh = head(region).fresh.get() as usize;
        self.slabs.fresh += (geometry.slabs() - fresh) as u64;
        self.slabs.empty += geometry.slabs() as u64;
        self.all_empty += 1;
        self.link_last(region);
        self.note(region);
    }

    /// Takes out all-empty regions, those at the back first, while they are too many or too old.
    fn release(&mut self, geometry: &Geometry, keep: Keep, now_ms: u64) -> EmptyRegions {
        let mut released = EmptyRegions::default();
        let mut unseen = self.all_empty;
        let mut next = self.last;
        while let Some(region) = next
            && unseen > 0
        {
            let this = head(region);
            next = this.previous.get();
            if (this.empty.get() as usize) < geometry.slabs() {
                continue;
            }
            unseen -= 1;
            // A caller's `now_ms` may be older than the moment at which another thread emptied the region.
            let age_ms = now_ms.saturating_sub(this.emptied_ms.get());
            let too_many = self.all_empty * geometry.region_size() > keep.bytes;
            if too_many || age_ms >= keep.decay_ms {
                self.unlink(region);
                self.all_empty -= 1;
                self.slabs.fresh -= (geometry.slabs() - this.fresh.get() as usize) as u64;
                self.slabs.empty -= geometry.slabs() as u64;
                self.forget(region);
                released.push(region);
            }
        }
        released
    }

    fn note(&mut self, region: NonNull<RegionHead>) {
        if self.all.len() < self.all.capacity() {
            let place = self.all.partition_point(|other| *other < region);
            self.all.insert(place, region);
        }
    }

    fn forget(&mut self, region: NonNull<RegionHead>) {
        if let Ok(place) = self.all.binary_search(&region) {
            self.all.remove(place);
        }
    }

    /// The first region behind `address`.
    fn behind(&self, address: usize) -> Option<NonNull<RegionHead>> {
        let before = |region: &NonNull<RegionHead>| region.addr().get() <= address;
        self.all.get(self.all.partition_point(before)).copied()
    }

    fn link_first(&mut self, region: NonNull<RegionHead>) {
        head(region).next.set(self.first);
        match self.first.replace(region) {
            Some(second) => head(second).previous.set(Some(region)),
            None => self.last = Some(region),
        }
    }

    fn link_last(&mut self, region: NonNull<RegionHead>) {
        head(region).previous.set(self.last);
        match self.last.replace(region) {
            Some(second) => head(second).next.set(Some(region)),
            None => self.first = Some(region),
        }
    }

    fn unlink(&mut self, region: NonNull<RegionHead>) {
        let (next, previous) = (head(region).next.take(), head(region).previous.take());
        match previous {
            Some(previous) => head(previous).next.set(next),
            None => self.first = next,
        }
        match next {
            Some(next) => head(next).previous.set(previous),
            None => self.last = previous,
        }
    }
}

fn chain(first: Option<NonNull<SlabHeader>>) -> impl Iterator<Item = NonNull<SlabHeader>> {
    std::iter::successors(first, |slab| header(*slab).next())
}

mod purge;

#[cfg(all(test, not(loom)))]
mod tests;
