//! Magazines: small stacks of free slots, each owned by one thread.
//!
//! # Two counters instead of a top
//!
//! A magazine's height is `pushed - popped`. A take changes only `popped`, a drop only `pushed`. With a
//! single top, a take and the drop that follows it each wait for the other's store; with two counters the
//! round trips overlap, however the compiler forms the addresses. And other threads can read both.
//!
//! Both counters, and every other figure here that other threads read, are atomics that only the owner
//! writes, with plain relaxed loads and stores: on the usual machines the same instructions as for
//! ordinary integers. Other threads read them to derive the pool's figures; what they see is exact once
//! the owner is quiet.
//!
//! # Loaded and previous
//!
//! As Bonwick has it, a thread holds two blocks of slots for each class, and goes to the depot only
//! when both are empty or both are full. Blocks are exchanged whole, never copied.
//!
//! # Safety
//!
//! A [`Block`] belongs to one magazine, or to the depot; whoever owns it has a raw pointer to it and
//! nobody else does. The array is as long as the tallest magazine, and the height is checked against
//! the capacity before a slot is stored.

use crate::depot::gate::Gate;
use crate::error::AllocFailure;
use crate::slab::size_class::{CLASS_PLACES, ClassTable, MAGAZINE_SLOTS};
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering::Relaxed, array_of, const_fn};
use crate::util::heap::try_box;
use std::cell::Cell;
use std::ptr::{self, NonNull};

/// The storage of one magazine. The figures come first, so that they share a cache line with the slots at the
/// bottom: a block with few slots crosses from one processor to another in a line or two.
#[repr(C, align(64))]
pub(crate) struct Block {
    /// The next block of the depot's list that this one is in; while it is loaded, the previous block.
    next: Cell<Option<NonNull<Block>>>,
    /// The height while no magazine has the block loaded.
    height: Cell<u32>,
    /// Filled from 0 up to the height.
    slots: [Cell<*mut u8>; MAGAZINE_SLOTS],
}

impl Block {
    /// A new empty block from the heap; it is freed by [`Block::free`].
    pub(crate) fn allocate() -> Result<NonNull<Block>, AllocFailure> {
        try_box(Self {
            slots: [const { Cell::new(ptr::null_mut()) }; MAGAZINE_SLOTS],
            height: Cell::new(0),
            next: Cell::new(None),
        })
    }

    /// # Safety
    ///
    /// The block came from [`Block::allocate`], is empty, and nobody uses it again.
    pub(crate) unsafe fn free(block: NonNull<Block>) {
        debug_assert_eq!(
            Self::of(block).height.get(),
            0,
            "slots freed with their block"
        );
        // SAFETY: `try_box` made it with the layout of a box of this type.
        drop(unsafe { Box::from_raw(block.as_ptr()) });
    }

    /// The block behind a pointer its owner holds.
    pub(crate) fn of<'a>(block: NonNull<Block>) -> &'a Block {
        // SAFETY: a pointer to a block is held by its one owner and is valid until `free`.
        unsafe { block.as_ref() }
    }

    pub(crate) fn height(&self) -> u32 {
        self.height.get()
    }

    pub(crate) fn next(&self) -> Option<NonNull<Block>> {
        self.next.get()
    }

    pub(crate) fn set_next(&self, next: Option<NonNull<Block>>) {
        self.next.set(next);
    }

    pub(crate) fn push(&self, slot: NonNull<u8>) {
        let height = self.height.get();
        self.slots[height as usize].set(slot.as_ptr());
        self.height.set(height + 1);
    }

    pub(crate) fn pop(&self) -> Option<NonNull<u8>> {
        let height = self.height.get().checked_sub(1)?;
        self.height.set(height);
        NonNull::new(self.slots[height as usize].get())
    }

    /// Turns the stack over, so that what was pushed first is popped first.
    pub(crate) fn reverse(&self) {
        let slots = &self.slots[..self.height.get() as usize];
        for low in 0..slots.len() / 2 {
            slots[low].swap(&slots[slots.len() - 1 - low]);
        }
    }
}

