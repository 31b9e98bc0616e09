//! A thread's cache of one pool: its magazines, and a few large mappings.
//!
//! A thread keeps the large mapping that it freed last, and one more of each size, within a *lease*
//! of bytes from the pool. The sum of all leases is bounded. Within its lease a thread acquires no
//! lock.
//!
//! # Safety
//!
//! A cache is used by its owner inside its [`Gate`], or by a thread that has claimed it. The
//! counters and the sample countdown belong to the owner; other threads read only those that are
//! atomic. A cache is a box, linked into the pool's list. It is freed by its owner after it is
//! unlinked, or by the thread that frees the pool: then no buffer and no handle of the pool exists,
//! so the owner cannot be about to use the cache.

mod list;

pub(crate) use list::CacheList;

use crate::depot::block::Block;
use crate::depot::class_use::ClassUse;
use crate::depot::gate::{ABSENT, BYPASS, CLAIMED, FULL_FENCE, Gate, SAMPLED};
use crate::depot::magazine::{Balance, Magazine};
use crate::large::{LargeAlloc, Link, bin_of, serves};
use crate::slab::size_class::CLASS_PLACES;
use crate::sync::{AtomicPtr, Cell, MODEL, array_of, static_ref};
use std::ptr::NonNull;

/// Number of large mappings that a thread keeps beside the last: one for each of this many
/// neighbouring bins.
const KEPT: usize = if MODEL { 2 } else { 32 };

/// The offset in bytes of a class's magazine among a cache's magazines.
#[derive(Clone, Copy)]
pub(crate) struct MagazineOffset(usize);

impl MagazineOffset {
    /// Returns the offset of a class's magazine. A tag holds its class in place, as a multiple of a
    /// magazine's size, so the compiler needs one mask.
    #[inline(always)]
    pub(crate) fn of(class: usize) -> Self {
        debug_assert!(class < CLASS_PLACES);
        Self(class * size_of::<Magazine>())
    }
}

/// A thread's pointer to its cache of one pool: never null, [`absent`] if there is none. The thread
/// stores a cache in it; the thread that frees the pool stores `absent`, under the registry's lock.
pub(crate) type Entry = AtomicPtr<ThreadCache>;

/// A thread's cache of one pool: see the module's text.
#[repr(C, align(64))]
pub(crate) struct ThreadCache {
    magazines: [Magazine; CLASS_PLACES],
    pub(crate) gate: Gate,
    /// Number of allocations until the next that is sampled.
    pub(crate) sample_countdown: Cell<u32>,
    /// The pool as an opaque pointer; `None` in [`absent`].
    pool: Option<NonNull<()>>,
    page_size: usize,
    /// The mapping freed last.
    last: Cell<Link>,
    kept: [Cell<Link>; KEPT],
    /// Bytes of mappings that this thread may keep: its part of the pool's leases.
    lease: Cell<usize>,
    /// Requested lengths of large buffers allocated by this thread, less those freed by it.
    pub(crate) large_live: Balance,
    /// Bytes mapped in the mappings kept here.
    pub(crate) large_kept: Balance,
    entry: Option<NonNull<Entry>>,
    /// The neighbours in the pool's list.
    next: Cell<Option<NonNull<ThreadCache>>>,
    previous: Cell<Option<NonNull<ThreadCache>>>,
    uses: [ClassUse; CLASS_PLACES],
}

// SAFETY: the fields that other threads access without the gate are atomic; the others are accessed
// by the owner, by a claimer, or under the list's lock.
unsafe impl Sync for ThreadCache {}

static_ref! {
    /// The cache that a thread without one finds. Every fast path fails at its gate.
    pub(crate) fn absent() -> &'static ThreadCache = ThreadCache {
        gate: Gate::absent(),
        sample_countdown: Cell::new(0),
        pool: None,
        page_size: 1,
        last: Cell::new(None),
        kept: array_of!(Cell::new(None)),
        lease: Cell::new(0),
        large_live: Balance::new(),
        large_kept: Balance::new(),
        entry: None,
        next: Cell::new(None),
        previous: Cell::new(None),
        uses: array_of!(ClassUse::new()),
        magazines: array_of!(Magazine::new()),
    };
}

