//! What idle threads keep in their caches: trims, failing requests, waiters and the end of a pool
//! reach it.

mod common;
#[path = "common/crew.rs"]
mod crew;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use common::child::{isolated, report};
use common::{KIB, LONG, MIB, Rng, SLAB, assert_all_home};
use crew::Crew;
use slabuf::{Buffer, Pool, PoolBuilder, memory_usage};

/// Slots of several classes, spans, and mappings that a thread keeps.
const LENGTHS: [usize; 9] = [
    16,
    100,
    1_400,
    4_000,
    SLAB,
    SLAB + 1,
    12 * KIB,
    40 * KIB,
    300 * KIB,
];

type Kind = (&'static str, fn(PoolBuilder) -> PoolBuilder);

/// Pools of each kind.
fn kinds() -> Vec<(&'static str, Pool)> {
    let kinds: [Kind; 7] = [
        ("plain", |pool| pool),
        ("limited", |pool| pool.limit(64 * MIB)),
        ("with marks", |pool| pool.high_water_mark(32 * MIB)),
        ("beyond its mark", |pool| pool.high_water_mark(1)),
        ("sampled", |pool| pool.sample(3)),
        ("wiping", |pool| pool.zero_on_free(true)),
        ("of larger slabs", |pool| pool.slab_size(64 * KIB)),
    ];
    kinds
        .into_iter()
        .map(|(name, set)| (name, set(Pool::builder()).build().expect("valid settings")))
        .collect()
}

fn limited(limit: usize) -> Pool {
    Pool::builder().limit(limit).build().expect("valid limit")
}

/// `rounds` times one buffer of each length, dropped at once.
fn use_and_drop(pool: &Pool, rounds: usize) {
    let held: Vec<Buffer> = (0..rounds)
        .flat_map(|_| LENGTHS)
        .map(|len| pool.alloc_filled(len, [7]))
        .collect();
    drop(held);
}

/// A trim by one thread unmaps everything that idle threads keep, and they go on afterwards.
#[test]
fn a_trim_reaches_idle_threads() {
    for (name, pool) in kinds() {
        let crew = Crew::of(4);
        for round in 0..3 {
            let inner = pool.clone();
            crew.each(move |_| use_and_drop(&inner, 10));
            assert!(pool.usage().external > 0);
            pool.trim();
            let usage = pool.usage();
            assert_eq!(usage.external, 0, "{name}, round {round}: {usage:?}");
            assert_eq!((usage.cached, usage.in_use), (0, 0), "{name}: {usage:?}");
        }
        crew.dismiss();
        assert_all_home(&pool);
    }
}

/// The same in the global pool, which other tests of this process use.
#[test]
fn a_trim_of_the_global_pool_reaches_idle_threads() {
    isolated("a_trim_of_the_global_pool_reaches_idle_threads", || {
        let crew = Crew::of(4);
        crew.each(|_| use_and_drop(Pool::global(), 10));
        Pool::global().trim();
        let usage = Pool::global().usage();
        assert_eq!((usage.external, usage.cached), (0, 0), "{usage:?}");
        crew.dismiss();
    });
}

/// A trim leaves live buffers alone, wherever they were allocated.
#[test]
fn a_trim_leaves_live_buffers_alone() {
    for (name, pool) in kinds() {
        let crew = Crew::of(2);
        let live: Arc<std::sync::Mutex<Vec<Buffer>>> = Arc::default();
        let (inner, to_live) = (pool.clone(), live.clone());
        crew.each(move |number| {
            use_and_drop(&inner, 5);
            let held = LENGTHS.map(|len| inner.alloc_filled(len, [number as u8 + 1]));
            to_live.lock().expect("no panic").extend(held);
        });
        let in_use = pool.usage().in_use;
        pool.trim();
        assert_eq!(pool.usage().in_use, in_use, "{name}");
        for (index, buffer) in live.lock().expect("no panic").iter().enumerate() {
            let first = buffer[0];
            assert!(first == 1 || first == 2, "{name}: buffer {index}");
            assert!(buffer.iter().all(|byte| *byte == first), "{name}: {index}");
        }
        live.lock().expect("no panic").clear();
        pool.trim();
        assert_eq!(pool.usage().external, 0, "{name}");
        crew.dismiss();
    }
}

/// A large request at the limit gets what idle threads keep of small and of large buffers.
#[test]
fn a_failing_request_takes_what_idle_threads_keep() {
    let pools: [Kind; 3] = [
        ("limited", |pool| pool),
        ("limited, with marks", |pool| pool.high_water_mark(7 * MIB)),
        ("limited, sampled", |pool| pool.sample(2)),
    ];
    for (name, set) in pools {
        let pool = set(Pool::builder().limit(8 * MIB)).build().expect("valid");
        let crew = Crew::of(8);
        for len in [16, 1_400, SLAB, 12 * KIB, 100 * KIB] {
            let inner = pool.clone();
            crew.each(move |_| {
                // Half of the limit in all.
                let count = 512 * KIB / len.max(512);
                let held: Vec<_> = (0..count).map(|_| inner.try_alloc(len)).collect();
                assert!(held.iter().all(Result::is_ok), "{name}, {len} bytes");
            });
            let piece = pool.try_alloc(7 * MIB);
            assert!(piece.is_ok(), "{name}, after {len}: {:?}", pool.usage());
            drop(piece);
            let small: Vec<_> = (0..5_000).map(|_| pool.try_alloc(1_000)).collect();
            assert!(small.iter().all(Result::is_ok), "{name}, after {len}");
        }
        crew.dismiss();
        assert_all_home(&pool);
    }
}

/// A waiter gets what other threads drop, although they are idle from then on.
#[test]
fn a_waiter_gets_what_threads_drop_before_they_idle() {
    for len in [1_000, 12 * KIB, 200 * KIB] {
        let pool = limited(4 * MIB);
        let crew = Crew::of(3);
        let share: Arc<std::sync::Mutex<Vec<Buffer>>> = Arc::default();
        *share.lock().expect("no panic") =
            std::iter::from_fn(|| pool.try_alloc(len).ok()).collect();
        let waiter = {
            let pool = pool.clone();
            thread::spawn(move || pool.alloc_timeout(3 * MIB, LONG).map(|buffer| buffer.len()))
        };
        let count = share.lock().expect("no panic").len();
        let from = share.clone();
        crew.each(move |_| {
            for _ in 0..count.div_ceil(3) {
                let next = from.lock().expect("no panic").pop();
                drop(next);
            }
        });
        assert_eq!(waiter.join().expect("no panic"), Ok(3 * MIB), "{len}");
        crew.dismiss();
        assert_all_home(&pool);
    }
}

/// Eight threads replace buffers, each holding at most `held` of them, and none is refused.
///
/// No layout of the live buffers excuses a refusal. One buffer of any length for each thread pins
/// at most one region of 64 KiB for each; up to 2 KiB, eight for each thread pin at most 64 of the
/// pool's 112 slabs.
fn no_request_is_refused(requests: usize, longest: usize, held: usize) {
    const THREADS: usize = 8;
    let pool = limited(MIB);
    let refused = Arc::new(AtomicUsize::new(0));
    let crew = Crew::of(THREADS);
    let (inner, count) = (pool.clone(), refused.clone());
    crew.each(move |number| {
        let mut rng = Rng::new(number as u64 + 1);
        let mut live: Vec<Option<Buffer>> = (0..held).map(|_| None).collect();
        for request in 0..requests / THREADS {
            let place = &mut live[request % held];
            *place = None;
            let len = rng.log_uniform(16, longest + 1);
            match inner.try_alloc_unsafe(len) {
                Ok(buffer) => *place = Some(buffer),
                Err(_) => {
                    count.fetch_add(1, Relaxed);
                }
            }
        }
    });
    let refused = refused.load(Relaxed);
    report(&format!("{refused} of {requests} requests refused"));
    assert_eq!(refused, 0, "of {requests} requests up to {longest} bytes");
    crew.dismiss();
    assert_all_home(&pool);
}

/// Eight threads that hold at most a quarter of a pool are never refused.
#[test]
fn no_spurious_refusal() {
    no_request_is_refused(4_000_000, 32 * KIB, 1);
}

/// The same with more buffers of a smaller range, most of them slots.
#[test]
fn no_spurious_refusal_of_slots() {
    no_request_is_refused(4_000_000, SLAB, 1);
}

/// The same with many live buffers that are shorter.
#[test]
fn no_spurious_refusal_of_short_slots() {
    no_request_is_refused(1_000_000, 2 * KIB, 8);
}

/// The same with large buffers only, two of them live on each thread.
#[test]
fn no_spurious_refusal_of_mappings() {
    const THREADS: usize = 8;
    let pool = limited(MIB);
    let refused = Arc::new(AtomicUsize::new(0));
    let crew = Crew::of(THREADS);
    let (inner, count) = (pool.clone(), refused.clone());
    crew.each(move |number| {
        let mut rng = Rng::new(number as u64 + 1);
        let mut live = [None, None];
        for request in 0..60_000 {
            let place = &mut live[request % 2];
            *place = None;
            *place = inner
                .try_alloc_unsafe(SLAB + 1 + rng.below(SLAB))
                .map_err(|_| count.fetch_add(1, Relaxed))
                .ok();
        }
    });
    assert_eq!(refused.load(Relaxed), 0);
    crew.dismiss();
    assert_all_home(&pool);
}

/// Forty pools that an idle thread has used leave nothing when their last buffers are dropped.
#[test]
fn dropped_pools_leave_nothing_with_idle_threads() {
    isolated("dropped_pools_leave_nothing_with_idle_threads", || {
        let crew = Crew::of(2);
        let start = memory_usage();
        let mut last = Vec::new();
        for (_, pool) in (0..6).flat_map(|_| kinds()) {
            let inner = pool.clone();
            crew.each(move |_| use_and_drop(&inner, 10));
            last.push(pool.alloc(100));
            last.push(pool.alloc(100_000));
        }
        assert!(memory_usage().external > start.external);
        drop(last);
        let end = memory_usage();
        assert_eq!(end.external, start.external);
        assert_eq!(end.array_buffers, start.array_buffers);
        crew.dismiss();
    });
}

/// The same where the last buffer is dropped first and the last handle after it.
#[test]
fn dropped_handles_leave_nothing_with_idle_threads() {
    isolated("dropped_handles_leave_nothing_with_idle_threads", || {
        let crew = Crew::of(2);
        let start = memory_usage();
        for (name, pool) in kinds() {
            let inner = pool.clone();
            crew.each(move |_| use_and_drop(&inner, 10));
            drop(pool);
            assert_eq!(memory_usage().external, start.external, "{name}");
        }
        crew.dismiss();
    });
}

/// The heap that idle threads' caches of dropped pools took is freed: it does not grow with the
/// number of pools.
#[test]
fn dropped_pools_leave_no_heap_with_idle_threads() {
    isolated("dropped_pools_leave_no_heap_with_idle_threads", || {
        const POOLS: usize = 200;
        let crew = Crew::of(2);
        let use_pools = || {
            for _ in 0..POOLS {
                let pool = Pool::builder().build().expect("valid");
                crew.each(move |_| use_and_drop(&pool, 1));
            }
            memory_usage().heap_used
        };
        use_pools();
        let first = use_pools();
        let second = use_pools();
        let grown = second.saturating_sub(first);
        report(&format!("{grown} bytes for {POOLS} pools"));
        assert!(grown < 64 * POOLS as u64, "{first} to {second} bytes");
        crew.dismiss();
    });
}
