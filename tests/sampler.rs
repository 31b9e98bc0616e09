//! The sampler: which call sites hold the memory of a pool, and since when.

use bytes::{Buf, BufMut};
use slabuf::{Buffer, LiveSample, Pool};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::sync_channel;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

mod common;
#[path = "../examples/shared/sample_table.rs"]
mod sample_table;
use common::Rng;
use sample_table::SampleTable;

fn sampled(one_in: usize) -> Pool {
    Pool::builder().sample(one_in).build().unwrap()
}

/// Returns the only sample.
fn only(pool: &Pool) -> LiveSample {
    let mut samples = pool.live_samples();
    assert_eq!(samples.len(), 1);
    samples.remove(0)
}

#[test]
fn off_unless_asked_for() {
    for pool in [
        Pool::builder().build().unwrap(),
        sampled(0),
        Pool::builder().limit(1 << 20).build().unwrap(),
    ] {
        let held = (pool.alloc(100), pool.alloc(100_000));
        assert!(pool.live_samples().is_empty());
        drop(held);
    }
}

#[test]
fn one_in_one_knows_every_live_buffer() {
    for builder in [
        Pool::builder(),
        Pool::builder().limit(256 << 20).guard_pages(true),
        Pool::builder().high_water_mark(1 << 20).zero_on_free(true),
        Pool::builder().slab_size(64 << 10),
    ] {
        let pool = builder.sample(1).build().unwrap();
        let mut rng = Rng::new(5);
        let lengths = (0..500).map(|_| rng.log_uniform(1, 200_000));
        let mut held: Vec<Buffer> = lengths.map(|len| pool.alloc_unsafe(len)).collect();
        for count in [500, 100, 1, 0] {
            held.truncate(count);
            let mut expected: Vec<_> = held
                .iter()
                .map(|b| (b.as_ptr().addr(), b.len(), b.capacity(), b.is_pooled()))
                .collect();
            let samples = pool.live_samples();
            let mut found: Vec<_> = samples
                .iter()
                .map(|s| (s.address, s.len, s.capacity, s.slab.is_some()))
                .collect();
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected);
            // Oldest first; per slab as many samples as live slots.
            assert!(samples.is_sorted_by(|a, b| a.age >= b.age));
            for slab in samples.iter().filter_map(|sample| sample.slab) {
                let in_it = samples.iter().filter_map(|sample| sample.slab);
                let in_it = in_it.filter(|other| other.address == slab.address);
                assert_eq!(in_it.count(), slab.slots_out as usize);
            }
        }
        pool.trim();
        assert_eq!(pool.usage().external, 0);
    }
}

#[test]
fn the_site_is_in_the_program_not_in_the_crate() {
    sites_of_all_constructors();
}

// Not inlined, so that it has a symbol even without debug information.
#[inline(never)]
fn sites_of_all_constructors() {
    let pool = sampled(1);
    let here = |name: &str, buffer: Buffer| {
        let sample = only(&pool);
        let site = sample.site();
        assert!(site.contains("sites_of_all_constructors"), "{name}: {site}");
        // Lines are known where there is debug information.
        let without_lines = cfg!(not(debug_assertions));
        assert!(
            without_lines || site.contains("sampler.rs:"),
            "{name}: {site}"
        );
        assert!(sample.stack().to_string().contains("slabuf"));
        drop(buffer);
        assert!(pool.live_samples().is_empty(), "{name}");
    };
    here("alloc", pool.alloc(10));
    here("alloc, large", pool.alloc(10_000));
    here("alloc_filled", pool.alloc_filled(10, "ab"));
    here("alloc_unsafe", pool.alloc_unsafe(8192));
    here("alloc_unsafe_slow", pool.alloc_unsafe_slow(10));
    here("with_capacity", pool.with_capacity(0));
    here("copy_from_slice", pool.copy_from_slice(b"abc"));
    here("concat", pool.concat(&["a", "b"]));
    here("concat_to_len", pool.concat_to_len(&["a", "b"], 9));
    let timeout = Duration::from_secs(1);
    here("alloc_timeout", pool.alloc_timeout(10, timeout).unwrap());
    let context = &mut Context::from_waker(Waker::noop());
    let Poll::Ready(buffer) = pin!(pool.alloc_async(10)).poll(context) else {
        panic!("there is no limit to wait for");
    };
    here("alloc_async", buffer.unwrap());
    let original = pool.alloc(10);
    let clone = original.clone();
    drop(original);
    here("clone", clone);
}

