//! Snapshots agree with the counters of `usage`, and are consistent while other threads use the
//! pool.

use slabuf::{Buffer, Pool, SlabState, Snapshot};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::thread;

/// Checks the snapshot of a pool that no other thread uses.
fn agrees(pool: &Pool) -> Snapshot {
    let (snapshot, usage) = (pool.snapshot(), pool.usage());
    assert_eq!(snapshot.slabs_in(SlabState::Empty), usage.slabs_empty);
    assert_eq!(snapshot.slabs_in(SlabState::Partial), usage.slabs_partial);
    assert_eq!(snapshot.slabs_in(SlabState::Full), usage.slabs_full);
    let regions: usize = snapshot.regions.iter().map(|region| region.bytes).sum();
    let mappings: usize = snapshot.mappings.iter().map(|mapping| mapping.bytes).sum();
    assert_eq!((regions + mappings) as u64, usage.external);
    let live = || snapshot.mappings.iter().filter_map(|mapping| mapping.live);
    assert_eq!(live().sum::<usize>() as u64, usage.large_live);
    let cached = snapshot.mappings.iter().filter(|m| m.live.is_none());
    assert_eq!(
        cached.map(|m| m.resident).sum::<usize>() as u64,
        usage.large_cached
    );
    for class in &snapshot.classes {
        let slabs = snapshot.regions.iter().flat_map(|region| &region.slabs);
        let slabs = slabs.filter(|slab| slab.slot_size == class.slot_size);
        let out: u64 = slabs.map(|slab| u64::from(slab.slots_out)).sum();
        assert_eq!(out, class.in_buffers + class.in_magazines);
    }
    let slots = snapshot.classes.iter();
    let in_buffers: u64 = slots.map(|c| c.in_buffers * c.slot_size as u64).sum();
    assert_eq!(in_buffers + usage.large_live, usage.in_use);
    is_sound(&snapshot);
    snapshot
}

/// Checks what holds while other threads use the pool.
fn is_sound(snapshot: &Snapshot) {
    let mut addresses: Vec<_> = snapshot
        .regions
        .iter()
        .map(|r| (r.address, r.bytes))
        .collect();
    addresses.sort_unstable();
    assert!(addresses.windows(2).all(|w| w[0].0 + w[0].1 <= w[1].0));
    for region in &snapshot.regions {
        let mut end = region.address + 1;
        for slab in &region.slabs {
            assert!(slab.address >= end, "a slab within another, or the headers");
            end = slab.address + slab.states().len() * snapshot.slab_size;
            assert!(slab.slots_out <= slab.slots);
            assert_eq!(slab.slots == 0, slab.slot_size == 0);
            assert!(!slab.clean || slab.state == SlabState::Empty);
            let all = |state| slab.states().iter().all(|other| *other == state);
            assert_eq!(
                slab.state == SlabState::Full,
                slab.slots > 0 && all(SlabState::Full)
            );
            assert_eq!(slab.state == SlabState::Empty, all(SlabState::Empty));
        }
        assert!(end <= region.address + region.bytes);
    }
}

fn random(seed: &mut u64) -> usize {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) as usize
}

/// Mostly small, some large.
fn random_len(seed: &mut u64) -> usize {
    let bits = random(seed) % 14 + 4;
    (1 << bits) + random(seed) % (1 << bits)
}

#[test]
fn agrees_with_usage_at_every_stage() {
    let pools = [
        Pool::builder(),
        Pool::builder().slab_size(4096),
        Pool::builder().slab_size(128 << 10),
        Pool::builder().limit(1 << 20),
        Pool::builder().limit(64 << 20).guard_pages(true),
        Pool::builder().high_water_mark(1 << 30),
        Pool::builder().cache_limit(0),
    ];
    for pool in pools {
        let pool = pool.build().unwrap();
        assert_eq!(agrees(&pool).regions.len(), 0);
        let mut seed = 7;
        let mut held = Vec::new();
        for step in 0..4000 {
            let taken = pool.try_alloc_unsafe(random_len(&mut seed));
            held.extend(taken);
            if held.len() > 600 || (step % 3 == 0 && !held.is_empty()) {
                held.swap_remove(random(&mut seed) % held.len());
            }
            if step % 500 == 0 {
                agrees(&pool);
            }
        }
        agrees(&pool);
        held.truncate(held.len() / 50);
        agrees(&pool);
        pool.trim();
        agrees(&pool);
        drop(held);
        pool.trim();
        let snapshot = agrees(&pool);
        assert_eq!((snapshot.regions.len(), snapshot.mappings.len()), (0, 0));
    }
}

#[test]
fn counts_what_idle_and_ended_threads_hold() {
    let pool = Pool::builder().build().unwrap();
    let kept = thread::scope(|scope| {
        let (filled, is_filled) = channel();
        let (looked, is_looked) = channel::<()>();
        let pool = &pool;
        let thread = scope.spawn(move || {
            let mut held: Vec<_> = (0..100).map(|_| pool.alloc(1000)).collect();
            drop(pool.alloc(40_000));
            held.truncate(1);
            filled.send(()).unwrap();
            // Ends when the other end of the channel is dropped.
            is_looked.into_iter().for_each(drop);
            held
        });
        is_filled.recv().unwrap();
        let snapshot = agrees(pool);
        let class = snapshot.classes.iter().find(|c| c.slot_size >= 1000);
        let class = class.unwrap();
        assert_eq!(class.in_buffers, 1);
        assert!(class.in_magazines >= 99);
        assert_eq!(snapshot.mappings.len(), 1);
        assert_eq!(snapshot.mappings[0].live, None);
        drop(looked);
        thread.join().unwrap()
    });
    // Empties the depot, where the thread exchanged blocks.
    pool.trim();
    let snapshot = agrees(&pool);
    let slab = snapshot.slab_at(kept[0].as_ptr().addr()).unwrap();
    assert_eq!((slab.state, slab.slots_out), (SlabState::Partial, 1));
}

