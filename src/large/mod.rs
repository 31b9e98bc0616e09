//! Large buffers: each has a mapping and a descriptor on the heap.
//!
//! # Safety
//!
//! A descriptor has one owner at a time: a buffer, a thread's cache, or the mapping cache. The
//! owner holds a raw pointer from a box. Other threads may [look](LargeAlloc::look) at a descriptor
//! in the pool's list: they read atomics that the owner alone writes, and which order no other
//! access.

pub(crate) mod cache;
pub(crate) mod list;

use crate::error::AllocFailure;
use crate::os::mapping::{Mapper, Mapping};
use crate::sync::{AtomicPtr, AtomicUsize, CHECKED, Cell, Ordering::Relaxed};
use crate::util::heap::try_box;
use std::ptr::{self, NonNull};

/// Number of bytes in a transparent huge page on common processors.
pub(crate) const HUGE_PAGE: usize = 2 << 20;
/// Number of bins: four per doubling, from 4 KiB to 2^48.
pub(crate) const BINS: usize = 4 * 36;

/// The descriptor of a large buffer. Its alignment leaves the low bits of its address for tags.
#[repr(align(64))]
pub(crate) struct LargeAlloc {
    /// The mapping. `None` while a method replaces it.
    mapping: Cell<Option<Mapping>>,
    base: AtomicPtr<u8>,
    capacity: AtomicUsize,
    footprint: AtomicUsize,
    /// Offset from which on all bytes are known to be zero.
    dirty: AtomicUsize,
    /// Offset below which bytes that are not dirty may have memory, because the crate wrote zeros
    /// over them.
    zeroed: AtomicUsize,
    /// Whether the mapping is in the mapping cache without memory.
    pub(crate) purged: Cell<bool>,
    /// The requested length, as counted in `array_buffers`; `FREE` for a free mapping.
    requested_len: AtomicUsize,
    /// Whether the sampler remembers the allocation.
    sampled: Cell<bool>,
    /// The mapping's place in the pool's list.
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

const _: () = assert!(CHECKED || size_of::<LargeAlloc>() <= 128, "two cache lines");

/// Value of `requested_len` for a free mapping.
const FREE: usize = usize::MAX;

/// A snapshot of a mapping's state, which any thread may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LargeView {
    /// The address of the descriptor: stays the same when the mapping moves.
    pub(crate) key: usize,
    pub(crate) address: usize,
    pub(crate) capacity: usize,
    pub(crate) footprint: usize,
    /// Number of bytes from the start that may have memory.
    pub(crate) touched: usize,
    /// The requested length; `None` for a free mapping.
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
        let align = options.page_size(len, mapper);
        match mapper.map(len, align, options.guard_pages) {
            Ok(mapping) => {
                if options.is_huge(len) {
                    mapper.advise_huge(&mapping);
                }
                Self::of(large).set_mapping(mapping);
                Ok(large)
            }
            Err(refused) => {
                // SAFETY: created by `try_box` above, and not shared.
                drop(unsafe { Box::from_raw(large.as_ptr()) });
                Err(refused)
            }
        }
    }

    /// Returns the capacity that a request for `len` bytes gets: whole pages, at least one. Stores
    /// and look-ups in the caches compare this length. Returns `None` if no address space holds it.
    #[inline(always)]
    pub(crate) fn rounded_capacity(len: usize, page_size: usize) -> Option<usize> {
        debug_assert!(page_size.is_power_of_two());
        // Like `next_multiple_of`, without a division: the page size is known at run time only.
        (len.saturating_sub(1) | (page_size - 1)).checked_add(1)
    }

    /// Returns whether a request for `len` bytes would map exactly the bytes of this mapping,
    /// computed without rounding. Returns `false` for a length of 0.
    #[inline(always)]
    pub(crate) fn is_rounded(&self, len: usize, page_size: usize) -> bool {
        self.capacity().wrapping_sub(len) < page_size
    }

    /// Creates a descriptor without memory.
    fn empty(owner: NonNull<()>) -> Result<NonNull<LargeAlloc>, AllocFailure> {
        try_box(Self {
            mapping: Cell::new(None),
            base: AtomicPtr::new(ptr::null_mut()),
            capacity: AtomicUsize::new(0),
            footprint: AtomicUsize::new(0),
            dirty: AtomicUsize::new(0),
            zeroed: AtomicUsize::new(0),
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

    /// Returns the descriptor behind a pointer that its owner holds.
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

    /// Returns the requested length of a live mapping.
    pub(crate) fn requested_len(&self) -> usize {
        self.requested_len.load(Relaxed)
    }

    #[inline(always)]
    pub(crate) fn set_requested_len(&self, len: usize) {
        self.requested_len.store(len, Relaxed);
    }

    /// Marks the mapping as free, and returns the length that was requested.
    #[inline(always)]
    pub(crate) fn end_requested_len(&self) -> usize {
        let requested_len = self.requested_len();
        self.set_requested_len(FREE);
        requested_len
    }

    /// Returns a snapshot of the state. The caller need not be the owner: each value was true at
    /// some moment.
    pub(crate) fn look(&self) -> LargeView {
        LargeView {
            key: std::ptr::from_ref(self).addr(),
            address: self.base().addr().get(),
            capacity: self.capacity(),
            footprint: self.footprint(),
            touched: self.dirty().max(self.zeroed.load(Relaxed)),
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

    /// Returns the number of bytes from the start that may differ from zero.
    pub(crate) fn dirty(&self) -> usize {
        self.dirty.load(Relaxed)
    }

    /// Records that all dirty bytes were overwritten with zeros. They keep their memory.
    pub(crate) fn set_zeroed(&self) {
        if self.dirty() > self.zeroed.load(Relaxed) {
            self.zeroed.store(self.dirty(), Relaxed);
        }
        self.dirty.store(0, Relaxed);
    }

    /// Records that bytes below `len` may be written from now on.
    #[inline]
    pub(crate) fn expose(&self, len: usize) {
        if len > self.dirty() {
            self.dirty.store(len, Relaxed);
        }
    }

    /// Returns all bytes that are mapped for it, including its guard.
    pub(crate) fn footprint(&self) -> usize {
        self.footprint.load(Relaxed)
    }

    /// Makes the mapping at least `len` bytes long without a copy; it may move to another address.
    /// The bytes keep their values, new ones are zero. Returns `None` if the mapping cannot grow
    /// this way.
    pub(crate) fn grow(
        &self,
        mapper: &Mapper,
        len: usize,
        options: MapOptions,
    ) -> Option<Result<(), AllocFailure>> {
        let len = Self::rounded_capacity(len, mapper.page_size());
        let mut mapping = self.mapping.take()?;
        let result = match len {
            // The last part of a split buffer owns the whole mapping, which may be long enough.
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

    /// Protects the mapping's guard, so that every access to it faults. Returns `false` if the
    /// system refuses.
    pub(crate) fn protect_guard(&self, mapper: &Mapper) -> bool {
        let mapping = self.mapping.take();
        let protected = mapping
            .as_ref()
            .is_some_and(|mapping| mapper.protect_guard(mapping));
        self.mapping.set(mapping);
        protected
    }

    /// Excludes the mapping from reuse until it can be unmapped.
    pub(crate) fn retire(&self) {
        self.capacity.store(0, Relaxed);
    }

    /// Purges the mapping's memory; afterwards all of it reads as zero. Returns `false` if the
    /// system refuses.
    pub(crate) fn purge(&self, mapper: &Mapper) -> bool {
        let Some(mapping) = self.mapping.take() else {
            return false;
        };
        let purged = mapper.purge(&mapping, 0, mapping.len());
        self.mapping.set(Some(mapping));
        if purged {
            self.dirty.store(0, Relaxed);
            self.zeroed.store(0, Relaxed);
        }
        purged
    }

    /// Unmaps the mapping and frees the descriptor. Returns the descriptor as `Err` if the system
    /// refuses.
    ///
    /// # Safety
    ///
    /// The caller owns the descriptor, and on success no thread uses it again.
    pub(crate) unsafe fn unmap(
        large: NonNull<LargeAlloc>,
        mapper: &Mapper,
    ) -> Result<(), NonNull<LargeAlloc>> {
        let this = Self::of(large);
        if let Some(mapping) = this.mapping.take()
            && let Err(mapping) = mapper.unmap(mapping)
        {
            // Only this field is restored: a retired mapping stays retired.
            this.mapping.set(Some(mapping));
            return Err(large);
        }
        // SAFETY: created by `try_box`, and owned by the caller.
        drop(unsafe { Box::from_raw(large.as_ptr()) });
        Ok(())
    }
}

/// The options for mapping large buffers of a pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MapOptions {
    pub(crate) huge_pages: bool,
    pub(crate) guard_pages: bool,
}

impl MapOptions {
    /// Returns whether a mapping of `len` bytes is to have huge pages.
    fn is_huge(self, len: usize) -> bool {
        self.huge_pages && len >= HUGE_PAGE
    }

    /// Returns the size of the pages that a mapping of `len` bytes is to have.
    pub(crate) fn page_size(self, len: usize, mapper: &Mapper) -> usize {
        if self.is_huge(len) {
            HUGE_PAGE
        } else {
            mapper.page_size()
        }
    }
}

/// Returns the bin of mappings of `capacity` bytes: all of bin `n + 1` are longer than any of bin
/// `n`.
#[inline(always)]
pub(crate) fn bin_of(capacity: usize) -> usize {
    let log2 = capacity.max(4096).ilog2();
    let quarter = (capacity >> (log2 - 2)) & 3;
    ((log2 as usize - 12) * 4 + quarter).min(BINS - 1)
}

/// Returns whether a mapping of `capacity` bytes may serve a request whose [rounded
/// capacity](LargeAlloc::rounded_capacity) is `rounded`: at most a quarter and 16 KiB are wasted.
#[inline(always)]
pub(crate) fn serves(capacity: usize, rounded: usize) -> bool {
    const SLACK: usize = 16 << 10;
    // `rounded` is at most half of the address space, so no sum overflows.
    capacity >= rounded && capacity - rounded <= rounded / 4 + SLACK
}
