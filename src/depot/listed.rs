//! Slabs with free slots, in the list of their class.
//!
//! A slab with free slots is in its class's list, last in, first out. A slab that becomes empty
//! stays listed, as an *idle* one, until it is used again or there are too many idle slabs: then a
//! sweep removes all of them and returns them to the caller, which frees them to the regions. So a
//! slab that alternates between empty and partial does not move, and the list needs one link a
//! slab.

use super::block::{Block, FIRST_CAPACITY};
use super::{ClassState, Depot};
use crate::slab::{EmptySlabs, SlabHeader, States, header};
use std::ptr::NonNull;

/// Number of idle slabs that a class keeps, in addition to one in eight of its listed slabs.
const MIN_IDLE: u32 = 2;

impl Depot {
    pub(super) fn adopt(&self, state: &mut ClassState, class: usize, at: NonNull<SlabHeader>) {
        self.slab(class, at).assign(class);
        state.owned += 1;
        state.idle += 1;
        state.list(at);
    }

    /// Fills an empty block from the first listed slab. Continues with further slabs only while
    /// those are in use and the block is less than half full. Slots will leave the magazine in
    /// address order.
    pub(super) fn fill(&self, state: &mut ClassState, class: usize, block: NonNull<Block>) {
        let capacity = Block::of(block).capacity();
        let fill = if capacity > FIRST_CAPACITY {
            // The class is used often.
            self.table.get(class).grown_fill
        } else {
            self.table.get(class).fill
        };
        let fill = fill.min(capacity);
        loop {
            let height = Block::of(block).height();
            self.take_listed(state, class, fill - height, |slot| Block::push(block, slot));
            let enough = 2 * Block::of(block).height() >= fill;
            let in_use = |at| !self.slab(class, at).is_empty();
            if enough || !state.listed.is_some_and(in_use) {
                break;
            }
        }
        Block::reverse(block);
    }

    pub(super) fn alloc_one_listed(
        &self,
        state: &mut ClassState,
        class: usize,
    ) -> Option<NonNull<u8>> {
        let mut one = None;
        self.take_listed(state, class, 1, |slot| one = Some(slot));
        one
    }

    /// Allocates up to `want` slots from the first listed slab, if there is one.
    fn take_listed(
        &self,
        state: &mut ClassState,
        class: usize,
        want: u32,
        each: impl FnMut(NonNull<u8>),
    ) {
        let Some(at) = state.listed else { return };
        let slab = self.slab(class, at);
        let before = slab.states();
        if slab.is_empty() {
            state.idle -= 1;
        }
        state.slots_out += u64::from(slab.take(want, each));
        state.change(before, slab.states());
        if slab.is_full() {
            state.unlist_first();
        }
    }

    pub(super) fn free_to_slab(&self, state: &mut ClassState, class: usize, slot: NonNull<u8>) {
        let at = self.geometry(class).header_of(slot);
        let slab = self.slab(class, at);
        debug_assert_eq!(header(at).class(), class);
        if slab.is_full() {
            state.list(at);
        }
        let before = slab.states();
        slab.give(slot);
        state.change(before, slab.states());
        state.slots_out -= 1;
        if slab.is_empty() {
            state.idle += 1;
        }
    }

    pub(super) fn flush_block(&self, state: &mut ClassState, class: usize, block: NonNull<Block>) {
        while let Some(slot) = Block::pop(block) {
            self.free_to_slab(state, class, slot);
        }
    }

    pub(super) fn sweep_if_many(&self, state: &mut ClassState, class: usize) -> EmptySlabs {
        if state.idle > MIN_IDLE + state.listed_count / 8 {
            self.sweep(state, class)
        } else {
            EmptySlabs::default()
        }
    }

    /// Removes every idle slab from the list and returns them. The order of the other slabs stays
    /// the same.
    pub(super) fn sweep(&self, state: &mut ClassState, class: usize) -> EmptySlabs {
        let mut swept = EmptySlabs::default();
        if state.idle == 0 {
            return swept;
        }
        let mut next = state.listed;
        let mut kept: Option<NonNull<SlabHeader>> = None;
        while let Some(at) = next {
            next = header(at).next();
            let slab = self.slab(class, at);
            if !slab.is_empty() {
                kept = Some(at);
                continue;
            }
            match kept {
                Some(kept) => header(kept).set_next(next),
                None => state.listed = next,
            }
            state.listed_count -= 1;
            state.idle -= 1;
            state.owned -= 1;
            swept.push(slab.unassign(at));
        }
        swept
    }
}

impl ClassState {
    fn change(&mut self, before: States, after: States) {
        self.states.used = self.states.used + after.used - before.used;
        self.states.full = self.states.full + after.full - before.full;
    }

    fn list(&mut self, at: NonNull<SlabHeader>) {
        debug_assert!(!header(at).is_listed());
        header(at).set_next(self.listed);
        header(at).set_listed(true);
        self.listed = Some(at);
        self.listed_count += 1;
    }

    fn unlist_first(&mut self) {
        if let Some(at) = self.listed {
            self.listed = header(at).next();
            header(at).set_next(None);
            header(at).set_listed(false);
            self.listed_count -= 1;
        }
    }
}