#[inline(never)]
fn taken_here(pool: &Pool, len: usize) -> Buffer {
    pool.alloc(len)
}

#[test]
fn growing_keeps_age_and_site() {
    for guard_pages in [false, true] {
        let builder = Pool::builder().sample(1).guard_pages(guard_pages);
        let pool = builder.build().unwrap();
        let mut old = taken_here(&pool, 10);
        let mut young = pool.alloc(10);
        // Within its slot, to another class, to a span, to a mapping, to a longer and to a moved
        // mapping.
        for len in [16, 100, 5000, 9000, 100_000, 20 << 20] {
            old.grow(len);
            let samples = pool.live_samples();
            assert_eq!(samples.len(), 2);
            let (first, second) = (&samples[0], &samples[1]);
            assert_eq!(first.address, old.as_ptr().addr());
            // The capacity that was requested; the slot may have more.
            assert!(first.capacity >= old.capacity());
            // A buffer that did not move keeps the length of the first request.
            assert_eq!(first.len, if len == 16 { 10 } else { len });
            assert!(first.site().contains("taken_here"), "{}", first.site());
            assert_eq!(second.address, young.as_ptr().addr());
        }
        old.clear();
        old.put_slice(b"abc");
        young.extend_from_slice(&[1; 50_000]);
        let oldest = &pool.live_samples()[0];
        assert!(oldest.site().contains("taken_here"));
        drop(young);
        assert_eq!(only(&pool).address, old.as_ptr().addr());
        drop(old);
        assert!(pool.live_samples().is_empty());
    }
}

#[test]
fn growing_keeps_what_some_of_many_know() {
    let pool = sampled(20);
    let mut held: Vec<_> = (0..1000).map(|_| pool.alloc(10)).collect();
    let before = pool.live_samples().len();
    assert!(before > 20, "{before}");
    held.iter_mut().for_each(|buffer| buffer.grow(3000));
    let samples = pool.live_samples();
    // The earlier ones, and one in twenty of the others, for the allocation in `grow`.
    assert!((before..4 * before).contains(&samples.len()));
    assert!(samples.iter().all(|sample| sample.len == 3000));
    let mut addresses: Vec<_> = held.iter().map(|b| b.as_ptr().addr()).collect();
    addresses.sort_unstable();
    let known = |sample: &LiveSample| addresses.binary_search(&sample.address).is_ok();
    assert!(samples.iter().all(known));
    drop(held);
    assert!(pool.live_samples().is_empty());
}

#[test]
fn other_shapes_of_a_buffer_keep_it() {
    let pool = sampled(1);
    for len in [100, 8000, 50_000] {
        let bytes = pool.alloc(len).freeze();
        let slice = bytes.slice(10..20);
        drop(bytes);
        assert_eq!(only(&pool).len, len);
        drop(slice);
        assert!(pool.live_samples().is_empty());

        let (start, length, owner) = pool.alloc(len).into_raw_parts();
        assert_eq!(only(&pool).address, start.addr());
        // SAFETY: the parts are those of one buffer, used once.
        let mut buffer = unsafe { Buffer::from_raw_parts(start, length, owner) };
        // The start moves away from the start of the slot.
        buffer.advance(33);
        assert_eq!(only(&pool).address, start.addr());
        drop(buffer);
        assert!(pool.live_samples().is_empty());
    }
}

#[test]
fn one_in_many_is_about_one_in_many() {
    let pool = sampled(10);
    let held: Vec<_> = (0..10_000).map(|_| pool.alloc_unsafe(64)).collect();
    let small = pool.live_samples().len();
    drop(held);
    assert!(pool.live_samples().is_empty());
    let held: Vec<_> = (0..1000).map(|_| pool.alloc_unsafe(9000)).collect();
    let large = pool.live_samples().len();
    drop(held);
    // At least one in 19 in any case.
    assert!((900..1100).contains(&small), "{small}");
    assert!((70..130).contains(&large), "{large}");
    assert!(pool.live_samples().is_empty());
}

