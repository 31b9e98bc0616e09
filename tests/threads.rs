//! Buffers that are allocated, freed and outlived on many threads.

mod common;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::sync_channel;
use std::thread;

use bytes::Bytes;
use common::child::{isolated, report};
use common::{
    MIB, Rng, SLAB, assert_all_home, assert_apart, fresh_pool, holds_stamp, is_all, stamp,
};
use slabuf::{Buffer, Pool, memory_usage};

/// Lengths of every kind: slots small and large, whole slabs, mappings.
const LENGTHS: [usize; 8] = [0, 16, 100, 1400, 4000, SLAB, SLAB + 1, 100_001];

/// `rounds` times one buffer of each of [`LENGTHS`].
fn mixed(pool: &Pool, rounds: usize) -> Vec<Buffer> {
    (0..rounds)
        .flat_map(|_| LENGTHS)
        .map(|n| pool.alloc_filled(n, [7]))
        .collect()
}

/// Runs `work` on a new thread and waits until its thread-local values are destroyed.
fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    // Not a scoped thread: a scope may end before the thread-local destructors have run.
    thread::spawn(work)
        .join()
        .expect("the thread does not panic")
}

/// A thread that exits returns its slots.
#[test]
fn thread_exit_gives_slots_back() {
    let pool = fresh_pool();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let pool = pool.clone();
            thread::spawn(move || drop(mixed(&pool, 100)))
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("no panic"));
    assert_eq!(pool.usage().in_use, 0);
    assert_eq!(pool.usage().large_live, 0);
    assert_all_home(&pool);
}

/// Buffers that outlive their thread stay intact and can be freed on another thread.
#[test]
fn buffers_outlive_their_thread() {
    let pool = fresh_pool();
    let taker = pool.clone();
    let live = on_a_thread(move || mixed(&taker, 50));
    let others = mixed(&pool, 50);
    assert_apart(live.iter().chain(&others));
    assert!(live.iter().all(|buffer| is_all(buffer, 7)));
    drop((live, others));
    assert_all_home(&pool);
}

/// Buffers freed on another thread return to their pool.
#[test]
fn drops_on_another_thread_come_home() {
    let pool = fresh_pool();
    for _ in 0..10 {
        let live = mixed(&pool, 50);
        let views: Vec<Bytes> = mixed(&pool, 5).into_iter().map(Buffer::freeze).collect();
        on_a_thread(move || drop((live, views)));
    }
    assert_eq!(pool.usage().in_use, 0);
    assert_all_home(&pool);
}

/// Holds buffers until its thread-local destructor runs, which then allocates and frees some more.
#[derive(Default)]
struct Holder {
    held: Vec<Buffer>,
    pool: Option<Pool>,
}

impl Drop for Holder {
    fn drop(&mut self) {
        let Some(pool) = self.pool.take() else { return };
        assert!(self.held.iter().all(|buffer| is_all(buffer, 7)));
        let late = mixed(&pool, 3);
        assert_apart(late.iter().chain(&self.held));
        self.held.truncate(self.held.len() / 2);
        drop(late);
        drop(mixed(&pool, 3));
        drop(Buffer::alloc(100));
    }
}

thread_local! {
    static HOLDER: RefCell<Holder> = RefCell::default();
}

/// A buffer in a thread-local value that was registered before the pool's value is freed.
#[test]
fn thread_local_registered_before_the_pool() {
    let pool = fresh_pool();
    let inner = pool.clone();
    on_a_thread(move || {
        HOLDER.with_borrow_mut(|holder| holder.pool = Some(inner.clone()));
        HOLDER.with_borrow_mut(|holder| holder.held = mixed(&inner, 3));
    });
    assert_eq!(pool.usage().in_use, 0);
    assert_all_home(&pool);
}

