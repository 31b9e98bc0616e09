//! Where a buffer's memory belongs, in one word.
//!
//! A large buffer's word is the address of its descriptor, which is a multiple of 64. A slot's word is
//! made of bits:
//!
//! | bits | meaning |
//! |---|---|
//! | 0 | `SLOT`: this is a slot's word |
//! | 1 | `ADVANCED`: the buffer's pointer has moved past the slot's start |
//! | 2 | `SCRUB`: the pool zeroes what is freed |
//! | 3 | `ZERO_FILL`: the pool zeroes what is allocated |
//! | 4 | `SAMPLED`: the sampler remembers the allocation |
//! | 5..11 | size class: in place, its magazine's offset in bytes |
//! | 11..28 | slot size in units of 16 bytes |
//! | 28..33 | log2 of the region size |
//! | 33..49 | the pool's index; 0 is the global pool |
//!
//! The flags but `ADVANCED` and `SAMPLED`, and the bits from 28 on, are the same for all of a pool's slots: its
//! [`Prefix`].

use super::registry::MAX_POOLS;
use crate::depot::cache::MAGAZINE;
use crate::error::AllocFailure;
use crate::large::LargeAlloc;
use std::ptr::{self, NonNull};

const _: () = assert!(usize::BITS == 64, "a tag needs 64 bits");

const SLOT: usize = 1;
const ADVANCED: usize = 1 << 1;
const SCRUB: usize = 1 << 2;
const ZERO_FILL: usize = 1 << 3;
const SAMPLED: usize = 1 << 4;
const CLASS_SHIFT: u32 = 5;
const CLASS_MASK: usize = (1 << 6) - 1;
/// A slot size is a multiple of 16 below 2^21: shifted by this its bits are 11 to 28.
const SIZE_SHIFT: u32 = 7;
const SIZE_MASK: usize = ((1 << 17) - 1) << 4;
const REGION_SHIFT: u32 = 28;
const REGION_MASK: usize = (1 << 5) - 1;
const INDEX_SHIFT: u32 = 33;
const INDEX_MASK: usize = MAX_POOLS - 1;

/// What the handles of a pool's slots have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix(usize);

impl Prefix {
    pub(crate) const fn new(index: usize, region_shift: u32) -> Self {
        Self((region_shift as usize) << REGION_SHIFT | index << INDEX_SHIFT)
    }

    pub(crate) fn with_flags(self, scrub: bool, zero_fill: bool) -> Self {
        let scrub = if scrub { SCRUB } else { 0 };
        let zero_fill = if zero_fill { ZERO_FILL } else { 0 };
        Self(self.0 | scrub | zero_fill)
    }

    #[inline(always)]
    pub(crate) fn index(self) -> usize {
        self.0 >> INDEX_SHIFT & INDEX_MASK
    }

    #[inline(always)]
    pub(crate) fn is_zero_fill(self) -> bool {
        self.0 & ZERO_FILL != 0
    }
}

/// See the module's table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct AllocTag(*mut LargeAlloc);

/// What a handle names.
pub(crate) enum Place {
    Slot,
    Large(NonNull<LargeAlloc>),
}

impl AllocTag {
    #[inline(always)]
    pub(crate) const fn slot(prefix: Prefix, class: usize, slot_size: usize) -> Self {
        Self(ptr::without_provenance_mut(
            SLOT | class << CLASS_SHIFT | slot_size << SIZE_SHIFT | prefix.0,
        ))
    }

    /// In a handle's place where there is none.
    pub(crate) fn of_refusal(refused: AllocFailure) -> Self {
        Self(ptr::without_provenance_mut(refused as usize))
    }

    pub(crate) fn to_refusal(self) -> AllocFailure {
        const LIMIT: usize = AllocFailure::Limit as usize;
        const LENGTH: usize = AllocFailure::Length as usize;
        match self.bits() {
            LIMIT => AllocFailure::Limit,
            LENGTH => AllocFailure::Length,
            _ => AllocFailure::System,
        }
    }

    /// A slot's handle as a number.
    pub(crate) fn to_word(self) -> usize {
        self.bits()
    }

    #[inline(always)]
    pub(crate) fn slot_of_word(word: usize) -> Self {
        Self(ptr::without_provenance_mut(word))
    }

    /// Of a slot's handle.
    #[inline(always)]
    pub(crate) fn is_zero_fill(self) -> bool {
        debug_assert!(self.is_slot());
        self.bits() & ZERO_FILL != 0
    }

    pub(crate) fn large(large: NonNull<LargeAlloc>) -> Self {
        Self(large.as_ptr())
    }

    #[inline(always)]
    pub(crate) fn place(self) -> Place {
        match NonNull::new(self.0) {
            Some(large) if self.bits() & SLOT == 0 => Place::Large(large),
            _ => Place::Slot,
        }
    }

    #[inline(always)]
    pub(crate) fn is_slot(self) -> bool {
        self.bits() & SLOT != 0
    }

