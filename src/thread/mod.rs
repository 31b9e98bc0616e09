//! The calling thread's local caches, found without a lock, and given back when the thread ends.
//!
//! [`THREAD`] needs no destructor, so it can be reached at any time, also from destructors of other
//! thread-locals. A separate guard, registered with the thread's first local cache, flushes them all when
//! the thread ends. What is taken or dropped after that goes straight to the depot.
//!
//! | status | meaning | next |
//! |---|---|---|
//! | `NEW` | no guard yet | `GUARDED`, with the first local cache |
//! | `GUARDED` | the guard will flush | `ENDED`, when the guard has run |
//! | `ENDED` | no local cache any more, ever | |
//!
//! The global pool's local cache is part of the thread-local itself, at an address the compiler knows.
//! Other pools' are found through a table of 64 by the pool's number, which is never used twice, and
//! failing that through a list. The table's first place is the global pool's: no other pool has a number
//! that is a multiple of 64.
//!
//! # Safety
//!
//! Local caches of other pools are boxes that this thread made; the list and the table lead only to those
//! that are attached, and nobody else has a pointer to them but for the figures (see `local`).

pub(crate) mod cache;

use crate::inner::PoolInner;
use crate::pressure::wait_queue::is_waking;
use crate::sync::thread_local_const;
use crate::thread::cache::LocalCache;
use crate::util::events;
use crate::util::heap::try_box;
use std::cell::Cell;
use std::ptr::NonNull;

/// The number of the global pool.
pub(crate) const GLOBAL_ID: u64 = 0;
const TABLE: usize = 64;
/// In a place of the table that is free.
const NO_KEY: u64 = u64::MAX;

/// The least number from `id` on that a pool other than the global one may have.
pub(crate) fn next_id(id: u64) -> u64 {
    if id.is_multiple_of(TABLE as u64) {
        id + 1
    } else {
        id
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    New,
    Guarded,
    Ended,
}

/// `cache` is there unless `key` is [`NO_KEY`].
struct Entry {
    key: Cell<u64>,
    cache: Cell<Option<NonNull<LocalCache>>>,
}

/// All that a thread knows.
pub(crate) struct Thread {
    /// Of the global pool; attached at its first use.
    pub(crate) global: LocalCache,
    table: [Entry; TABLE],
    /// Local caches of other pools, linked through `next`.
    others: Cell<Option<NonNull<LocalCache>>>,
    status: Cell<Status>,
}

thread_local_const! {
    static THREAD: Thread = {
        Thread {
            global: LocalCache::new(),
            table: [const {
                Entry {
                    key: Cell::new(NO_KEY),
                    cache: Cell::new(None),
                }
            }; TABLE],
            others: Cell::new(None),
            status: Cell::new(Status::New),
        }
    };
    static GUARD: Guard = Guard;
}

struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        current().end();
    }
}

/// The calling thread's own.
#[inline(always)]
pub(crate) fn current<'a>() -> &'a Thread {
    let thread = THREAD.with(|thread| NonNull::from(thread));
    // SAFETY: without a destructor the thread-local is there as long as the thread, and a `Thread` is not
    // `Sync`, so the reference stays on it. No reference is kept anywhere.
    unsafe { thread.as_ref() }
}

fn cache<'a>(at: NonNull<LocalCache>) -> &'a LocalCache {
    // SAFETY: listed local caches are boxes of this thread, and live until `forget`.
    unsafe { at.as_ref() }
}

/// Whether a function further down the stack may be at the local cache, and rely on its reference to the
/// pool: we are in a waker, which only those of gated pools call. Then it stays; the pool's end empties it all the same.
fn is_in_hand(cache: &LocalCache) -> bool {
    is_waking() && cache.inner().is_some_and(|inner| inner.config.gated)
}

impl Thread {
    /// This thread's local cache of the pool with this key, if the table has it. With the pool's number for a
    /// key no gated pool's is found.
    #[inline(always)]
    pub(crate) fn find(&self, key: u64) -> Option<&LocalCache> {
        let entry = &self.table[key as usize % TABLE];
        if entry.key.get() == key {
            // SAFETY: a place with a pool's number has its local cache (see `enter` and `forget`).
            Some(cache(unsafe { entry.cache.get().unwrap_unchecked() }))
        } else {
            None
        }
    }

    /// This thread's local cache of the pool, made if need be. `None` if there is to be none: the thread
    /// is ending, the pool is closed, or there is no memory for one.
    #[cold]
    pub(crate) fn find_or_attach(&self, inner: NonNull<PoolInner>) -> Option<&LocalCache> {
        let closed = PoolInner::of(inner).is_closed();
        let found = if PoolInner::of(inner).id == GLOBAL_ID {
            Some(&self.global).filter(|global| global.is_of(inner))
        } else {
            self.others().map(cache).find(|cache| cache.is_of(inner))
        };
        match found {
            Some(cache) if closed && is_in_hand(cache) => None,
            Some(cache) if closed => {
                self.forget(NonNull::from(cache));
                None
            }
            Some(cache) => {
                self.enter(inner, cache);
                Some(cache)
            }
            None if closed || !self.guard() => None,
            None => self.attach(inner),
        }
    }

    fn others(&self) -> impl Iterator<Item = NonNull<LocalCache>> {
        std::iter::successors(self.others.get(), |at| cache(*at).next.get())
    }

    /// Makes sure that the guard will run. `false`: it has.
    fn guard(&self) -> bool {
        if self.status.get() == Status::New && GUARD.try_with(|_| ()).is_ok() {
            self.status.set(Status::Guarded);
        }
        self.status.get() == Status::Guarded
    }

