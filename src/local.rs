//! A thread's local cache of one pool: its magazines, and a few large mappings.
//!
//! The fast paths are [`LocalCache::take`] and [`LocalCache::give`]: a look into the class' magazine, no
//! lock, no atomic read-modify-write, nothing of the slab or the buffer touched. Everything else is cold.
//!
//! Of large mappings a thread keeps the last one it dropped of each size, within a *lease* of bytes that it
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

use crate::core::Core;
use crate::error::Refused;
use crate::handle::Handle;
use crate::large::{Large, bin_of, serves};
use crate::magazine::{Block, Magazine, Magazines};
use crate::sync::{Ordering::Relaxed, const_fn};
use std::cell::Cell;
use std::ptr::NonNull;

/// Large mappings a thread keeps to itself: one for each of so many neighbouring bins.
const KEPT: usize = 32;
/// Bytes in the usual page.
const PAGE: usize = 4096;

/// See the module's text.
pub(crate) struct LocalCache {
    pub(crate) magazines: Magazines,
    core: Cell<Option<NonNull<Core>>>,
    epoch: Cell<u32>,
    kept: [Cell<Option<NonNull<Large>>>; KEPT],
    /// Bytes that may be in them: this thread's part of what the pool lets threads keep.
    lease: Cell<usize>,
    /// The thread's next local cache.
    pub(crate) next: Cell<Option<NonNull<LocalCache>>>,
}