    /// Whether this is a slot of the global pool and the buffer points to its start, in one comparison.
    #[inline(always)]
    pub(crate) fn is_plain_global(self) -> bool {
        self.bits() & (SLOT | ADVANCED | SCRUB | !0 << INDEX_SHIFT) == SLOT
    }

    /// Whether this is a slot that can go back as it is: the buffer points to its start, it need not be zeroed, and the
    /// sampler does not know it.
    #[inline(always)]
    pub(crate) fn is_plain(self) -> bool {
        self.bits() & (SLOT | ADVANCED | SCRUB | SAMPLED) == SLOT
    }

    /// Whether only zeroing keeps this from being [plain](Self::is_plain).
    pub(crate) fn is_plain_but_scrubbed(self) -> bool {
        self.bits() & (SLOT | ADVANCED | SCRUB | SAMPLED) == SLOT | SCRUB
    }

    pub(crate) fn is_scrubbed(self) -> bool {
        self.is_slot() && self.bits() & SCRUB != 0
    }

    #[inline(always)]
    fn bits(self) -> usize {
        self.0.addr()
    }

    /// The class times the size of a magazine: one mask, where that is `1 << CLASS_SHIFT`.
    #[inline(always)]
    pub(crate) fn magazine_offset(self) -> usize {
        self.class() * MAGAZINE
    }

    #[inline(always)]
    pub(crate) fn class(self) -> usize {
        self.bits() >> CLASS_SHIFT & CLASS_MASK
    }

    #[inline(always)]
    pub(crate) fn slot_size(self) -> usize {
        self.bits() >> SIZE_SHIFT & SIZE_MASK
    }

    pub(crate) fn region_shift(self) -> u32 {
        (self.bits() >> REGION_SHIFT & REGION_MASK) as u32
    }

    /// The index of a slot's pool.
    #[inline(always)]
    pub(crate) fn index(self) -> usize {
        self.bits() >> INDEX_SHIFT & INDEX_MASK
    }

    pub(crate) fn is_sampled(self) -> bool {
        self.is_slot() && self.bits() & SAMPLED != 0
    }

    /// The same slot, which the sampler remembers.
    pub(crate) fn sampled(self) -> Self {
        Self(self.0.map_addr(|bits| bits | SAMPLED))
    }

    #[inline(always)]
    pub(crate) fn is_advanced(self) -> bool {
        self.is_slot() && self.bits() & ADVANCED != 0
    }

    pub(crate) fn advanced(self) -> Self {
        if self.is_slot() {
            Self(self.0.map_addr(|bits| bits | ADVANCED))
        } else {
            self
        }
    }

    pub(crate) fn at_start(self) -> Self {
        if self.is_slot() {
            Self(self.0.map_addr(|bits| bits & !ADVANCED))
        } else {
            self
        }
    }

    /// As a number, for foreign code to keep.
    pub(crate) fn expose(self) -> usize {
        self.0.expose_provenance()
    }

    pub(crate) fn from_exposed(bits: usize) -> Self {
        Self(ptr::with_exposed_provenance_mut(bits))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::slab::size_class::ClassTable;

    #[test]
    fn every_part_comes_back() {
        for shift in 12..=20 {
            let table = ClassTable::of_slab_size(1 << shift, true);
            for class in 0..table.count() {
                for id in [0, 1, 77, MAX_POOLS - 1] {
                    let size = table.get(class).slot_size as usize;
                    let prefix = Prefix::new(id, shift + 4);
                    check(AllocTag::slot(prefix, class, size), class, size);
                    let flagged = prefix.with_flags(true, true);
                    assert!(flagged.is_zero_fill() && !prefix.is_zero_fill());
                    let tag = AllocTag::slot(flagged, class, size);
                    assert!(tag.is_scrubbed() && !tag.is_plain());
                    assert_eq!((tag.index(), tag.region_shift()), (id, shift + 4));
                    let sampled = tag.sampled();
                    assert!(sampled.is_sampled() && !tag.is_sampled() && !sampled.is_plain());
                    assert_eq!(sampled.index(), id);
                }
            }
        }
    }

    #[test]
    fn refusals_come_back() {
        for refused in [
            AllocFailure::Limit,
            AllocFailure::System,
            AllocFailure::Length,
        ] {
            assert_eq!(AllocTag::of_refusal(refused).to_refusal(), refused);
        }
    }

    fn check(tag: AllocTag, class: usize, size: usize) {
        assert!(tag.is_slot() && tag.is_plain() && !tag.is_scrubbed());
        assert_eq!(tag.is_plain_global(), tag.index() == 0);
        let advanced = tag.advanced();
        assert!(advanced.is_advanced() && !advanced.is_plain());
        assert!(advanced.at_start() == tag);
        for tag in [tag, advanced] {
            assert_eq!((tag.class(), tag.slot_size()), (class, size));
        }
    }
}
