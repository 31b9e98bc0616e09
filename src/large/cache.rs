//! The mapping cache: freed mappings kept for reuse.
//!
//! It keeps mappings by size, in four bins per doubling, and by age. It is bounded in bytes.
//! Mappings above the bound, or older than the decay, are returned to the caller to unmap, oldest
//! first.
//!
//! A cached mapping that has been purged holds no memory, only addresses. Such mappings do not
//! count against the bound, and are not in the list by age. They arise where unmapping would cut
//! the address space into more areas than the kernel allows ([`Mapper::unmapping_fragments`]).
//!
//! # Safety
//!
//! The lists point to descriptors that the cache owns, and are followed under its lock.

use crate::large::{BINS, LargeAlloc, Link, bin_of, serves};
use crate::os::mapping::Mapper;
use crate::sync::{AtomicUsize, Mutex, Ordering::Relaxed, lock};
use std::ptr::NonNull;

/// Number of entries of a bin that are examined before the next bin.
const SCAN: usize = 8;

#[derive(Debug)]
struct State {
    bins: [Link; BINS],
    /// The newest of the mappings that may hold memory, which are listed by age.
    newest: Link,
    oldest: Link,
    /// Number of mappings in the cache. `footprint` is their bytes, with memory or without.
    count: usize,
    footprint: usize,
}

// SAFETY: the links point to descriptors that the cache owns, and are followed under the lock.
unsafe impl Send for State {}

/// The mapping cache of one pool: see the module's text.
#[derive(Debug)]
pub(crate) struct MappingCache {
    state: Mutex<State>,
    /// Bytes in cached mappings that may hold memory. Written under the lock.
    resident: AtomicUsize,
}

/// Mappings to be unmapped, linked through `older`.
#[must_use]
#[derive(Debug, Default)]
pub(crate) struct Evicted {
    first: Link,
}

impl Evicted {
    pub(crate) fn push(&mut self, large: NonNull<LargeAlloc>) {
        LargeAlloc::of(large).older.set(self.first);
        self.first = Some(large);
    }

    pub(crate) fn pop(&mut self) -> Link {
        let large = self.first?;
        self.first = LargeAlloc::of(large).older.take();
        Some(large)
    }

    /// Sorts the mappings by address, so that unmapping a row of neighbours leaves at most one
    /// additional map area at a time. Returns them unsorted if the heap has no memory to sort them.
    pub(crate) fn sorted(mut self) -> Self {
        let mut all = Vec::new();
        let mut next = self.first;
        while let Some(large) = next {
            if all.try_reserve(1).is_err() {
                return self;
            }
            all.push(large);
            next = LargeAlloc::of(large).older.get();
        }
        all.sort_unstable_by_key(|large| std::cmp::Reverse(LargeAlloc::of(*large).base().addr()));
        self.first = None;
        all.into_iter().for_each(|large| self.push(large));
        self
    }
}

