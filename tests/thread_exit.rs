//! Threads that end: while their storage is destroyed, by a panic, in great number, beside a trim,
//! and in a forked child. `bindings/c/tests` has those that outlive `main` in a loaded library.
//!
//! `SLABUF_FEWER_THREADS=N` divides the numbers of threads by `N`, for valgrind.
#![cfg(target_os = "linux")]

mod common;
#[path = "common/key_destructor.rs"]
mod key_destructor;

use std::cell::RefCell;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, Builder};

use common::child::{isolated, report};
use common::{KIB, MIB, SLAB, is_all};
use key_destructor::{UNMAPPED_STACK, at_key_destruction};
use slabuf::{Buffer, Pool, PoolBuilder, memory_usage};

const LENGTHS: [usize; 6] = [16, 1_400, SLAB, 12 * KIB, 100 * KIB, 300 * KIB];

/// Divides a number of rounds as the environment says.
fn fewer(rounds: usize) -> usize {
    let divisor =
        env::var("SLABUF_FEWER_THREADS").map_or(1, |text| text.parse().expect("a number"));
    (rounds / divisor).max(1)
}

type Kind = (&'static str, fn(PoolBuilder) -> PoolBuilder);

fn kinds() -> Vec<(&'static str, Pool)> {
    let kinds: [Kind; 5] = [
        ("plain", |pool| pool),
        ("limited", |pool| pool.limit(64 * MIB)),
        ("with marks", |pool| pool.high_water_mark(32 * MIB)),
        ("sampled", |pool| pool.sample(3)),
        ("wiping", |pool| pool.zero_on_free(true)),
    ];
    kinds
        .into_iter()
        .map(|(name, set)| (name, set(Pool::builder()).build().expect("valid settings")))
        .collect()
}

fn mixed(pool: &Pool, rounds: usize) -> Vec<Buffer> {
    (0..rounds)
        .flat_map(|_| LENGTHS)
        .map(|len| pool.alloc_filled(len, [7]))
        .collect()
}

/// Everything that is not live returns to the system at a trim, and the pool works on.
fn assert_nothing_is_kept(name: &str, pool: &Pool) {
    let usage = pool.usage();
    assert_eq!(
        (usage.in_use, usage.large_live),
        (0, 0),
        "{name}: {usage:?}"
    );
    pool.trim();
    let usage = pool.usage();
    assert_eq!((usage.external, usage.cached), (0, 0), "{name}: {usage:?}");
    let again = mixed(pool, 2);
    assert!(again.iter().all(|buffer| is_all(buffer, 7)), "{name}");
    drop(again);
    pool.trim();
    assert_eq!(pool.usage().external, 0, "{name}");
}

// ---- Destructors of keys: they run after all thread-local destructors ----

/// A thread whose first use of the crate is in the destructor of a key leaves nothing that points
/// to its storage.
#[test]
fn the_first_use_is_in_a_key_destructor() {
    isolated("the_first_use_is_in_a_key_destructor", || {
        for (name, pool) in kinds() {
            for _ in 0..fewer(5) {
                let inner = pool.clone();
                at_key_destruction(|| (), move || drop(mixed(&inner, 3)));
                assert_nothing_is_kept(name, &pool);
            }
        }
        for _ in 0..fewer(5) {
            at_key_destruction(|| (), || drop(mixed(Pool::global(), 3)));
            assert_nothing_is_kept("global", Pool::global());
        }
    });
}

/// The same where the thread has used the crate before, so that its caches are gone when the key is
/// destroyed.
#[test]
fn a_later_use_is_in_a_key_destructor() {
    isolated("a_later_use_is_in_a_key_destructor", || {
        for (name, pool) in kinds() {
            for _ in 0..fewer(5) {
                let (before, inner) = (pool.clone(), pool.clone());
                at_key_destruction(
                    move || drop(mixed(&before, 3)),
                    move || drop(mixed(&inner, 3)),
                );
                assert_nothing_is_kept(name, &pool);
            }
        }
    });
}

/// Buffers allocated in the destructor of a key outlive the thread, and the pool may end there.
#[test]
fn buffers_and_pools_cross_a_key_destructor() {
    isolated("buffers_and_pools_cross_a_key_destructor", || {
        let start = memory_usage().external;
        for (name, pool) in kinds() {
            let (sender, receiver) = mpsc::channel();
            let inner = pool.clone();
            let held = mixed(&pool, 1);
            let send = move || {
                drop(held);
                sender.send(mixed(&inner, 2)).expect("the test listens");
            };
            at_key_destruction(|| (), send);
            let live = receiver.recv().expect("sent before the thread ended");
            assert!(live.iter().all(|buffer| is_all(buffer, 7)), "{name}");
            drop(live);
            // The last handle.
            at_key_destruction(|| (), move || drop((mixed(&pool, 1), pool)));
            assert_eq!(memory_usage().external, start, "{name}");
        }
    });
}

// ---- Thread-local destructors ----

/// In its destructor drops what it holds and uses its pool; then drops its handle.
#[derive(Default)]
struct Late {
    pool: Option<Pool>,
    held: Vec<Buffer>,
}

impl Drop for Late {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            self.held.clear();
            drop(mixed(&pool, 2));
        }
    }
}

