//! A larger size class serves a request for which the limit has no slab.

mod common;

use common::{KIB, assert_all_home, is_zero};
use slabuf::{Buffer, Pool};

const LIMIT: usize = 256 * KIB;

fn limited() -> Pool {
    Pool::builder().limit(LIMIT).build().expect("a valid limit")
}

/// Allocates buffers until the first refusal.
fn fill(pool: &Pool, mut len: impl FnMut() -> usize) -> Vec<Buffer> {
    std::iter::from_fn(|| pool.try_alloc(len()).ok()).collect()
}

/// The slot size of a class with three slots in a slab. A slab with one free slot stays in the
/// class.
const LARGE: usize = 2_720;

/// A pool whose slabs are all of that class, with one free slot.
fn with_one_large_slot() -> (Pool, Vec<Buffer>) {
    let pool = limited();
    let mut live = fill(&pool, || LARGE);
    live.pop();
    (pool, live)
}

/// Returns a random length of 100 to 2,099 bytes (xorshift).
fn mixed(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    100 + (*state % 2_000) as usize
}

#[test]
fn a_small_limit_holds_mixed_lengths() {
    const RUNS: u64 = 40;
    let mut sum = 0;
    for seed in 1..=RUNS {
        let pool = limited();
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let live = fill(&pool, || mixed(&mut state));
        assert!(pool.usage().external <= LIMIT as u64);
        sum += live.iter().map(|buffer| buffer.len()).sum::<usize>();
        drop(live);
        assert_all_home(&pool);
    }
    let mean = sum / RUNS as usize;
    assert!(mean >= 150 * KIB, "{mean} bytes on average");
}

/// The slot belongs to its own class when it is freed: the largest class gets it back.
#[test]
fn a_slot_of_a_larger_class_serves_and_returns() {
    let (pool, live) = with_one_large_slot();
    for len in [1, 100, 1_000, 2_049] {
        let small = pool.try_alloc(len).expect("a larger slot is free");
        assert_eq!((small.len(), small.capacity()), (len, LARGE));
        assert!(pool.try_alloc(len).is_err(), "every slot is in use");
        assert_eq!(pool.usage().in_use, ((live.len() + 1) * LARGE) as u64);
        drop(small);
        drop(pool.try_alloc(LARGE).expect("the slot is free again"));
    }
    drop(live);
    assert_all_home(&pool);
}

/// `alloc` zeroes what was requested, although the slot has stale bytes.
#[test]
fn a_larger_slot_is_zeroed_as_far_as_requested() {
    let (pool, live) = with_one_large_slot();
    pool.try_alloc_unsafe(LARGE).expect("free").fill(0xa5);
    let small = pool.try_alloc(100).expect("a larger slot is free");
    assert!(is_zero(&small));
    drop((small, live));
    assert_all_home(&pool);
}

/// Of two slots of 2,720 bytes that lie side by side, one is aligned to 64: only that one serves a
/// request for aligned memory.
#[test]
fn aligned_requests_stay_aligned() {
    let pool = limited();
    let mut live = fill(&pool, || LARGE);
    live.truncate(live.len() - 2);
    let served = [0; 2].map(|_| pool.try_alloc_aligned(500, 64).ok());
    let aligned = served.iter().flatten();
    assert!(
        aligned
            .clone()
            .all(|buffer| buffer.as_ptr().addr().is_multiple_of(64))
    );
    assert!(aligned.count() <= 1);
    assert_eq!(
        fill(&pool, || 500).len(),
        2 - served.iter().flatten().count()
    );
    drop((served, live));
    let aligned = pool.try_alloc_aligned(500, 512).expect("an empty pool");
    assert!(aligned.as_ptr().addr().is_multiple_of(512));
    drop(aligned);
    assert_all_home(&pool);
}