impl MappingCache {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                bins: [None; BINS],
                newest: None,
                oldest: None,
                count: 0,
                footprint: 0,
            }),
            resident: AtomicUsize::new(0),
        }
    }

    /// Returns the bytes in cached mappings that may hold memory.
    pub(crate) fn resident(&self) -> usize {
        self.resident.load(Relaxed)
    }

    /// Returns the bytes in cached mappings, with memory or without.
    pub(crate) fn footprint(&self) -> usize {
        lock(&self.state).footprint
    }

    /// Removes and returns a cached mapping for a request of `len` bytes: of its [rounded
    /// capacity](LargeAlloc::rounded_capacity), or not much more.
    pub(crate) fn take(&self, len: usize, page_size: usize) -> Link {
        let rounded = LargeAlloc::rounded_capacity(len, page_size)?;
        let mut state = lock(&self.state);
        let bin = bin_of(rounded);
        for bin in bin..(bin + 3).min(BINS) {
            let mut next = state.bins[bin];
            for _ in 0..SCAN {
                let Some(large) = next else { break };
                let this = LargeAlloc::of(large);
                if serves(this.capacity(), rounded) {
                    self.remove(&mut state, large);
                    this.purged.set(false);
                    return Some(large);
                }
                next = this.bin_next.get();
            }
        }
        None
    }

    /// Keeps a freed mapping. Returns mappings that exceed the bound or the decay, to be unmapped.
    pub(crate) fn give(
        &self,
        large: NonNull<LargeAlloc>,
        bytes: usize,
        decay_ms: u64,
        now_ms: u64,
    ) -> Evicted {
        let mut state = lock(&self.state);
        LargeAlloc::of(large).freed_ms.set(now_ms);
        self.insert(&mut state, large);
        self.evict(&mut state, bytes, decay_ms, now_ms)
    }

    /// Purges a mapping and keeps it whatever the bound, because the system refused to unmap it or
    /// because unmapping would fragment the address space. Returns whether it holds no memory.
    pub(crate) fn keep(&self, large: NonNull<LargeAlloc>, mapper: &Mapper) -> bool {
        let this = LargeAlloc::of(large);
        if !this.purged.get() {
            this.purged.set(this.purge(mapper));
        }
        let purged = this.purged.get();
        self.insert(&mut lock(&self.state), large);
        purged
    }

    /// Returns the mappings above `bytes` or older than `decay_ms`, to be unmapped.
    pub(crate) fn release(&self, bytes: usize, decay_ms: u64, now_ms: u64) -> Evicted {
        if self.resident() == 0 {
            return Evicted::default();
        }
        self.evict(&mut lock(&self.state), bytes, decay_ms, now_ms)
    }

    /// Returns every mapping, including those without memory, and their number.
    pub(crate) fn drain(&self) -> (Evicted, usize) {
        let mut state = lock(&self.state);
        let count = state.count;
        let mut evicted = Evicted::default();
        for bin in 0..BINS {
            while let Some(large) = state.bins[bin] {
                self.remove(&mut state, large);
                evicted.push(large);
            }
        }
        (evicted, count)
    }

    fn evict(&self, state: &mut State, bytes: usize, decay_ms: u64, now_ms: u64) -> Evicted {
        let mut evicted = Evicted::default();
        while let Some(large) = state.oldest {
            let age_ms = now_ms.saturating_sub(LargeAlloc::of(large).freed_ms.get());
            if self.resident() <= bytes && age_ms < decay_ms {
                break;
            }
            self.remove(state, large);
            evicted.push(large);
        }
        evicted
    }

    fn add_resident(&self, bytes: usize) {
        self.resident.store(self.resident() + bytes, Relaxed);
    }

    fn insert(&self, state: &mut State, large: NonNull<LargeAlloc>) {
        let this = LargeAlloc::of(large);
        state.count += 1;
        state.footprint += this.footprint();
        if !this.purged.get() {
            self.add_resident(this.footprint());
            this.newer.set(None);
            this.older.set(state.newest);
            match state.newest.replace(large) {
                Some(second) => LargeAlloc::of(second).newer.set(Some(large)),
                None => state.oldest = Some(large),
            }
        }
        let bin = bin_of(this.capacity());
        this.bin_previous.set(None);
        this.bin_next.set(state.bins[bin]);
        if let Some(second) = state.bins[bin].replace(large) {
            LargeAlloc::of(second).bin_previous.set(Some(large));
        }
    }

    fn remove(&self, state: &mut State, large: NonNull<LargeAlloc>) {
        let this = LargeAlloc::of(large);
        state.count -= 1;
        state.footprint -= this.footprint();
        if !this.purged.get() {
            self.resident
                .store(self.resident() - this.footprint(), Relaxed);
            let (newer, older) = (this.newer.take(), this.older.take());
            match newer {
                Some(newer) => LargeAlloc::of(newer).older.set(older),
                None => state.newest = older,
            }
            match older {
                Some(older) => LargeAlloc::of(older).newer.set(newer),
                None => state.oldest = newer,
            }
        }
        let (next, previous) = (this.bin_next.take(), this.bin_previous.take());
        match previous {
            Some(previous) => LargeAlloc::of(previous).bin_next.set(next),
            None => state.bins[bin_of(this.capacity())] = next,
        }
        if let Some(next) = next {
            LargeAlloc::of(next).bin_previous.set(previous);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
