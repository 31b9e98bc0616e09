//! The calling thread's caches, found without a lock, and detached when the thread ends.
//!
//! [`THREAD`] needs no destructor, so it can be reached at any time, also from destructors of other
//! thread-locals. A separate guard, registered with the thread's first cache, detaches all caches
//! when the thread ends. After that, the thread's allocations and frees bypass caches.
//!
//! The guard may not run: a thread that first uses the crate in the destructor of a `pthread_key`
//! has already run its thread-local destructors. Then its caches stay linked in their pools' lists.
//! Each cache is a box, so other threads can empty it through its gate for as long as the pool
//! lives. The cost is the memory of the caches.
//!
//! | status | meaning | next |
//! |---|---|---|
//! | `NEW` | no guard yet | `GUARDED`, with the first cache |
//! | `GUARDED` | the guard will detach the caches | `ENDED`, when the guard runs |
//! | `ENDED` | the thread has no cache and gets none | |
//!
//! The global pool's cache has an entry at a fixed offset in the thread-local. The caches of other
//! pools are found by the pool's index in a table of two levels. An entry without a cache points to
//! [`absent`], whose gate makes the fast paths fail.
//!
//! # Safety
//!
//! Chunks of the table are boxes that this thread allocates. They are freed when it ends, or never.
//! The cache that an entry points to is valid as long as the entry may be read: see
//! [`crate::inner`] for caches of a pool that another thread frees.

pub(crate) mod cache;
mod shrink;

use crate::depot::cache::{Entry, ThreadCache, absent};
use crate::inner::PoolInner;
use crate::inner::registry::{GLOBAL, MAX_POOLS};
use crate::sync::{MODEL, Ordering::Relaxed, array_of, const_fn, static_ref, thread_local_const};
use crate::util::events;
use crate::util::heap::try_box;
use shrink::BlockCount;
use std::cell::Cell;
use std::ptr::{self, NonNull};

/// Number of entries in a chunk.
const CHUNK: usize = if MODEL { 2 } else { 256 };

/// The entries of neighbouring pools.
struct Chunk([Entry; CHUNK]);

static_ref! {
    /// The shared placeholder for chunks that a thread has not allocated: no entry has a cache.
    fn no_chunk() -> &'static Chunk = Chunk(array_of!(no_cache()));
}

const_fn! {
    fn empty_chunk() -> NonNull<Chunk> {
        // SAFETY: the address of a static is not null.
        unsafe { NonNull::new_unchecked(ptr::from_ref(no_chunk()).cast_mut()) }
    }
}

/// Returns a chunk of the calling thread's table.
fn of<'a>(chunk: NonNull<Chunk>) -> &'a Chunk {
    // SAFETY: chunks are the static one and boxes of this thread.
    unsafe { chunk.as_ref() }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    New,
    Guarded,
    Ended,
}

/// A thread's entries: its caches of all pools.
pub(crate) struct Thread {
    global: Entry,
    chunks: [Cell<NonNull<Chunk>>; MAX_POOLS / CHUNK],
    status: Cell<Status>,
    blocks: BlockCount,
}

thread_local_const! {
    static THREAD: Thread = Thread::new();
    static GUARD: Guard = Guard;
}

struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        current().end();
    }
}

/// Returns the calling thread's entries.
#[inline(always)]
pub(crate) fn current<'a>() -> &'a Thread {
    let thread = THREAD.with(|thread| NonNull::from(thread));
    // SAFETY: the thread-local has no destructor, so it exists as long as the thread. A `Thread` is
    // not `Sync`, so the reference stays on its thread. No caller stores the reference.
    unsafe { thread.as_ref() }
}

const_fn! {
    fn no_cache() -> Entry {
        Entry::new(ptr::from_ref(absent()).cast_mut())
    }
}

impl Thread {
    const_fn! {
        fn new() -> Self {
            Self {
                global: no_cache(),
                chunks: array_of!(Cell::new(empty_chunk())),
                status: Cell::new(Status::New),
                blocks: BlockCount::new(),
            }
        }
    }

