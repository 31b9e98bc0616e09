//! The depot: per class, the full blocks that threads exchange, and the slabs with free slots.
//!
//! Each class has a lock. A thread whose magazine is empty exchanges its block for a full one; if
//! there is none, its block is filled from slabs with free slots. A thread whose magazine is full
//! exchanges its block for an empty one; slots above the depot's bound are freed to their slabs.
//! The depot keeps an empty block only in exchange for a full one that is not larger.
//!
//! # Safety
//!
//! Blocks in the depot belong to the depot. Slabs of a class are accessed under that class's lock
//! alone.

pub(crate) mod block;
pub(crate) mod cache;
mod class_use;
pub(crate) mod gate;
mod listed;
pub(crate) mod magazine;

use crate::depot::block::{Block, Blocks, SpareBlocks};
use crate::error::AllocFailure;
use crate::slab::size_class::{ClassTable, SPAN};
use crate::slab::{EmptySlab, EmptySlabs, Geometry, Slab, SlabHeader, States};
use crate::sync::{MODEL, Mutex, lock};
use std::ptr::NonNull;

/// Bytes of slots that the depot keeps in full blocks of each class, unless one block is larger.
const FULL_BYTES: u32 = 4 << 20;
/// Maximum number of slots that the depot keeps in full blocks of each class, in blocks of the
/// class's largest capacity.
const MAX_FULL: u32 = if MODEL { 1 } else { 16 };

/// The distribution of a class's memory over slabs and slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClassCounts {
    /// Slabs that belong to the class.
    pub(crate) slabs: u64,
    pub(crate) states: States,
    /// Slots out of the slabs: in buffers, in magazines, or in the depot's full blocks.
    pub(crate) slots_out: u64,
    /// The slots out of the slabs that are in the depot's full blocks.
    pub(crate) slots_in_depot: u64,
}

#[derive(Debug, Default)]
struct ClassState {
    full: Blocks,
    slots_in_depot: u32,
    empty: SpareBlocks,
    /// Slabs with free slots, including idle ones.
    listed: Option<NonNull<SlabHeader>>,
    listed_count: u32,
    idle: u32,
    /// Slabs or spans that belong to the class.
    owned: u64,
    states: States,
    slots_out: u64,
}

// SAFETY: the blocks belong to the depot, and the slabs are accessed under this lock.
unsafe impl Send for ClassState {}

/// The state of a class. Aligned to two cache lines (processors fetch them in pairs), so that
/// threads that use different classes do not slow each other down.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Class(Mutex<ClassState>);

/// The depot of one pool.
pub(crate) struct Depot {
    /// The geometry of regions carved into slabs, and of those carved into spans.
    geometries: [Geometry; 2],
    table: &'static ClassTable,
    classes: Box<[Class]>,
}

impl Depot {
    /// Creates an empty depot. Fails if the heap has no memory for it.
    pub(crate) fn new(
        geometries: [Geometry; 2],
        table: &'static ClassTable,
    ) -> Result<Self, AllocFailure> {
        let mut classes = Vec::new();
        let reserved = classes.try_reserve_exact(table.count());
        reserved.map_err(|_| AllocFailure::System)?;
        classes.resize_with(table.count(), Class::default);
        Ok(Self {
            geometries,
            table,
            classes: classes.into_boxed_slice(),
        })
    }

