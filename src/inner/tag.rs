//! The tag of a buffer: one word that identifies its memory.
//!
//! The three lowest bits tell the kinds of words apart:
//!
//! | bits 0..3 | the word is |
//! |---|---|
//! | `..1` | a slot's, made of the bits below |
//! | `000` | the address of a large buffer's descriptor, or 0: no memory, of the global pool |
//! | `010` | `HEAD`: the address of the block that parts share; the part ends with its length |
//! | `100` | `TAIL`: the same; the part extends to the end of the whole memory |
//! | `110` | `EMPTY`: no memory; the address of the pool, of which the word holds a reference |
//!
//! A slot's word:
//!
//! | bits | meaning |
//! |---|---|
//! | 0 | `SLOT`: this is a slot's word |
//! | 1 | `ADVANCED`: the buffer's pointer has moved past the slot's start |
//! | 2 | `SCRUB`: the pool zeroes slots when they are freed |
//! | 3 | `ZERO_FILL`: the pool zeroes slots when they are allocated |
//! | 4 | `SAMPLED`: the sampler remembers the allocation |
//! | 5..11 | size class; in place, these bits are its magazine's offset in bytes |
//! | 11..32 | the capacity from the slot's start: the slot size, or less if less was requested |
//! | 32..37 | log2 of the region size |
//! | 37..53 | the pool's index; 0 is the global pool |
//!
//! The flags except `ADVANCED` and `SAMPLED`, and the bits from 32 on, are the same for all slots
//! of a pool: its [`Prefix`].

use super::registry::MAX_POOLS;
use crate::depot::cache::MagazineOffset;
use crate::error::AllocFailure;
use crate::inner::PoolInner;
use crate::large::LargeAlloc;
use std::ptr::{self, NonNull};

const _: () = assert!(usize::BITS == 64, "a tag needs 64 bits");

const _: () = assert!(
    align_of::<PoolInner>() > KIND,
    "a pool's address has room for the kind"
);

/// The bits that give the kind of a word that is not a slot's.
const KIND: usize = 0b111;
const HEAD: usize = 0b010;
const TAIL: usize = 0b100;
const EMPTY: usize = 0b110;
const SLOT: usize = 1;
const ADVANCED: usize = 1 << 1;
const SCRUB: usize = 1 << 2;
const ZERO_FILL: usize = 1 << 3;
const SAMPLED: usize = 1 << 4;
const CLASS_SHIFT: u32 = 5;
const CLASS_MASK: usize = (1 << 6) - 1;
const CAPACITY_SHIFT: u32 = 11;
/// A slot size is below 2^21.
const CAPACITY_MASK: usize = (1 << 21) - 1;
const REGION_SHIFT: u32 = 32;
const REGION_MASK: usize = (1 << 5) - 1;
const INDEX_SHIFT: u32 = 37;
const INDEX_MASK: usize = MAX_POOLS - 1;

/// The bits that the tags of all slots of a pool have in common.
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

/// The tag of a buffer's memory: see the module's tables.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct AllocTag(*mut LargeAlloc);

/// The position where a part ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The part ends with its buffer's length.
    Head,
    /// The part ends with the whole memory.
    Tail,
}

/// The memory that a tag identifies.
pub(crate) enum Place {
    Slot,
    Large(NonNull<LargeAlloc>),
    /// A part of a memory, with the block that its parts share (see `buffer::raw::part`).
    Part(NonNull<()>, End),
    /// No memory. The buffer belongs to this pool; `None` is the global pool.
    Empty(Option<NonNull<PoolInner>>),
}

impl AllocTag {
    #[inline(always)]
    pub(crate) const fn slot(prefix: Prefix, class: usize, slot_size: usize) -> Self {
        Self(ptr::without_provenance_mut(
            SLOT | class << CLASS_SHIFT | slot_size << CAPACITY_SHIFT | prefix.0,
        ))
    }

    /// Creates a word that stands for a failure, where there is no tag.
    pub(crate) fn of_refusal(refused: AllocFailure) -> Self {
        Self(ptr::without_provenance_mut(refused as usize))
    }

    pub(crate) fn to_refusal(self) -> AllocFailure {
        const LIMIT: usize = AllocFailure::Limit as usize;
        const BUDGET: usize = AllocFailure::Budget as usize;
        const LENGTH: usize = AllocFailure::Length as usize;
        match self.bits() {
            LIMIT => AllocFailure::Limit,
            BUDGET => AllocFailure::Budget,
            LENGTH => AllocFailure::Length,
            _ => AllocFailure::System,
        }
    }

    /// Returns a slot's tag as a number.
    pub(crate) fn to_word(self) -> usize {
        self.bits()
    }

    #[inline(always)]
    pub(crate) fn slot_of_word(word: usize) -> Self {
        Self(ptr::without_provenance_mut(word))
    }

    /// Returns whether the pool of this slot zeroes what it allocates.
    #[inline(always)]
    pub(crate) fn is_zero_fill(self) -> bool {
        debug_assert!(self.is_slot());
        self.bits() & ZERO_FILL != 0
    }

    pub(crate) fn large(large: NonNull<LargeAlloc>) -> Self {
        Self(large.as_ptr())
    }

