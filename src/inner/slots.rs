//! Moving slots between threads and slabs, and slabs between classes and regions.

use super::PoolInner;
use crate::depot::block::{Block, SpareBlocks};
use crate::error::AllocFailure;
use crate::slab::region::Regions;
use crate::slab::size_class::{ClassTable, SPAN};
use crate::slab::{EmptySlab, EmptySlabs};
use crate::sync::Ordering::Relaxed;
use crate::util::events::Event;
use std::ptr::NonNull;

/// Number of unmapped slabs below which a request prefers a larger slot to a new slab.
const FEW_SLABS: usize = 16;

/// The classes whose slots serve a request: the request's own class, and each larger one whose
/// slots start at multiples of the alignment.
#[derive(Clone, Copy)]
pub(crate) struct Classes {
    pub(crate) first: usize,
    /// A power of two.
    pub(crate) alignment: usize,
}

impl Classes {
    /// Returns the classes for a request of any alignment.
    pub(crate) fn from(first: usize) -> Self {
        Self {
            first,
            alignment: 1,
        }
    }

    /// Returns those of the classes whose slots start at multiples of `alignment`; `None` if there
    /// is none.
    pub(crate) fn aligned_to(self, alignment: usize, table: &ClassTable) -> Option<Self> {
        let aligned = Self { alignment, ..self };
        let first = aligned.of(table).next()?;
        Some(Self { first, ..aligned })
    }

    /// Returns the numbers of the classes. Slots lie side by side from the start of their slab or
    /// span, which is aligned to its size.
    pub(crate) fn of(self, table: &ClassTable) -> impl Iterator<Item = usize> {
        (self.first..table.count()).filter(move |class| {
            let class = table.get(*class);
            let range = table.slab_size * if class.spans { SPAN } else { 1 };
            (class.slot_size as usize | range) & (self.alignment - 1) == 0
        })
    }
}

impl PoolInner {
    /// Exchanges an empty block for one with slots of the class. Returns the same block, still
    /// empty, if neither the depot nor the class's slabs have a free slot: then the caller needs an
    /// empty slab. A block that is not needed any more goes to `spare`. Acquires one lock, and
    /// allocates no heap memory.
    pub(crate) fn refill(
        &self,
        class: usize,
        block: NonNull<Block>,
        spare: &mut SpareBlocks,
    ) -> NonNull<Block> {
        let block = self.depot.refill(class, block, spare);
        self.count_slots(class, Block::of(block).height(), 0);
        block
    }

    /// Exchanges a full block for an empty one, of `spare` if it has one. Returns the full block as
    /// `Err` if both `spare` and the depot have none. The caller passes the slabs that are empty
    /// now to [`free_slabs`](Self::free_slabs), outside of the gate. Acquires at most one lock at a
    /// time, and allocates no heap memory.
    pub(crate) fn exchange_full(
        &self,
        class: usize,
        full: NonNull<Block>,
        spare: &mut SpareBlocks,
        slabs: &mut EmptySlabs,
    ) -> Result<NonNull<Block>, NonNull<Block>> {
        let count = Block::of(full).height();
        let empty = self.depot.exchange_full(class, full, spare, slabs)?;
        self.count_slots(class, 0, count);
        Ok(empty)
    }

    /// Allocates a slot of one of `classes` past the magazines, and returns it with its class. The
    /// first class is that of the request. A larger one serves it if there is no slab for the
    /// first, or hardly any. Reclaims before it fails. May make system calls and run wakers.
    pub(crate) fn alloc_slot_of(
        &self,
        classes: Classes,
    ) -> Result<(NonNull<u8>, usize), AllocFailure> {
        let (slot, class) = self.with_reclaim(|is_last| {
            self.alloc_slot_once(classes).or_else(|failure| {
                let larger = is_last.then(|| self.alloc_listed(classes.of(self.table)));
                larger.flatten().ok_or(failure)
            })
        })?;
        self.count_slots(class, 1, 0);
        self.check_watermarks();
        Ok((slot, class))
    }

    fn alloc_slot_once(&self, classes: Classes) -> Result<(NonNull<u8>, usize), AllocFailure> {
        let class = classes.first;
        let size = self.table.get(class).slot_size;
        let most = if self.has_few_slabs_left() {
            2 * size
        } else {
            size
        };
        let near = |class: &usize| self.table.get(*class).slot_size <= most;
        if let Some(found) = self.alloc_listed(classes.of(self.table).take_while(near)) {
            return Ok(found);
        }
        let carry = self.carry();
        let slab = match self.take_slab(class) {
            Ok(slab) => slab,
            Err(failure) => {
                if failure.is_limit() {
                    carry.end_without();
                }
                return Err(failure);
            }
        };
        let slot = self.depot.alloc_one_from(class, slab);
        drop(carry);
        // The first waiter may need the rest of the slab.
        self.notify();
        Ok((slot.ok_or(AllocFailure::System)?, class))
    }

    /// Allocates a slot of the first of the classes that has a free one.
    fn alloc_listed(
        &self,
        mut classes: impl Iterator<Item = usize>,
    ) -> Option<(NonNull<u8>, usize)> {
        classes.find_map(|class| Some((self.depot.alloc_one(class)?, class)))
    }

    /// Returns whether the limit has room for fewer than [`FEW_SLABS`] slabs that are not mapped
    /// yet. Then a free slot of up to twice the size is better than a slab for one buffer.
    fn has_few_slabs_left(&self) -> bool {
        let left = self.config.bound().saturating_sub(self.mapper.mapped());
        left < FEW_SLABS * self.config.slab_size
    }

    /// Frees a slot past the magazines. May make system calls and run wakers.
    pub(crate) fn free_slot(&self, class: usize, slot: NonNull<u8>) {
        let carry = self.carry();
        self.free_slabs(class, self.depot.free_one(class, slot));
        self.sweep_if_closed(class);
        drop(carry);
        self.count_freed(self.table.get(class).slot_size as usize);
        self.freed_past_caches();
        self.notify();
    }

    /// Frees the idle slabs of a closed pool.
    pub(super) fn sweep_if_closed(&self, class: usize) {
        if self.is_closed() {
            self.free_slabs(class, self.depot.sweep_most(class));
        }
    }

    /// Returns the regions that the class's slabs or spans are carved from.
    pub(super) fn regions_of(&self, class: usize) -> &Regions {
        &self.regions[usize::from(self.table.get(class).spans)]
    }

    fn take_slab(&self, class: usize) -> Result<EmptySlab, AllocFailure> {
        let regions = self.regions_of(class);
        if let Some(slab) = regions.take() {
            return Ok(slab);
        }
        self.retain();
        let slab = regions.take_new(&self.mapper, self.as_owner());
        match slab {
            Ok(_) => self.note(Event::RegionsMapped, 1, regions.region_size()),
            Err(failure) => {
                self.references.fetch_sub(1, Relaxed);
                self.notify_of_failure(failure);
            }
        }
        slab
    }

    /// Wakes the first waiter after the system refused a mapping. Its bytes were counted as mapped
    /// until then, so another request may have been refused because of them. The limit's own
    /// refusal changes no counter.
    pub(super) fn notify_of_failure(&self, failure: AllocFailure) {
        if failure == AllocFailure::System {
            self.notify();
        }
    }

    /// Frees empty slabs to their regions. May make system calls and run wakers.
    pub(crate) fn free_slabs(&self, class: usize, slabs: EmptySlabs) {
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
