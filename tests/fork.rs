//! Forks of a process with several threads. The child has one thread; what the others kept stays
//! where it was.
#![cfg(target_os = "linux")]

mod common;
#[path = "common/crew.rs"]
mod crew;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use common::child::isolated;
use common::{KIB, MIB, SLAB, assert_all_home, holds_stamp, is_all, stamp};
use crew::Crew;
use slabuf::{Budget, Buffer, Pool};

const LENGTHS: [usize; 5] = [16, 1_400, SLAB, 12 * KIB, 300 * KIB];
/// After this many seconds the kernel ends a child that waits for a thread it does not have.
const WATCHDOG_SECONDS: u32 = 30;

fn pools() -> [Pool; 3] {
    [
        Pool::builder(),
        Pool::builder().limit(64 * MIB),
        Pool::builder().high_water_mark(32 * MIB),
    ]
    .map(|builder| builder.build().expect("valid settings"))
}

fn mixed(pool: &Pool) -> Vec<Buffer> {
    LENGTHS.map(|len| pool.alloc_filled(len, [7])).into()
}

/// Runs `there` in a forked child and returns the child's status.
fn status_of_child(there: impl FnOnce()) -> i32 {
    // SAFETY: the child runs `there` and `_exit` alone. The other threads of the tests in this file
    // hold no lock of the C library that these need: they wait for jobs, or allocate and drop
    // buffers.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "no fork");
    if child == 0 {
        // SAFETY: takes a number; ends this process by a signal unless it has ended before.
        unsafe { libc::alarm(WATCHDOG_SECONDS) };
        let code = i32::from(catch_unwind(AssertUnwindSafe(there)).is_err());
        // SAFETY: ends the process without the parent's exit handlers, as a forked child should.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: waits for this process's own child; the pointer is to a number of the right type.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child);
    status
}

/// Allocates and frees until a flag stops it, in and out of every cache.
fn churn(pool: &Pool, stop: &AtomicBool) {
    let mut round = 0;
    while !stop.load(Relaxed) {
        round += 1;
        let row: Vec<Buffer> = (0..200).map(|n| pool.alloc(n * 97 % 20_000)).collect();
        drop(row);
        if round % 16 == 0 {
            pool.trim();
            assert!(pool.usage().external < 1 << 30);
        }
    }
}

/// Other threads may hold any lock at the fork: the child reads and writes its buffers, and the
/// parent's stay as they were.
#[test]
fn a_child_uses_its_buffers_beside_busy_threads() {
    isolated("a_child_uses_its_buffers_beside_busy_threads", || {
        for pool in pools() {
            let stop = AtomicBool::new(false);
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| churn(&pool, &stop));
                }
                let mut held = [1, 1000, 8000, 9000, 40_000].map(|len| pool.alloc(len));
                let frozen = pool.copy_from_slice(&[7; 5000]).freeze();
                for round in 0..40 {
                    held.iter_mut().for_each(|buffer| stamp(buffer, round));
                    let status = status_of_child(|| {
                        assert!(is_all(&frozen, 7));
                        for buffer in &mut held {
                            assert!(holds_stamp(buffer, round));
                            stamp(buffer, !round);
                            assert!(holds_stamp(buffer, !round));
                        }
                    });
                    assert_eq!(status, 0, "the child of round {round} failed");
                    assert!(held.iter().all(|buffer| holds_stamp(buffer, round)));
                }
                stop.store(true, Relaxed);
            });
            assert_all_home(&pool);
        }
    });
}

/// Where the parent's other threads are idle, a child allocates, drops, asks and trims, and waits
/// for no thread that it does not have. The parent goes on as before.
#[test]
fn a_child_uses_pools_of_idle_threads() {
    isolated("a_child_uses_pools_of_idle_threads", || {
        let crew = Crew::of(4);
        for pool in pools() {
            let inner = pool.clone();
            crew.each(move |_| drop(mixed(&inner)));
            let held = mixed(&pool);
            let in_use = pool.usage().in_use;
            for _ in 0..3 {
                let status = status_of_child(|| {
                    assert!(held.iter().all(|buffer| is_all(buffer, 7)));
                    assert_eq!(pool.usage().in_use, in_use);
                    pool.trim();
                    let more = mixed(&pool);
                    assert!(more.iter().all(|buffer| is_all(buffer, 7)));
                    drop(more);
                    assert!(pool.try_alloc(50 * MIB).is_ok());
                    pool.trim();
                    assert_eq!(pool.usage().in_use, in_use);
                });
                assert_eq!(status, 0, "a child failed");
                assert_eq!(pool.usage().in_use, in_use);
            }
            let inner = pool.clone();
            crew.each(move |_| drop(mixed(&inner)));
            drop(held);
            assert_all_home(&pool);
        }
        crew.dismiss();
    });
}

/// The same for pools that share a budget: a child counts what its own pools map, gets at most the
/// budget, and releases the caches of the other pool for a request. The parent's counters stay.
#[test]
fn a_child_uses_a_budget_of_idle_threads() {
    isolated("a_child_uses_a_budget_of_idle_threads", || {
        let crew = Crew::of(4);
        let budget = Budget::new(32 * MIB);
        let pools = [0; 2].map(|_| Pool::builder().budget(&budget).build());
        let pools = pools.map(|pool| pool.expect("valid settings"));
        for pool in &pools {
            let inner = pool.clone();
            crew.each(move |_| drop(mixed(&inner)));
        }
        let held = mixed(&pools[0]);
        let before = budget.usage();
        assert!(before.mapped > 0 && before.pools == 2);
        for _ in 0..3 {
            let status = status_of_child(|| {
                assert_eq!(budget.usage(), before);
                drop(pools[1].alloc(20 * MIB));
                // Fits after the other pool has released its cache.
                let most = pools[0].alloc(24 * MIB);
                let refused = pools[1].try_alloc(8 * MIB).unwrap_err();
                assert!(matches!(refused, slabuf::AllocError::BudgetExceeded { .. }));
                assert!(budget.usage().peak <= 32 * MIB as u64);
                drop(most);
                assert!(budget.trim() >= 24 * MIB);
                let usage = pools[0].usage();
                assert_eq!(budget.usage().mapped, usage.external, "only live buffers");
                assert!(held.iter().all(|buffer| is_all(buffer, 7)));
            });
            assert_eq!(status, 0, "a child failed");
            assert_eq!(budget.usage(), before);
        }
        let inner = pools[1].clone();
        crew.each(move |_| drop(mixed(&inner)));
        drop(held);
        pools.iter().for_each(assert_all_home);
        assert_eq!(budget.usage().mapped, 0);
        crew.dismiss();
    });
}
