//! A thread's cache of one pool: its magazines, and a few large mappings.
//!
//! Of large mappings a thread keeps the one it freed last, and one more of each size, within a *lease* of bytes that it
//! has from the pool: the sum of all leases is bounded, and within its lease a thread takes no lock.
//!
//! # Safety
//!
//! A cache is used by its owner inside its [`Gate`], or by a thread that has claimed it; the counters and the sample
//! countdown are the owner's, and other threads read only what is atomic. It is a box of its own, linked into the
//! pool's list, and freed by its owner after it is unlinked, or by the thread that frees the pool: then no buffer and no
//! handle of the pool exists, so the owner cannot be on its way to the cache.

use crate::depot::gate::{ABSENT, BYPASS, CLAIMED, FULL_FENCE, Gate, SAMPLED};
use crate::depot::magazine::{Balance, Block, Magazine};
use crate::large::{LargeAlloc, Link, bin_of, serves};
use crate::slab::size_class::CLASS_PLACES;
use crate::sync::{AtomicPtr, array_of, static_ref};
use std::cell::Cell;
use std::ptr::NonNull;

/// Large mappings a thread keeps beside the last: one for each of so many neighbouring bins.
const KEPT: usize = 32;

/// Bytes in a magazine. A tag holds its class as a multiple of this.
pub(crate) const MAGAZINE: usize = size_of::<Magazine>();

/// Where a thread finds its cache of one pool: never null, [`absent`] where there is none. Its thread stores a cache
/// there; the thread that frees the pool stores `absent`, under the registry's lock.
pub(crate) type Entry = AtomicPtr<ThreadCache>;

/// See the module's text.
#[repr(C, align(64))]
pub(crate) struct ThreadCache {
    magazines: [Magazine; CLASS_PLACES],
    pub(crate) gate: Gate,
    /// Allocations until the next that is sampled.
    pub(crate) sample_countdown: Cell<u32>,
    /// The pool, opaque here; `None` in [`absent`].
    pool: Option<NonNull<()>>,
    page_size: usize,
    /// The mapping freed last, and others by size.
    last: Cell<Link>,
    kept: [Cell<Link>; KEPT],
    /// Bytes that may be in them: this thread's part of what the pool lets threads keep.
    lease: Cell<usize>,
    /// Requested lengths of large buffers allocated by this thread, less those freed by it.
    pub(crate) large_live: Balance,
    /// Bytes mapped in the mappings kept here.
    pub(crate) large_kept: Balance,
    entry: Option<NonNull<Entry>>,
    /// The neighbours in the pool's list.
    next: Cell<Option<NonNull<ThreadCache>>>,
    previous: Cell<Option<NonNull<ThreadCache>>>,
}

// SAFETY: what other threads touch without the gate is atomic; the rest is under the gate or a lock.
unsafe impl Sync for ThreadCache {}

static_ref! {
    /// What a thread without a cache finds: every fast path turns back at its gate.
    pub(crate) fn absent() -> &'static ThreadCache = ThreadCache {
        gate: Gate::absent(),
        sample_countdown: Cell::new(0),
        pool: None,
        page_size: 1,
        last: Cell::new(None),
        kept: [const { Cell::new(None) }; KEPT],
        lease: Cell::new(0),
        large_live: Balance::new(),
        large_kept: Balance::new(),
        entry: None,
        next: Cell::new(None),
        previous: Cell::new(None),
        magazines: array_of!(Magazine::new()),
    };
}

impl ThreadCache {
    /// An empty cache of the pool.
    pub(crate) fn new(
        pool: NonNull<()>,
        page_size: usize,
        state: u8,
        entry: NonNull<Entry>,
    ) -> Self {
        Self {
            gate: Gate::new(state),
            sample_countdown: Cell::new(0),
            pool: Some(pool),
            page_size,
            last: Cell::new(None),
            kept: [const { Cell::new(None) }; KEPT],
            lease: Cell::new(0),
            large_live: Balance::new(),
            large_kept: Balance::new(),
            entry: Some(entry),
            next: Cell::new(None),
            previous: Cell::new(None),
            magazines: array_of!(Magazine::new()),
        }
    }

    /// The cache behind a pointer that its owner, or a holder of the pool's list lock, has.
    #[inline(always)]
    pub(crate) fn of<'a>(cache: NonNull<ThreadCache>) -> &'a ThreadCache {
        // SAFETY: a linked cache is freed after it is unlinked, under that lock, and its owner frees it last.
        unsafe { cache.as_ref() }
    }

    #[inline(always)]
    pub(crate) fn pool(&self) -> Option<NonNull<()>> {
        self.pool
    }

    pub(crate) fn entry(&self) -> Option<&Entry> {
        // SAFETY: an entry is freed by its thread after its caches are unlinked, or never.
        self.entry.map(|entry| unsafe { entry.as_ref() })
    }