/// A buffer in a thread-local value that was registered after the pool's value is freed.
#[test]
fn thread_local_registered_after_the_pool() {
    let pool = fresh_pool();
    let inner = pool.clone();
    on_a_thread(move || {
        let held = mixed(&inner, 3);
        drop(mixed(&inner, 1));
        drop(Buffer::alloc(100));
        HOLDER.with_borrow_mut(|holder| {
            *holder = Holder {
                held,
                pool: Some(inner),
            }
        });
    });
    assert_eq!(pool.usage().in_use, 0);
    assert_all_home(&pool);
}

/// A thread that uses the pool only inside a thread-local destructor leaks nothing.
#[test]
fn a_pool_used_only_in_a_destructor() {
    let pool = fresh_pool();
    let inner = pool.clone();
    let held = mixed(&pool, 3);
    on_a_thread(move || {
        HOLDER.with_borrow_mut(|holder| {
            *holder = Holder {
                held,
                pool: Some(inner),
            }
        });
    });
    assert_eq!(pool.usage().in_use, 0);
    assert_all_home(&pool);
}

/// Buffers stay usable after their pool is dropped, and the last of them releases all memory.
#[test]
fn pools_go_before_their_buffers() {
    isolated("pools_go_before_their_buffers", || {
        let start = memory_usage();
        for _ in 0..20 {
            let pool = fresh_pool();
            let mut live = mixed(&pool, 20);
            drop(mixed(&pool, 20));
            drop(pool);
            let _other = fresh_pool().alloc(100);
            for buffer in &mut live {
                assert!(is_all(buffer, 7));
                let len = buffer.len();
                buffer.grow(len + 5000);
                assert!(is_all(&buffer[..len], 7));
            }
        }
        let end = memory_usage();
        assert_eq!(end.array_buffers, start.array_buffers);
        assert_eq!(end.external, start.external);
    });
}

/// The same if the last buffers are freed on other threads, or by threads that exit.
#[test]
fn pools_go_before_their_buffers_on_other_threads() {
    isolated("pools_go_before_their_buffers_on_other_threads", || {
        let start = memory_usage();
        for _ in 0..20 {
            let pool = fresh_pool();
            let inner = pool.clone();
            let (taken_here, taken_there) =
                (mixed(&pool, 10), on_a_thread(move || mixed(&inner, 10)));
            drop(pool);
            on_a_thread(move || {
                drop(taken_here);
                HOLDER.with_borrow_mut(|holder| holder.held = taken_there);
            });
        }
        let end = memory_usage();
        assert_eq!(end.array_buffers, start.array_buffers);
        assert_eq!(end.external, start.external);
    });
}

/// The last handle of a pool may be dropped on a thread that never used it, while caches of others
/// hold slots, or after the threads that used it have ended.
#[test]
fn a_pool_may_go_on_a_strange_thread() {
    isolated("a_pool_may_go_on_a_strange_thread", || {
        let start = memory_usage();
        on_a_thread(|| {
            for _ in 0..20 {
                let pool = fresh_pool();
                drop(mixed(&pool, 20));
                on_a_thread(move || drop(pool));
            }
        });
        assert_eq!(memory_usage().external, start.external);
        for _ in 0..20 {
            let pool = fresh_pool();
            let inner = pool.clone();
            on_a_thread(move || drop(mixed(&inner, 20)));
            drop(pool);
            assert_eq!(memory_usage().external, start.external);
        }
    });
}

/// One thread allocates, another frees: the mapped bytes stay bounded, and all memory returns.
#[test]
fn a_handover_levels_off() {
    let pool = fresh_pool();
    let (sender, receiver) = sync_channel::<(u64, Buffer)>(256);
    let dropper = thread::spawn(move || {
        for (seed, buffer) in receiver {
            assert!(holds_stamp(&buffer, seed));
        }
    });
    let mut mapped = Vec::new();
    for seed in 0..100_000 {
        let mut buffer = pool.alloc_unsafe([64, 1400, 8000][seed as usize % 3]);
        let stamped = buffer.len().min(64);
        stamp(&mut buffer[..stamped], seed);
        buffer.truncate(stamped);
        sender
            .send((seed, buffer))
            .expect("the other thread listens");
        if seed % 10_000 == 9_999 {
            mapped.push(pool.usage().external);
        }
    }
    drop(sender);
    dropper.join().expect("every stamp was right");
    // 257 live buffers, and the caches of two threads and the depot, of 315 MB allocated in total.
    assert!(
        mapped.iter().all(|bytes| *bytes <= 16 * MIB as u64),
        "{mapped:?}"
    );
    assert_eq!(pool.usage().in_use, 0);
    assert_all_home(&pool);
}

