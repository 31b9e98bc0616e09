//! The layout of a region: its head, the slab headers, the wide bitmaps, and the slabs.
//!
//! # Safety
//!
//! Pointers are derived from the region's base, with the provenance of its mapping, and stay within
//! the region: indices are below [`Geometry::slabs`].

use crate::slab::SlabHeader;
use crate::slab::size_class::GRANULE;
use crate::sync::MODEL;
use crate::sync::in_place::AtomicU64;
use std::ptr::NonNull;

/// Number of bytes at the start of a region for its head, see `region.rs`. With 253 headers of 16
/// bytes it fills exactly one page.
pub(crate) const REGION_HEAD: usize = 48;
pub(super) const HEADER: usize = size_of::<SlabHeader>();

/// The layout of a region.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    slab_shift: u32,
    region_shift: u32,
    /// Number of slabs at the start of a region that hold its headers and wide bitmaps.
    reserved: u32,
    wide_offset: u32,
}

impl Geometry {
    pub(crate) fn new(slab_size: usize, region_shift: u32) -> Self {
        let slabs = (1usize << region_shift) / slab_size;
        let headers = REGION_HEAD + slabs * HEADER;
        let wide = slabs * (slab_size / GRANULE / 8);
        let reserved = (headers + wide).div_ceil(slab_size);
        let wide_offset = REGION_HEAD + (slabs - reserved) * HEADER;
        Self {
            slab_shift: slab_size.trailing_zeros(),
            region_shift,
            reserved: reserved as u32,
            wide_offset: wide_offset as u32,
        }
    }

    pub(crate) fn slab_size(&self) -> usize {
        1 << self.slab_shift
    }

    pub(crate) fn region_size(&self) -> usize {
        1 << self.region_shift
    }

    /// Returns the number of slabs in a region that can be allocated. They are numbered from 0.
    pub(crate) fn slabs(&self) -> usize {
        (1 << (self.region_shift - self.slab_shift)) - self.reserved as usize
    }

    /// Returns the start of the region that `inside` points into.
    pub(crate) fn region_of<T>(&self, inside: NonNull<T>) -> NonNull<u8> {
        let mask = self.region_size() - 1;
        let base = inside.as_ptr().cast::<u8>().map_addr(|a| a & !mask);
        NonNull::new(base).expect("no region at address 0")
    }

    /// Returns the header of slab `index` of the region at `region`.
    pub(crate) fn header_at(&self, region: NonNull<u8>, index: usize) -> NonNull<SlabHeader> {
        debug_assert!(index < self.slabs());
        // SAFETY: the header array lies within the reserved slabs at the region's start.
        unsafe { region.add(REGION_HEAD + index * HEADER) }.cast()
    }

    pub(crate) fn index_of(&self, header: NonNull<SlabHeader>) -> usize {
        let offset = header.addr().get() & (self.region_size() - 1);
        (offset - REGION_HEAD) / HEADER
    }

    /// Returns the number of slabs at the start of a region that are never allocated.
    pub(super) fn reserved(&self) -> usize {
        self.reserved as usize
    }

    /// Returns the offset of slab `index` in its region.
    pub(crate) fn slab_offset(&self, index: usize) -> usize {
        (index + self.reserved as usize) << self.slab_shift
    }

    /// Returns the header of the slab that `slot` lies in.
    pub(crate) fn header_of(&self, slot: NonNull<u8>) -> NonNull<SlabHeader> {
        let offset = slot.addr().get() & (self.region_size() - 1);
        let index = (offset >> self.slab_shift) - self.reserved as usize;
        self.header_at(self.region_of(slot), index)
    }

    /// Returns the wide bitmap of slab `index`, for `slots` slots.
    pub(super) fn wide(&self, region: NonNull<u8>, index: usize, slots: u32) -> &[AtomicU64] {
        debug_assert!(slots > 64 && !MODEL, "models have no wide bitmaps");
        let stride = self.slab_size() / GRANULE / 8;
        let offset = self.wide_offset as usize + index * stride;
        // SAFETY: the wide bitmaps follow the headers within the reserved slabs.
        let first = unsafe { region.add(offset) }.cast::<AtomicU64>();
        // SAFETY: `slots` is at most `slab_size / GRANULE`, so the words are within this slab's
        // stride, which no other slab's code accesses; the mapping is zeroed, hence initialised.
        unsafe { std::slice::from_raw_parts(first.as_ptr(), slots.div_ceil(64) as usize) }
    }
}