#[test]
fn a_buffer_is_in_the_slab_it_is_in() {
    let pool = Pool::builder().build().unwrap();
    let mut seed = 3;
    let lengths = (0..300).map(|_| 1 + random_len(&mut seed) % 8192);
    let held: Vec<Buffer> = lengths.map(|len| pool.alloc_unsafe(len)).collect();
    let snapshot = agrees(&pool);
    for buffer in &held {
        let first = buffer.as_ptr().addr();
        let slab = snapshot.slab_at(first).unwrap();
        assert_eq!(slab.slot_size, buffer.capacity());
        assert_eq!((first - slab.address) % slab.slot_size, 0);
        assert_eq!(
            snapshot
                .slab_at(first + buffer.capacity() - 1)
                .unwrap()
                .address,
            slab.address
        );
        assert_ne!(slab.state, SlabState::Empty);
    }
    let region = &snapshot.regions[0];
    for outside in [0, region.address, region.slabs[0].address - 1, usize::MAX] {
        assert!(snapshot.slab_at(outside).is_none());
    }
}

#[test]
fn a_slab_goes_through_its_states() {
    let pool = Pool::builder()
        .limit(1 << 20)
        .cache_limit(1 << 20)
        .build()
        .unwrap();
    let state_at = |at: usize| {
        let slab = *pool.snapshot().slab_at(at).unwrap();
        (slab.state, slab.slots_out, slab.slots)
    };
    let first = pool.alloc(4096);
    let at = first.as_ptr().addr();
    let second = pool.alloc(4096);
    assert_eq!(state_at(at), (SlabState::Full, 2, 2));
    // Keeps the region mapped.
    let other = pool.alloc(100);
    drop((first, second));
    // In a magazine: still counted as in use.
    assert_eq!(state_at(at), (SlabState::Full, 2, 2));
    pool.trim();
    assert_eq!(state_at(at), (SlabState::Empty, 0, 0));
    let region = pool.snapshot().regions.remove(0);
    let stale = region.slabs.iter().filter(|slab| !slab.clean).count();
    assert_eq!(stale, 1, "all slabs but the one in use are released");
    drop(other);
}

#[test]
fn large_buffers_are_live_then_cached_then_gone() {
    let pool = Pool::builder().build().unwrap();
    let empty = pool.try_alloc_unsafe_slow(0).unwrap();
    let mut buffer = pool.alloc(100_000);
    let live = |pool: &Pool| -> Vec<_> {
        let mappings = agrees(pool).mappings;
        mappings.iter().map(|mapping| mapping.live).collect()
    };
    let mut both = live(&pool);
    both.sort_unstable();
    assert_eq!(both, [Some(0), Some(100_000)]);
    buffer.grow(5 << 20);
    let snapshot = agrees(&pool);
    let of_buffer = |m: &&slabuf::MappingSnapshot| m.address == buffer.as_ptr().addr();
    let mapping = snapshot.mappings.iter().find(of_buffer).unwrap();
    assert_eq!(mapping.live, Some(5 << 20));
    assert!(mapping.bytes >= 5 << 20);
    drop((empty, buffer));
    assert_eq!(live(&pool), [None, None]);
    pool.trim();
    assert_eq!(live(&pool), []);
}

/// Stops the other threads even if the test fails.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn other_threads_may_use_the_pool_meanwhile() {
    let pool = Pool::builder().cache_limit(4 << 20).build().unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for seed in 0..3 {
            let (pool, stop) = (&pool, &stop);
            threads.push(scope.spawn(move || {
                let mut seed = seed + 11;
                let mut held = Vec::new();
                while !stop.load(Relaxed) {
                    held.push(pool.alloc_unsafe(random_len(&mut seed)));
                    if held.len() > 3000 {
                        // Regions are unmapped, and mapped again.
                        held.clear();
                        pool.trim();
                    }
                }
            }));
        }
        let stop = StopAtEnd(&stop);
        let (mut snapshots, mut seen) = (0, 0);
        while snapshots < 300 || seen < 1000 {
            let snapshot = pool.snapshot();
            is_racy_but_sound(&snapshot);
            snapshots += 1;
            seen += snapshot.regions.len();
        }
        drop(stop);
        // The end of the scope does not wait until a thread has returned its cache.
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
    agrees(&pool);
}

fn is_racy_but_sound(snapshot: &Snapshot) {
    for slab in snapshot.regions.iter().flat_map(|region| &region.slabs) {
        assert!(slab.slots_out <= slab.slots);
        assert_eq!(slab.slots == 0, slab.slot_size == 0);
    }
    let mut mappings: Vec<_> = snapshot.mappings.iter().map(|m| m.address).collect();
    mappings.dedup();
    // One may be unmapped and another mapped at its address during the snapshot, but not all of
    // them.
    assert!(mappings.len() * 2 >= snapshot.mappings.len());
}

#[test]
fn usage_is_printed_for_people() {
    let pool = Pool::builder().build().unwrap();
    let buffers = (pool.alloc(8_192), pool.alloc(8_192), pool.alloc(3 << 20));
    let text = pool.usage().to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 13);
    assert_eq!(lines[0], "external          5.0 MiB");
    assert_eq!(lines[4], "large_live        3.0 MiB");
    assert_eq!(lines[5], "large_cached        0 B  ");
    assert_eq!(lines[8], "slabs_full          2");
    assert_eq!(lines[9], "external_peak     5.0 MiB");
    assert_eq!(lines[12], "timed_out           0");
    drop(buffers);
}
