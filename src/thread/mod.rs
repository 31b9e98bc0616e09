//! The calling thread's caches, found without a lock, and detached when the thread ends.
//!
//! [`THREAD`] needs no destructor, so it can be reached at any time, also from destructors of other thread-locals. A
//! separate guard, registered with the thread's first cache, detaches all caches when the thread ends. What is
//! allocated or freed after that bypasses caches.
//!
//! The guard may not run: a thread whose first use of the crate is in the destructor of a `pthread_key` has run its
//! guards already. Then its caches stay linked in their pools' lists. They are boxes of their own, so other threads can
//! empty them through their gates for as long as the pool lives; what such a thread costs is their memory.
//!
//! | status | meaning | next |
//! |---|---|---|
//! | `NEW` | no guard yet | `GUARDED`, with the first cache |
//! | `GUARDED` | the guard will detach the caches | `ENDED`, when the guard runs |
//! | `ENDED` | no cache any more, ever | |
//!
//! The global pool's cache has an entry at an address the compiler knows. Those of other pools are found by the pool's
//! index in a table of two levels. An entry without a cache leads to [`absent`], at whose gate the fast paths turn back.
//!
//! # Safety
//!
//! Chunks of the table are boxes that this thread made, freed when it ends, or never. What an entry leads to is
//! valid as long as the entry is of use: see [`crate::inner`] for caches of a pool that another thread frees.

pub(crate) mod cache;

use crate::depot::cache::{Entry, ThreadCache, absent};
use crate::inner::PoolInner;
use crate::inner::registry::{GLOBAL, MAX_POOLS};
use crate::sync::{MODEL, Ordering::Relaxed, array_of, const_fn, static_ref, thread_local_const};
use crate::util::events;
use crate::util::heap::try_box;
use std::cell::Cell;
use std::ptr::{self, NonNull};

/// Entries in a chunk.
const CHUNK: usize = if MODEL { 2 } else { 256 };

/// The entries of neighbouring pools.
struct Chunk([Entry; CHUNK]);

static_ref! {
    /// What stands for chunks that a thread has not made: no cache in any entry.
    fn no_chunk() -> &'static Chunk = Chunk(array_of!(no_cache()));
}

const_fn! {
    fn empty_chunk() -> NonNull<Chunk> {
        // SAFETY: the address of a static is not null.
        unsafe { NonNull::new_unchecked(ptr::from_ref(no_chunk()).cast_mut()) }
    }
}

/// A chunk of the calling thread's table.
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

/// What a thread knows.
pub(crate) struct Thread {
    global: Entry,
    chunks: [Cell<NonNull<Chunk>>; MAX_POOLS / CHUNK],
    status: Cell<Status>,
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

/// The calling thread's.
#[inline(always)]
pub(crate) fn current<'a>() -> &'a Thread {
    let thread = THREAD.with(|thread| NonNull::from(thread));
    // SAFETY: without a destructor the thread-local is there as long as the thread, and a `Thread` is not `Sync`, so the
    // reference stays on it. No reference is kept anywhere.
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
            }
        }
    }

    /// A model's thread, which calls [`end`](Self::end) itself.
    #[cfg(test)]
    #[allow(dead_code)]
    pub(crate) fn without_guard() -> Self {
        let thread = Self::new();
        thread.status.set(Status::Guarded);
        thread
    }

    /// This thread's cache of the global pool, or [`absent`].
    #[inline(always)]
    pub(crate) fn global(&self) -> &ThreadCache {
        Self::in_entry(&self.global)
    }

    /// This thread's cache of the pool with this index, which is not the global one's, or [`absent`].
    #[inline(always)]
    pub(crate) fn find(&self, index: usize) -> &ThreadCache {
        let chunk = self.chunks[index / CHUNK % (MAX_POOLS / CHUNK)].get();
        Self::in_entry(&of(chunk).0[index % CHUNK])
    }

    /// The same for a pool that may be the global one.
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
        // SAFETY: never null; a cache in the entry lives while the caller has a handle or a buffer of its pool.
        unsafe { &*entry.load(Relaxed) }
    }

    /// This thread's cache of a pool that the caller retains, made if need be. `None` if there is to be none: the thread
    /// is ending, the pool is closed, or there is no memory for one.
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

    /// Makes sure that the guard will run. `false`: it has.
    fn guard(&self) -> bool {
        if self.status.get() == Status::New && GUARD.try_with(|_| ()).is_ok() {
            self.status.set(Status::Guarded);
        }
        self.status.get() == Status::Guarded
    }

    /// The entry of an index, in a chunk that is made if need be.
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
                // A hook of the heap was here meanwhile.
                // SAFETY: made by `try_box` above, and never in the table.
                drop(unsafe { Box::from_raw(chunk.as_ptr()) });
            }
        }
        Some(NonNull::from(&of(place.get()).0[index % CHUNK]))
    }

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
            // SAFETY: made by `try_box`; its entries are empty, so no pool has a pointer into it.
            drop(unsafe { Box::from_raw(chunk.as_ptr()) });
        }
        events::emit();
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