    #[inline(always)]
    pub(crate) fn magazine(&self, class: usize) -> &Magazine {
        debug_assert!(class < CLASS_PLACES);
        // SAFETY: a class comes from a class table, whose entries are below this, or from a tag made with one.
        unsafe { self.magazines.get_unchecked(class) }
    }

    /// Pops a slot of the class, with its tag's word. `None`: the magazine is empty, or the state is unusual.
    #[inline(always)]
    pub(crate) fn pop(&self, class: usize) -> Option<(NonNull<u8>, usize)> {
        if !self.gate.enter_unless(!0) {
            return None;
        }
        let magazine = self.magazine(class);
        let slot = magazine.pop();
        self.gate.leave();
        Some((slot?, magazine.word()))
    }

    /// The same where [`pop`](Self::pop) turns back as a rule: in a pool that is sampled, unless it is time for a sample,
    /// and where there is no heavy fence.
    #[inline]
    pub(crate) fn pop_unusual(&self, class: usize) -> Option<(NonNull<u8>, usize)> {
        let state = self.gate.state();
        let countdown = self.sample_countdown.get();
        let less = if state & SAMPLED == 0 {
            countdown
        } else {
            countdown.checked_sub(1)?
        };
        if !self.enter_unusual(state) {
            return None;
        }
        let magazine = self.magazine(class);
        let slot = magazine.pop();
        self.gate.leave();
        let slot = slot?;
        self.sample_countdown.set(less);
        Some((slot, magazine.word()))
    }

    /// Pushes a freed slot where there is no heavy fence.
    #[inline]
    pub(crate) fn push_unusual(&self, class: usize, slot: NonNull<u8>) -> bool {
        let state = self.gate.state();
        if state & FULL_FENCE == 0 || !self.enter_unusual(state) {
            return false;
        }
        let pushed = self.magazine(class).push(slot);
        self.gate.leave();
        pushed
    }

    fn enter_unusual(&self, state: u8) -> bool {
        if state & FULL_FENCE == 0 {
            return self.gate.enter_unless(!SAMPLED);
        }
        match self.gate.enter() {
            Some(state) if state & (BYPASS | ABSENT) == 0 => true,
            Some(_) => {
                self.gate.leave();
                false
            }
            None => false,
        }
    }

    /// Pushes a freed slot. Returns `false` if the magazine is full or the state is unusual. `offset`: the class' number,
    /// times the size of a magazine.
    #[inline(always)]
    pub(crate) fn push(&self, offset: usize, slot: NonNull<u8>) -> bool {
        debug_assert!(offset < size_of_val(&self.magazines) && offset.is_multiple_of(MAGAZINE));
        if !self.gate.enter_unless(!SAMPLED) {
            return false;
        }
        // SAFETY: the offset is that of a class, so the magazine is one of the array's.
        let magazine = unsafe { self.magazines.as_ptr().byte_add(offset) };
        // SAFETY: as above; the array is borrowed with the cache.
        let pushed = unsafe { &*magazine }.push(slot);
        self.gate.leave();
        pushed
    }

    /// Whether no slot and no mapping is held, as far as another thread can see.
    pub(crate) fn is_empty(&self) -> bool {
        self.large_kept.get() == 0 && self.magazines.iter().all(|magazine| magazine.slots() == 0)
    }

    /// Takes a kept mapping that serves `len` bytes, if the state is as usual.
    #[inline(always)]
    pub(crate) fn pop_kept(&self, len: usize) -> Link {
        // Empty for most threads most of the time: not worth an entry.
        if self.large_kept.get() == 0
            || !self
                .gate
                .enter_unless(CLAIMED | FULL_FENCE | SAMPLED | ABSENT)
        {
            return None;
        }
        let large = self.pop_kept_inside(len);
        self.gate.leave();
        large
    }

    /// Takes a kept mapping that serves `len` bytes. Inside the gate.
    #[inline(always)]
    pub(crate) fn pop_kept_inside(&self, len: usize) -> Link {
        let fits = |large: &NonNull<LargeAlloc>| serves(LargeAlloc::of(*large).capacity(), len);
        let large = match self.last.get().filter(fits) {
            Some(last) => {
                self.last.set(None);
                last
            }
            None => {
                // Rounded as mappings are, so that the place is the one it was kept in.
                let rounded = len.max(1).checked_next_multiple_of(self.page_size)?;
                let kept = &self.kept[place_of(rounded)];
                let large = kept.get().filter(fits)?;
                kept.set(None);
                large
            }
        };
        self.large_kept.subtract(LargeAlloc::of(large).footprint());
        Some(large)
    }

    /// Keeps a freed mapping within the lease, if its place is free and the state is as usual.
    #[inline(always)]
    pub(crate) fn push_kept(&self, large: NonNull<LargeAlloc>) -> bool {
        let but = CLAIMED | BYPASS | FULL_FENCE | ABSENT;
        if !self.gate.enter_unless(but) {
            return false;
        }
        let bytes = self.large_kept.get() + LargeAlloc::of(large).footprint();
        let kept = bytes <= self.lease.get() && (self.last.get().is_none() || self.move_last());
        if kept {
            self.last.set(Some(large));
            self.large_kept.add(LargeAlloc::of(large).footprint());
        }
        self.gate.leave();
        kept
    }

