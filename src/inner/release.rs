//! Releasing memory to the system: cached mappings, empty regions, pages of empty slabs.
//!
//! # Safety
//!
//! A mapping is unmapped after it was taken out of its structure, so no other thread has a pointer
//! to it. The caller holds a reference of another kind.

use super::PoolInner;
use crate::large::LargeAlloc;
use crate::large::cache::Evicted;
use crate::slab::region::{EmptyRegions, Keep, Regions, Unmapped};
use crate::sync::Ordering::Release;
use crate::util::attempt;
use crate::util::events::Event;
use std::ptr::NonNull;

/// A selection of the mappings to unmap.
#[derive(Clone, Copy)]
pub(super) enum Unmap {
    /// Only mappings whose unmapping does not fragment the address space, when `leaving` of them
    /// leave together.
    Sparing {
        leaving: usize,
    },
    All,
}

impl PoolInner {
    /// Unmaps cached mappings that exceed the cache's limit or its decay time.
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
        // These are not the last references: the caller holds one of another kind.
        self.references.fetch_sub(count, Release);
        // A region that rejoins can serve other waiters, whose attempts may have run while it was
        // away. A waiter that rejoins a region in its own attempt is not woken for it: its attempt
        // continues.
        if count > 0 || (any_rejoined && !attempt::is_running()) {
            self.notify();
        }
    }

    /// Empties the caches of a closed pool again, after the calling thread has put something into
    /// them. That thread may have read `closed` before the pool was closed, and reached the caches
    /// after the closing thread had emptied them. The caches' locks order this read after the
    /// closing thread's store.
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

    /// Unmaps a mapping. Returns it to the caller as `Err` if the system refuses.
    ///
    /// # Safety
    ///
    /// The caller fulfils the conditions of [`LargeAlloc::unmap`].
    pub(super) unsafe fn unmap_large(
        &self,
        large: NonNull<LargeAlloc>,
    ) -> Result<(), NonNull<LargeAlloc>> {
        self.large_list.strike(large);
        // SAFETY: the caller's promise.
        let unmapped = unsafe { LargeAlloc::unmap(large, &self.mapper) };
        unmapped.inspect_err(|large| self.large_list.enter(*large))
    }

    /// Unmaps evicted mappings. Those that the system refuses to unmap, or that `how` excludes, are
    /// purged and kept.
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
                // SAFETY: evicted, so no other thread has a pointer to it.
                unsafe { self.unmap_large(large) }
            };
            match kept {
                // This is not the last reference: the caller holds one of another kind.
                Ok(()) => {
                    self.note(Event::MappingsUnmapped, 1, footprint);
                    self.references.fetch_sub(1, Release);
                    any = true;
                }
                // Notifies on the first purge only, because a waiter's retry also gets here.
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

    /// Releases all memory that no buffer uses, including the caches of all threads. Makes system
    /// calls and runs wakers.
    pub(crate) fn trim(&self) {
        let _carry = self.carry();
        self.reclaim(0);
        let (evicted, leaving) = self.mappings.drain();
        self.unmap_mappings(evicted.sorted(), Unmap::Sparing { leaving });
        self.drain_slabs();
    }

    /// Releases all memory that no buffer uses, when a request is about to fail or the pool is
    /// closed. Unlike [`trim`](Self::trim) it also unmaps mappings whose release fragments the
    /// address space. `bypass` is the reason for which freed slots bypass magazines from now on.
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

    /// Purges the pages of empty slabs whose region stays mapped. Returns the number of bytes.
    pub(crate) fn purge(&self) -> usize {
        let _carry = self.carry();
        let purge = |regions: &Regions| regions.purge(&self.mapper);
        let purged = self.regions.iter().map(purge).sum();
        // Slabs were out of their regions during the purge, so a waiter's attempt may have missed
        // them.
        self.notify();
        purged
    }
}