impl ThreadCache {
    /// Creates an empty cache of the pool.
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
            kept: array_of!(Cell::new(None)),
            lease: Cell::new(0),
            large_live: Balance::new(),
            large_kept: Balance::new(),
            entry: Some(entry),
            next: Cell::new(None),
            previous: Cell::new(None),
            uses: array_of!(ClassUse::new()),
            magazines: array_of!(Magazine::new()),
        }
    }

    /// Returns the cache behind a pointer. The caller is its owner, or holds the pool's list lock.
    #[inline(always)]
    pub(crate) fn of<'a>(cache: NonNull<ThreadCache>) -> &'a ThreadCache {
        // SAFETY: a cache is unlinked under that lock before it is freed, and its owner does not
        // use it after it has freed it.
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
        // SAFETY: a class comes from a class table, which has at most `CLASS_PLACES` classes, or
        // from a tag made with one.
        unsafe { self.magazines.get_unchecked(class) }
    }

    /// Pops a slot of the class, with its tag's word. Returns `None` if the magazine is empty or
    /// any bit of the gate's state is set.
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

    /// Pops a slot as [`pop`](Self::pop) does, from either block, also in a pool that is sampled or
    /// has no heavy fence. Returns `None` also if a sample is due.
    #[inline]
    pub(crate) fn pop_or_swap(&self, class: usize) -> Option<(NonNull<u8>, usize)> {
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
        if magazine.height() == 0 && magazine.previous_height() > 0 {
            magazine.swap();
        }
        let slot = magazine.pop();
        self.gate.leave();
        let slot = slot?;
        self.sample_countdown.set(less);
        Some((slot, magazine.word()))
    }

    /// Pushes a freed slot as [`push`](Self::push) does, on either block, also in a pool that has
    /// no heavy fence. Returns `false` if the magazine is full, or slots bypass it.
    #[inline]
    pub(crate) fn push_or_swap(&self, class: usize, slot: NonNull<u8>) -> bool {
        if !self.enter_unusual(self.gate.state()) {
            return false;
        }
        let magazine = self.magazine(class);
        if magazine.height() == magazine.capacity() && magazine.previous_has_room() {
            magazine.swap();
        }
        let pushed = magazine.push(slot);
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

    /// Pushes a freed slot. Returns `false` if the magazine is full or a bit other than `SAMPLED`
    /// is set in the gate's state.
    #[inline(always)]
    pub(crate) fn push(&self, at: MagazineOffset, slot: NonNull<u8>) -> bool {
        if !self.gate.enter_unless(!SAMPLED) {
            return false;
        }
        // SAFETY: the offset is that of a class, so it points to a magazine of the array.
        let magazine = unsafe { self.magazines.as_ptr().byte_add(at.0) };
        // SAFETY: as above; the array is borrowed with the cache.
        let pushed = unsafe { &*magazine }.push(slot);
        self.gate.leave();
        pushed
    }

    /// Records a visit to the depot: see [`ClassUse::visit`].
    pub(crate) fn visit(&self, class: usize, refills: bool, most: u32) -> u32 {
        self.uses[class].visit(self.magazine(class), refills, most)
    }

    /// Returns how often the class was used, in pops, since the thread last shrank its magazines.
    pub(crate) fn pops_since_shrunk(&self, class: usize) -> u16 {
        self.uses[class].pops_since_shrunk(self.magazine(class))
    }

    /// Starts to count the uses of each class anew.
    pub(crate) fn count_pops_anew(&self) {
        let classes = self.magazines.iter().zip(&self.uses);
        classes.for_each(|(magazine, class_use)| class_use.count_pops_anew(magazine));
    }

    /// Returns whether the cache holds no slot and no mapping, as far as another thread can see.
    pub(crate) fn is_empty(&self) -> bool {
        self.large_kept.get() == 0 && self.magazines.iter().all(|magazine| magazine.slots() == 0)
    }

    /// Removes and returns a kept mapping that serves `len` bytes. Returns `None` if there is none
    /// or a bit other than `BYPASS` is set in the gate's state.
    #[inline(always)]
    pub(crate) fn pop_kept(&self, len: usize) -> Link {
        // Most threads keep no mapping most of the time: this saves them an entry.
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

    /// Removes and returns a kept mapping that serves `len` bytes. The caller is inside the gate.
    #[inline(always)]
    pub(crate) fn pop_kept_inside(&self, len: usize) -> Link {
        let is_rounded =
            |large: &NonNull<LargeAlloc>| LargeAlloc::of(*large).is_rounded(len, self.page_size);
        let large = match self.last.get().filter(is_rounded) {
            Some(last) => {
                self.last.set(None);
                last
            }
            None => self.pop_kept_that_fits(len)?,
        };
        self.large_kept.subtract(LargeAlloc::of(large).footprint());
        Some(large)
    }

    #[inline(never)]
    fn pop_kept_that_fits(&self, len: usize) -> Link {
        let rounded = LargeAlloc::rounded_capacity(len, self.page_size)?;
        let fits = |large: &NonNull<LargeAlloc>| serves(LargeAlloc::of(*large).capacity(), rounded);
        let mut places = [&self.last, &self.kept[place_of(rounded)]].into_iter();
        places
            .find(|place| place.get().is_some_and(|large| fits(&large)))?
            .take()
    }

    /// Keeps a freed mapping. Returns `false` if the lease or its place has no room for it, or a
    /// bit other than `SAMPLED` is set in the gate's state.
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

    /// Returns the number of bytes that the lease lacks for one more mapping of `footprint` bytes.
    /// The caller is inside the gate.
    pub(crate) fn lease_lacks(&self, footprint: usize) -> usize {
        (self.large_kept.get() + footprint).saturating_sub(self.lease.get())
    }

    /// Adds `more` to the lease and keeps a freed mapping. Returns a kept mapping that it
    /// displaces, for the caller to free. The caller is inside the gate.
    pub(crate) fn push_kept_inside(&self, large: NonNull<LargeAlloc>, more: usize) -> Link {
        self.lease.set(self.lease.get() + more);
        self.large_kept.add(LargeAlloc::of(large).footprint());
        let mut oldest = None;
        if !self.move_last()
            && let Some(last) = self.last.take()
        {
            // The last mapping moves to its place by size, and the mapping in that place is
            // displaced: two mappings of one size are enough.
            let place = &self.kept[place_of(LargeAlloc::of(last).capacity())];
            oldest = place.replace(Some(last));
        }
        if let Some(oldest) = oldest {
            self.large_kept.subtract(LargeAlloc::of(oldest).footprint());
        }
        self.last.set(Some(large));
        oldest
    }

    /// Passes every kept mapping to `each`, ends the lease and returns its length. The caller is
    /// inside the gate or has claimed it.
    pub(crate) fn take_kept(&self, mut each: impl FnMut(NonNull<LargeAlloc>)) -> usize {
        for place in self.kept.iter().chain([&self.last]) {
            if let Some(large) = place.take() {
                self.large_kept.subtract(LargeAlloc::of(large).footprint());
                each(large);
            }
        }
        self.lease.take()
    }

    /// Makes room for the mapping freed last: moves the one before it to its place by size. Returns
    /// `false` if that place is in use.
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
                // SAFETY: allocated for this magazine, and taken out of it.
                unsafe { Block::free(block) };
            }
        }
        // SAFETY: the caller's promise.
        drop(unsafe { Box::from_raw(cache.as_ptr()) });
    }
}

/// Returns the index among the kept mappings of a mapping of this many bytes.
#[inline(always)]
fn place_of(capacity: usize) -> usize {
    bin_of(capacity) % KEPT
}
