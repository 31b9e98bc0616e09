//! The bound on the heap bytes of a thread's blocks, and shrinking its magazines to it.
//!
//! A thread counts the bytes of the blocks that it puts into its magazines, in all pools. The count
//! may be too high, because claimers take blocks out of magazines, and pools are freed with their
//! caches. Before it would exceed [`MAX_BLOCK_BYTES`] the thread frees the blocks of its least used
//! classes, down to half of the bound, and counts anew. A class that it uses again starts with a
//! small block.

use super::Thread;
use crate::depot::cache::{Entry, ThreadCache};
use crate::inner::{PoolInner, registry};
use crate::sync::Ordering::Relaxed;
use std::cell::Cell;
use std::ptr::NonNull;

/// Maximum number of heap bytes in the blocks of one thread's magazines, in all classes of all
/// pools.
pub(crate) const MAX_BLOCK_BYTES: usize = 1 << 20;

/// Number of pops since the thread last shrank its magazines, up to which a class loses its blocks:
/// the first step that frees enough is the last.
const STEPS: [u16; 5] = [0, 8, 64, 512, u16::MAX];

/// A thread's count of the bytes of its blocks.
pub(super) struct BlockCount {
    bytes: Cell<usize>,
    is_shrinking: Cell<bool>,
}

impl BlockCount {
    pub(super) const fn new() -> Self {
        Self {
            bytes: Cell::new(0),
            is_shrinking: Cell::new(false),
        }
    }
}

impl Thread {
    /// Counts a change of the bytes of blocks in one of the thread's magazines.
    pub(super) fn count_blocks(&self, before: usize, after: usize) {
        let bytes = self.blocks.bytes.get() + after;
        self.blocks.bytes.set(bytes.saturating_sub(before));
    }

    /// Shrinks the thread's magazines if they have no room for a block of `bytes` bytes. The caller
    /// is outside of all gates and locks. May make system calls and run wakers.
    pub(super) fn shrink_if_full(&self, bytes: usize) {
        if self.blocks.bytes.get() + bytes > MAX_BLOCK_BYTES {
            self.shrink();
        }
    }

    #[cold]
    fn shrink(&self) {
        // Freeing a block runs the global allocator, whose hooks may come here.
        if self.blocks.is_shrinking.replace(true) {
            return;
        }
        for pops in STEPS {
            let left = self.entries().map(|entry| flush_unused(entry, pops)).sum();
            self.blocks.bytes.set(left);
            if left <= MAX_BLOCK_BYTES / 2 {
                break;
            }
        }
        for entry in self.entries() {
            // The lock keeps the pool of the entry's cache from being freed.
            let _pools = registry::pools();
            cache_in(entry).inspect(|cache| cache.count_pops_anew());
        }
        self.blocks.is_shrinking.set(false);
    }
}

/// Returns the cache in an entry of the calling thread, which holds the registry's lock or retains
/// the pool.
fn cache_in(entry: &Entry) -> Option<&ThreadCache> {
    let cache = ThreadCache::of(NonNull::new(entry.load(Relaxed))?);
    cache.pool().map(|_| cache)
}

/// Frees the blocks of each class that the calling thread has used for at most `pops` allocations
/// since it last shrank its magazines. Returns the bytes of the blocks that are left.
fn flush_unused(entry: &Entry, pops: u16) -> usize {
    let (cache, at) = {
        let _pools = registry::pools();
        let Some(cache) = cache_in(entry) else {
            return 0;
        };
        let Some(at) = cache.pool().map(NonNull::cast::<PoolInner>) else {
            return 0;
        };
        if !PoolInner::of(at).try_retain() {
            return 0;
        }
        (cache, at)
    };
    let inner = PoolInner::of(at);
    let mut left = 0;
    for class in 0..inner.table.count() {
        if cache.pops_since_shrunk(class) <= pops {
            super::cache::flush_class(inner, cache, class);
        } else {
            let _inside = inner.enter(cache);
            left += cache.magazine(class).block_bytes();
        }
    }
    PoolInner::release(at);
    left
}
