//! Systems without `membarrier`, or that refuse it, and how often a full pool needs it.
#![cfg(target_os = "linux")]

mod common;
#[path = "common/crew.rs"]
mod crew;
#[path = "common/seccomp.rs"]
mod seccomp;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;

use common::{KIB, LONG, MIB, Rng, SLAB, assert_all_home, holds_stamp, stamp};
use crew::Crew;
use seccomp::{Filter, call_membarrier};
use slabuf::{Buffer, Pool, memory_usage};

const CHILD: &str = "SLABUF_MEMBARRIER_CHILD";
const LENGTHS: [usize; 6] = [16, 1_400, SLAB, 12 * KIB, 100 * KIB, MIB];

/// When the child's filter is installed.
const FILTERS: [(&str, Filter, bool); 4] = [
    ("EPERM from the start", Filter::Refuse(libc::EPERM), true),
    ("ENOSYS from the start", Filter::Refuse(libc::ENOSYS), true),
    (
        "EPERM after the first use",
        Filter::Refuse(libc::EPERM),
        false,
    ),
    (
        "ENOSYS after the first use",
        Filter::Refuse(libc::ENOSYS),
        false,
    ),
];

/// Runs the test function called `test` alone in a new process that finds `value` in its
/// environment.
fn run_child(test: &str, value: &str) -> Output {
    Command::new(std::env::current_exe().expect("the test binary has a path"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, value)
        .output()
        .expect("the test binary starts")
}

fn assert_success(test: &str, value: &str, child: &Output) {
    let stdout = String::from_utf8_lossy(&child.stdout);
    let stderr = String::from_utf8_lossy(&child.stderr);
    assert!(
        stdout.contains("running 1 test"),
        "no test is called {test}"
    );
    assert!(
        child.status.success(),
        "{value}: {}\n{stdout}\n{stderr}",
        child.status
    );
}

/// Runs `scenario` in new processes, one for each filter. A process that gets its filter after the
/// first use has run the scenario once before.
fn without_membarrier(test: &str, scenario: fn()) {
    let Ok(asked) = std::env::var(CHILD) else {
        for (name, ..) in FILTERS {
            assert_success(test, name, &run_child(test, name));
        }
        return;
    };
    let (_, filter, from_the_start) = FILTERS
        .into_iter()
        .find(|(name, ..)| *name == asked)
        .expect("a filter's name");
    if !from_the_start {
        scenario();
    }
    filter.install().expect("a process may restrict itself");
    assert!(call_membarrier().is_err());
    scenario();
}

fn pools() -> [Pool; 3] {
    [
        Pool::builder(),
        Pool::builder().limit(64 * MIB),
        Pool::builder().high_water_mark(16 * MIB),
    ]
    .map(|builder| builder.build().expect("valid settings"))
}

fn use_and_drop(pool: &Pool) {
    let held: Vec<Buffer> = (0..8)
        .flat_map(|_| LENGTHS)
        .map(|len| pool.alloc_filled(len, [7]))
        .collect();
    drop(held);
}

/// Threads exchange buffers while another trims: no two live buffers share a byte.
#[test]
fn buffers_stay_apart() {
    without_membarrier("buffers_stay_apart", || {
        for pool in pools() {
            exchange_and_trim(&pool);
        }
    });
}

fn exchange_and_trim(pool: &Pool) {
    let shelf: Arc<Mutex<Vec<(u64, Buffer)>>> = Arc::default();
    let done = Arc::new(AtomicBool::new(false));
    let trimmer = {
        let (pool, done) = (pool.clone(), done.clone());
        thread::spawn(move || {
            while !done.load(Relaxed) {
                pool.trim();
            }
        })
    };
    let crew = Crew::of(4);
    let (inner, on) = (pool.clone(), shelf.clone());
    crew.each(move |number| {
        let mut rng = Rng::new(number as u64 + 1);
        for _ in 0..600 {
            let seed = rng.next();
            let mut buffer = inner.alloc_unsafe(rng.log_uniform(16, 20_000));
            stamp(&mut buffer, seed);
            let mut shelf = on.lock().expect("no stamp was wrong");
            shelf.push((seed, buffer));
            let other = (shelf.len() > 100).then(|| shelf.swap_remove(rng.below(100)));
            drop(shelf);
            if let Some((seed, buffer)) = other {
                assert!(holds_stamp(&buffer, seed), "thread {number}");
            }
        }
    });
    done.store(true, Relaxed);
    trimmer.join().expect("no panic");
    for (seed, buffer) in shelf.lock().expect("no stamp was wrong").drain(..) {
        assert!(holds_stamp(&buffer, seed));
    }
    crew.dismiss();
    assert_all_home(pool);
}

/// A trim and a failing request reach the caches of idle threads.
#[test]
fn idle_threads_are_reached() {
    without_membarrier("idle_threads_are_reached", || {
        let crew = Crew::of(4);
        for pool in pools() {
            let inner = pool.clone();
            crew.each(move |_| use_and_drop(&inner));
            pool.trim();
            let usage = pool.usage();
            assert_eq!((usage.external, usage.cached), (0, 0), "{usage:?}");
        }
        let pool = Pool::builder().limit(16 * MIB).build().expect("valid");
        let inner = pool.clone();
        crew.each(move |_| {
            let held = LENGTHS.map(|len| inner.try_alloc(len).is_ok());
            assert_eq!(held, [true; LENGTHS.len()]);
        });
        assert_eq!(
            pool.try_alloc(15 * MIB).map(|buffer| buffer.len()),
            Ok(15 * MIB)
        );
        crew.dismiss();
    });
}

/// A waiter gets what a thread drops that is idle from then on.
#[test]
fn waiters_are_served() {
    without_membarrier("waiters_are_served", || {
        let pool = Pool::builder().limit(4 * MIB).build().expect("valid");
        for len in [1_000, 12 * KIB, MIB] {
            let held: Vec<Buffer> = std::iter::from_fn(|| pool.try_alloc(len).ok()).collect();
            let waiter = {
                let pool = pool.clone();
                thread::spawn(move || pool.alloc_timeout(3 * MIB, LONG).map(|buffer| buffer.len()))
            };
            let crew = Crew::of(1);
            let held = Mutex::new(held);
            crew.each(move |_| held.lock().expect("no panic").clear());
            assert_eq!(waiter.join().expect("no panic"), Ok(3 * MIB));
            crew.dismiss();
        }
        assert_all_home(&pool);
    });
}

/// Pools that idle threads have used leave nothing behind.
#[test]
fn dropped_pools_leave_nothing() {
    without_membarrier("dropped_pools_leave_nothing", || {
        let crew = Crew::of(4);
        let start = memory_usage().external;
        for pool in (0..10).flat_map(|_| pools()) {
            let inner = pool.clone();
            crew.each(move |_| use_and_drop(&inner));
            let last = pool.alloc(100);
            drop(pool);
            drop(last);
            assert_eq!(memory_usage().external, start);
        }
        crew.dismiss();
    });
}

/// A full pool that refuses one request after the other executes no `membarrier` after a reclaim
/// without result, although eight idle threads have used it. The child dies if it does.
#[test]
fn a_full_pool_executes_no_membarrier() {
    const TEST: &str = "a_full_pool_executes_no_membarrier";
    if std::env::var_os(CHILD).is_none() {
        return assert_success(TEST, "full", &run_child(TEST, "full"));
    }
    const LENGTHS: [usize; 7] = [64 * KIB, 12 * KIB, SLAB, 4_000, 1_400, 500, 64];
    let pool = Pool::builder().limit(4 * MIB).build().expect("valid");
    let crew = Crew::of(8);
    let inner = pool.clone();
    crew.each(move |_| drop(LENGTHS.map(|len| inner.try_alloc(len).ok())));
    let mut held = Vec::new();
    for len in LENGTHS {
        held.extend(std::iter::from_fn(|| pool.try_alloc(len).ok()));
    }
    Filter::Kill
        .install()
        .expect("a process may restrict itself");
    for _ in 0..1_000 {
        for len in LENGTHS {
            assert!(pool.try_alloc(len).is_err(), "{len} bytes at a full pool");
        }
    }
    assert!(!held.is_empty());
    // The process ends here: to empty the pool may take a `membarrier`.
    std::process::exit(0);
}

/// The filter of the test above does what it is relied on for.
#[test]
fn the_filter_ends_the_process() {
    const TEST: &str = "the_filter_ends_the_process";
    if std::env::var_os(CHILD).is_some() {
        Filter::Kill
            .install()
            .expect("a process may restrict itself");
        assert!(call_membarrier().is_err(), "killed before this line");
        return;
    }
    let child = run_child(TEST, "kill");
    assert_eq!(child.status.signal(), Some(libc::SIGSYS));
}
