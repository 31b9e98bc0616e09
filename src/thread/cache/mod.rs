//! A thread's local cache of one pool: its magazines, and a few large mappings.
//!
//! The fast paths are [`LocalCache::take`] and [`LocalCache::give`]: a look into the class' magazine, no
//! lock, no atomic read-modify-write, nothing of the slab or the buffer touched. Everything else is cold.
//!
//! Of large mappings a thread keeps the one it dropped last, and one more of each size, within a *lease* of bytes that it
//! has from the pool: the sum of all leases is bounded, and within its lease a thread asks nobody.
//!
//! # Being called
//!
//! A trim, or the end of the pool, raises the pool's epoch and sets the capacity of every thread's
//! magazines to 0. A thread that then drops a buffer finds its magazine full, comes to the slow path,
//! sees the epoch and flushes. If the owner restores a capacity while the caller is still setting others
//! to 0, the next drop comes here once more and restores that one too: nothing is lost by the race.
//!
//! # Safety
//!
//! A local cache is used by its own thread alone, except for the figures in [`Magazines`]. It is attached
//! to a pool (holding a reference) from `attach` to `detach`, and between these its core pointer is valid.

use crate::depot::magazine::{Block, Magazine, Magazines};
use crate::error::AllocFailure;
use crate::inner::PoolInner;
use crate::inner::tag::AllocTag;
use crate::large::{LargeAlloc, bin_of, serves};
use crate::slab::EmptySlabs;
use crate::sync::{Ordering::SeqCst, const_fn, fence};
use std::cell::Cell;
use std::ptr::NonNull;

pub(crate) mod gated;

/// Large mappings a thread keeps to itself beside the last: one for each of so many neighbouring bins.
const KEPT: usize = 32;

/// See the module's text.
pub(crate) struct LocalCache {
    pub(crate) magazines: Magazines,
    inner: Cell<Option<NonNull<PoolInner>>>,
    /// Of the pool's system; 1 until `attach`.
    page_size: Cell<usize>,
    /// Whether the pool looks at each take and drop: for its marks, or to sample.
    watched: Cell<bool>,
    epoch: Cell<u32>,
    /// The mapping dropped last, and others by size.
    last: Cell<Option<NonNull<LargeAlloc>>>,
    kept: [Cell<Option<NonNull<LargeAlloc>>>; KEPT],
    /// Bytes that may be in them: this thread's part of what the pool lets threads keep.
    lease: Cell<usize>,
    /// Takes until the next that is sampled.
    unsampled: Cell<u32>,
    /// The thread's next local cache.
    pub(crate) next: Cell<Option<NonNull<LocalCache>>>,
}

