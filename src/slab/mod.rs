//! Slabs: headers, free slots and states.
//!
//! A header is 16 bytes. The headers are not in their slabs but in an array at the start of the
//! region: a region of 253 slabs has all of them on one page. So a region kept alive by a single
//! buffer costs only that page and the buffer's slab.
//!
//! | bits of `link` | meaning |
//! |---|---|
//! | 0..48 | the next header of the list this slab is in, or null |
//! | 48 | `LISTED`: in its class's list (only while it belongs to a class) |
//! | 49 | `CLEAN`: empty, and purged since it was last used |
//! | 50 | `OWNED`: it belongs to a class |
//! | 56..64 | the size class it belongs to |
//!
//! A *span*, four neighbouring slabs that larger slots are cut from, is handled as one slab of four
//! times the size, with one header. It comes from regions that are carved into spans. Only the
//! counters of slabs by state count it as four: see [`Slab::states`].
//!
//! If the slab has at most 64 slots, `free` has a bit for each free slot. If it has more, `free` is
//! the number of free slots, and the bits are in the slab's wide bitmap, which follows the headers
//! in the region.
//!
//! A header is accessed by the holder of the class's lock while the slab belongs to a class, by the
//! holder of the regions' lock while it is empty and in its region, and by the owner of the
//! [`EmptySlab`] in between.
//!
//! # Safety
//!
//! Headers are found by masking a slot's address. That is sound because regions are aligned to
//! their size, because every slot this crate allocates lies in a region, and because a region is
//! unmapped only when all its slabs are empty. Pointers keep the provenance of the region's mapping
//! throughout.

use crate::slab::size_class::SizeClass;
use crate::sync::in_place::{AtomicPtr, AtomicU64};
use crate::sync::{InPlace, Ordering::Relaxed};
use std::ptr::{self, NonNull};

const NARROW: u32 = 64;

const ADDRESS: usize = (1 << 48) - 1;
const LISTED: usize = 1 << 48;
const CLEAN: usize = 1 << 49;
const OWNED: usize = 1 << 50;
const CLASS_SHIFT: u32 = 56;

/// A slab's header, in its region.
pub(crate) type SlabHeader = InPlace<Header>;

/// A slab's header: see the module's table. All zero is a valid header: empty, in no list.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Header {
    free: AtomicU64,
    link: AtomicPtr<SlabHeader>,
}

impl Header {
    fn link(&self) -> *mut SlabHeader {
        self.link.load(Relaxed)
    }

    fn set_link(&self, link: *mut SlabHeader) {
        self.link.store(link, Relaxed);
    }

    fn free(&self) -> u64 {
        self.free.load(Relaxed)
    }

    fn set_free(&self, free: u64) {
        self.free.store(free, Relaxed);
    }

    pub(crate) fn next(&self) -> Option<NonNull<SlabHeader>> {
        NonNull::new(self.link().map_addr(|link| link & ADDRESS))
    }

    pub(crate) fn set_next(&self, next: Option<NonNull<SlabHeader>>) {
        let tags = self.link().addr() & !ADDRESS;
        let next = next.map_or(ptr::null_mut(), NonNull::as_ptr);
        debug_assert_eq!(next.addr() & !ADDRESS, 0, "an address of more than 48 bits");
        self.set_link(next.map_addr(|address| address | tags));
    }

    fn tag(&self, tag: usize) -> bool {
        self.link().addr() & tag != 0
    }

    fn set_tag(&self, tag: usize, on: bool) {
        let link = self.link();
        self.set_link(link.map_addr(|bits| if on { bits | tag } else { bits & !tag }));
    }

    pub(crate) fn is_listed(&self) -> bool {
        self.tag(LISTED)
    }

    pub(crate) fn set_listed(&self, on: bool) {
        self.set_tag(LISTED, on);
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.tag(CLEAN)
    }

    pub(crate) fn set_clean(&self, on: bool) {
        self.set_tag(CLEAN, on);
    }

    pub(crate) fn class(&self) -> usize {
        self.link().addr() >> CLASS_SHIFT
    }
}

/// An empty slab between its region and a class. Its owner must pass it on: dropping it leaks the
/// slab.
#[must_use]
#[derive(Debug)]
pub(crate) struct EmptySlab(pub(crate) NonNull<SlabHeader>);

/// A list of empty slabs to be returned to their regions.
#[must_use]
#[derive(Debug, Default)]
pub(crate) struct EmptySlabs {
    head: Option<NonNull<SlabHeader>>,
}

impl EmptySlabs {
    pub(crate) fn push(&mut self, slab: EmptySlab) {
        header(slab.0).set_next(self.head);
        self.head = Some(slab.0);
    }

    pub(crate) fn pop(&mut self) -> Option<EmptySlab> {
        let first = self.head?;
        self.head = header(first).next();
        header(first).set_next(None);
        Some(EmptySlab(first))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_none()
    }
}

/// Returns the header behind a pointer that came from this module's functions or lists.
pub(crate) fn header<'a>(at: NonNull<SlabHeader>) -> &'a Header {
    // SAFETY: headers live as long as their region, which is mapped while the caller holds a slab
    // or slot of it, or the lock under which it would leave; the fields are atomics.
    unsafe { at.as_ref() }.get()
}