/// 300 short-lived threads leak nothing.
#[test]
fn short_lived_threads_leave_nothing() {
    let pool = fresh_pool();
    for _ in 0..300 {
        let inner = pool.clone();
        on_a_thread(move || drop(mixed(&inner, 5)));
    }
    assert_eq!(pool.usage().in_use, 0);
    assert!(
        pool.usage().array_buffers <= MIB as u64,
        "{:?}",
        pool.usage()
    );
    assert_all_home(&pool);
}

/// A panic between allocation and free leaks nothing, whether it is caught or ends the thread.
#[test]
fn a_panic_loses_nothing() {
    let pool = fresh_pool();
    for _ in 0..20 {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let _live = mixed(&pool, 2);
            panic!("between allocation and free");
        }));
        assert!(outcome.is_err());
        assert_eq!(pool.usage().in_use, 0);
        let inner = pool.clone();
        let thread = thread::spawn(move || {
            let _live = mixed(&inner, 2);
            panic!("between allocation and free");
        });
        assert!(thread.join().is_err());
    }
    assert_eq!(pool.usage().in_use, 0);
    assert_all_home(&pool);
}

/// Threads that exchange buffers of two pools at random never see bytes of another buffer.
#[test]
fn random_exchange_keeps_contents_apart() {
    let pools = [
        fresh_pool(),
        Pool::builder().slab_size(65_536).build().expect("valid"),
    ];
    let shelf: std::sync::Arc<std::sync::Mutex<Vec<(u64, Buffer)>>> = std::sync::Arc::default();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (pools, shelf) = (pools.clone(), shelf.clone());
            thread::spawn(move || {
                let mut rng = Rng::new(thread + 1);
                for _ in 0..4000 {
                    let seed = rng.next();
                    let len = rng.log_uniform(16, 20_000);
                    let mut buffer = pools[rng.below(2)].alloc_unsafe(len);
                    stamp(&mut buffer, seed);
                    let mut shelf = shelf.lock().expect("no panic before");
                    shelf.push((seed, buffer));
                    let taken = (shelf.len() > 300).then(|| {
                        let index = rng.below(300);
                        shelf.swap_remove(index)
                    });
                    drop(shelf);
                    if let Some((seed, buffer)) = taken {
                        assert!(holds_stamp(&buffer, seed), "thread {thread}");
                    }
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("no stamp was wrong"));
    assert!(
        shelf
            .lock()
            .expect("no panic")
            .drain(..)
            .all(|(seed, buffer)| holds_stamp(&buffer, seed))
    );
    pools.iter().for_each(assert_all_home);
}

/// Usage can be read and caches trimmed while other threads allocate and free.
#[test]
fn usage_and_trim_run_beside_other_threads() {
    let pool = fresh_pool();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let pool = pool.clone();
            thread::spawn(move || (0..200).for_each(|_| drop(mixed(&pool, 4))))
        })
        .collect();
    let mut asked = 0;
    while !threads.iter().all(thread::JoinHandle::is_finished) || asked == 0 {
        let usage = pool.usage();
        assert!(usage.external >= usage.array_buffers, "{usage:?}");
        pool.trim();
        asked += 1;
    }
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("no panic"));
    report(&format!("read and trimmed {asked} times"));
    assert_eq!(pool.usage().in_use, 0);
    assert_all_home(&pool);
}
