//! Large buffers: a mapping each, and a descriptor beside it.
//!
//! # Safety
//!
//! A descriptor has one owner at a time: a buffer, a thread's local cache, or the mapping cache. Its
//! owner holds a raw pointer made from a box. Others may [look](Large::look) at one that the roll holds: what
//! they see are atomics that the owner alone writes, and which order nothing.

pub(crate) mod cache;
pub(crate) mod list;

use crate::error::AllocFailure;
use crate::os::mapping::{Mapper, Mapping};
use crate::util::heap::try_box;
use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

/// Bytes in a transparent huge page on the usual machines.
pub(crate) const HUGE_PAGE: usize = 2 << 20;
/// Four per doubling, from 4 KiB to 2^48.
pub(crate) const BINS: usize = 4 * 36;

/// The descriptor of a large buffer. Aligned so that its address has room for tags.
#[repr(align(64))]
pub(crate) struct LargeAlloc {
    /// There, but for the time of a call that changes it.
    mapping: Cell<Option<Mapping>>,
    base: AtomicPtr<u8>,
    capacity: AtomicUsize,
    footprint: AtomicUsize,
    /// Bytes from this one on are known to be zero.
    dirty: Cell<usize>,
    /// In the mapping cache without memory.
    pub(crate) purged: Cell<bool>,
    /// The length asked for, as counted in `array_buffers`; `FREE` while it is free.
    requested_len: AtomicUsize,
    /// The sampler remembers the allocation.
    sampled: Cell<bool>,
    /// In the pool's list.
    pub(crate) place: Cell<u32>,
    /// The pool's own structure, opaque here.
    owner: NonNull<()>,
    pub(crate) newer: Cell<Link>,
    pub(crate) older: Cell<Link>,
    pub(crate) bin_next: Cell<Link>,
    pub(crate) bin_previous: Cell<Link>,
    pub(crate) freed_ms: Cell<u64>,
}

pub(crate) type Link = Option<NonNull<LargeAlloc>>;

const _: () = assert!(size_of::<LargeAlloc>() <= 128, "two cache lines");

/// Asked for while nobody asks.
const FREE: usize = usize::MAX;

/// What others see of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LargeView {
    /// Of the descriptor: stays the same when the mapping moves.
    pub(crate) key: usize,
    pub(crate) address: usize,
    pub(crate) capacity: usize,
    pub(crate) footprint: usize,
    /// The length asked for, while it is with a buffer.
    pub(crate) requested_len: Option<usize>,
}

impl LargeAlloc {
    /// Maps at least `len` bytes. Makes a system call.
    pub(crate) fn map(
        mapper: &Mapper,
        len: usize,
        options: MapOptions,
        owner: NonNull<()>,
    ) -> Result<NonNull<LargeAlloc>, AllocFailure> {
        let len = Self::rounded_capacity(len, mapper.page_size()).ok_or(AllocFailure::System)?;
        let large = Self::empty(owner)?;
        let huge = options.is_huge(len);
        let align = if huge { HUGE_PAGE } else { mapper.page_size() };
        match mapper.map(len, align, options.guard_pages) {
            Ok(mapping) => {
                if huge {
                    mapper.advise_huge(&mapping);
                }
                Self::of(large).set_mapping(mapping);
                Ok(large)
            }
            Err(refused) => {
                // SAFETY: made by `try_box` above, shown to nobody.
                drop(unsafe { Box::from_raw(large.as_ptr()) });
                Err(refused)
            }
        }
    }

    /// Returns the capacity that a request for `len` bytes gets: whole pages, at least one. What is kept and what is
    /// looked for are compared by this length. `None` if no address space holds it.
    #[inline(always)]
    pub(crate) fn rounded_capacity(len: usize, page_size: usize) -> Option<usize> {
        debug_assert!(page_size.is_power_of_two());
        // As `next_multiple_of`, without a division: the page size is known at run time only.
        (len.saturating_sub(1) | (page_size - 1)).checked_add(1)
    }

    /// Whether a request for `len` bytes would map just as many bytes as this mapping has, seen without rounding.
    /// Of an empty request it is `false`.
    #[inline(always)]
    pub(crate) fn is_rounded(&self, len: usize, page_size: usize) -> bool {
        self.capacity().wrapping_sub(len) < page_size
    }

    /// A descriptor without memory.
    fn empty(owner: NonNull<()>) -> Result<NonNull<LargeAlloc>, AllocFailure> {
        try_box(Self {
            mapping: Cell::new(None),
            base: AtomicPtr::new(ptr::null_mut()),
            capacity: AtomicUsize::new(0),
            footprint: AtomicUsize::new(0),
            dirty: Cell::new(0),
            purged: Cell::new(false),
            requested_len: AtomicUsize::new(FREE),
            sampled: Cell::new(false),
            place: Cell::new(u32::MAX),
            owner,
            newer: Cell::new(None),
            older: Cell::new(None),
            bin_next: Cell::new(None),
            bin_previous: Cell::new(None),
            freed_ms: Cell::new(0),
        })
    }

    /// The descriptor behind a pointer its owner holds.
    pub(crate) fn of<'a>(large: NonNull<LargeAlloc>) -> &'a LargeAlloc {
        // SAFETY: the owner's pointer is valid until the owner calls `unmap`.
        unsafe { large.as_ref() }
    }

    fn set_mapping(&self, mapping: Mapping) {
        self.base.store(mapping.base().as_ptr(), Relaxed);
        self.capacity.store(mapping.len(), Relaxed);
        self.footprint.store(mapping.footprint(), Relaxed);
        self.mapping.set(Some(mapping));
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        NonNull::new(self.base.load(Relaxed)).unwrap_or(NonNull::dangling())
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity.load(Relaxed)
    }