/// Numbers of slabs by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct States {
    /// Number of slabs that are partial or full.
    pub(crate) used: u64,
    pub(crate) full: u64,
}

/// A slab that belongs to a size class. The caller holds that class's lock.
pub(crate) struct Slab<'a> {
    header: &'a Header,
    /// The address of the slab's first slot.
    base: NonNull<u8>,
    class: &'a SizeClass,
    /// The wide bitmap; empty if the header's own word holds the bits.
    wide: &'a [AtomicU64],
}

impl<'a> Slab<'a> {
    pub(crate) fn new(
        geometry: &'a Geometry,
        class: &'a SizeClass,
        at: NonNull<SlabHeader>,
    ) -> Self {
        let region = geometry.region_of(at);
        let index = geometry.index_of(at);
        // SAFETY: slab `index` lies within the region.
        let base = unsafe { region.add(geometry.slab_offset(index)) };
        let wide = if class.slots > NARROW {
            geometry.wide(region, index, class.slots)
        } else {
            &[]
        };
        Self {
            header: header(at),
            base,
            class,
            wide,
        }
    }

    /// Assigns an empty slab to this class, with all slots free.
    pub(crate) fn assign(&self, class_number: usize) {
        let slots = self.class.slots;
        let link = ptr::without_provenance_mut(class_number << CLASS_SHIFT | OWNED);
        self.header.set_link(link);
        if self.wide.is_empty() {
            self.header.set_free(ones(slots));
            return;
        }
        self.header.set_free(u64::from(slots));
        for (number, word) in self.wide.iter().enumerate() {
            word.store(ones(slots - 64 * number as u32), Relaxed);
        }
    }

    pub(crate) fn free_slots(&self) -> u32 {
        if self.wide.is_empty() {
            self.header.free().count_ones()
        } else {
            self.header.free() as u32
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.header.free() == 0
    }

    /// Returns the number of slabs that have slots in use, and the number of slabs whose slots are
    /// all in use. A slot that lies in two slabs of a span counts for both.
    pub(crate) fn states(&self) -> States {
        let (used, full) = (!self.is_empty(), self.is_full());
        if !self.class.spans {
            return States {
                used: u64::from(used),
                full: u64::from(full),
            };
        }
        let free = self.header.free();
        let mut states = States { used: 0, full: 0 };
        for slots in self.class.slots_in_slab.map(u64::from) {
            states.used += u64::from(free & slots != slots);
            states.full += u64::from(free & slots == 0);
        }
        states
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.free_slots() == self.class.slots
    }

    /// Allocates up to `want` slots, lowest address first, passes them to `each` and returns their
    /// number.
    pub(crate) fn take(&self, want: u32, mut each: impl FnMut(NonNull<u8>)) -> u32 {
        if self.wide.is_empty() {
            return self.take_from(&self.header.free, 0, want, &mut each);
        }
        let mut taken = 0;
        for (number, word) in self.wide.iter().enumerate() {
            if taken == want {
                break;
            }
            taken += self.take_from(word, 64 * number, want - taken, &mut each);
        }
        self.header.set_free(self.header.free() - u64::from(taken));
        taken
    }

    fn take_from(
        &self,
        word: &AtomicU64,
        first_slot: usize,
        want: u32,
        each: &mut impl FnMut(NonNull<u8>),
    ) -> u32 {
        let mut bits = word.load(Relaxed);
        let mut taken = 0;
        while taken < want && bits != 0 {
            let slot = first_slot + bits.trailing_zeros() as usize;
            bits &= bits - 1;
            // SAFETY: a bit is set only for slots below `slots`, and they end within the slab.
            each(unsafe { self.base.add(slot * self.class.slot_size as usize) });
            taken += 1;
        }
        word.store(bits, Relaxed);
        taken
    }

    /// Frees a slot.
    pub(crate) fn give(&self, slot: NonNull<u8>) {
        let offset = slot.addr().get() - self.base.addr().get();
        let number = self.class.slot_of_offset(offset);
        debug_assert_eq!(number * self.class.slot_size as usize, offset);
        let word = if self.wide.is_empty() {
            &self.header.free
        } else {
            self.header.set_free(self.header.free() + 1);
            &self.wide[number / 64]
        };
        let bit = 1 << (number % 64);
        let bits = word.load(Relaxed);
        debug_assert_eq!(bits & bit, 0, "a slot that was free already");
        word.store(bits | bit, Relaxed);
    }

    /// Removes an empty slab from its class.
    pub(crate) fn unassign(&self, at: NonNull<SlabHeader>) -> EmptySlab {
        debug_assert!(self.is_empty());
        self.header.set_free(0);
        self.header.set_link(ptr::null_mut());
        EmptySlab(at)
    }
}

/// Returns a word with the lowest `count` bits set, at most 64.
fn ones(count: u32) -> u64 {
    if count >= 64 {
        u64::MAX
    } else {
        (1 << count) - 1
    }
}

mod geometry;
pub(crate) mod region;
pub(crate) mod size_class;
mod view;

pub(crate) use geometry::Geometry;
pub(crate) use view::SlabView;

#[cfg(all(test, not(loom)))]
mod tests;