    fn attach(&self, inner: NonNull<PoolInner>) -> Option<&LocalCache> {
        if PoolInner::of(inner).id == GLOBAL_ID {
            self.global.attach(inner).ok()?;
            self.enter(inner, &self.global);
            return Some(&self.global);
        }
        // A thread that goes on to another pool has no use for what it kept of pools that are gone.
        let is_gone = |at: &NonNull<LocalCache>| {
            cache(*at).inner().is_none_or(PoolInner::is_closed) && !is_in_hand(cache(*at))
        };
        while let Some(gone) = self.others().find(is_gone) {
            self.forget(gone);
        }
        let new = try_box(LocalCache::new()).ok()?;
        if cache(new).attach(inner).is_err() {
            // SAFETY: made by `try_box` above, and never shown to anybody.
            drop(unsafe { Box::from_raw(new.as_ptr()) });
            return None;
        }
        cache(new).next.set(self.others.replace(Some(new)));
        self.enter(inner, cache(new));
        Some(cache(new))
    }

    fn enter(&self, inner: NonNull<PoolInner>, cache: &LocalCache) {
        let key = PoolInner::of(inner).key;
        let entry = &self.table[key as usize % TABLE];
        entry.cache.set(Some(NonNull::from(cache)));
        entry.key.set(key);
    }

    /// Detaches a local cache and frees it.
    fn forget(&self, unwanted: NonNull<LocalCache>) {
        for entry in &self.table {
            if entry.cache.get() == Some(unwanted) {
                entry.key.set(NO_KEY);
                entry.cache.set(None);
            }
        }
        // The global pool's is part of the thread-local.
        let listed = self.unlist(unwanted);
        // Not found any more: what it gives back may wake somebody, whose waker may take and drop buffers here.
        cache(unwanted).detach();
        if listed {
            // SAFETY: made by `try_box` in `attach`; out of the table and the list, so nobody finds it.
            drop(unsafe { Box::from_raw(unwanted.as_ptr()) });
        }
    }

    /// Takes a local cache out of the list. `false`: it is not there.
    fn unlist(&self, unwanted: NonNull<LocalCache>) -> bool {
        let next = cache(unwanted).next.get();
        if self.others.get() == Some(unwanted) {
            self.others.set(next);
            return true;
        }
        let leads_to = |at: &NonNull<LocalCache>| cache(*at).next.get() == Some(unwanted);
        let before = self.others().find(leads_to);
        if let Some(before) = before {
            cache(before).next.set(next);
        }
        before.is_some()
    }

    /// Lets go of a pool, if this thread has a local cache of it.
    pub(crate) fn leave(&self, inner: NonNull<PoolInner>) {
        let at = self.others().find(|at| cache(*at).is_of(inner));
        if let Some(at) = at.filter(|at| !is_in_hand(cache(*at))) {
            self.forget(at);
        }
    }

    /// Flushes this thread's local cache of the pool, if it has one.
    pub(crate) fn flush(&self, inner: NonNull<PoolInner>) {
        if self.global.is_of(inner) {
            self.global.flush();
        } else if let Some(at) = self.others().find(|at| cache(*at).is_of(inner)) {
            cache(at).flush();
        }
    }

    fn end(&self) {
        self.status.set(Status::Ended);
        self.forget(NonNull::from(&self.global));
        while let Some(at) = self.others.get() {
            self.forget(at);
            events::emit();
        }
        events::emit();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::Pool;
    use crate::pressure::wait_queue::Wake;
    use std::cell::RefCell;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::sync::{Arc, mpsc};

    /// Takes and drops a buffer, as a waker and at the very end of a thread.
    struct Uses(Pool, AtomicUsize);

    /// The only ticket.
    const TICKET: u64 = 0;

    impl Uses {
        fn go(&self) {
            assert_eq!(self.0.alloc(64), [0; 64]);
            self.1.fetch_add(1, Relaxed);
        }
    }

    impl std::task::Wake for Uses {
        fn wake(self: Arc<Self>) {
            // Nobody waits any more, so magazines are filled again.
            drop(PoolInner::of(self.0.inner()).waiting.resume(TICKET));
            self.go();
        }
    }

    struct AtTheEnd(Arc<Uses>);

    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            self.0.go();
        }
    }

    thread_local! {
        static AT_THE_END: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
    }

    /// What an ending thread gives back wakes somebody, whose waker finds no local cache that is about to be freed.
    #[test]
    fn a_waker_uses_the_pool_while_a_thread_ends() {
        let pool = Pool::builder().limit(1 << 20).build().unwrap();
        let uses = Arc::new(Uses(pool.clone(), AtomicUsize::new(0)));
        let (filled, is_filled) = mpsc::channel();
        let (end, may_end) = mpsc::channel::<()>();
        let ends = {
            let uses = uses.clone();
            std::thread::spawn(move || {
                AT_THE_END.with(|last| *last.borrow_mut() = Some(AtTheEnd(uses.clone())));
                uses.go();
                filled.send(()).unwrap();
                may_end.recv().unwrap();
            })
        };
        is_filled.recv().unwrap();
        // A place in the queue, and no attempt, which would empty the other thread's magazine.
        let turn = PoolInner::of(pool.inner()).waiting.join().unwrap();
        assert!(turn.is_first(Wake::Task(uses.clone().into())));
        assert_eq!(turn.suspend(), TICKET);
        end.send(()).unwrap();
        ends.join().unwrap();
        assert_eq!(uses.1.load(Relaxed), 3, "in the thread, woken, at its end");
        pool.trim();
        let usage = pool.usage();
        assert_eq!((usage.in_use, usage.external), (0, 0));
    }
}
