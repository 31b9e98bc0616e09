//! Slots on their way between threads and slabs, and slabs on theirs to the regions.

use super::PoolInner;
use crate::depot::magazine::Block;
use crate::depot::{Exchange, Refill};
use crate::error::AllocFailure;
use crate::slab::region::Regions;
use crate::slab::{EmptySlab, EmptySlabs};
use crate::sync::Ordering::Relaxed;
use crate::util::events::Event;
use std::ptr::NonNull;

impl PoolInner {
    /// A block with slots of the class in it for an empty one, which stays the caller's on refusal.
    pub(crate) fn refill(
        &self,
        class: usize,
        block: NonNull<Block>,
    ) -> Result<NonNull<Block>, AllocFailure> {
        match self.depot.refill(class, block) {
            Refill::Block(block) => Ok(block),
            Refill::NeedsSlab(block) => {
                let slab = self.take_slab(class)?;
                self.depot.refill_from(class, slab, block);
                Ok(block)
            }
        }
    }

    /// A slot for a thread without magazines.
    pub(crate) fn take_slot(&self, class: usize) -> Result<NonNull<u8>, AllocFailure> {
        if let Some(slot) = self.depot.take_one(class) {
            return Ok(slot);
        }
        let slab = self.take_slab(class)?;
        let slot = self.depot.take_one_from(class, slab);
        self.notify();
        slot.ok_or(AllocFailure::System)
    }

    /// The same, after the caches gave up what they hold if need be.
    pub(crate) fn take_slot_or_relieve(&self, class: usize) -> Result<NonNull<u8>, AllocFailure> {
        self.take_slot(class).or_else(|_| {
            self.relieve();
            self.take_slot(class)
        })
    }

    /// The regions that the class' slabs or spans are carved from.
    pub(super) fn regions_of(&self, class: usize) -> &Regions {
        &self.regions[usize::from(self.table.get(class).spans)]
    }

    pub(super) fn take_slab(&self, class: usize) -> Result<EmptySlab, AllocFailure> {
        let regions = self.regions_of(class);
        if let Some(slab) = regions.take() {
            return Ok(slab);
        }
        self.retain();
        let slab = regions.take_new(&self.mapper, self.as_owner());
        match slab {
            Ok(_) => self.note(Event::RegionsMapped, 1, regions.region_size()),
            Err(refused) => {
                self.references.fetch_sub(1, Relaxed);
                self.notify_of_refusal(refused);
            }
        }
        slab
    }

    /// What was counted as mapped until the system refused is free for others. The limit's own refusal has
    /// changed nothing.
    pub(super) fn notify_of_refusal(&self, refused: AllocFailure) {
        if refused == AllocFailure::System {
            self.notify();
        }
    }

    /// An empty block for a full one, and the slabs that are spare now: [`give_slabs`](Self::give_slabs) takes them, where a
    /// system call may be made.
    pub(crate) fn exchange_full(
        &self,
        class: usize,
        block: NonNull<Block>,
    ) -> (NonNull<Block>, EmptySlabs) {
        match self.depot.exchange_full(class, block) {
            Exchange::Empty(block) => (block, EmptySlabs::default()),
            Exchange::Emptied(block, slabs) => (block, slabs),
            Exchange::NeedsEmpty(block) => match Block::allocate() {
                Ok(empty) => {
                    self.depot.keep_full(class, block);
                    (empty, EmptySlabs::default())
                }
                Err(_) => (block, self.depot.flush(class, block)),
            },
        }
    }

    /// Puts the slots of a block back into their slabs.
    pub(crate) fn flush(&self, class: usize, block: NonNull<Block>) {
        let any = Block::of(block).height() > 0;
        self.give_slabs(class, self.depot.flush(class, block));
        if any {
            self.notify();
        }
    }

    /// Puts a slot back into its slab, for a thread without magazines.
    pub(crate) fn give_slot(&self, class: usize, slot: NonNull<u8>) {
        self.give_slabs(class, self.depot.give_one(class, slot));
        if self.is_closed() {
            self.give_slabs(class, self.depot.sweep_most(class));
        }
        self.notify();
    }

    pub(crate) fn give_slabs(&self, class: usize, slabs: EmptySlabs) {
        if !slabs.is_empty() {
            let now_ms = self.mapper.now_ms();
            let regions = self.regions_of(class);
            let spare = regions.give(slabs, self.keep_regions(), now_ms);
            self.unmap_regions(regions, spare);
            self.drain_if_closed();
            self.shrink_mappings(now_ms);
            self.notify();
        }
    }
}
