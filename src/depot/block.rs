//! Blocks: the storage of magazines, and of the slots that cross at the depot.
//!
//! # Safety
//!
//! A [`Block`] belongs to one magazine, to the depot or to one thread. The pointer to it comes from
//! the block's allocation and covers all of it. A slot is stored below the capacity only, and read
//! below the height only.

use crate::error::AllocFailure;
use crate::sync::{Cell, MODEL, UnsafeCell};
use std::alloc::{Layout, alloc, dealloc};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// Capacity of the first blocks of a class, in slots: with its header, such a block has 64 bytes.
pub(crate) const FIRST_CAPACITY: u32 = 6;

/// Returns the capacity of a block of about twice the size of one with this capacity.
pub(crate) const fn doubled(capacity: u32) -> u32 {
    2 * capacity + (size_of::<Block>() / size_of::<*mut u8>()) as u32
}

/// The storage of a magazine: this header, followed by the slots, up to the capacity. The header
/// shares a cache line with the slots at the bottom, so a block with few slots moves from one
/// processor to another in one or two lines.
#[repr(C, align(16))]
pub(crate) struct Block {
    /// The next block of the depot's list; while this block is loaded, the previous block.
    pub(super) next: Cell<Option<NonNull<Block>>>,
    /// The height while no magazine has the block loaded.
    pub(super) height: Cell<u32>,
    capacity: u32,
}

/// A place of a block. It has a value while it is below the height.
type Place = UnsafeCell<MaybeUninit<NonNull<u8>>>;

impl Block {
    fn layout(capacity: u32) -> Option<Layout> {
        let slots = Layout::array::<Place>(capacity as usize).ok()?;
        let (whole, offset) = Layout::new::<Block>().extend(slots).ok()?;
        debug_assert_eq!(offset, size_of::<Block>());
        // Larger blocks begin at a cache line.
        if capacity >= 32 {
            whole.align_to(64).ok()
        } else {
            Some(whole)
        }
    }

    /// Allocates an empty block on the heap; [`Block::free`] frees it. Runs the global allocator.
    pub(crate) fn allocate(capacity: u32) -> Result<NonNull<Block>, AllocFailure> {
        let layout = Self::layout(capacity).ok_or(AllocFailure::System)?;
        // SAFETY: the layout holds the header, so its size is not 0.
        let block = unsafe { alloc(layout) }.cast::<Block>();
        let block = NonNull::new(block).ok_or(AllocFailure::System)?;
        let header = Block {
            next: Cell::new(None),
            height: Cell::new(0),
            capacity,
        };
        // SAFETY: allocated above with the header's size and alignment.
        unsafe { block.write(header) };
        if MODEL {
            // The cells of a model have a state of their own.
            for index in 0..capacity as usize {
                let place = Self::place(block.as_ptr(), index).cast_mut();
                // SAFETY: within the allocation, see `place`.
                unsafe { place.write(Place::new(MaybeUninit::uninit())) };
            }
        }
        Ok(block)
    }

    /// Frees a block.
    ///
    /// # Safety
    ///
    /// The block came from [`Block::allocate`], is empty, and no other thread and no list has a
    /// pointer to it.
    pub(crate) unsafe fn free(block: NonNull<Block>) {
        let (height, capacity) = (Self::of(block).height(), Self::of(block).capacity);
        debug_assert_eq!(height, 0, "slots freed with their block");
        if let Some(layout) = Self::layout(capacity) {
            // SAFETY: `allocate` used the layout of this capacity.
            unsafe { dealloc(block.as_ptr().cast(), layout) };
        }
    }

    /// Returns the header of a block that the caller owns.
    pub(crate) fn of<'a>(block: NonNull<Block>) -> &'a Block {
        // SAFETY: a pointer to a block is held by its one owner and is valid until `free`.
        unsafe { block.as_ref() }
    }

    /// Returns the address of the place at `index`, which is at most the capacity.
    #[inline(always)]
    pub(super) fn place(block: *mut Block, index: usize) -> *const Place {
        // SAFETY: the slots follow the header in the same allocation.
        let slots = unsafe { block.add(1) }.cast::<Place>();
        // SAFETY: the allocation has `capacity` places.
        unsafe { slots.add(index) }
    }

