//! Snapshots of slabs, read without the locks of their classes, and the walk through all regions
//! that takes them.

use super::region::Regions;
use super::{CLEAN, OWNED, SlabHeader, header, ones};
use crate::slab::size_class::{SPAN, SizeClass};
use std::ptr::NonNull;

/// A snapshot of a slab's or span's state, read without its class's lock. Class and free slots are
/// read one after the other: if other threads use the slab meanwhile, the two may not belong to the
/// same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlabView {
    /// The class; `None` for an empty slab without a class.
    pub(crate) class: Option<usize>,
    /// Whether the slab has no memory. Only for a slab without a class.
    pub(crate) clean: bool,
    /// The header's word `free`, see the module's text.
    free: u64,
}

impl SlabView {
    /// The view of a slab that was never used.
    pub(crate) const FRESH: Self = Self {
        class: None,
        clean: true,
        free: 0,
    };

    /// Reads the state of the slab with this header. Its region stays mapped meanwhile.
    pub(crate) fn at(at: NonNull<SlabHeader>) -> Self {
        let link = header(at).link().addr();
        Self {
            class: (link & OWNED != 0).then(|| header(at).class()),
            clean: link & (OWNED | CLEAN) == CLEAN,
            free: header(at).free(),
        }
    }

    /// Returns the number of free slots of a slab of the class.
    pub(crate) fn free_slots(self, class: &SizeClass) -> u32 {
        if class.slots > super::NARROW {
            self.free.min(u64::from(class.slots)) as u32
        } else {
            (self.free & ones(class.slots)).count_ones()
        }
    }

    /// Returns two numbers for each slab of a span of the class: of the slots that lie in it, at
    /// least in part, how many are free, and how many there are.
    pub(crate) fn free_in_span(self, class: &SizeClass) -> [(u32, u32); SPAN] {
        class.slots_in_slab.map(|slots| {
            let free = self.free & u64::from(slots);
            (free.count_ones(), slots.count_ones())
        })
    }
}

impl Regions {
    /// Stores the state of the first region behind `address` in `slabs`, and returns the region's
    /// address. A walk that continues from the returned address sees each region that stays mapped
    /// exactly once. The lock is held for one region at a time.
    pub(crate) fn look_behind(&self, address: usize, slabs: &mut Vec<SlabView>) -> Option<usize> {
        let geometry = self.geometry();
        slabs.clear();
        // Reserved before the lock is acquired, so that the heap is not called under it.
        slabs.reserve(geometry.slabs());
        self.look_at_next(address, |region, fresh| {
            for index in 0..geometry.slabs() {
                slabs.push(if index < fresh {
                    SlabView::at(geometry.header_at(region, index))
                } else {
                    SlabView::FRESH
                });
            }
            region.addr().get()
        })
    }
}
