//! Magazines: small stacks of free slots, each owned by one thread.
//!
//! # Two counters instead of a top
//!
//! A magazine's height is `pushed - popped`. An allocation changes only `popped`, a free only
//! `pushed`. With a single top, an allocation and the free that follows it each wait for the
//! other's store; with two counters the round trips overlap, however the compiler forms the
//! addresses.
//!
//! Both counters, and every other counter here that other threads read, are atomics that only the
//! owner writes, or a thread that has claimed the cache. It uses plain relaxed loads and stores: on
//! common processors the same instructions as for ordinary integers. Other threads read the
//! counters to derive the pool's counters. The values they see are exact while the owner does not
//! change them.
//!
//! # Loaded and previous
//!
//! As in Bonwick's design, a thread holds two blocks of slots for each class, and accesses the
//! depot only when both are empty or both are full. Blocks are exchanged whole, never copied. The
//! second block is allocated when the first is full.
//!
//! # Capacity
//!
//! A class's first blocks have [`FIRST_CAPACITY`] slots. A thread that accesses the depot often for
//! a class replaces a block there by one of twice the size, up to the class's `magazine_capacity`.
//! So the blocks of one depot differ in capacity, and the larger ones stay.
//!
//! [`FIRST_CAPACITY`]: crate::depot::block::FIRST_CAPACITY
//!
//! # Safety
//!
//! A magazine owns its blocks. A slot is stored below the loaded block's capacity only, and read
//! below the height only.

use crate::depot::block::Block;
use crate::sync::{AtomicPtr, AtomicU32, AtomicUsize, Cell, Ordering::Relaxed, const_fn};
use std::ptr::{self, NonNull};

/// The part of a thread's cache that the fast paths of one class access: 32 bytes.
#[repr(C, align(32))]
pub(crate) struct Magazine {
    pushed: AtomicU32,
    popped: AtomicU32,
    /// Capacity of the loaded block; 0 while there is none.
    capacity: AtomicU32,
    /// Number of slots in the previous block: 0, its capacity, or less after a partial fill.
    previous_height: AtomicU32,
    loaded: AtomicPtr<Block>,
    /// The tag of the class's slots as a word, opaque here.
    word: Cell<usize>,
}