/// The first slot that serves a request for aligned memory may not be aligned. The slot in its
/// place is zeroed as well, as far as its capacity, if the pool zeroes what it allocates.
#[test]
fn an_aligned_slot_is_zeroed_in_place_of_a_larger_one() {
    const ALIGNMENT: usize = 2 * KIB;
    for stale in [true, false] {
        let builder = Pool::builder().limit(LIMIT).zero_fill(true);
        let pool = builder.build().expect("a valid limit");
        let mut live = fill(&pool, || LARGE);
        live.iter_mut().for_each(|buffer| buffer.fill(0xa5));
        // Two slabs become empty. Of a third, the slot in the middle becomes free: the first slot
        // of a slab is aligned, this one is not.
        live.sort_by_key(|buffer| buffer.as_ptr().addr());
        drop(live.drain(..6));
        assert!(!live[1].as_ptr().addr().is_multiple_of(ALIGNMENT));
        drop(live.remove(1));
        let mut served = match stale {
            true => pool.alloc_unsafe_aligned(ALIGNMENT - 100, ALIGNMENT),
            false => pool.alloc_aligned(ALIGNMENT - 100, ALIGNMENT),
        };
        assert!(served.as_ptr().addr().is_multiple_of(ALIGNMENT));
        assert_eq!(served.capacity(), ALIGNMENT);
        assert!(is_zero(&served) && is_zero(served.spare_capacity_mut()));
        drop((served, live));
        assert_all_home(&pool);
    }
}

/// A waiter is served by a larger slot, too.
#[test]
fn a_waiter_is_served_by_a_larger_slot() {
    let pool = limited();
    let mut live = fill(&pool, || LARGE);
    let last = live.pop();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| pool.alloc_timeout(100, std::time::Duration::from_secs(60)));
        std::thread::yield_now();
        drop(last);
        let small = waits.join().expect("no panic").expect("served");
        assert_eq!(small.capacity(), LARGE);
    });
    drop(live);
    assert_all_home(&pool);
}

/// A pool with few slabs left, in which aligned requests meet slots that are larger and not
/// aligned, and slabs with stale bytes.
fn with_few_aligned_slots(pool: &Pool) -> Buffer {
    let mut stale = fill(pool, || 4 * KIB);
    stale.iter_mut().for_each(|buffer| buffer.fill(0xa5));
    drop(stale);
    // Its slab has free slots of 160 bytes.
    pool.alloc(144)
}

/// `zero_fill` holds for each aligned buffer, whichever class serves it.
#[test]
fn aligned_buffers_of_a_zero_filled_pool_are_zero() {
    let builder = Pool::builder().limit(64 * KIB).zero_fill(true);
    let pool = builder.build().expect("valid");
    let live = with_few_aligned_slots(&pool);
    for alignment in [64, 128, 1024, 4096] {
        let mut aligned = pool.alloc_unsafe_aligned(alignment - 10, alignment);
        aligned.resize_zeroed(aligned.capacity());
        assert!(is_zero(&aligned), "alignment {alignment}");
        assert_eq!(aligned.as_ptr().addr() % alignment, 0);
    }
    drop(live);
    assert_all_home(&pool);
}

/// Only the slot that serves an aligned request counts for the watermarks and the samples.
#[test]
fn aligned_requests_count_one_slot() {
    let builder = Pool::builder().limit(64 * KIB);
    let builder = builder.high_water_mark(300).low_water_mark(100);
    let pool = builder.sample(1).build().expect("valid");
    let live = with_few_aligned_slots(&pool);
    assert!(!pool.is_over_high_water());
    let aligned = pool.alloc_aligned(100, 128);
    assert!(!pool.is_over_high_water(), "288 bytes are below the mark");
    assert_eq!(pool.usage().in_use, 160 + 128);
    let lens: Vec<_> = pool
        .live_samples()
        .iter()
        .map(|sample| sample.len)
        .collect();
    assert_eq!(lens.iter().sum::<usize>(), 144 + 100, "{lens:?}");
    drop((live, aligned));
    assert_all_home(&pool);
}

/// A larger class serves an aligned request if its slots are aligned.
#[test]
fn a_larger_aligned_slot_serves() {
    let pool = limited();
    let mut live = fill(&pool, || 1_024);
    live.extend(fill(&pool, || 16));
    assert!(pool.try_alloc_aligned(100, 512).is_err());
    live.remove(0);
    let aligned = pool.try_alloc_aligned(100, 512).expect("a slot is free");
    assert_eq!(
        (aligned.as_ptr().addr() % 512, aligned.capacity()),
        (0, 1_024)
    );
    drop((live, aligned));
    assert_all_home(&pool);
}
