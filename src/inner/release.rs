//! What is spare and goes back to the system: mappings, regions, pages of empty slabs.
//!
//! # Safety
//!
//! What is unmapped was taken out of its structure, so nobody else has it; the caller holds a reference of
//! another kind.

use super::PoolInner;
use crate::large::LargeAlloc;
use crate::large::cache::Evicted;
use crate::pressure::wait_queue::is_attempting;
use crate::slab::region::{EmptyRegions, Keep, Regions, Unmapped};
use crate::sync::Ordering::Release;
use crate::util::events::Event;
use std::ptr::NonNull;

/// Which mappings are unmapped.
#[derive(Clone, Copy)]
pub(super) enum Unmap {
    /// Not those whose unmapping would cut the address space up, when so many leave together.
    Sparing {
        leaving: usize,
    },
    All,
}

impl PoolInner {
    /// Gives back cached mappings that are too many or too old.
    pub(crate) fn shrink_mappings(&self, now_ms: u64) {
        let decay_ms = self.config.decay_ms;
        let evicted = self.mappings.release(self.cache_limit(), decay_ms, now_ms);
        self.unmap_mappings(evicted, Unmap::Sparing { leaving: 0 });
    }

    pub(super) fn unmap_regions(&self, regions: &Regions, empty: EmptyRegions) {
        let Unmapped {
            count,
            any_rejoined,
        } = regions.unmap(&self.mapper, empty);
        self.note(Event::RegionsUnmapped, count, count * regions.region_size());
        // Not the last references: the caller holds one of another kind.
        self.references.fetch_sub(count, Release);
        // A region that rejoins can serve others, who may have looked while it was away. A waiter that finds it so in
        // its own attempt goes on with it.
        if count > 0 || (any_rejoined && !is_attempting()) {
            self.notify();
        }
    }

    /// Empties the caches of a closed pool once more, after something was put into them: whoever did may
    /// have looked before the pool was closed, and come after the closing thread had emptied them. The
    /// caches' locks order this look after theirs.
    pub(super) fn drain_if_closed(&self) {
        if self.is_closed() {
            if self.mappings.resident() > 0 {
                self.unmap_mappings(self.mappings.drain().0, Unmap::All);
            }
            let now_ms = self.mapper.now_ms();
            for regions in &self.regions {
                self.unmap_regions(regions, regions.release(Keep::NOTHING, now_ms));
            }
        }
    }

    /// Gives a mapping back to the system, or back to the caller if the system refuses.
    ///
    /// # Safety
    ///
    /// As for [`LargeAlloc::unmap`].
    pub(super) unsafe fn unmap_large(
        &self,
        large: NonNull<LargeAlloc>,
    ) -> Result<(), NonNull<LargeAlloc>> {
        self.large_list.strike(large);
        // SAFETY: the caller's promise.
        let unmapped = unsafe { LargeAlloc::unmap(large, &self.mapper) };
        unmapped.inspect_err(|large| self.large_list.enter(*large))
    }

    /// Unmaps what was evicted. What has to stay, or had better by `how`, is purged and kept.
    pub(super) fn unmap_mappings(&self, mut evicted: Evicted, how: Unmap) {
        let mut any = false;
        while let Some(large) = evicted.pop() {
            let footprint = LargeAlloc::of(large).footprint();
            let keep = match how {
                Unmap::Sparing { leaving } if !self.is_closed() => {
                    let len = LargeAlloc::of(large).capacity();
                    self.mapper.unmapping_fragments(len, leaving)
                }
                _ => false,
            };
            let kept = if keep {
                Err(large)
            } else {
                // SAFETY: evicted, so nobody else's.
                unsafe { self.unmap_large(large) }
            };
            match kept {
                // Not the last reference: the caller holds one of another kind.
                Ok(()) => {
                    self.note(Event::MappingsUnmapped, 1, footprint);
                    self.references.fetch_sub(1, Release);
                    any = true;
                }
                // Worth a word only once: who waits may come by here with each attempt.
                Err(large) => {
                    let purged_before = LargeAlloc::of(large).purged.get();
                    any |= self.mappings.keep(large, &self.mapper) && !purged_before;
                }
            }
        }
        if any {
            self.notify();
        }
    }

    /// Releases everything that no buffer uses, of all threads' caches too. Makes system calls and runs wakers.
    pub(crate) fn trim(&self) {
        let _carry = self.carry();
        self.reclaim(0);
        let (evicted, leaving) = self.mappings.drain();
        self.unmap_mappings(evicted.sorted(), Unmap::Sparing { leaving });
        self.drain_slabs();
    }

    /// The same when a request is about to fail, or the pool is closed: also mappings whose release fragments the
    /// address space. `bypass`: why freed slots bypass magazines from now on.
    pub(super) fn release_caches(&self, bypass: u8) {
        let _carry = self.carry();
        self.note(Event::CachesEmptied, 1, 0);
        self.reclaim(bypass);
        self.unmap_mappings(self.mappings.drain().0.sorted(), Unmap::All);
        self.drain_slabs();
    }

    fn drain_slabs(&self) {
        for class in 0..self.table.count() {
            let slabs = self.depot.drain(class);
            let any = !slabs.is_empty();
            let regions = self.regions_of(class);
            let spare = regions.give(slabs, Keep::NOTHING, self.mapper.now_ms());
            self.unmap_regions(regions, spare);
            if any {
                self.notify();
            }
        }
        if self.mapper.any_stranded() && self.mapper.unmap_stranded() {
            self.notify();
        }
    }

    /// Gives back the memory of empty slabs whose region stays. Returns the bytes.
    pub(crate) fn purge(&self) -> usize {
        let _carry = self.carry();
        let purge = |regions: &Regions| regions.purge(&self.mapper);
        let purged = self.regions.iter().map(purge).sum();
        // Slabs were out of their regions meanwhile.
        self.notify();
        purged
    }
}