    pub(crate) fn owner(&self) -> NonNull<()> {
        self.owner
    }

    /// The length asked for, of a live one.
    pub(crate) fn requested_len(&self) -> usize {
        self.requested_len.load(Relaxed)
    }

    #[inline(always)]
    pub(crate) fn set_requested_len(&self, len: usize) {
        self.requested_len.store(len, Relaxed);
    }

    /// Makes it free, and returns the length that was asked for.
    #[inline(always)]
    pub(crate) fn end_requested_len(&self) -> usize {
        let requested_len = self.requested_len();
        self.set_requested_len(FREE);
        requested_len
    }

    /// For somebody who need not be the owner; each figure is true at some moment.
    pub(crate) fn look(&self) -> LargeView {
        LargeView {
            key: std::ptr::from_ref(self).addr(),
            address: self.base().addr().get(),
            capacity: self.capacity(),
            footprint: self.footprint(),
            requested_len: Some(self.requested_len())
                .filter(|requested_len| *requested_len != FREE),
        }
    }

    pub(crate) fn is_sampled(&self) -> bool {
        self.sampled.get()
    }

    pub(crate) fn set_sampled(&self, sampled: bool) {
        self.sampled.set(sampled);
    }

    /// Bytes from the start that may be other than zero.
    pub(crate) fn dirty(&self) -> usize {
        self.dirty.get()
    }

    pub(crate) fn set_dirty(&self, dirty: usize) {
        self.dirty.set(dirty.min(self.capacity.load(Relaxed)));
    }

    /// Notes that bytes below `len` may be written from now on.
    #[inline]
    pub(crate) fn expose(&self, len: usize) {
        if len > self.dirty.get() {
            self.dirty.set(len);
        }
    }

    /// Every byte the system holds for it.
    pub(crate) fn footprint(&self) -> usize {
        self.footprint.load(Relaxed)
    }

    /// Makes it at least `len` bytes long, at another address if need be, without a copy. The bytes stay
    /// as they are, new ones are zero. `None`: it cannot be done this way.
    pub(crate) fn grow(
        &self,
        mapper: &Mapper,
        len: usize,
        options: MapOptions,
    ) -> Option<Result<(), AllocFailure>> {
        let len = Self::rounded_capacity(len, mapper.page_size());
        let mut mapping = self.mapping.take()?;
        let result = match len {
            // A part that was the last one owns the whole, which may be long enough already.
            Some(len) if len <= mapping.len() => Some(Ok(())),
            _ if !mapping.can_remap() => None,
            Some(len) => {
                let result = mapper.grow(&mut mapping, len);
                if result.is_ok() && options.is_huge(len) {
                    mapper.advise_huge(&mapping);
                }
                Some(result)
            }
            None => Some(Err(AllocFailure::System)),
        };
        self.set_mapping(mapping);
        result
    }

    /// Makes its guard fault on every access. `false`: the system refused.
    pub(crate) fn protect_guard(&self, mapper: &Mapper) -> bool {
        let mapping = self.mapping.take();
        let protected = mapping
            .as_ref()
            .is_some_and(|mapping| mapper.protect_guard(mapping));
        self.mapping.set(mapping);
        protected
    }

    /// Lets it serve nobody, until it can be unmapped.
    pub(crate) fn retire(&self) {
        self.capacity.store(0, Relaxed);
    }

    /// Gives back its memory; afterwards the whole reads as zero. `false`: refused.
    pub(crate) fn purge(&self, mapper: &Mapper) -> bool {
        let Some(mapping) = self.mapping.take() else {
            return false;
        };
        let purged = mapper.purge(&mapping, 0, mapping.len());
        self.mapping.set(Some(mapping));
        if purged {
            self.dirty.set(0);
        }
        purged
    }

    /// Gives the mapping back to the system and frees the descriptor, or gives it back.
    ///
    /// # Safety
    ///
    /// The caller owns the descriptor, and on success nobody uses it again.
    pub(crate) unsafe fn unmap(
        large: NonNull<LargeAlloc>,
        mapper: &Mapper,
    ) -> Result<(), NonNull<LargeAlloc>> {
        let this = Self::of(large);
        if let Some(mapping) = this.mapping.take()
            && let Err(mapping) = mapper.unmap(mapping)
        {
            // Only this: a retired one stays retired.
            this.mapping.set(Some(mapping));
            return Err(large);
        }
        // SAFETY: made by `try_box`, and the caller's alone.
        drop(unsafe { Box::from_raw(large.as_ptr()) });
        Ok(())
    }
}

/// How large buffers of a pool are mapped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MapOptions {
    pub(crate) huge_pages: bool,
    pub(crate) guard_pages: bool,
}

impl MapOptions {
    /// Whether a mapping of `len` bytes is one for huge pages.
    fn is_huge(self, len: usize) -> bool {
        self.huge_pages && len >= HUGE_PAGE
    }
}

/// The bin of mappings of `capacity` bytes: all of bin `n + 1` are longer than any of bin `n`.
#[inline(always)]
pub(crate) fn bin_of(capacity: usize) -> usize {
    let log2 = capacity.max(4096).ilog2();
    let quarter = (capacity >> (log2 - 2)) & 3;
    ((log2 as usize - 12) * 4 + quarter).min(BINS - 1)
}

/// Whether a mapping of `capacity` bytes may serve a request whose
/// [rounded capacity](LargeAlloc::rounded_capacity) is `rounded`: at most a quarter and 16 KiB are wasted.
#[inline(always)]
pub(crate) fn serves(capacity: usize, rounded: usize) -> bool {
    const SLACK: usize = 16 << 10;
    // Lengths above half of all addresses never get here; no sum overflows.
    capacity >= rounded && capacity - rounded <= rounded / 4 + SLACK
}