/// What the fast path touches, 32 bytes.
#[repr(C, align(32))]
pub(crate) struct Magazine {
    pushed: AtomicU32,
    popped: AtomicU32,
    /// Slots the loaded block may hold. 0 until the first use, and set to 0 from outside to call the
    /// owner to its slow path at its next drop.
    capacity: AtomicU32,
    /// Slots in the previous block: none, or as many as it may hold, or fewer after a partial fill.
    previous_height: AtomicU32,
    loaded: AtomicPtr<Block>,
    /// A word that goes with every slot of the class, opaque here.
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

    /// Takes the slot on top, if there is one.
    #[inline(always)]
    pub(crate) fn take(&self) -> Option<NonNull<u8>> {
        let popped = self.popped.load(Relaxed);
        let height = self.pushed.load(Relaxed).wrapping_sub(popped);
        if height == 0 {
            return None;
        }
        let block = self.loaded.load(Relaxed);
        // SAFETY: a height above 0 means that a block is loaded, and only the owner is here.
        let slots = unsafe { &(*block).slots };
        // SAFETY: the height never passes the capacity, which is at most the array's length.
        let slot = unsafe { slots.get_unchecked(height as usize - 1) }.get();
        self.popped.store(popped.wrapping_add(1), Relaxed);
        // SAFETY: below the height are slots that were pushed, none of them null.
        Some(unsafe { NonNull::new_unchecked(slot) })
    }

    /// Puts a slot on top, if there is room and nobody has called.
    #[inline(always)]
    pub(crate) fn give(&self, slot: NonNull<u8>) -> bool {
        self.give_up_to(self.capacity.load(Relaxed), slot)
    }

    /// Puts a slot on top, if the height is below `capacity`: 0 where no block is loaded, and at most what
    /// a block holds.
    #[inline(always)]
    pub(crate) fn give_up_to(&self, capacity: u32, slot: NonNull<u8>) -> bool {
        let pushed = self.pushed.load(Relaxed);
        let height = pushed.wrapping_sub(self.popped.load(Relaxed));
        if height >= capacity {
            return false;
        }
        let block = self.loaded.load(Relaxed);
        // SAFETY: a capacity above 0 means that a block is loaded, and only the owner is here.
        let slots = unsafe { &(*block).slots };
        // SAFETY: the height is below the capacity, which is at most the array's length.
        unsafe { slots.get_unchecked(height as usize) }.set(slot.as_ptr());
        self.pushed.store(pushed.wrapping_add(1), Relaxed);
        true
    }

    pub(crate) fn height(&self) -> u32 {
        let popped = self.popped.load(Relaxed);
        self.pushed.load(Relaxed).wrapping_sub(popped)
    }

    /// Changes the height in one store: other threads, which read the two counters one after the other, never see
    /// fewer slots pushed than popped.
    fn set_height(&self, height: u32) {
        let popped = self.popped.load(Relaxed);
        self.pushed.store(popped.wrapping_add(height), Relaxed);
    }

    pub(crate) fn previous_height(&self) -> u32 {
        self.previous_height.load(Relaxed)
    }

    #[inline(always)]
    pub(crate) fn word(&self) -> usize {
        self.word.get()
    }

    pub(crate) fn set_word(&self, word: usize) {
        self.word.set(word);
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.capacity.load(Relaxed)
    }

    pub(crate) fn set_capacity(&self, capacity: u32) {
        self.capacity.store(capacity, Relaxed);
    }

    pub(crate) fn has_blocks(&self) -> bool {
        !self.loaded.load(Relaxed).is_null()
    }

    /// Installs two blocks in a magazine that has none.
    pub(crate) fn install(&self, loaded: NonNull<Block>, previous: NonNull<Block>) {
        debug_assert!(!self.has_blocks());
        self.load(loaded, Some(previous));
    }

