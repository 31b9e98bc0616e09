//! Fixed defects, each with the smallest test that shows it.

use slabuf::{Buffer, Pool};
use std::sync::mpsc::channel;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

const MIB: usize = 1 << 20;

/// Locked by tests that compare counters of the whole process.
static PROCESS: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    PROCESS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Foreign code may write up to the capacity of raw parts; the next zeroed buffer is still zero.
#[test]
fn what_foreign_code_wrote_past_the_length_is_zeroed() {
    let pool = Pool::builder().build().expect("memory");
    let (start, len, owner) = pool.with_capacity(MIB).into_raw_parts();
    assert_eq!(len, 0);
    for offset in 0..MIB {
        // SAFETY: below the requested capacity, and the buffer is in raw parts.
        let byte = unsafe { start.add(offset) };
        // SAFETY: as above.
        unsafe { byte.write(0xaa) };
    }
    // SAFETY: the parts of one buffer, used once.
    drop(unsafe { Buffer::from_raw_parts(start, 0, owner) });
    assert!(pool.alloc(MIB).iter().all(|byte| *byte == 0));
}

/// A thread that continues with another pool releases the caches of closed pools.
#[test]
fn a_thread_keeps_nothing_of_pools_that_are_gone() {
    let _alone = alone();
    let (to_worker, from_main) = channel::<(Pool, Buffer)>();
    let (to_main, from_worker) = channel();
    let worker = thread::spawn(move || {
        for (pool, buffer) in from_main {
            drop(buffer);
            drop(pool);
            to_main.send(()).expect("the main thread waits");
        }
    });
    let mut pools = Vec::new();
    for _ in 0..4 {
        let pool = Pool::builder().build().expect("memory");
        let buffer = pool.alloc(16 * MIB);
        to_worker.send((pool.clone(), buffer)).expect("it listens");
        from_worker.recv().expect("dropped");
        pools.push(pool);
    }
    let before = slabuf::memory_usage().external;
    drop(pools);
    let next = Pool::builder().build().expect("memory");
    let buffer = next.alloc(16 * MIB);
    to_worker.send((next, buffer)).expect("it listens");
    from_worker.recv().expect("dropped");
    let after = slabuf::memory_usage().external;
    // Other tests of this file map far less at the same time.
    assert!(after + 40 * MIB as u64 <= before, "{before} to {after}");
    drop(to_worker);
    worker.join().expect("no panic");
}

/// A pool may be closed before its many large buffers are dropped, and leaks nothing.
#[test]
fn many_large_buffers_outlive_their_pool() {
    let _alone = alone();
    let pool = Pool::builder().build().expect("memory");
    let live: Vec<Buffer> = (0..20_000).map(|_| pool.alloc_unsafe(9_000)).collect();
    let mapped = pool.usage().external;
    assert!(mapped >= 20_000 * 9_000);
    let before = slabuf::memory_usage().external;
    drop(pool);
    let (first, second): (Vec<_>, Vec<_>) =
        live.into_iter().enumerate().partition(|(n, _)| n % 2 == 0);
    drop(first);
    drop(second);
    let after = slabuf::memory_usage().external;
    // Other tests of this file map far less at the same time.
    assert!(
        after + mapped <= before + 100 * MIB as u64,
        "{before} to {after}"
    );
}

/// A failing request asks another thread to release its magazines, which it does at its next free.
#[test]
fn a_failing_request_calls_on_other_threads() {
    let pool = Pool::builder().limit(8 * MIB).build().expect("memory");
    let other_pool = pool.clone();
    let (to_other, from_main) = channel::<()>();
    let (to_main, from_other) = channel();
    let other = thread::spawn(move || {
        for () in from_main {
            let live: Vec<Buffer> = (0..4_000).map(|_| other_pool.alloc(700)).collect();
            drop(live);
            to_main.send(()).expect("the main thread waits");
        }
    });
    let other_works = || {
        to_other.send(()).expect("it listens");
        from_other.recv().expect("done");
    };
    other_works();
    // The other thread's magazines keep some regions: this may fail, and asks for their release.
    let first = pool.try_alloc(8 * MIB - 4096);
    drop(first);
    other_works();
    let needed = pool.try_alloc(7 * MIB);
    assert!(needed.is_ok(), "{needed:?}: {:?}", pool.usage());
    drop(needed);
    drop(to_other);
    other.join().expect("no panic");
}

/// A request in a destructor that runs after the thread's caches are gone still empties the shared
/// ones.
#[test]
fn the_caches_give_way_also_without_a_local_one() {
    struct Last(Pool, std::sync::mpsc::Sender<bool>);
    impl Drop for Last {
        fn drop(&mut self) {
            let got = self.0.try_alloc(6 * MIB).is_ok();
            self.1.send(got).expect("the main thread waits");
        }
    }
    thread_local! {
        static LAST: std::cell::RefCell<Option<Last>> = const { std::cell::RefCell::new(None) };
    }
    let pool = Pool::builder().limit(8 * MIB).build().expect("memory");
    let (to_main, from_last) = channel();
    let inner = pool.clone();
    thread::spawn(move || {
        // Registered before the pool's guard, so destroyed after it.
        LAST.set(Some(Last(inner.clone(), to_main)));
        let live: Vec<Buffer> = (0..7).map(|_| inner.alloc(MIB)).collect();
        drop(live);
    })
    .join()
    .expect("no panic");
    assert!(from_last.recv().expect("the destructor ran"));
}
