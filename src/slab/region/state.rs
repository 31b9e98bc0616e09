//! The lists and counters of the regions of a pool. Every function is called under the lock.

use super::{EmptyRegions, Keep, RegionHead, State, head};
use crate::slab::{EmptySlab, Geometry, SlabHeader, header};
use std::ptr::NonNull;

impl State {
    pub(super) fn take(&mut self, geometry: &Geometry) -> Option<EmptySlab> {
        let region = self.first?;
        let this = head(region);
        let slab = match this.freed.get() {
            Some(slab) => {
                this.freed.set(header(slab).next());
                header(slab).set_next(None);
                self.slabs.clean -= u64::from(header(slab).is_clean());
                slab
            }
            None => {
                let fresh = this.fresh.get();
                this.fresh.set(fresh + 1);
                self.slabs.clean -= 1;
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

    pub(super) fn give(&mut self, slab: EmptySlab, geometry: &Geometry, now_ms: u64) {
        let EmptySlab(at) = slab;
        let region = geometry.region_of(at).cast();
        let this = head(region);
        header(at).set_next(this.freed.replace(Some(at)));
        if this.empty.get() == 0 {
            self.link_first(region);
        }
        this.empty.set(this.empty.get() + 1);
        self.slabs.empty += 1;
        self.slabs.clean += u64::from(header(at).is_clean());
        if this.empty.get() as usize == geometry.slabs() {
            this.emptied_ms.set(now_ms);
            self.all_empty += 1;
            self.unlink(region);
            self.link_last(region);
        }
    }

    /// Counts and notes a region whose slabs are all empty; the caller links it.
    pub(super) fn join(&mut self, region: NonNull<RegionHead>, geometry: &Geometry) {
        self.slabs.clean += clean_slabs(region, geometry);
        self.slabs.empty += geometry.slabs() as u64;
        self.all_empty += 1;
        if self.all.len() < self.all.capacity() {
            let place = self.all.partition_point(|other| *other < region);
            self.all.insert(place, region);
        }
    }

    /// Removes all-empty regions, those at the back first, while they exceed `keep`.
    pub(super) fn release(&mut self, geometry: &Geometry, keep: Keep, now_ms: u64) -> EmptyRegions {
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
            // A caller's `now_ms` may be older than the moment at which another thread emptied the
            // region.
            let age_ms = now_ms.saturating_sub(this.emptied_ms.get());
            let too_many = self.all_empty * geometry.region_size() > keep.bytes;
            if too_many || age_ms >= keep.decay_ms {
                self.unlink(region);
                self.all_empty -= 1;
                self.slabs.clean -= clean_slabs(region, geometry);
                self.slabs.empty -= geometry.slabs() as u64;
                self.forget(region);
                released.push(region);
            }
        }
        released
    }

    fn forget(&mut self, region: NonNull<RegionHead>) {
        if let Ok(place) = self.all.binary_search(&region) {
            self.all.remove(place);
        }
    }

    /// Returns the first region behind `address`.
    pub(super) fn behind(&self, address: usize) -> Option<NonNull<RegionHead>> {
        let before = |region: &NonNull<RegionHead>| region.addr().get() <= address;
        self.all.get(self.all.partition_point(before)).copied()
    }

    pub(super) fn link_first(&mut self, region: NonNull<RegionHead>) {
        head(region).next.set(self.first);
        match self.first.replace(region) {
            Some(second) => head(second).previous.set(Some(region)),
            None => self.last = Some(region),
        }
    }

    pub(super) fn link_last(&mut self, region: NonNull<RegionHead>) {
        head(region).previous.set(self.last);
        match self.last.replace(region) {
            Some(second) => head(second).next.set(Some(region)),
            None => self.first = Some(region),
        }
    }

    pub(super) fn unlink(&mut self, region: NonNull<RegionHead>) {
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

/// Returns the number of a region's empty slabs that have no memory.
fn clean_slabs(region: NonNull<RegionHead>, geometry: &Geometry) -> u64 {
    let this = head(region);
    let fresh = geometry.slabs() - this.fresh.get() as usize;
    let purged = chain(this.freed.get()).filter(|slab| header(*slab).is_clean());
    (fresh + purged.count()) as u64
}

/// Returns the slabs of a list, from its first.
pub(super) fn chain(
    first: Option<NonNull<SlabHeader>>,
) -> impl Iterator<Item = NonNull<SlabHeader>> {
    std::iter::successors(first, |slab| header(*slab).next())
}