    /// Stores a slot at `index`.
    ///
    /// # Safety
    ///
    /// The caller owns the block, and `index` is below its capacity.
    #[inline(always)]
    pub(super) unsafe fn store(block: *mut Block, index: usize, slot: NonNull<u8>) {
        // SAFETY: the caller's promise.
        let place = unsafe { &*Self::place(block, index) };
        // SAFETY: the caller owns the block, so no other thread accesses the place.
        place.with_mut(|place| unsafe { place.write(MaybeUninit::new(slot)) });
    }

    /// Returns the slot at `index`.
    ///
    /// # Safety
    ///
    /// The caller owns the block, and `index` is below its height.
    #[inline(always)]
    pub(super) unsafe fn load(block: *mut Block, index: usize) -> NonNull<u8> {
        // SAFETY: the caller's promise.
        let place = unsafe { &*Self::place(block, index) };
        // SAFETY: the caller owns the block, so no other thread accesses the place.
        let slot = place.with(|place| unsafe { place.read() });
        // SAFETY: a slot was stored in each place below the height.
        unsafe { slot.assume_init() }
    }

    pub(crate) fn height(&self) -> u32 {
        self.height.get()
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Returns the heap bytes of a block with this capacity.
    pub(crate) const fn bytes(capacity: u32) -> usize {
        size_of::<Block>() + capacity as usize * size_of::<*mut u8>()
    }

    pub(crate) fn next(&self) -> Option<NonNull<Block>> {
        self.next.get()
    }

    pub(crate) fn set_next(&self, next: Option<NonNull<Block>>) {
        self.next.set(next);
    }

    /// Pushes a slot on a block that is not full.
    pub(crate) fn push(block: NonNull<Block>, slot: NonNull<u8>) {
        let height = Self::of(block).height();
        assert!(height < Self::of(block).capacity);
        // SAFETY: the height is below the capacity.
        unsafe { Self::store(block.as_ptr(), height as usize, slot) };
        Self::of(block).height.set(height + 1);
    }

    /// Pops a slot, if there is one.
    pub(crate) fn pop(block: NonNull<Block>) -> Option<NonNull<u8>> {
        let height = Self::of(block).height().checked_sub(1)?;
        Self::of(block).height.set(height);
        // SAFETY: it was below the height.
        Some(unsafe { Self::load(block.as_ptr(), height as usize) })
    }

    /// Reverses the stack, so that the slot pushed first is popped first.
    pub(crate) fn reverse(block: NonNull<Block>) {
        let height = Self::of(block).height() as usize;
        for low in 0..height / 2 {
            let places = [low, height - 1 - low];
            // SAFETY: both are below the height, and the block has one owner.
            let slots = places.map(|place| unsafe { Self::load(block.as_ptr(), place) });
            for (place, slot) in places.into_iter().rev().zip(slots) {
                // SAFETY: as above; the capacity is at least the height.
                unsafe { Self::store(block.as_ptr(), place, slot) };
            }
        }
    }
}

/// A list of blocks, linked through [`Block::next`].
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    first: Option<NonNull<Block>>,
}

impl Blocks {
    pub(crate) fn push(&mut self, block: NonNull<Block>) {
        Block::of(block).set_next(self.first);
        self.first = Some(block);
    }

    pub(crate) fn pop(&mut self) -> Option<NonNull<Block>> {
        let block = self.first?;
        self.first = Block::of(block).next();
        Block::of(block).set_next(None);
        Some(block)
    }
}

/// Empty blocks that a thread allocates outside of its gate for use inside it, or takes out of use
/// inside. They are freed on drop, which runs the global allocator.
#[derive(Debug, Default)]
pub(crate) struct SpareBlocks(Blocks);

impl SpareBlocks {
    pub(crate) fn push(&mut self, block: NonNull<Block>) {
        self.0.push(block);
    }

    pub(crate) fn pop(&mut self) -> Option<NonNull<Block>> {
        self.0.pop()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.first.is_none()
    }
}

impl Drop for SpareBlocks {
    fn drop(&mut self) {
        while let Some(block) = self.0.pop() {
            // SAFETY: the list owns its blocks, and they are empty.
            unsafe { Block::free(block) };
        }
    }
}