thread_local! {
    static FIRST: RefCell<Late> = RefCell::default();
    static SECOND: RefCell<Late> = RefCell::default();
}

/// Thread-local values, one registered before the thread's first use of the crate and one after it,
/// so that one of their destructors runs before the crate's own and one after it.
#[test]
fn thread_local_destructors_on_both_sides() {
    isolated("thread_local_destructors_on_both_sides", || {
        let start = memory_usage().external;
        for (name, pool) in kinds() {
            for round in 0..fewer(4) {
                let inner = pool.clone();
                let body = move || {
                    FIRST.with_borrow_mut(|late| late.pool = Some(inner.clone()));
                    let held = mixed(&inner, 2);
                    SECOND.with_borrow_mut(|late| {
                        late.pool = Some(inner.clone());
                        late.held = mixed(&inner, 2);
                    });
                    FIRST.with_borrow_mut(|late| late.held = held);
                };
                let thread = Builder::new().stack_size(UNMAPPED_STACK).spawn(body);
                let thread = thread.expect("there is room for a stack");
                thread.join().expect("no panic");
                assert_nothing_is_kept(&format!("{name}, round {round}"), &pool);
            }
            let late = Late {
                held: mixed(&pool, 1),
                pool: Some(pool),
            };
            // The last handle and the last buffers are dropped by the destructor.
            let thread = thread::spawn(move || FIRST.with_borrow_mut(|place| *place = late));
            thread.join().expect("no panic");
            assert_eq!(memory_usage().external, start, "{name}");
        }
    });
}

// ---- Panics, numbers, races ----

/// A thread that a panic ends keeps nothing.
#[test]
fn threads_that_end_by_a_panic_keep_nothing() {
    for (name, pool) in kinds() {
        for _ in 0..fewer(10) {
            let inner = pool.clone();
            let thread = thread::spawn(move || {
                let _live = mixed(&inner, 2);
                drop(mixed(&inner, 2));
                // As a panic unwinds, without a message.
                std::panic::resume_unwind(Box::new("the end"));
            });
            assert!(thread.join().is_err());
        }
        assert_nothing_is_kept(name, &pool);
    }
}

/// Ten thousand threads, each of which uses five pools and the global one, leave no more than two
/// thousand do.
#[test]
fn ten_thousand_threads_level_off() {
    isolated("ten_thousand_threads_level_off", || {
        let pools: Arc<Vec<Pool>> = Arc::new(kinds().into_iter().map(|(_, pool)| pool).collect());
        let run = |count: usize| {
            for _ in 0..fewer(count) / 4 {
                let four = [(); 4].map(|()| {
                    let pools = pools.clone();
                    thread::spawn(move || {
                        for pool in pools.iter().chain([Pool::global()]) {
                            drop([100, 1_400, 12 * KIB].map(|len| pool.alloc_unsafe(len)));
                        }
                    })
                });
                four.into_iter()
                    .for_each(|thread| thread.join().expect("no panic"));
            }
            let usage = memory_usage();
            (usage.heap_used, usage.external)
        };
        let (heap, external) = run(2_000);
        let (heap_after, external_after) = run(8_000);
        report(&format!(
            "heap {heap} to {heap_after}, external {external} to {external_after} bytes"
        ));
        // A leak of 16 bytes for each of 8,000 threads would be 128,000.
        assert!(
            heap_after < heap + 64 * KIB as u64,
            "{heap} to {heap_after}"
        );
        // Four threads at once may need one region of each kind more, in each of six pools.
        assert!(
            external_after <= external + (6 * 2 * 2 * MIB) as u64,
            "{external} to {external_after}"
        );
        for pool in pools.iter() {
            pool.trim();
            assert_eq!(pool.usage().external, 0);
        }
    });
}