impl LocalCache {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self {
                magazines: Magazines::new(),
                core: Cell::new(None),
                epoch: Cell::new(0),
                kept: [const { Cell::new(None) }; KEPT],
                lease: Cell::new(0),
                next: Cell::new(None),
            }
        }
    }

    /// Makes this the calling thread's local cache of the pool. It must not move until `detach`.
    pub(crate) fn attach(&self, core: NonNull<Core>) -> Result<(), Refused> {
        Core::of(core).register(&self.magazines)?;
        Core::of(core).retain();
        self.epoch.set(Core::of(core).epoch());
        self.core.set(Some(core));
        let Core { table, prefix, .. } = Core::of(core);
        for class in 0..table.count() {
            let handle = Handle::slot(*prefix, class, table.get(class).slot_size as usize);
            self.magazines.get(class).set_word(handle.to_word());
        }
        Ok(())
    }

    /// Gives everything back and lets go of the pool.
    pub(crate) fn detach(&self) {
        if let Some(core) = self.core.get() {
            self.flush();
            Core::of(core).unregister(&self.magazines);
            self.magazines.large_live.store(0, Relaxed);
            self.core.set(None);
            if Core::of(core).is_closed() {
                Core::of(core).relieve();
            }
            Core::release(core);
        }
    }

    /// The pool, while attached.
    #[inline(always)]
    pub(crate) fn core(&self) -> Option<&Core> {
        self.core.get().map(Core::of)
    }

    pub(crate) fn is_of(&self, core: NonNull<Core>) -> bool {
        self.core.get() == Some(core)
    }

    #[inline(always)]
    pub(crate) fn take(&self, class: usize) -> Option<NonNull<u8>> {
        self.magazines.get(class).take()
    }

    /// As [`take`](Self::take), with the slot's handle.
    #[inline(always)]
    pub(crate) fn take_with_handle(&self, class: usize) -> Option<(NonNull<u8>, Handle)> {
        let magazine = self.magazines.get(class);
        let slot = magazine.take()?;
        Some((slot, Handle::slot_of_word(magazine.word())))
    }

    #[inline(always)]
    pub(crate) fn give(&self, class: usize, slot: NonNull<u8>) -> bool {
        self.magazines.get(class).give(slot)
    }

    /// Takes a slot when the loaded block is empty. May make a system call.
    pub(crate) fn take_slow(&self, core: &Core, class: usize) -> Result<NonNull<u8>, Refused> {
        self.answer(core);
        match self.take_or_refill(core, class) {
            Err(_) => {
                // The caches give up what they hold, this thread's first, before the request fails.
                self.flush();
                core.relieve();
                self.take_or_refill(core, class)
            }
            slot => slot,
        }
    }

    fn take_or_refill(&self, core: &Core, class: usize) -> Result<NonNull<u8>, Refused> {
        let magazine = self.magazines.get(class);
        if !self.prepare(core, class) {
            return core.take_slot(class);
        }
        if magazine.height() == 0 && magazine.previous_height() > 0 {
            magazine.swap();
        }
        if magazine.height() == 0 {
            magazine.exchange_loaded(|block| core.refill(class, block))?;
        }
        magazine.take().ok_or(Refused::System)
    }

    /// Puts a slot back when the loaded block is full, or says it is. May make a system call.
    pub(crate) fn give_slow(&self, core: &Core, class: usize, slot: NonNull<u8>) {
        self.answer(core);
        let magazine = self.magazines.get(class);
        if !self.prepare(core, class) {
            return core.give_slot(class, slot);
        }
        // Not the magazine's own capacity: somebody may set that to 0 meanwhile, and an empty magazine is
        // not to be taken for a full one.
        let capacity = core.table.get(class).magazine_capacity;
        if magazine.give_up_to(capacity, slot) {
            return;
        }
        magazine.swap();
        if magazine.give_up_to(capacity, slot) {
            return;
        }
        // Both full. The one that was previous is the colder one; its slots go.
        let exchange = |block| Ok::<_, Refused>(core.exchange_full(class, block));
        let _ = magazine.exchange_loaded(exchange);
        let given = magazine.give_up_to(capacity, slot);
        debug_assert!(given, "an empty block has room");
    }

    /// Gives the magazine its blocks and its capacity. `false`: there is no memory for blocks.
    fn prepare(&self, core: &Core, class: usize) -> bool {
        let magazine = self.magazines.get(class);
        if !magazine.has_blocks() && !install(magazine) {
            return false;
        }
        magazine.set_capacity(core.table.get(class).magazine_capacity);
        true
    }

    /// Flushes if the pool has called.
    pub(crate) fn answer(&self, core: &Core) {
        let epoch = core.epoch();
        if epoch != self.epoch.replace(epoch) {
            self.flush();
        }
    }

    /// Gives every slot back to its slab and every kept mapping to the mapping cache.
    pub(crate) fn flush(&self) {
        let Some(core) = self.core() else { return };
        for class in 0..core.table.count() {
            for block in self.magazines.get(class).uninstall().into_iter().flatten() {
                core.flush(class, block);
                // SAFETY: allocated for this magazine, out of it now, and emptied.
                unsafe { Block::free(block) };
            }
        }
        for kept in &self.kept {
            if let Some(large) = kept.take() {
                self.count_kept(Large::of(large), false);
                core.give_large(large);
            }
        }
        core.end_lease(self.lease.take());
    }

    #[inline(always)]
    fn count_kept(&self, large: &Large, add: bool) {
        let bytes = large.footprint() as u64;
        let kept = self.magazines.large_kept.load(Relaxed);
        let kept = if add { kept + bytes } else { kept - bytes };
        self.magazines.large_kept.store(kept, Relaxed);
    }

    /// The mapping this thread keeps for such lengths, if it fits.
    #[inline(always)]
    pub(crate) fn take_kept(&self, len: usize) -> Option<NonNull<Large>> {
        // Rounded as mappings are, so that the place is the one it was kept in.
        let rounded = len.checked_next_multiple_of(PAGE)?;
        let kept = &self.kept[bin_of(rounded) % KEPT];
        let large = kept.get()?;
        if !serves(Large::of(large).capacity(), len) {
            return None;
        }
        kept.set(None);
        self.count_kept(Large::of(large), false);
        Some(large)
    }

    /// A mapping from the pool's cache, or a new one. May make a system call.
    pub(crate) fn take_large(&self, core: &Core, len: usize) -> Result<NonNull<Large>, Refused> {
        self.answer(core);
        core.take_large(len).or_else(|_| {
            self.flush();
            core.relieve();
            core.take_large(len)
        })
    }

    /// Keeps a freed mapping within the lease, if its place is free.
    #[inline(always)]
    pub(crate) fn keep(&self, core: &Core, large: NonNull<Large>) -> bool {
        let this = Large::of(large);
        let kept = &self.kept[bin_of(this.capacity()) % KEPT];
        let bytes = self.magazines.large_kept.load(Relaxed) as usize + this.footprint();
        let room = kept.get().is_none() && bytes <= self.lease.get();
        if room && self.epoch.get() == core.epoch() {
            kept.set(Some(large));
            self.count_kept(this, true);
            return true;
        }
        false
    }

    /// Keeps a freed mapping with a longer lease, or gives it to the pool's cache. May make a system call.
    pub(crate) fn give_large(&self, core: &Core, large: NonNull<Large>) {
        self.answer(core);
        let this = Large::of(large);
        let kept = &self.kept[bin_of(this.capacity()) % KEPT];
        let bytes = self.magazines.large_kept.load(Relaxed) as usize + this.footprint();
        let more = bytes.saturating_sub(self.lease.get());
        if !core.lease(more) {
            core.give_large(large);
            return;
        }
        self.lease.set(self.lease.get() + more);
        self.count_kept(this, true);
        // The one dropped last is the warmest.
        if let Some(older) = kept.replace(Some(large)) {
            self.count_kept(Large::of(older), false);
            core.give_large(older);
        }
    }

    /// Adds to the lengths of live large buffers; wraps, to take away. Only this thread writes.
    #[inline(always)]
    pub(crate) fn count_large_live(&self, asked: u64) {
        let live = self.magazines.large_live.load(Relaxed);
        self.magazines
            .large_live
            .store(live.wrapping_add(asked), Relaxed);
    }
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
