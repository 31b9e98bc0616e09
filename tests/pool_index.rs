//! Pools that come and go in great number: what a dropped pool was known by may be another's soon.

mod common;
#[path = "common/crew.rs"]
mod crew;

use std::sync::{Arc, Mutex};
use std::thread;

use common::child::{isolated, report};
use common::{KIB, MIB, Rng, SLAB, assert_all_home, assert_apart, holds_stamp, stamp};
use crew::Crew;
use slabuf::{Buffer, Pool, memory_usage};

const LENGTHS: [usize; 5] = [16, 1_400, SLAB, 12 * KIB, 20 * KIB];

/// Buffers with the seeds of their stamps.
type Stamped = Vec<(u64, Buffer)>;

/// A pool of one of four kinds.
fn build(number: usize) -> Pool {
    let builder = Pool::builder();
    let builder = match number % 4 {
        0 => builder,
        1 => builder.limit(64 * MIB),
        2 => builder.high_water_mark(100 * KIB),
        _ => builder.slab_size(16 * KIB).zero_on_free(true),
    };
    builder.build().expect("valid settings")
}

/// A stamped buffer of `pool`, which is the only one of `others` and `pool` that owns it.
fn stamped(pool: &Pool, others: &[Pool], len: usize, seed: u64) -> (u64, Buffer) {
    let mut buffer = pool.alloc_unsafe(len);
    stamp(&mut buffer, seed);
    assert!(pool.owns(&buffer));
    assert!(!others.iter().any(|other| other.owns(&buffer)));
    assert!(!Pool::global().owns(&buffer));
    (seed, buffer)
}

fn all_whole(held: &[(u64, Buffer)]) -> bool {
    held.iter().all(|(seed, buffer)| holds_stamp(buffer, *seed))
}

/// One pool after the other, on threads that live on. Buffers of dropped pools stay whole, no later
/// pool owns or counts them, and their drops change no later pool's counters.
#[test]
fn a_pool_inherits_nothing() {
    isolated("a_pool_inherits_nothing", || {
        let crew = Crew::of(2);
        let start = memory_usage().external;
        let mut before: Option<Stamped> = None;
        for number in 0..600 {
            let pool = build(number);
            assert_eq!(pool.usage(), slabuf::PoolUsage::default());
            if let Some(old) = &before {
                assert!(!old.iter().any(|(_, buffer)| pool.owns(buffer)));
            }
            let shelf: Arc<Mutex<Stamped>> = Arc::default();
            let (inner, on) = (pool.clone(), shelf.clone());
            crew.each(move |thread| {
                for (index, len) in LENGTHS.into_iter().enumerate() {
                    drop(inner.alloc(len));
                    let seed = (number * 100 + thread * 10 + index) as u64;
                    let kept = stamped(&inner, &[], len, seed);
                    on.lock().expect("no panic").push(kept);
                }
            });
            let held = std::mem::take(&mut *shelf.lock().expect("no panic"));
            assert_apart(held.iter().map(|(_, buffer)| buffer));
            let usage = pool.usage();
            let requested: usize = held.iter().map(|(_, buffer)| buffer.len()).sum();
            let capacity: usize = held.iter().map(|(_, buffer)| buffer.capacity()).sum();
            assert!(
                (requested..=capacity).contains(&(usage.in_use as usize)),
                "{usage:?}"
            );
            // The old pool's last buffers are dropped now, on a thread that has caches of the new
            // pool.
            if let Some(old) = before.replace(held) {
                assert!(all_whole(&old));
                let old = Mutex::new(Some(old));
                crew.each(move |_| drop(old.lock().expect("no panic").take()));
            }
            assert_eq!(pool.usage().in_use, usage.in_use);
            assert_eq!(pool.usage().large_live, usage.large_live);
        }
        drop(before);
        assert_eq!(memory_usage().external, start);
        crew.dismiss();
    });
}

/// A place whose pool threads replace.
type Place = Mutex<Option<Pool>>;

