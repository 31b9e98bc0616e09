//! Large buffers: a mapping each, a descriptor beside it, and the cache of freed mappings.
//!
//! The cache keeps mappings by size, four bins per doubling, and by age. It is bounded in bytes; what is
//! over the bound or older than the decay is handed to the caller to unmap, oldest first.
//!
//! A cached mapping that has been purged holds no memory, only addresses. Such mappings do not count
//! against the bound. They arise where unmapping would cut the address space into more areas than the
//! kernel allows ([`Mapper::unmapping_fragments`]).
//!
//! # Safety
//!
//! A descriptor has one owner at a time: a buffer, a thread's local cache, or the mapping cache. Its
//! owner holds a raw pointer made from a box. The mapping cache's lists are followed under its lock.

use crate::error::Refused;
use crate::heap::try_box;
use crate::mapping::{Mapper, Mapping};
use crate::sync::{AtomicUsize, Mutex, Ordering::Relaxed, lock};
use std::cell::Cell;
use std::ptr::NonNull;

/// Bytes in a transparent huge page on the usual machines.
pub(crate) const HUGE_PAGE: usize = 2 << 20;
/// Four per doubling, from 4 KiB to 2^48.
const BINS: usize = 4 * 36;
/// Entries of a bin that are looked at before the next bin is.
const SCAN: usize = 8;

/// The descriptor of a large buffer. Aligned so that its address has room for tags.
#[repr(align(64))]
pub(crate) struct Large {
    /// There, but for the time of a call that changes it.
    mapping: Cell<Option<Mapping>>,
    base: Cell<NonNull<u8>>,
    capacity: Cell<usize>,
    footprint: Cell<usize>,
    /// Bytes from this one on are known to be zero.
    dirty: Cell<usize>,
    /// In the mapping cache without memory.
    purged: Cell<bool>,
    /// The length asked for, as counted in `array_buffers`; 0 while it is free.
    pub(crate) asked: Cell<usize>,
    /// The pool's own structure, opaque here.
    owner: NonNull<()>,
    newer: Cell<Link>,
    older: Cell<Link>,
    bin_next: Cell<Link>,
    bin_previous: Cell<Link>,
    freed_ms: Cell<u64>,
}

type Link = Option<NonNull<Large>>;