#[test]
fn the_tables_show_the_oldest_and_the_lonely() {
    let pool = sampled(1);
    assert_eq!(
        SampleTable::oldest(&pool.live_samples(), 5).to_string(),
        "no live samples"
    );
    let large = taken_here(&pool, 1 << 20);
    // Sixteen of them to a slab.
    let mut held: Vec<_> = (0..64).map(|_| pool.alloc(500)).collect();
    let spans: Vec<_> = (0..2).map(|_| pool.alloc(8192)).collect();
    let samples = pool.live_samples();
    let oldest = SampleTable::oldest(&samples, 3);
    assert_eq!(oldest.rows.len(), 3);
    assert_eq!(oldest.rows[0].address, large.as_ptr().addr());
    let text = oldest.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0].trim_start().starts_with("age"));
    assert!(lines[1].contains(" 1048576 ") && lines[1].contains("mapping"));
    assert!(lines[1].contains("taken_here"), "{text}");
    assert!(lines[2].contains("16 of 16"), "{text}");
    // Two of four slots are more than a quarter.
    assert_eq!(SampleTable::lonely(&samples, 10).rows.len(), 0);

    // Five in the first slab, four in the second, one in the third.
    let mut at = 0;
    held.retain(|_| {
        at += 1;
        matches!(at, 1..=5 | 17..=20 | 33)
    });
    let mut per_slab: Vec<_> = pool
        .live_samples()
        .iter()
        .filter(|s| s.len == 500)
        .map(|s| s.slab.unwrap().slots_out)
        .collect();
    per_slab.sort_unstable();
    assert_eq!(per_slab, [1, 4, 4, 4, 4, 5, 5, 5, 5, 5]);
    let samples = pool.live_samples();
    let lonely = SampleTable::lonely(&samples, 10);
    let slots = lonely.rows.iter().map(|row| row.slab.unwrap().slots_out);
    assert_eq!(slots.collect::<Vec<_>>(), [1, 4, 4, 4, 4]);
    let text = lonely.to_string();
    assert!(text.lines().nth(1).unwrap().contains(" 1 of 16"), "{text}");
    assert_eq!(SampleTable::lonely(&samples, 2).rows.len(), 2);
    drop((large, spans));
}

#[test]
fn buffers_dropped_elsewhere_are_forgotten() {
    let pool = sampled(3);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<Buffer>(100);
        let mut threads = Vec::new();
        for seed in 0..2 {
            let (pool, sender) = (&pool, sender.clone());
            threads.push(scope.spawn(move || {
                let mut rng = Rng::new(seed);
                for _ in 0..5000 {
                    let mut buffer = pool.alloc_unsafe(rng.log_uniform(1, 40_000));
                    if rng.below(4) == 0 {
                        buffer.reserve(rng.log_uniform(1, 40_000));
                    }
                    if rng.below(2) == 0 {
                        sender.send(buffer).unwrap();
                    }
                }
            }));
        }
        drop(sender);
        let stop = &stop;
        threads.push(scope.spawn(move || {
            receiver.into_iter().for_each(drop);
            stop.store(true, Relaxed);
        }));
        while !stop.load(Relaxed) {
            let samples = pool.live_samples();
            for sample in &samples {
                assert!(sample.capacity > 0);
                assert!(sample.slab.is_none_or(|slab| slab.slots_out > 0));
            }
            assert!(samples.len() < 400, "{}", samples.len());
        }
        // The end of the scope does not wait until a thread has returned its cache.
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
    assert!(pool.live_samples().is_empty());
    pool.trim();
    assert_eq!(pool.usage().external, 0);
}

#[test]
fn a_pool_may_go_before_what_it_sampled() {
    let pool = sampled(1);
    let held: Vec<_> = [100, 8000, 100_000].map(|len| pool.alloc(len)).into();
    drop(pool);
    let mut grown = held;
    grown.iter_mut().for_each(|buffer| buffer.grow(200_000));
    thread::spawn(move || drop(grown)).join().unwrap();
}

#[test]
fn threads_that_end_are_sampled_and_forget() {
    thread_local! {
        static LATE: std::cell::RefCell<Vec<Buffer>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    struct Late(Pool);
    impl Drop for Late {
        fn drop(&mut self) {
            // The thread's caches are already gone.
            let taken = self.0.alloc(100);
            assert!(!self.0.live_samples().is_empty());
            drop(taken);
        }
    }
    thread_local! {
        static LAST: std::cell::OnceCell<Late> = const { std::cell::OnceCell::new() };
    }
    let pool = sampled(1);
    let of_thread = pool.clone();
    thread::spawn(move || {
        LAST.with(|last| last.set(Late(of_thread.clone())).ok().unwrap());
        LATE.with(|late| late.borrow_mut().push(of_thread.alloc(1000)));
    })
    .join()
    .unwrap();
    assert!(pool.live_samples().is_empty());
}