    fn class(&self, class: usize) -> crate::sync::MutexGuard<'_, ClassState> {
        lock(&self.classes[class].0)
    }

    fn slab(&self, class: usize, at: NonNull<SlabHeader>) -> Slab<'_> {
        Slab::new(self.geometry(class), self.table.get(class), at)
    }

    fn geometry(&self, class: usize) -> &Geometry {
        &self.geometries[usize::from(self.table.get(class).spans)]
    }

    fn slabs_in_one(&self, class: usize) -> u64 {
        if self.table.get(class).spans {
            SPAN as u64
        } else {
            1
        }
    }

    fn max_slots(&self, class: usize) -> u32 {
        let class = self.table.get(class);
        let most = MAX_FULL * class.magazine_capacity;
        (FULL_BYTES / class.slot_size).clamp(class.magazine_capacity, most)
    }

    /// Exchanges an empty block for a full one, or fills it from listed slabs. Returns the same
    /// block, still empty, if the class has no free slot. A block that is smaller than the full one
    /// goes to `spare`.
    pub(crate) fn refill(
        &self,
        class: usize,
        block: NonNull<Block>,
        spare: &mut SpareBlocks,
    ) -> NonNull<Block> {
        let mut state = self.class(class);
        if let Some(full) = state.full.pop() {
            state.slots_in_depot -= Block::of(full).height();
            if Block::of(block).capacity() < Block::of(full).capacity() {
                spare.push(block);
            } else {
                state.empty.push(block);
            }
            return full;
        }
        if state.listed.is_some() {
            self.fill(&mut state, class, block);
        }
        block
    }

    /// Allocates a slot past the magazines.
    pub(crate) fn alloc_one(&self, class: usize) -> Option<NonNull<u8>> {
        let mut state = self.class(class);
        if let Some(full) = state.full.pop() {
            let slot = Block::pop(full);
            state.slots_in_depot -= 1;
            if Block::of(full).height() > 0 {
                state.full.push(full);
            } else {
                state.empty.push(full);
            }
            return slot;
        }
        self.alloc_one_listed(&mut state, class)
    }

    /// Adds an empty slab to the class and allocates a slot.
    pub(crate) fn alloc_one_from(&self, class: usize, slab: EmptySlab) -> Option<NonNull<u8>> {
        let mut state = self.class(class);
        self.adopt(&mut state, class, slab.0);
        self.alloc_one_listed(&mut state, class)
    }

    /// Exchanges a full block for an empty one: of `spare`, or the depot's own. If the depot has no
    /// room for it, empties it into the slabs, and puts slabs that are empty now into `slabs`.
    /// Returns the full block as `Err` if there is room but no empty block.
    pub(crate) fn exchange_full(
        &self,
        class: usize,
        block: NonNull<Block>,
        spare: &mut SpareBlocks,
        slabs: &mut EmptySlabs,
    ) -> Result<NonNull<Block>, NonNull<Block>> {
        let height = Block::of(block).height();
        let mut state = self.class(class);
        if state.slots_in_depot + height > self.max_slots(class) {
            self.flush_block(&mut state, class, block);
            *slabs = self.sweep_if_many(&mut state, class);
            let Some(larger) = spare.pop() else {
                return Ok(block);
            };
            spare.push(block);
            return Ok(larger);
        }
        let unused = state.empty.pop();
        let empty = match (spare.pop(), unused) {
            (Some(larger), Some(unused)) => {
                // Otherwise the depot would keep one block more after each growth.
                spare.push(unused);
                larger
            }
            (larger, unused) => larger.or(unused).ok_or(block)?,
        };
        state.slots_in_depot += height;
        state.full.push(block);
        Ok(empty)
    }

    /// Frees every slot of a block to its slab. Returns slabs that are empty now.
    pub(crate) fn flush(&self, class: usize, block: NonNull<Block>) -> EmptySlabs {
        let mut state = self.class(class);
        self.flush_block(&mut state, class, block);
        self.sweep_if_many(&mut state, class)
    }

    /// Frees one slot to its slab. Returns slabs that are empty now.
    pub(crate) fn free_one(&self, class: usize, slot: NonNull<u8>) -> EmptySlabs {
        let mut state = self.class(class);
        self.free_to_slab(&mut state, class, slot);
        self.sweep_if_many(&mut state, class)
    }

    /// Empties the class's full blocks into the slabs, frees all blocks, and returns every idle
    /// slab.
    pub(crate) fn drain(&self, class: usize) -> EmptySlabs {
        let mut state = self.class(class);
        while let Some(block) = state.full.pop() {
            state.slots_in_depot -= Block::of(block).height();
            self.flush_block(&mut state, class, block);
            state.empty.push(block);
        }
        let slabs = self.sweep(&mut state, class);
        let blocks = std::mem::take(&mut state.empty);
        drop(state);
        // Outside of the lock: this runs the global allocator.
        drop(blocks);
        slabs
    }

    /// Returns the idle slabs if they are more than one in eight of the listed slabs, rounded down.
    pub(crate) fn sweep_most(&self, class: usize) -> EmptySlabs {
        let mut state = self.class(class);
        if state.idle > state.listed_count / 8 {
            self.sweep(&mut state, class)
        } else {
            EmptySlabs::default()
        }
    }

    pub(crate) fn counts(&self, class: usize) -> ClassCounts {
        let state = self.class(class);
        ClassCounts {
            slabs: state.owned * self.slabs_in_one(class),
            states: state.states,
            slots_out: state.slots_out,
            slots_in_depot: u64::from(state.slots_in_depot),
        }
    }
}

impl Drop for Depot {
    fn drop(&mut self) {
        for class in 0..self.table.count() {
            debug_assert_eq!(
                self.class(class).slots_out,
                0,
                "a pool is freed after its last slot came home"
            );
        }
    }
}