/// Threads end while another thread trims, asks and makes requests fail: no slot is lost.
#[test]
fn threads_end_beside_a_trim() {
    for (name, pool) in kinds() {
        let done = Arc::new(AtomicBool::new(false));
        let trimmer = {
            let (pool, done) = (pool.clone(), done.clone());
            thread::spawn(move || {
                while !done.load(Relaxed) {
                    pool.trim();
                    let usage = pool.usage();
                    assert!(usage.external >= usage.array_buffers, "{usage:?}");
                    drop(pool.try_alloc_unsafe(63 * MIB));
                }
            })
        };
        let left: Arc<Mutex<Vec<Buffer>>> = Arc::default();
        for _ in 0..fewer(100) {
            let four = [(); 4].map(|()| {
                let (pool, left) = (pool.clone(), left.clone());
                thread::spawn(move || {
                    let mut held: Vec<Buffer> = LENGTHS
                        .into_iter()
                        .filter_map(|len| pool.try_alloc_filled(len, [7]).ok())
                        .collect();
                    std::mem::swap(&mut held, &mut *left.lock().expect("no panic"));
                    assert!(held.iter().all(|buffer| is_all(buffer, 7)));
                })
            });
            four.into_iter()
                .for_each(|thread| thread.join().expect("no panic"));
        }
        done.store(true, Relaxed);
        trimmer.join().expect("no panic");
        left.lock().expect("no panic").clear();
        assert_nothing_is_kept(name, &pool);
    }
}

/// Other threads end in a forked child, then the thread that forked, whose caches are copies of
/// those that it has in the parent. The parent goes on as before.
#[test]
fn threads_end_in_a_child() {
    isolated("threads_end_in_a_child", || {
        for (name, pool) in kinds() {
            let (inner, last, parent) = (pool.clone(), pool.clone(), process::id());
            let there = move || {
                let before = inner.clone();
                drop(thread::spawn(move || drop(mixed(&before, 2))).join());
                let after = inner.clone();
                at_key_destruction(|| (), move || drop(mixed(&after, 2)));
                assert_nothing_is_kept(name, &inner);
                drop(mixed(&inner, 2));
            };
            let fork = move || {
                let held = mixed(&last, 2);
                // SAFETY: the other threads wait for this one, in the test harness and in `join`,
                // and hold no lock that the child needs.
                let child = unsafe { libc::fork() };
                assert!(child >= 0, "no fork");
                drop(held);
                if child == 0 {
                    if catch_unwind(AssertUnwindSafe(there)).is_err() {
                        // SAFETY: ends this process without exit handlers.
                        unsafe { libc::_exit(1) };
                    }
                    return;
                }
                let mut status = 0;
                // SAFETY: waits for this process's own child; the pointer is to a number of the
                // right type.
                let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
                assert_eq!((waited, status), (child, 0), "{name}");
            };
            let end = pool.clone();
            at_key_destruction(fork, move || {
                if process::id() != parent {
                    drop(mixed(&end, 2));
                    // SAFETY: ends this process without exit handlers.
                    unsafe { libc::_exit(0) };
                }
            });
            assert_nothing_is_kept(name, &pool);
        }
    });
}

/// The process ends while threads use their pools, and `exit` runs the C library's destructors
/// beside them.
#[test]
fn the_process_ends_beside_busy_threads() {
    isolated("the_process_ends_beside_busy_threads", || {
        let (started, running) = mpsc::channel();
        for (_, pool) in kinds() {
            let started = started.clone();
            thread::spawn(move || {
                started.send(()).expect("the test listens");
                loop {
                    drop(mixed(&pool, 1));
                    drop(mixed(Pool::global(), 1));
                }
            });
        }
        running.iter().take(kinds().len()).for_each(drop);
        process::exit(0);
    });
}
