//! Models of a thread's table: a pool's index is used again, and no entry points to a freed pool.

use super::{CLASS, Rig, Sent, model};
use crate::inner::PoolInner;
use crate::inner::slots::Classes;
use crate::thread::{Thread, cache};
use std::ptr::NonNull;

/// Allocates and frees a slot through the table of the calling thread.
fn use_pool(thread: &Thread, at: NonNull<PoolInner>) {
    let inner = PoolInner::of(at);
    let found = thread.find(inner.index);
    assert!(
        found.pool().is_none_or(|pool| pool == at.cast()),
        "an entry leads to another pool"
    );
    let cache = thread.find_or_attach(at);
    let slot = cache::alloc_slot(inner, cache, Classes::from(CLASS))
        .unwrap()
        .0;
    inner.retain();
    cache::free_slot(inner, cache, CLASS, slot);
    PoolInner::release(at);
}

#[test]
fn loom_an_index_is_used_again() {
    model(|| {
        let first = Rig::new(|_| ());
        let (sender, receiver) = ::loom::sync::mpsc::channel();
        let user = ::loom::thread::spawn(move || {
            let (first, thread) = (first, Thread::without_guard());
            use_pool(&thread, first.inner);
            // The index is free from here on, because the last handle is dropped.
            first.close();
            let second: Sent<Rig> = receiver.recv().unwrap();
            let second = second.get();
            use_pool(&thread, second.inner);
            thread.end();
        });
        let thread = Thread::without_guard();
        let second = Rig::new(|_| ());
        sender.send(Sent(second)).unwrap();
        use_pool(&thread, second.inner);
        user.join().unwrap();
        thread.end();
        second.close();
    });
}

/// Another thread frees the pool while this one has an entry for it.
#[test]
fn loom_an_idle_threads_entry_is_cleared() {
    model(|| {
        let (first, thread) = (Rig::new(|_| ()), Thread::without_guard());
        use_pool(&thread, first.inner);
        let other = ::loom::thread::spawn(move || {
            let first = first;
            first.close();
            Sent(Rig::new(|_| ()))
        });
        let second = other.join().unwrap().get();
        assert_eq!(
            PoolInner::of(second.inner).index,
            1,
            "the index is used again"
        );
        use_pool(&thread, second.inner);
        thread.end();
        second.close();
    });
}