    /// The tag of no memory, of the global pool.
    pub(crate) const EMPTY_GLOBAL: Self = Self(ptr::null_mut());

    /// Creates the tag of no memory, of the pool at `inner`. The word owns one of the pool's
    /// references.
    pub(crate) fn empty(inner: NonNull<PoolInner>) -> Self {
        Self(inner.as_ptr().cast()).of_kind(EMPTY)
    }

    /// Creates the tag of a part of the memory whose shares the block at `shared` counts.
    #[inline(always)]
    pub(crate) fn part(shared: NonNull<()>, end: End) -> Self {
        let kind = match end {
            End::Head => HEAD,
            End::Tail => TAIL,
        };
        Self(shared.as_ptr().cast()).of_kind(kind)
    }

    #[inline(always)]
    fn of_kind(self, kind: usize) -> Self {
        debug_assert!(self.bits() & KIND == 0);
        Self(self.0.map_addr(|bits| bits | kind))
    }

    #[inline(always)]
    pub(crate) fn place(self) -> Place {
        let kind = self.bits() & KIND;
        if kind == 0 {
            return NonNull::new(self.0).map_or(Place::Empty(None), Place::Large);
        }
        if kind & SLOT != 0 {
            return Place::Slot;
        }
        match NonNull::new(self.0.map_addr(|bits| bits & !KIND)) {
            Some(inner) if kind == EMPTY => Place::Empty(Some(inner.cast())),
            Some(shared) if kind == HEAD => Place::Part(shared.cast(), End::Head),
            Some(shared) => Place::Part(shared.cast(), End::Tail),
            None => Place::Empty(None),
        }
    }

    #[inline(always)]
    pub(crate) fn is_head(self) -> bool {
        self.bits() & KIND == HEAD
    }

    #[inline(always)]
    pub(crate) fn is_tail(self) -> bool {
        self.bits() & KIND == TAIL
    }

    /// Returns the block that a tail's tag points to, or `None` for other tags.
    #[inline(always)]
    pub(crate) fn tail_of(self) -> Option<NonNull<()>> {
        let shared = self.0.map_addr(|bits| bits & !KIND).cast();
        // SAFETY: a tail's word is the address of a block with bits set, and no block is at 0.
        self.is_tail()
            .then(|| unsafe { NonNull::new_unchecked(shared) })
    }

    #[inline(always)]
    pub(crate) fn is_slot(self) -> bool {
        self.bits() & SLOT != 0
    }

    /// Returns whether this is a slot of the global pool that need not be zeroed when it is freed,
    /// and the buffer points to its start. Needs one comparison.
    #[inline(always)]
    pub(crate) fn is_plain_global(self) -> bool {
        self.bits() & (SLOT | ADVANCED | SCRUB | !0 << INDEX_SHIFT) == SLOT
    }

    /// Returns whether this is a slot that can be freed as it is: the buffer points to its start,
    /// it need not be zeroed, and the sampler does not remember it.
    #[inline(always)]
    pub(crate) fn is_plain(self) -> bool {
        self.bits() & (SLOT | ADVANCED | SCRUB | SAMPLED) == SLOT
    }

    /// Returns whether this would be [plain](Self::is_plain) if its pool did not zero freed slots.
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

    /// Returns the offset of the class's magazine in a thread cache.
    #[inline(always)]
    pub(crate) fn magazine_offset(self) -> MagazineOffset {
        MagazineOffset::of(self.class())
    }

    #[inline(always)]
    pub(crate) fn class(self) -> usize {
        self.bits() >> CLASS_SHIFT & CLASS_MASK
    }

    /// Returns the capacity from the slot's start: the slot size, unless
    /// [`with_capacity`](Self::with_capacity) has lowered it.
    #[inline(always)]
    pub(crate) fn capacity(self) -> usize {
        self.bits() >> CAPACITY_SHIFT & CAPACITY_MASK
    }

    /// Returns the tag of a slot with another capacity, which is at most the slot size. If the pool
    /// zeroes freed slots, it is not below what was ever written.
    #[inline(always)]
    pub(crate) fn with_capacity(self, capacity: usize) -> Self {
        debug_assert!(self.is_slot() && capacity <= CAPACITY_MASK);
        let capacity = capacity << CAPACITY_SHIFT;
        Self(
            self.0
                .map_addr(|bits| bits & !(CAPACITY_MASK << CAPACITY_SHIFT) | capacity),
        )
    }

    pub(crate) fn region_shift(self) -> u32 {
        (self.bits() >> REGION_SHIFT & REGION_MASK) as u32
    }

    /// Returns the index of a slot's pool.
    #[inline(always)]
    pub(crate) fn index(self) -> usize {
        self.bits() >> INDEX_SHIFT & INDEX_MASK
    }

    pub(crate) fn is_sampled(self) -> bool {
        self.is_slot() && self.bits() & SAMPLED != 0
    }

    /// Returns the tag with a mark that the sampler remembers the allocation.
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

    /// Returns the tag as a pointer that foreign code can store.
    pub(crate) fn into_ptr(self) -> *mut () {
        self.0.cast()
    }

    pub(crate) fn from_ptr(word: *mut ()) -> Self {
        Self(word.cast())
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