    /// Bytes that the lease lacks for one more mapping of `footprint` bytes.
    pub(crate) fn lease_lacks(&self, footprint: usize) -> usize {
        (self.large_kept.get() + footprint).saturating_sub(self.lease.get())
    }

    /// Keeps a freed mapping with a lease that is longer by `more`. Returns one that has to go for it. Inside the gate.
    pub(crate) fn push_kept_inside(&self, large: NonNull<LargeAlloc>, more: usize) -> Link {
        self.lease.set(self.lease.get() + more);
        self.large_kept.add(LargeAlloc::of(large).footprint());
        let mut oldest = None;
        if !self.move_last()
            && let Some(last) = self.last.take()
        {
            // Two of one size are enough: the last one goes where it belongs, and what was there goes.
            let place = &self.kept[place_of(LargeAlloc::of(last).capacity())];
            oldest = place.replace(Some(last));
        }
        if let Some(oldest) = oldest {
            self.large_kept.subtract(LargeAlloc::of(oldest).footprint());
        }
        self.last.set(Some(large));
        oldest
    }

    /// Takes every kept mapping, and the lease. Inside the gate, or claimed.
    pub(crate) fn take_kept(&self, mut each: impl FnMut(NonNull<LargeAlloc>)) -> usize {
        for place in self.kept.iter().chain([&self.last]) {
            if let Some(large) = place.take() {
                self.large_kept.subtract(LargeAlloc::of(large).footprint());
                each(large);
            }
        }
        self.lease.take()
    }

    /// Makes room for a mapping freed just now, which is the warmest: the last one moves to its place by size, if that
    /// is free.
    fn move_last(&self) -> bool {
        let Some(last) = self.last.get() else {
            return true;
        };
        let place = &self.kept[place_of(LargeAlloc::of(last).capacity())];
        if place.get().is_some() {
            return false;
        }
        place.set(Some(last));
        self.last.set(None);
        true
    }

    /// Frees the cache and its blocks, which are empty.
    ///
    /// # Safety
    ///
    /// The cache came from `try_box`, is unlinked and in no entry, and no thread uses it again.
    pub(crate) unsafe fn free(cache: NonNull<ThreadCache>) {
        for magazine in &Self::of(cache).magazines {
            for block in magazine.uninstall().into_iter().flatten() {
                // SAFETY: allocated for this magazine, and out of it now.
                unsafe { Block::free(block) };
            }
        }
        // SAFETY: the caller's promise.
        drop(unsafe { Box::from_raw(cache.as_ptr()) });
    }
}

/// Where among the kept mappings one of this many bytes belongs.
#[inline(always)]
fn place_of(capacity: usize) -> usize {
    bin_of(capacity) % KEPT
}

/// The caches of all threads that use a pool.
#[derive(Debug)]
pub(crate) struct CacheList {
    first: Option<NonNull<ThreadCache>>,
    /// Why freed slots bypass magazines, as bits of the pool's; `BYPASS` is set in each cache's state while any is.
    pub(crate) bypass: u8,
    /// Set in the state of every cache that joins.
    pub(crate) common: u8,
}

// SAFETY: the caches are boxes of their own, and a cache is unlinked before it is freed.
unsafe impl Send for CacheList {}

impl CacheList {
    /// An empty list, whose caches will all have the bits `common` in their states.
    pub(crate) fn new(common: u8) -> Self {
        Self {
            first: None,
            bypass: 0,
            common,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ThreadCache> {
        let next = |cache: &&ThreadCache| cache.next.get().map(ThreadCache::of);
        std::iter::successors(self.first.map(ThreadCache::of), next)
    }

    pub(crate) fn link(&mut self, cache: NonNull<ThreadCache>) {
        let this = ThreadCache::of(cache);
        let bypass = if self.bypass != 0 { BYPASS } else { 0 };
        this.gate.set(self.common | bypass);
        this.next.set(self.first);
        if let Some(second) = self.first.replace(cache) {
            ThreadCache::of(second).previous.set(Some(cache));
        }
    }

    pub(crate) fn unlink(&mut self, cache: NonNull<ThreadCache>) {
        let this = ThreadCache::of(cache);
        let (next, previous) = (this.next.take(), this.previous.take());
        match previous {
            Some(previous) => ThreadCache::of(previous).next.set(next),
            None => self.first = next,
        }
        if let Some(next) = next {
            ThreadCache::of(next).previous.set(previous);
        }
    }

    /// Unlinks the first cache.
    pub(crate) fn pop(&mut self) -> Option<NonNull<ThreadCache>> {
        let first = self.first?;
        self.unlink(first);
        Some(first)
    }
}
