//! Allocating and freeing the mappings of large buffers.
//!
//! # Safety
//!
//! A mapping that is unmapped here was mapped just before, and no other thread has a pointer to it.

use super::PoolInner;
use super::release::Unmap;
use crate::error::AllocFailure;
use crate::large::{LargeAlloc, LargeView, MapOptions};
use crate::slab::region::Regions;
use crate::sync::Ordering::Relaxed;
use crate::util::events::Event;
use std::ptr::NonNull;

impl PoolInner {
    pub(crate) fn map_options(&self) -> MapOptions {
        MapOptions {
            huge_pages: self.config.huge_pages,
            guard_pages: self.config.guard_pages,
        }
    }

    /// Returns the bytes of a mapping that may take physical memory: whole pages of the size that
    /// the mapping has.
    pub(crate) fn resident_bytes(&self, view: &LargeView) -> usize {
        let page = self.map_options().page_size(view.capacity, &self.mapper);
        view.touched.next_multiple_of(page).min(view.capacity)
    }

    /// Returns whether an empty pool has room for a buffer of `len` bytes within its limit and its
    /// budget. A slot always has room, because the least limit holds a region.
    pub(crate) fn can_ever_fit(&self, len: usize) -> bool {
        let page = self.mapper.page_size();
        let guard = if self.config.guard_pages { page } else { 0 };
        let footprint = len
            .checked_next_multiple_of(page)
            .and_then(|rounded| rounded.checked_add(guard));
        self.table.class_of(len).is_some()
            || footprint.is_some_and(|sum| sum <= self.config.bound())
    }

    /// Allocates a mapping of at least `len` bytes: a cached mapping, or a new one. Reclaims before
    /// it fails. May make system calls and run wakers.
    pub(crate) fn alloc_large(&self, len: usize) -> Result<NonNull<LargeAlloc>, AllocFailure> {
        if !self.can_ever_fit(len) {
            // No release would help.
            return self.alloc_large_once(len);
        }
        self.with_reclaim(|_| self.alloc_large_once(len))
    }

    fn alloc_large_once(&self, len: usize) -> Result<NonNull<LargeAlloc>, AllocFailure> {
        // The cache rounds `len` up to at least one page, so it does not return a retired mapping,
        // whose capacity is 0.
        if let Some(large) = self.mappings.take(len, self.mapper.page_size()) {
            return Ok(large);
        }
        let carry = self.carry();
        self.retain();
        let large = LargeAlloc::map(&self.mapper, len, self.map_options(), self.as_owner());
        if let Ok(large) = large {
            self.note(Event::MappingsMapped, 1, LargeAlloc::of(large).footprint());
            self.large_list.enter(large);
        }
        match large {
            Ok(large) if !self.config.guard_pages => Ok(large),
            Ok(large) if LargeAlloc::of(large).protect_guard(&self.mapper) => Ok(large),
            // A guard page is part of the request: without it the allocation fails.
            Ok(large) => {
                // SAFETY: mapped just now, and no other thread has a pointer to it.
                match unsafe { self.unmap_large(large) } {
                    Ok(()) => drop(self.references.fetch_sub(1, Relaxed)),
                    Err(large) => {
                        LargeAlloc::of(large).retire();
                        let _ = self.mappings.keep(large, &self.mapper);
                    }
                }
                self.notify();
                Err(AllocFailure::System)
            }
            Err(refused) => {
                self.references.fetch_sub(1, Relaxed);
                self.notify_of_failure(refused);
                if refused.is_limit() {
                    carry.end_without();
                }
                Err(refused)
            }
        }
    }

    /// Frees a mapping to the mapping cache, or to the system. May make system calls and run
    /// wakers.
    pub(crate) fn free_large(&self, large: NonNull<LargeAlloc>) {
        let _carry = self.carry();
        let regions: usize = self.regions.iter().map(Regions::all_empty_bytes).sum();
        let bytes = self.cache_limit().saturating_sub(regions);
        let decay_ms = self.config.decay_ms;
        let now_ms = self.mapper.now_ms();
        let evicted = self.mappings.give(large, bytes, decay_ms, now_ms);
        self.unmap_mappings(evicted, Unmap::Sparing { leaving: 0 });
        self.drain_if_closed();
        self.notify();
    }
}
