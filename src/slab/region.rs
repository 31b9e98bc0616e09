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
use crate::slab::{EmptySlab, EmptySlabs, Geometry, REGION_HEAD, SlabHeader, header};
use crate::sync::{Mutex, lock};
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
    /// When the last slab came back: milliseconds, truncated.
    emptied_ms: Cell<u32>,
    /// The purge that visited this region last.
    visited: Cell<u32>,
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
    /// The number of the newest purge.
    purge: u32,
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

    #[cfg(test)]
    pub(crate) fn geometry(&self) -> &Geometry {
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
        let region = mapper.map(size, size, false)?.into_base().cast();
        head(region).owner.set(Some(owner));
        let mut state = lock(&self.state);
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

    /// Unmaps regions and returns how many went. What the system will not take joins the list again.
    pub(crate) fn unmap(&self, mapper: &Mapper, mut regions: EmptyRegions) -> usize {
        let mut count = 0;
        while let Some(region) = regions.pop() {
            // SAFETY: the base went into a region in `take_new`, and the region is nobody else's now.
            let mapping = unsafe { Mapping::from_base(region.cast(), self.geometry.region_size()) };
            match mapper.unmap(mapping) {
                Ok(()) => count += 1,
                Err(mapping) => {
                    let region = mapping.into_base().cast();
                    lock(&self.state).rejoin(region, &self.geometry);
                }
            }
        }
        count
    }

    /// Gives back the memory of empty slabs in regions that stay. Returns the bytes. Makes system calls.
    pub(crate) fn purge(&self, mapper: &Mapper) -> usize {
        let mut purged = 0;
        let number = {
            let mut state = lock(&self.state);
            state.purge = state.purge.wrapping_add(1);
            state.purge
        };
        loop {
            // A statement of its own: the lock is not to be held while the system works.
            let next = lock(&self.state).detach_unvisited(number, &self.geometry);
            let Some(detached) = next else {
                return purged;
            };
            purged += self.purge_detached(mapper, &detached);
            lock(&self.state).attach(detached, &self.geometry, mapper.now_ms());
        }
    }

    /// Purges each run of stale slabs in one call.
    fn purge_detached(&self, mapper: &Mapper, detached: &Detached) -> usize {
        let geometry = &self.geometry;
        let region = detached.region.cast();
        // A region is at most 512 slabs: 2 MiB of the smallest, sixteen of the larger ones.
        let mut stale = [false; 512];
        for slab in chain(detached.slabs) {
            stale[geometry.index_of(slab)] = !header(slab).is_clean();
        }
        // SAFETY: the region stays mapped while slabs are detached from it; it is not unmapped here.
        let mapping = unsafe { Mapping::from_base(region, geometry.region_size()) };
        let mut purged = 0;
        let mut start = 0;
        for run in stale[..geometry.slabs()].chunk_by(|a, b| a == b) {
            let len = run.len() * geometry.slab_size();
            if run[0] && mapper.purge(&mapping, geometry.slab_offset(start), len) {
                for index in start..start + run.len() {
                    header(geometry.header_at(region, index)).set_clean(true);
                }
                purged += len;
            }
            start += run.len();
        }
        purged
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
            this.emptied_ms.set(now_ms as u32);
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
            let age_ms = (now_ms as u32).wrapping_sub(this.emptied_ms.get());
            let too_many = self.all_empty * geometry.region_size() > keep.bytes;
            if too_many || u64::from(age_ms) >= keep.decay_ms {
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

    /// Takes the freed slabs out of a region that purge `number` has not visited, if some are stale.
    fn detach_unvisited(&mut self, number: u32, geometry: &Geometry) -> Option<Detached> {
        loop {
            let region = self.first?;
            let this = head(region);
            if this.visited.replace(number) == number {
                return None;
            }
            self.unlink(region);
            self.link_last(region);
            let slabs = this.freed.get();
            if chain(slabs).all(|slab| header(slab).is_clean()) {
                continue;
            }
            let count = chain(slabs).count() as u32;
            if this.empty.get() as usize == geometry.slabs() {
                self.all_empty -= 1;
            }
            this.freed.set(None);
            this.empty.set(this.empty.get() - count);
            self.slabs.empty -= u64::from(count);
            if this.empty.get() == 0 {
                self.unlink(region);
            }
            return Some(Detached { region, slabs });
        }
    }

    /// Puts detached slabs back, and their region at the back of the list.
    fn attach(&mut self, detached: Detached, geometry: &Geometry, now_ms: u64) {
        let mut next = detached.slabs;
        while let Some(slab) = next {
            next = header(slab).next();
            self.give(EmptySlab(slab), geometry, now_ms);
        }
        self.unlink(detached.region);
        self.link_last(detached.region);
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

/// The freed slabs of a region, out of it for the time of a purge.
struct Detached {
    region: NonNull<RegionHead>,
    slabs: Option<NonNull<SlabHeader>>,
}

fn chain(first: Option<NonNull<SlabHeader>>) -> impl Iterator<Item = NonNull<SlabHeader>> {
    std::iter::successors(first, |slab| header(*slab).next())
}

mod view;

#[cfg(all(test, not(loom)))]
mod tests;