/// What one thread does: replaces pools, allocates in them, and drops buffers of pools that may be
/// gone.
fn churn(number: usize, places: &[Place], rounds: usize) -> usize {
    let mut rng = Rng::new(number as u64 + 1);
    let mut held: Stamped = Vec::new();
    let mut built = 0;
    for _ in 0..rounds {
        let place = &places[rng.below(places.len())];
        if rng.below(3) == 0 {
            let new = build(rng.below(4));
            built += 1;
            let old = place.lock().expect("no panic").replace(new);
            // The last handle, unless another thread is using it.
            drop(old);
            continue;
        }
        let pool = place.lock().expect("no panic").clone();
        let other = places[rng.below(places.len())]
            .lock()
            .expect("no panic")
            .clone();
        let (Some(pool), Some(other)) = (pool, other) else {
            continue;
        };
        for _ in 0..4 {
            let len = LENGTHS[rng.below(LENGTHS.len())];
            let new = stamped(&pool, &[], len, rng.next());
            assert!(!other.owns(&new.1) || pool.owns(&other.alloc(1)));
            held.push(new);
        }
        while held.len() > 60 {
            let (seed, buffer) = held.swap_remove(rng.below(held.len()));
            assert!(holds_stamp(&buffer, seed), "thread {number}");
        }
    }
    assert!(all_whole(&held), "thread {number}");
    built
}

/// Thousands of pools are built and dropped while three threads use them.
#[test]
fn pools_are_replaced_while_threads_use_them() {
    isolated("pools_are_replaced_while_threads_use_them", || {
        let start = memory_usage();
        let places: Arc<Vec<Place>> = Arc::new((0..24).map(|_| Place::default()).collect());
        let threads: Vec<_> = (0..3)
            .map(|number| {
                let places = places.clone();
                thread::spawn(move || churn(number, &places, 4_000))
            })
            .collect();
        let built = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"));
        report(&format!("{} pools", built.sum::<usize>()));
        for place in places.iter() {
            let pool = place.lock().expect("no panic").take();
            pool.iter().for_each(assert_all_home);
        }
        let end = memory_usage();
        assert_eq!(
            (end.external, end.array_buffers),
            (start.external, start.array_buffers)
        );
    });
}

/// Four thousand pools at once, each used by three threads: each counts its own buffers, and all
/// their memory returns.
#[test]
fn four_thousand_pools_live_at_once() {
    isolated("four_thousand_pools_live_at_once", || {
        const POOLS: usize = 4_000;
        let start = memory_usage().external;
        // Regions of a small limit are small.
        let builder = Pool::builder().limit(MIB);
        let pools: Arc<Vec<Pool>> = Arc::new(
            (0..POOLS)
                .map(|_| builder.build().expect("valid"))
                .collect(),
        );
        let crew = Crew::of(2);
        let shelf: Arc<Mutex<Vec<Stamped>>> = Arc::default();
        let (all, on) = (pools.clone(), shelf.clone());
        crew.each(move |thread| {
            let mut held = Vec::new();
            for (index, pool) in all.iter().enumerate() {
                let next = &all[(index + 1) % POOLS];
                let seed = (thread * POOLS + index) as u64;
                held.push(stamped(pool, std::slice::from_ref(next), 100, seed));
            }
            on.lock().expect("no panic").push(held);
        });
        let held = std::mem::take(&mut *shelf.lock().expect("no panic"));
        let capacity = held[0][0].1.capacity() as u64;
        for pool in pools.iter() {
            assert_eq!(pool.usage().in_use, 2 * capacity);
        }
        assert!(held.iter().all(|held| all_whole(held)));
        // A third thread drops what the others allocated.
        drop(held);
        assert!(pools.iter().all(|pool| pool.usage().in_use == 0));
        for pool in pools.iter() {
            pool.trim();
            assert_eq!(pool.usage().external, 0);
            drop(pool.alloc(100));
        }
        drop(pools);
        assert_eq!(memory_usage().external, start);
        crew.dismiss();
    });
}
