//! Snapshots of slabs, read without the locks of their classes, and the walk through all regions that takes them.

use super::region::Regions;
use super::{CLEAN, OWNED, SlabHeader, header, ones};
use crate::slab::size_class::{SPAN, SizeClass};
use std::ptr::NonNull;

/// A slab or span at some moment. Class and free slots are read one after the other: while others use the
/// slab, they may be of two moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlabView {
    /// `None`: empty, and of no class.
    pub(crate) class: Option<usize>,
    /// Takes no memory. Of a slab without a class.
    pub(crate) clean: bool,
    /// The header's word, see the module's text.
    free: u64,
}

impl SlabView {
    /// Of a slab that was never used.
    pub(crate) const FRESH: Self = Self {
        class: None,
        clean: true,
        free: 0,
    };

    /// Of the slab with this header, whose region stays mapped meanwhile.
    pub(crate) fn at(at: NonNull<SlabHeader>) -> Self {
        let link = header(at).link().addr();
        Self {
            class: (link & OWNED != 0).then(|| header(at).class()),
            clean: link & (OWNED | CLEAN) == CLEAN,
            free: header(at).free(),
        }
    }

    /// How many slots are free, for a slab of the class.
    pub(crate) fn free_slots(self, class: &SizeClass) -> u32 {
        if class.slots > super::NARROW {
            self.free.min(u64::from(class.slots)) as u32
        } else {
            (self.free & ones(class.slots)).count_ones()
        }
    }

    /// For each slab of a span of the class: of the slots that lie in it, in part at least, how many are free,
    /// and how many there are.
    pub(crate) fn free_in_span(self, class: &SizeClass) -> [(u32, u32); SPAN] {
        class.slots_in_slab.map(|slots| {
            let free = self.free & u64::from(slots);
            (free.count_ones(), slots.count_ones())
        })
    }
}

impl Regions {
    /// Returns the address of the first region behind `address`, and puts what is in it into `slabs`. A walk that
    /// goes on from the returned address sees each region exactly once that stays mapped meanwhile; the lock is
    /// held for one region at a time.
    pub(crate) fn look_behind(&self, address: usize, slabs: &mut Vec<SlabView>) -> Option<usize> {
        let geometry = self.geometry();
        slabs.clear();
        // Here, so that the heap is not asked under the lock.
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