    fn load(&self, block: NonNull<Block>, previous: Option<NonNull<Block>>) {
        Block::of(block).set_next(previous);
        let previous_height = previous.map_or(0, |previous| Block::of(previous).height());
        self.previous_height.store(previous_height, Relaxed);
        self.set_height(Block::of(block).height());
        self.loaded.store(block.as_ptr(), Relaxed);
    }

    /// The loaded block, its height noted in it, and the previous one.
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

    /// Loads what `exchange` gives for the loaded block, or keeps it.
    pub(crate) fn exchange_loaded<E>(
        &self,
        exchange: impl FnOnce(NonNull<Block>) -> Result<NonNull<Block>, E>,
    ) -> Result<(), E> {
        let Some((block, previous)) = self.unload() else {
            return Ok(());
        };
        let result = exchange(block);
        self.load(*result.as_ref().unwrap_or(&block), previous);
        result.map(drop)
    }

    /// Takes both blocks out; the magazine has none afterwards and holds nothing.
    pub(crate) fn uninstall(&self) -> [Option<NonNull<Block>>; 2] {
        let blocks = self.unload();
        self.capacity.store(0, Relaxed);
        self.set_height(0);
        self.previous_height.store(0, Relaxed);
        self.loaded.store(ptr::null_mut(), Relaxed);
        match blocks {
            Some((loaded, previous)) => [Some(loaded), previous],
            None => [None, None],
        }
    }
}

/// A sum that one thread changes and others read. Ups and downs are counted apart, for the same reason as a
/// magazine's (a pair of 12 KiB took 10.3 ns with one counter, 8.9 with two). It wraps: only what comes
/// of all threads' balances together means something.
pub(crate) struct Balance {
    up: AtomicU64,
    down: AtomicU64,
}

impl Balance {
    const_fn! {
        fn new() -> Self {
            Self {
                up: AtomicU64::new(0),
                down: AtomicU64::new(0),
            }
        }
    }

    #[inline(always)]
    pub(crate) fn add(&self, bytes: usize) {
        let up = self.up.load(Relaxed);
        self.up.store(up.wrapping_add(bytes as u64), Relaxed);
    }

    #[inline(always)]
    pub(crate) fn subtract(&self, bytes: usize) {
        let down = self.down.load(Relaxed);
        self.down.store(down.wrapping_add(bytes as u64), Relaxed);
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> u64 {
        let down = self.down.load(Relaxed);
        self.up.load(Relaxed).wrapping_sub(down)
    }

    /// Returns the balance and starts from 0 again.
    pub(crate) fn take(&self) -> u64 {
        let balance = self.get();
        self.up.store(0, Relaxed);
        self.down.store(0, Relaxed);
        balance
    }
}

/// A thread's magazines for one pool, and the figures it keeps for the pool's sums.
pub(crate) struct Magazines {
    by_class: [Magazine; CLASS_PLACES],
    /// Lengths asked for of large buffers taken by this thread, less those dropped by it.
    pub(crate) large_live: Balance,
    /// Bytes mapped in the mappings this thread keeps to itself.
    pub(crate) large_kept: Balance,
    /// In a pool where others may empty the magazines: who is at them.
    pub(crate) gate: Gate,
}

impl Magazines {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self {
                by_class: array_of!(Magazine::new()),
                large_live: Balance::new(),
                large_kept: Balance::new(),
                gate: Gate::new(),
            }
        }
    }

    #[inline(always)]
    pub(crate) fn get(&self, class: usize) -> &Magazine {
        &self.by_class[class & (CLASS_PLACES - 1)]
    }

    /// Slots of a class held here. While the owner is at work, at most as many as two blocks hold.
    pub(crate) fn slots(&self, class: usize) -> u64 {
        let magazine = self.get(class);
        // Slots that the owner pushed between the two reads count as well, however many.
        let height = magazine.height().min(MAGAZINE_SLOTS as u32);
        u64::from(height) + u64::from(magazine.previous_height())
    }

    /// Calls the owner to its slow path: every drop goes there from now on, until it has looked.
    pub(crate) fn call_owner(&self, table: &ClassTable) {
        for class in 0..table.count() {
            self.get(class).set_capacity(0);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
