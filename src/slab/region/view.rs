//! Going through all regions, one at a time, so that nobody waits long for the lock.

use super::{RegionHead, Regions, State, head};
use crate::slab::SlabView;
use crate::sync::lock;
use std::ptr::NonNull;

impl State {
    pub(super) fn note(&mut self, region: NonNull<RegionHead>) {
        if self.all.try_reserve(1).is_ok() {
            let place = self.all.partition_point(|other| *other < region);
            self.all.insert(place, region);
        }
    }

    pub(super) fn forget(&mut self, region: NonNull<RegionHead>) {
        if let Ok(place) = self.all.binary_search(&region) {
            self.all.remove(place);
        }
    }
}

impl Regions {
    /// The address of the first region behind `address`, and what is in it. A region that stays mapped
    /// while somebody goes through all is seen exactly once.
    pub(crate) fn look_behind(&self, address: usize, slabs: &mut Vec<SlabView>) -> Option<usize> {
        slabs.clear();
        // Here, so that the heap is not asked under the lock.
        slabs.reserve(self.geometry.slabs());
        let state = lock(&self.state);
        let behind = |region: &NonNull<RegionHead>| region.addr().get() <= address;
        let region = *state.all.get(state.all.partition_point(behind))?;
        // Noted, and the lock is held: nobody unmaps it, and nobody takes a fresh slab out of it.
        let fresh = head(region).fresh.get() as usize;
        for index in 0..self.geometry.slabs() {
            slabs.push(if index < fresh {
                SlabView::at(self.geometry.header_at(region.cast(), index))
            } else {
                SlabView::FRESH
            });
        }
        Some(region.addr().get())
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
