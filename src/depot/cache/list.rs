//! The list of a pool's thread caches.
//!
//! # Safety
//!
//! A cache is linked by its owner. It is unlinked by its owner, or by the thread that frees the
//! pool, before it is freed. Both hold the lock of the list.

use super::ThreadCache;
use crate::depot::gate::BYPASS;
use std::ptr::NonNull;

/// The caches of all threads that use a pool.
#[derive(Debug)]
pub(crate) struct CacheList {
    first: Option<NonNull<ThreadCache>>,
    /// Reasons for which freed slots bypass magazines, as bits that the pool defines. `BYPASS` is
    /// set in each cache's state while there is any.
    pub(crate) bypass: u8,
    /// Bits that are set in the state of every cache that is linked.
    pub(crate) common: u8,
}

// SAFETY: each cache is a box, and is unlinked before it is freed.
unsafe impl Send for CacheList {}

impl CacheList {
    /// Creates an empty list, whose caches will all have the bits `common` in their states.
    pub(crate) fn new(common: u8) -> Self {
        Self {
            first: None,
            bypass: 0,
            common,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ThreadCache> {
        let next = |cache: &&ThreadCache| cache.next.get().map(ThreadCache::of);
        std::iter::successors(self.first.map(ThreadCache::of), next)
    }

    pub(crate) fn link(&mut self, cache: NonNull<ThreadCache>) {
        let this = ThreadCache::of(cache);
        let bypass = if self.bypass != 0 { BYPASS } else { 0 };
        this.gate.set(self.common | bypass);
        this.next.set(self.first);
        if let Some(second) = self.first.replace(cache) {
            ThreadCache::of(second).previous.set(Some(cache));
        }
    }

    pub(crate) fn unlink(&mut self, cache: NonNull<ThreadCache>) {
        let this = ThreadCache::of(cache);
        let (next, previous) = (this.next.take(), this.previous.take());
        match previous {
            Some(previous) => ThreadCache::of(previous).next.set(next),
            None => self.first = next,
        }
        if let Some(next) = next {
            ThreadCache::of(next).previous.set(previous);
        }
    }

    /// Unlinks the first cache and returns it.
    pub(crate) fn pop(&mut self) -> Option<NonNull<ThreadCache>> {
        let first = self.first?;
        self.unlink(first);
        Some(first)
    }
}