impl LocalCache {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self {
                magazines: Magazines::new(),
                inner: Cell::new(None),
                page_size: Cell::new(1),
                watched: Cell::new(false),
                epoch: Cell::new(0),
                last: Cell::new(None),
                kept: [const { Cell::new(None) }; KEPT],
                lease: Cell::new(0),
                unsampled: Cell::new(0),
                next: Cell::new(None),
            }
        }
    }

    /// Makes this the calling thread's local cache of the pool. It must not move until `detach`.
    pub(crate) fn attach(&self, inner: NonNull<PoolInner>) -> Result<(), AllocFailure> {
        PoolInner::of(inner).register(&self.magazines)?;
        PoolInner::of(inner).retain();
        self.epoch.set(PoolInner::of(inner).epoch());
        self.inner.set(Some(inner));
        self.page_size.set(PoolInner::of(inner).mapper.page_size());
        let PoolInner {
            watermarks,
            sampler,
            ..
        } = PoolInner::of(inner);
        self.watched.set(watermarks.is_some() || sampler.is_some());
        if let Some(sampler) = sampler {
            self.unsampled.set(sampler.interval() - 1);
        }
        let PoolInner { table, prefix, .. } = PoolInner::of(inner);
        for class in 0..table.count() {
            let tag = AllocTag::slot(*prefix, class, table.get(class).slot_size as usize);
            self.magazines.get(class).set_word(tag.to_word());
        }
        Ok(())
    }

    /// Gives everything back and lets go of the pool.
    pub(crate) fn detach(&self) {
        if let Some(inner) = self.inner.get() {
            self.flush();
            PoolInner::of(inner).unregister(&self.magazines);
            self.inner.set(None);
            if PoolInner::of(inner).is_closed() {
                PoolInner::of(inner).relieve();
            }
            PoolInner::release(inner);
        }
    }

    /// The pool, while attached.
    #[inline(always)]
    pub(crate) fn inner(&self) -> Option<&PoolInner> {
        self.inner.get().map(PoolInner::of)
    }

    pub(crate) fn is_of(&self, inner: NonNull<PoolInner>) -> bool {
        self.inner.get() == Some(inner)
    }

    #[inline(always)]
    pub(crate) fn take(&self, class: usize) -> Option<NonNull<u8>> {
        self.magazines.get(class).take()
    }

    /// As [`take`](Self::take), with the slot's handle.
    #[inline(always)]
    pub(crate) fn pop_with_tag(&self, class: usize) -> Option<(NonNull<u8>, AllocTag)> {
        let magazine = self.magazines.get(class);
        let slot = magazine.take()?;
        Some((slot, AllocTag::slot_of_word(magazine.word())))
    }

    #[inline(always)]
    pub(crate) fn give(&self, class: usize, slot: NonNull<u8>) -> bool {
        self.magazines.get(class).give(slot)
    }

    /// Takes a slot from the previous block, which becomes the loaded one.
    #[inline(always)]
    pub(crate) fn take_from_previous(&self, class: usize) -> Option<NonNull<u8>> {
        let magazine = self.magazines.get(class);
        if magazine.previous_height() == 0 {
            return None;
        }
        magazine.swap();
        magazine.take()
    }

    /// Puts a slot into the previous block, which becomes the loaded one, unless it is full or somebody has
    /// called.
    #[inline(always)]
    pub(crate) fn give_to_previous(&self, class: usize, slot: NonNull<u8>) -> bool {
        let magazine = self.magazines.get(class);
        if magazine.previous_height() >= magazine.capacity() {
            return false;
        }
        magazine.swap();
        magazine.give(slot)
    }

    /// Takes a slot when the loaded block is empty. May make a system call.
    pub(crate) fn take_slow(
        &self,
        inner: &PoolInner,
        class: usize,
    ) -> Result<NonNull<u8>, AllocFailure> {
        self.answer(inner);
        match self.take_or_refill(inner, class) {
            Err(_) => {
                // The caches give up what they hold, this thread's first, before the request fails.
                self.flush();
                inner.relieve();
                self.take_or_refill(inner, class)
            }
            slot => slot,
        }
    }

    fn take_or_refill(&self, inner: &PoolInner, class: usize) -> Result<NonNull<u8>, AllocFailure> {
        let magazine = self.magazines.get(class);
        if !self.prepare(inner, class) {
            return inner.take_slot(class);
        }
        if magazine.height() == 0 && magazine.previous_height() > 0 {
            magazine.swap();
        }
        if magazine.height() == 0 {
            magazine.exchange_loaded(|block| inner.refill(class, block))?;
        }
        magazine.take().ok_or(AllocFailure::System)
    }

    /// Puts a slot back when the loaded block is full, or says it is. May make a system call.
    pub(crate) fn give_slow(&self, inner: &PoolInner, class: usize, slot: NonNull<u8>) {
        self.answer(inner);
        if !self.prepare(inner, class) {
            return inner.give_slot(class, slot);
        }
        self.push(inner, class, slot);
        if inner.is_closed() {
            // Closed since the caller looked: this may have been the last drop, and nobody else comes by.
            self.flush();
            inner.relieve();
        }
    }

    fn push(&self, inner: &PoolInner, class: usize, slot: NonNull<u8>) {
        let magazine = self.magazines.get(class);
        // Not the magazine's own capacity: somebody may set that to 0 meanwhile, and an empty magazine is
        // not to be taken for a full one.
        let capacity = inner.table.get(class).magazine_capacity;
        if magazine.give_up_to(capacity, slot) {
            return;
        }
        magazine.swap();
        if magazine.give_up_to(capacity, slot) {
            return;
        }
        // Both full. The one that was previous is the colder one; its slots go.
        let mut spare = EmptySlabs::default();
        let exchange = |block| {
            let (empty, slabs) = inner.exchange_full(class, block);
            spare = slabs;
            Ok::<_, AllocFailure>(empty)
        };
        let _ = magazine.exchange_loaded(exchange);
        let given = magazine.give_up_to(capacity, slot);
        debug_assert!(given, "an empty block has room");
        inner.give_slabs(class, spare);
    }

    /// Gives the magazine its blocks and its capacity. `false`: there is no memory for blocks.
    fn prepare(&self, inner: &PoolInner, class: usize) -> bool {
        let magazine = self.magazines.get(class);
        if !magazine.has_blocks() && !install(magazine) {
            return false;
        }
        magazine.set_capacity(inner.table.get(class).magazine_capacity);
        // SeqCst: pairs with the fence in `call_threads`. Either we see the raised epoch, or the caller's
        // zero comes after our capacity.
        fence(SeqCst);
        if inner.epoch() != self.epoch.get() {
            // Called since `answer`: the next drop is to come here again.
            magazine.set_capacity(0);
        }
        true
    }

    /// Flushes if the pool has called.
    pub(crate) fn answer(&self, inner: &PoolInner) {
        let epoch = inner.epoch();
        if epoch != self.epoch.replace(epoch) {
            self.flush();
        }
    }

    /// Gives every slot back to its slab and every kept mapping to the mapping cache.
    pub(crate) fn flush(&self) {
        let Some(inner) = self.inner() else { return };
        for class in 0..inner.table.count() {
            let magazine = self.magazines.get(class);
            let blocks = if inner.config.gated {
                let _inside = inner.enter(&self.magazines);
                magazine.uninstall()
            } else {
                magazine.uninstall()
            };
            for block in blocks.into_iter().flatten() {
                inner.flush(class, block);
                // SAFETY: allocated for this magazine, out of it now, and emptied.
                unsafe { Block::free(block) };
            }
        }
        for kept in self.kept.iter().chain([&self.last]) {
            if let Some(large) = kept.take() {
                self.magazines
                    .large_kept
                    .subtract(LargeAlloc::of(large).footprint());
                inner.give_large(large);
            }
        }
        inner.end_lease(self.lease.take());
    }

    /// A mapping this thread keeps, if one fits.
    #[inline(always)]
    pub(crate) fn take_kept(&self, len: usize) -> Option<NonNull<LargeAlloc>> {
        let page_size = self.page_size.get();
        let is_rounded = |large: &NonNull<_>| LargeAlloc::of(*large).is_rounded(len, page_size);
        let large = match self.last.get().filter(is_rounded) {
            Some(last) => {
                self.last.set(None);
                last
            }
            None => self.take_kept_that_fits(len)?,
        };
        self.magazines
            .large_kept
            .subtract(LargeAlloc::of(large).footprint());
        Some(large)
    }

    #[inline(never)]
    fn take_kept_that_fits(&self, len: usize) -> Option<NonNull<LargeAlloc>> {
        let rounded = LargeAlloc::rounded_capacity(len, self.page_size.get())?;
        let fits = |large: &NonNull<LargeAlloc>| serves(LargeAlloc::of(*large).capacity(), rounded);
        let mut places = [&self.last, &self.kept[place_of(rounded)]].into_iter();
        places
            .find(|place| place.get().is_some_and(|large| fits(&large)))?
            .take()
    }

    /// A mapping from the pool's cache, or a new one. May make a system call.
    pub(crate) fn take_large(
        &self,
        inner: &PoolInner,
        len: usize,
    ) -> Result<NonNull<LargeAlloc>, AllocFailure> {
        self.answer(inner);
        inner.take_large(len).or_else(|_| {
            self.flush();
            inner.relieve();
            inner.take_large(len)
        })
    }

    /// Keeps a freed mapping within the lease, if its place is free.
    #[inline(always)]
    pub(crate) fn keep(&self, inner: &PoolInner, large: NonNull<LargeAlloc>) -> bool {
        let this = LargeAlloc::of(large);
        let bytes = self.magazines.large_kept.get() as usize + this.footprint();
        if bytes > self.lease.get() || self.epoch.get() != inner.epoch() {
            return false;
        }
        if self.last.get().is_some() && !self.move_last() {
            return false;
        }
        self.last.set(Some(large));
        self.magazines.large_kept.add(this.footprint());
        true
    }

    /// Makes room for a mapping dropped just now, which is the warmest: the last one moves to its place by
    /// size, if that is free.
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

    /// Keeps a freed mapping with a longer lease, or gives it to the pool's cache. May make a system call.
    pub(crate) fn give_large(&self, inner: &PoolInner, large: NonNull<LargeAlloc>) {
        self.answer(inner);
        let this = LargeAlloc::of(large);
        let bytes = self.magazines.large_kept.get() as usize + this.footprint();
        let more = bytes.saturating_sub(self.lease.get());
        if !inner.lease(more) {
            inner.give_large(large);
            return;
        }
        self.lease.set(self.lease.get() + more);
        self.magazines.large_kept.add(this.footprint());
        if !self.move_last()
            && let Some(last) = self.last.replace(Some(large))
        {
            // Two of one size are enough: the last one goes where it belongs, and what was there goes.
            let place = &self.kept[place_of(LargeAlloc::of(last).capacity())];
            if let Some(oldest) = place.replace(Some(last)) {
                self.magazines
                    .large_kept
                    .subtract(LargeAlloc::of(oldest).footprint());
                inner.give_large(oldest);
            }
        }
        self.last.set(Some(large));
    }
}

/// Where among the kept mappings one of this many bytes belongs.
#[inline(always)]
fn place_of(capacity: usize) -> usize {
    bin_of(capacity) % KEPT
}

fn install(magazine: &Magazine) -> bool {
    let Ok(loaded) = Block::allocate() else {
        return false;
    };
    match Block::allocate() {
        Ok(previous) => {
            magazine.install(loaded, previous);
            true
        }
        Err(_) => {
            // SAFETY: allocated above, empty, and nobody else's.
            unsafe { Block::free(loaded) };
            false
        }
    }
}