    /// Creates the entries of a model's thread, which calls [`end`](Self::end) itself.
    #[cfg(test)]
    #[allow(dead_code)]
    pub(crate) fn without_guard() -> Self {
        let thread = Self::new();
        thread.status.set(Status::Guarded);
        thread
    }

    /// Returns this thread's cache of the global pool, or [`absent`].
    #[inline(always)]
    pub(crate) fn global(&self) -> &ThreadCache {
        Self::in_entry(&self.global)
    }

    /// Returns this thread's cache of the pool with this index, which is not the global pool's, or
    /// [`absent`].
    #[inline(always)]
    pub(crate) fn find(&self, index: usize) -> &ThreadCache {
        let chunk = self.chunks[index / CHUNK % (MAX_POOLS / CHUNK)].get();
        Self::in_entry(&of(chunk).0[index % CHUNK])
    }

    /// Returns this thread's cache of the pool with this index, which may be the global pool's, or
    /// [`absent`].
    #[inline(always)]
    pub(crate) fn find_any(&self, index: usize) -> &ThreadCache {
        if index == GLOBAL {
            self.global()
        } else {
            self.find(index)
        }
    }

    #[inline(always)]
    fn in_entry(entry: &Entry) -> &ThreadCache {
        // SAFETY: never null; a cache in the entry lives while the caller has a handle or a buffer
        // of its pool.
        unsafe { &*entry.load(Relaxed) }
    }

    /// Returns this thread's cache of a pool that the caller retains, and creates it if needed.
    /// Returns `None` if the thread is ending, the pool is closed, or the heap has no memory for a
    /// cache.
    #[cold]
    pub(crate) fn find_or_attach(&self, at: NonNull<PoolInner>) -> Option<&ThreadCache> {
        let index = PoolInner::of(at).index;
        let found = self.find_any(index);
        if found.pool() == Some(at.cast()) {
            return Some(found);
        }
        if PoolInner::of(at).is_closed() || !self.guard() {
            return None;
        }
        let entry = self.entry(index)?;
        let cache = cache::attach(at, entry)?;
        Some(ThreadCache::of(cache))
    }

    /// Registers the guard with the first call. Returns `false` if the guard has run or cannot be
    /// registered any more.
    fn guard(&self) -> bool {
        if self.status.get() == Status::New && GUARD.try_with(|_| ()).is_ok() {
            self.status.set(Status::Guarded);
        }
        self.status.get() == Status::Guarded
    }

    /// Returns the entry of an index, in a chunk that is allocated if needed. Returns `None` if the
    /// heap has no memory for it.
    fn entry(&self, index: usize) -> Option<NonNull<Entry>> {
        if index == GLOBAL {
            return Some(NonNull::from(&self.global));
        }
        let place = &self.chunks[index / CHUNK];
        if place.get() == empty_chunk() {
            let chunk = try_box(Chunk(std::array::from_fn(|_| no_cache()))).ok()?;
            if place.get() == empty_chunk() {
                place.set(chunk);
            } else {
                // A hook of the heap allocated the chunk meanwhile.
                // SAFETY: created by `try_box` above, and never in the table.
                drop(unsafe { Box::from_raw(chunk.as_ptr()) });
            }
        }
        Some(NonNull::from(&of(place.get()).0[index % CHUNK]))
    }

    /// Returns the thread's entries, with and without caches.
    fn entries(&self) -> impl Iterator<Item = &Entry> {
        let chunks = self.chunks.iter().map(|chunk| of(chunk.get()));
        let used = chunks.filter(|chunk| !ptr::eq(*chunk, no_chunk()));
        std::iter::once(&self.global).chain(used.flat_map(|chunk| &chunk.0))
    }

    /// Detaches all caches and frees the chunks. The thread gets no cache any more.
    pub(crate) fn end(&self) {
        self.status.set(Status::Ended);
        cache::detach(&self.global);
        for place in &self.chunks {
            let chunk = place.get();
            if chunk == empty_chunk() {
                continue;
            }
            for entry in &of(chunk).0 {
                cache::detach(entry);
                events::emit();
            }
            place.set(empty_chunk());
            // SAFETY: created by `try_box`; its entries are empty, so no pool has a pointer into
            // it.
            drop(unsafe { Box::from_raw(chunk.as_ptr()) });
        }
        events::emit();
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