impl Magazine {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self {
                pushed: AtomicU32::new(0),
                popped: AtomicU32::new(0),
                capacity: AtomicU32::new(0),
                previous_height: AtomicU32::new(0),
                loaded: AtomicPtr::new(ptr::null_mut()),
                word: Cell::new(0),
            }
        }
    }

    /// Pops a slot, if there is one.
    #[inline(always)]
    pub(crate) fn pop(&self) -> Option<NonNull<u8>> {
        let popped = self.popped.load(Relaxed);
        let height = self.pushed.load(Relaxed).wrapping_sub(popped);
        if height == 0 {
            return None;
        }
        let loaded = self.loaded.load(Relaxed);
        // SAFETY: a height above 0 means that a block is loaded, and the places below the height
        // hold slots.
        let slot = unsafe { Block::load(loaded, height as usize - 1) };
        self.popped.store(popped.wrapping_add(1), Relaxed);
        Some(slot)
    }

    /// Pushes a slot. Returns `false` if the loaded block is full or there is none.
    #[inline(always)]
    pub(crate) fn push(&self, slot: NonNull<u8>) -> bool {
        let pushed = self.pushed.load(Relaxed);
        let height = pushed.wrapping_sub(self.popped.load(Relaxed)) as usize;
        if height >= self.capacity.load(Relaxed) as usize {
            return false;
        }
        let loaded = self.loaded.load(Relaxed);
        // SAFETY: a capacity above 0 means that a block is loaded, and the height is below its
        // capacity.
        unsafe { Block::store(loaded, height, slot) };
        self.pushed.store(pushed.wrapping_add(1), Relaxed);
        true
    }

    pub(crate) fn height(&self) -> u32 {
        let popped = self.popped.load(Relaxed);
        self.pushed.load(Relaxed).wrapping_sub(popped)
    }

    /// Changes the height in one store. Other threads, which read `popped` before `pushed`, do not
    /// see fewer slots pushed than popped.
    fn set_height(&self, height: u32) {
        let popped = self.popped.load(Relaxed);
        self.pushed.store(popped.wrapping_add(height), Relaxed);
    }

    pub(crate) fn previous_height(&self) -> u32 {
        self.previous_height.load(Relaxed)
    }

    /// Returns the number of slots in both blocks. Another thread that reads between two stores of
    /// the owner may compute any value; it is clamped to the capacity of the blocks.
    pub(crate) fn slots(&self) -> u32 {
        let popped = self.popped.load(Relaxed);
        let height = self.pushed.load(Relaxed).wrapping_sub(popped);
        height.min(self.capacity.load(Relaxed)) + self.previous_height()
    }

    #[inline(always)]
    pub(crate) fn word(&self) -> usize {
        self.word.get()
    }

    pub(crate) fn set_word(&self, word: usize) {
        self.word.set(word);
    }

    /// Returns the capacity of the loaded block; 0 if there is none.
    pub(crate) fn capacity(&self) -> u32 {
        self.capacity.load(Relaxed)
    }

    /// Returns the number of slots popped. Wraps, and starts anew with [`uninstall`].
    ///
    /// [`uninstall`]: Self::uninstall
    pub(crate) fn popped(&self) -> u32 {
        self.popped.load(Relaxed)
    }

    fn previous(&self) -> Option<NonNull<Block>> {
        let loaded = NonNull::new(self.loaded.load(Relaxed))?;
        Block::of(loaded).next()
    }

    pub(crate) fn has_previous(&self) -> bool {
        self.previous().is_some()
    }

    /// Returns whether there is a previous block and it is not full.
    pub(crate) fn previous_has_room(&self) -> bool {
        self.previous()
            .map(Block::of)
            .is_some_and(|block| block.height() < block.capacity())
    }

    /// Returns the heap bytes of the magazine's blocks. The caller is inside the gate.
    pub(crate) fn block_bytes(&self) -> usize {
        let previous = self.previous().map(|block| Block::of(block).capacity());
        let capacities = [
            Some(self.capacity()).filter(|capacity| *capacity > 0),
            previous,
        ];
        capacities.into_iter().flatten().map(Block::bytes).sum()
    }

    /// Loads an empty block. The block that was loaded, if any, becomes the previous one, and there
    /// was no previous one.
    pub(crate) fn add(&self, block: NonNull<Block>) {
        debug_assert!(!self.has_previous());
        let loaded = self.unload().map(|(loaded, _)| loaded);
        self.load(block, loaded);
    }

    fn load(&self, block: NonNull<Block>, previous: Option<NonNull<Block>>) {
        Block::of(block).set_next(previous);
        let previous_height = previous.map_or(0, |previous| Block::of(previous).height());
        // In this order, other threads read values that the clamp of `slots` can bound.
        self.capacity.store(0, Relaxed);
        self.previous_height.store(previous_height, Relaxed);
        self.set_height(Block::of(block).height());
        self.loaded.store(block.as_ptr(), Relaxed);
        self.capacity.store(Block::of(block).capacity(), Relaxed);
    }

    /// Loads an empty block in place of the loaded one, which is empty and is returned.
    pub(crate) fn replace_loaded(&self, block: NonNull<Block>) -> Option<NonNull<Block>> {
        let (loaded, previous) = self.unload().unzip();
        self.load(block, previous.flatten());
        loaded
    }

    /// Stores the height in the loaded block. Returns that block and the previous one.
    fn unload(&self) -> Option<(NonNull<Block>, Option<NonNull<Block>>)> {
        let block = NonNull::new(self.loaded.load(Relaxed))?;
        Block::of(block).height.set(self.height());
        Some((block, Block::of(block).next.take()))
    }

    /// Loads the previous block and makes the loaded one the previous.
    pub(crate) fn swap(&self) {
        match self.unload() {
            Some((loaded, Some(previous))) => self.load(previous, Some(loaded)),
            Some((loaded, None)) => self.load(loaded, None),
            None => (),
        }
    }

    /// Loads the block that `exchange` returns for the loaded one.
    pub(crate) fn exchange_loaded(&self, exchange: impl FnOnce(NonNull<Block>) -> NonNull<Block>) {
        if let Some((block, previous)) = self.unload() {
            self.load(exchange(block), previous);
        }
    }

    /// Removes both blocks and returns them. The magazine has none afterwards and holds no slots.
    pub(crate) fn uninstall(&self) -> [Option<NonNull<Block>>; 2] {
        let blocks = self.unload();
        self.capacity.store(0, Relaxed);
        self.previous_height.store(0, Relaxed);
        self.popped.store(0, Relaxed);
        self.pushed.store(0, Relaxed);
        self.loaded.store(ptr::null_mut(), Relaxed);
        match blocks {
            Some((loaded, previous)) => [Some(loaded), previous],
            None => [None, None],
        }
    }
}

/// A sum that one thread changes and others read. Additions and subtractions have separate
/// counters, for the same reason as a magazine's (a pair of 12 KiB took 10.3 ns with one counter,
/// 8.9 with two). It wraps: only the total of all threads' balances is meaningful.
pub(crate) struct Balance {
    up: AtomicUsize,
    down: AtomicUsize,
}

impl Balance {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self {
                up: AtomicUsize::new(0),
                down: AtomicUsize::new(0),
            }
        }
    }

    #[inline(always)]
    pub(crate) fn add(&self, bytes: usize) {
        let up = self.up.load(Relaxed);
        self.up.store(up.wrapping_add(bytes), Relaxed);
    }

    #[inline(always)]
    pub(crate) fn subtract(&self, bytes: usize) {
        let down = self.down.load(Relaxed);
        self.down.store(down.wrapping_add(bytes), Relaxed);
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> usize {
        let down = self.down.load(Relaxed);
        self.up.load(Relaxed).wrapping_sub(down)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