impl Large {
    /// Maps at least `len` bytes. Makes a system call.
    pub(crate) fn map(
        mapper: &Mapper,
        len: usize,
        options: MapOptions,
        owner: NonNull<()>,
    ) -> Result<NonNull<Large>, Refused> {
        let len = len.max(1).checked_next_multiple_of(mapper.page_size());
        let len = len.ok_or(Refused::System)?;
        let large = try_box(Self {
            mapping: Cell::new(None),
            base: Cell::new(NonNull::dangling()),
            capacity: Cell::new(0),
            footprint: Cell::new(0),
            dirty: Cell::new(0),
            purged: Cell::new(false),
            asked: Cell::new(0),
            owner,
            newer: Cell::new(None),
            older: Cell::new(None),
            bin_next: Cell::new(None),
            bin_previous: Cell::new(None),
            freed_ms: Cell::new(0),
        })?;
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

    /// The descriptor behind a pointer its owner holds.
    pub(crate) fn of<'a>(large: NonNull<Large>) -> &'a Large {
        // SAFETY: the owner's pointer is valid until the owner calls `unmap`.
        unsafe { large.as_ref() }
    }

    fn set_mapping(&self, mapping: Mapping) {
        self.base.set(mapping.base());
        self.capacity.set(mapping.len());
        self.footprint.set(mapping.footprint());
        self.mapping.set(Some(mapping));
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base.get()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity.get()
    }

    pub(crate) fn owner(&self) -> NonNull<()> {
        self.owner
    }

    /// Bytes from the start that may be other than zero.
    pub(crate) fn dirty(&self) -> usize {
        self.dirty.get()
    }

    pub(crate) fn set_dirty(&self, dirty: usize) {
        self.dirty.set(dirty.min(self.capacity.get()));
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
        self.footprint.get()
    }

    /// Makes it at least `len` bytes long, at another address if need be, without a copy. The bytes stay
    /// as they are, new ones are zero. `None`: it cannot be done this way.
    pub(crate) fn grow(
        &self,
        mapper: &Mapper,
        len: usize,
        options: MapOptions,
    ) -> Option<Result<(), Refused>> {
        let len = len.checked_next_multiple_of(mapper.page_size());
        let mut mapping = self.mapping.take()?;
        let result = match len {
            _ if !mapping.can_remap() => None,
            Some(len) => {
                let result = mapper.grow(&mut mapping, len);
                if result.is_ok() && options.is_huge(len) {
                    mapper.advise_huge(&mapping);
                }
                Some(result)
            }
            None => Some(Err(Refused::System)),
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
        self.capacity.set(0);
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
        large: NonNull<Large>,
        mapper: &Mapper,
    ) -> Result<(), NonNull<Large>> {
        let this = Self::of(large);
        if let Some(mapping) = this.mapping.take()
            && let Err(mapping) = mapper.unmap(mapping)
        {
            this.set_mapping(mapping);
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

/// The bin of mappings of `len` bytes: all of bin `n + 1` are longer than any of bin `n`.
#[inline(always)]
pub(crate) fn bin_of(len: usize) -> usize {
    let log2 = len.max(4096).ilog2();
    let quarter = (len >> (log2 - 2)) & 3;
    ((log2 as usize - 12) * 4 + quarter).min(BINS - 1)
}

/// Whether a mapping of `capacity` bytes may serve a request for `len`: at most a quarter is wasted, and
/// what rounding to pages wastes.
#[inline(always)]
pub(crate) fn serves(capacity: usize, len: usize) -> bool {
    const ROUNDING: usize = 16 << 10;
    // Lengths above half of all addresses never get here; no sum overflows.
    capacity >= len && capacity - len <= len / 4 + ROUNDING
}

#[derive(Debug)]
struct State {
    bins: [Link; BINS],
    /// By age, those that may hold memory.
    newest: Link,
    oldest: Link,
    /// Mappings in the cache, and bytes in them, memory or not.
    count: usize,
    footprint: usize,
}

// SAFETY: the links lead to descriptors the cache owns, and are followed under the lock.
unsafe impl Send for State {}

/// Freed mappings kept for reuse.
#[derive(Debug)]
pub(crate) struct MappingCache {
    state: Mutex<State>,
    /// Bytes in cached mappings that may hold memory. Written under the lock.
    resident: AtomicUsize,
}

/// Mappings on their way back to the system, linked through `older`.
#[must_use]
#[derive(Debug, Default)]
pub(crate) struct Evicted {
    first: Link,
}

impl Evicted {
    fn push(&mut self, large: NonNull<Large>) {
        Large::of(large).older.set(self.first);
        self.first = Some(large);
    }

    pub(crate) fn pop(&mut self) -> Link {
        let large = self.first?;
        self.first = Large::of(large).older.take();
        Some(large)
    }

    /// In the order of their addresses, so that unmapping a row of neighbours cuts no map area in two
    /// for longer than a moment. Left as they are if there is no memory to sort them in.
    pub(crate) fn sorted(mut self) -> Self {
        let mut all = Vec::new();
        let mut next = self.first;
        while let Some(large) = next {
            if all.try_reserve(1).is_err() {
                return self;
            }
            all.push(large);
            next = Large::of(large).older.get();
        }
        all.sort_unstable_by_key(|large| std::cmp::Reverse(Large::of(*large).base().addr()));
        self.first = None;
        all.into_iter().for_each(|large| self.push(large));
        self
    }
}

impl MappingCache {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                bins: [None; BINS],
                newest: None,
                oldest: None,
                count: 0,
                footprint: 0,
            }),
            resident: AtomicUsize::new(0),
        }
    }

    /// Bytes in cached mappings that may hold memory.
    pub(crate) fn resident(&self) -> usize {
        self.resident.load(Relaxed)
    }

    /// Bytes in cached mappings, memory or not.
    pub(crate) fn footprint(&self) -> usize {
        lock(&self.state).footprint
    }

    /// A cached mapping of at least `len` bytes, and not much more.
    pub(crate) fn take(&self, len: usize) -> Link {
        let mut state = lock(&self.state);
        let bin = bin_of(len);
        for bin in bin..(bin + 3).min(BINS) {
            let mut next = state.bins[bin];
            for _ in 0..SCAN {
                let Some(large) = next else { break };
                let this = Large::of(large);
                if serves(this.capacity(), len) {
                    self.remove(&mut state, large);
                    this.purged.set(false);
                    return Some(large);
                }
                next = this.bin_next.get();
            }
        }
        None
    }

    /// Keeps a freed mapping, and returns those that are too many or too old for it.
    pub(crate) fn give(
        &self,
        large: NonNull<Large>,
        bytes: usize,
        decay_ms: u64,
        now_ms: u64,
    ) -> Evicted {
        let mut state = lock(&self.state);
        Large::of(large).freed_ms.set(now_ms);
        self.insert(&mut state, large);
        self.evict(&mut state, bytes, decay_ms, now_ms)
    }

    /// Keeps a mapping whatever the bound, without its memory: the system would not take it, or had better
    /// not.
    pub(crate) fn keep(&self, large: NonNull<Large>, mapper: &Mapper) {
        let this = Large::of(large);
        if !this.purged.get() {
            this.purged.set(this.purge(mapper));
        }
        self.insert(&mut lock(&self.state), large);
    }

    /// The mappings that are over `bytes` or older than `decay_ms`.
    pub(crate) fn release(&self, bytes: usize, decay_ms: u64, now_ms: u64) -> Evicted {
        if self.resident() == 0 {
            return Evicted::default();
        }
        self.evict(&mut lock(&self.state), bytes, decay_ms, now_ms)
    }

    /// Everything, those without memory too, and how many they are.
    pub(crate) fn drain(&self) -> (Evicted, usize) {
        let mut state = lock(&self.state);
        let count = state.count;
        let mut evicted = Evicted::default();
        for bin in 0..BINS {
            while let Some(large) = state.bins[bin] {
                self.remove(&mut state, large);
                evicted.push(large);
            }
        }
        (evicted, count)
    }

    fn evict(&self, state: &mut State, bytes: usize, decay_ms: u64, now_ms: u64) -> Evicted {
        let mut evicted = Evicted::default();
        while let Some(large) = state.oldest {
            let age_ms = now_ms.saturating_sub(Large::of(large).freed_ms.get());
            if self.resident() <= bytes && age_ms < decay_ms {
                break;
            }
            self.remove(state, large);
            evicted.push(large);
        }
        evicted
    }

    fn add_resident(&self, bytes: usize) {
        self.resident.store(self.resident() + bytes, Relaxed);
    }

    fn insert(&self, state: &mut State, large: NonNull<Large>) {
        let this = Large::of(large);
        state.count += 1;
        state.footprint += this.footprint();
        if !this.purged.get() {
            self.add_resident(this.footprint());
            this.newer.set(None);
            this.older.set(state.newest);
            match state.newest.replace(large) {
                Some(second) => Large::of(second).newer.set(Some(large)),
                None => state.oldest = Some(large),
            }
        }
        let bin = bin_of(this.capacity());
        this.bin_previous.set(None);
        this.bin_next.set(state.bins[bin]);
        if let Some(second) = state.bins[bin].replace(large) {
            Large::of(second).bin_previous.set(Some(large));
        }
    }

    fn remove(&self, state: &mut State, large: NonNull<Large>) {
        let this = Large::of(large);
        state.count -= 1;
        state.footprint -= this.footprint();
        if !this.purged.get() {
            self.resident
                .store(self.resident() - this.footprint(), Relaxed);
            let (newer, older) = (this.newer.take(), this.older.take());
            match newer {
                Some(newer) => Large::of(newer).older.set(older),
                None => state.newest = older,
            }
            match older {
                Some(older) => Large::of(older).newer.set(newer),
                None => state.oldest = newer,
            }
        }
        let (next, previous) = (this.bin_next.take(), this.bin_previous.take());
        match previous {
            Some(previous) => Large::of(previous).bin_next.set(next),
            None => state.bins[bin_of(this.capacity())] = next,
        }
        if let Some(next) = next {
            Large::of(next).bin_previous.set(previous);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::os::{Os, fake::FakeOs};

    const OPTIONS: MapOptions = MapOptions {
        huge_pages: false,
        guard_pages: false,
    };

    fn map(mapper: &Mapper, len: usize) -> NonNull<Large> {
        Large::map(mapper, len, OPTIONS, NonNull::dangling()).unwrap()
    }

    fn unmap(mapper: &Mapper, mut evicted: Evicted) -> Vec<usize> {
        let mut lengths = Vec::new();
        while let Some(large) = evicted.pop() {
            lengths.push(Large::of(large).capacity());
            // SAFETY: evicted, so this test's alone.
            unsafe { Large::unmap(large, mapper) }.unwrap();
        }
        lengths
    }

    #[test]
    fn bins_rise_with_the_length() {
        let mut last = 0;
        for pages in 1..100_000 {
            let bin = bin_of(pages * 4096);
            assert!(bin == last || bin == last + 1 || pages < 8, "{pages}");
            last = bin;
        }
        assert!(bin_of(usize::MAX) < BINS);
    }

    #[test]
    fn a_cached_mapping_serves_its_length_and_little_less() {
        let mapper = Mapper::new(Os::Fake(FakeOs::leaked()), usize::MAX);
        let cache = MappingCache::new();
        let large = map(&mapper, 100 << 10);
        let _ = unmap(&mapper, cache.give(large, usize::MAX, u64::MAX, 0));
        assert_eq!(
            (cache.resident(), cache.footprint()),
            (100 << 10, 100 << 10)
        );
        assert_eq!(cache.take(101 << 10), None);
        assert_eq!(cache.take(50 << 10), None);
        assert_eq!(cache.take(99 << 10), Some(large));
        assert_eq!((cache.resident(), cache.footprint()), (0, 0));
        let _ = unmap(&mapper, cache.give(large, 0, u64::MAX, 0));
        assert_eq!(mapper.mapped(), 0);
    }

    #[test]
    fn the_oldest_go_first_by_bytes_and_by_age() {
        let mapper = Mapper::new(Os::Fake(FakeOs::leaked()), usize::MAX);
        let cache = MappingCache::new();
        for pages in 3..6 {
            let large = map(&mapper, pages * 4096);
            let evicted = cache.give(large, 10 * 4096, 1000, pages as u64 * 100);
            let gone = unmap(&mapper, evicted);
            assert_eq!(gone, if pages == 5 { vec![3 * 4096] } else { vec![] });
        }
        assert_eq!(
            unmap(&mapper, cache.release(usize::MAX, 1000, 1399)),
            vec![]
        );
        assert_eq!(
            unmap(&mapper, cache.release(usize::MAX, 1000, 1400)),
            vec![4 * 4096]
        );
        assert_eq!(unmap(&mapper, cache.drain().0), vec![5 * 4096]);
        assert_eq!(mapper.mapped(), 0);
    }

    #[test]
    fn a_purged_mapping_counts_no_memory_and_is_still_found() {
        let mapper = Mapper::new(Os::Fake(FakeOs::leaked()), usize::MAX);
        let cache = MappingCache::new();
        let large = map(&mapper, 32 << 10);
        Large::of(large).expose(32 << 10);
        cache.keep(large, &mapper);
        assert_eq!((cache.resident(), cache.footprint()), (0, 32 << 10));
        assert_eq!(unmap(&mapper, cache.release(0, 0, 0)), vec![]);
        assert_eq!(cache.take(32 << 10), Some(large));
        assert_eq!(Large::of(large).dirty(), 0);
        cache.keep(large, &mapper);
        assert_eq!(unmap(&mapper, cache.drain().0.sorted()), vec![32 << 10]);
    }
}
