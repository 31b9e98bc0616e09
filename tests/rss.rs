//! The resident memory of buffers as the kernel counts it. Each scenario runs in a separate
//! process, and the processes run one at a time.

mod common;

use std::sync::mpsc::sync_channel;
use std::thread;

use common::child::{isolated_on_memory, report, resident, resident_above};
use common::{KIB, MIB, Rng, fresh_pool, is_all};
use slabuf::{Buffer, Pool, memory_usage};

/// Buffers are from the global pool, as in most programs.
fn filled(len: usize) -> Buffer {
    let mut buffer = Buffer::alloc_unsafe(len);
    buffer.fill(0xA5);
    buffer
}

/// Prints the growth of the resident size since `start` and asserts that it is below `bound`.
fn check_above(start: usize, bound: usize, when: &str) {
    let above = resident_above(start);
    report(&format!(
        "{when}: {} KiB above the start, bound {} KiB",
        above / KIB,
        bound / KIB
    ));
    assert!(
        above < bound,
        "{when}: {above} bytes above the start; {:?}",
        memory_usage()
    );
}

/// A large zeroed buffer costs no memory until it is written: 1 GiB untouched stays below 4 MiB.
#[test]
fn an_untouched_gib_costs_nothing() {
    isolated_on_memory("an_untouched_gib_costs_nothing", 2048 * MIB, |start| {
        let buffer = Buffer::alloc(1024 * MIB);
        check_above(start, 4 * MIB, "1 GiB, untouched");
        assert_eq!(buffer[512 * MIB], 0);
        drop(buffer);
        let mut buffer = Buffer::alloc(256 * MIB);
        buffer.fill(1);
        let above = resident_above(start);
        assert!(
            above.abs_diff(256 * MIB) < 8 * MIB,
            "{above} bytes for 256 MiB"
        );
        drop(buffer);
        Pool::global().trim();
        check_above(start, 4 * MIB, "256 MiB, written and dropped");
    });
}

/// Ten filled buffers of 100 MiB cost their size within 10 %, change the heap by less than 1 MiB,
/// and return it.
#[test]
fn large_buffers_cost_their_size_and_go_back() {
    isolated_on_memory(
        "large_buffers_cost_their_size_and_go_back",
        2048 * MIB,
        |start| {
            let heap = memory_usage().heap_used;
            let total = 10 * 100 * MIB;
            let live: Vec<Buffer> = (0..10).map(|_| filled(100 * MIB)).collect();
            let above = resident_above(start);
            let moved = memory_usage().heap_used.abs_diff(heap);
            report(&format!(
                "{} KiB for {} KiB, heap_used moved {moved} bytes",
                above / KIB,
                total / KIB
            ));
            assert!(above.abs_diff(total) <= total / 10, "{above} bytes");
            assert!(moved < MIB as u64, "{moved} bytes");
            assert!(live.iter().all(|buffer| is_all(buffer, 0xA5)));
            drop(live);
            Pool::global().trim();
            check_above(start, 32 * MIB, "dropped and trimmed");
        },
    );
}

/// 20,000 rounds of one 4-byte buffer kept and three of 4,000 bytes dropped stay below 2 MiB.
#[test]
fn small_survivors_hold_no_slabs() {
    isolated_on_memory("small_survivors_hold_no_slabs", 512 * MIB, |start| {
        let mut kept = Vec::with_capacity(20_000);
        for _ in 0..20_000 {
            kept.push(filled(4));
            for buffer in [filled(4000), filled(4000), filled(4000)] {
                drop(buffer);
            }
        }
        check_above(start, 2 * MIB, "20,000 rounds");
    });
}

/// 750,000 buffers of 1,400 bytes, all but one in a thousand dropped: below 10 MiB after `trim`.
#[test]
fn one_survivor_in_a_thousand() {
    isolated_on_memory("one_survivor_in_a_thousand", 2048 * MIB, |start| {
        let mut live: Vec<Buffer> = (0..750_000).map(|_| filled(1400)).collect();
        assert!(
            resident_above(start) > 1_000_000_000,
            "all of it was written"
        );
        let mut index = 0;
        live.retain(|_| {
            index += 1;
            index % 1000 == 0
        });
        live.shrink_to_fit();
        Pool::global().trim();
        assert_eq!(live.len(), 750);
        assert!(live.iter().all(|buffer| is_all(buffer, 0xA5)));
        check_above(start, 10 * MIB, "750 of 750,000 buffers of 1,400 bytes");
    });
}

/// 4,096 buffers of 64 KiB, 98 % of them dropped: below 8 MiB after `trim`.
#[test]
fn two_survivors_in_a_hundred() {
    isolated_on_memory("two_survivors_in_a_hundred", 1024 * MIB, |start| {
        let mut live: Vec<Buffer> = (0..4096).map(|_| filled(64 * KIB)).collect();
        assert!(resident_above(start) >= 256 * MIB, "all of it was written");
        let mut index = 0;
        live.retain(|_| {
            index += 1;
            index % 50 == 0
        });
        Pool::global().trim();
        assert_eq!(live.len(), 81);
        check_above(start, 8 * MIB, "81 of 4,096 buffers of 64 KiB");
    });
}

/// One thread allocates and another frees a million buffers: the resident size stays bounded.
#[test]
fn a_million_handed_over_level_off() {
    isolated_on_memory("a_million_handed_over_level_off", 1024 * MIB, |start| {
        let (sender, receiver) = sync_channel::<Vec<Buffer>>(8);
        let dropper =
            thread::spawn(move || receiver.iter().map(|batch| batch.len()).sum::<usize>());
        let mut held = Vec::new();
        for batch in 0..10_000 {
            let len = [64, 1400, 8000][batch % 3];
            sender
                .send((0..100).map(|_| filled(len)).collect())
                .expect("the other thread listens");
            if batch % 1000 == 999 {
                held.push(resident_above(start) / KIB);
            }
        }
        drop(sender);
        assert_eq!(dropper.join().ok(), Some(1_000_000));
        report(&format!("KiB above the start after each 100,000: {held:?}"));
        // At most ten batches of 8,000-byte buffers are in transit: 8 MB. The caches may keep the
        // rest.
        assert!(held.iter().all(|kib| *kib < 32 * KIB), "{held:?}");
        let (early, late) = (held[..5].iter().max(), held[5..].iter().max());
        assert!(
            late.copied() < early.map(|kib| kib + 4 * KIB),
            "still growing: {held:?}"
        );
        Pool::global().trim();
        check_above(start, 4 * MIB, "all dropped and trimmed");
    });
}

/// After 300 short-lived threads less than 16 MiB stay resident.
#[test]
fn short_lived_threads_leave_little() {
    isolated_on_memory("short_lived_threads_leave_little", 1024 * MIB, |start| {
        for _ in 0..30 {
            let threads: Vec<_> = (0..10)
                .map(|seed| {
                    thread::spawn(move || {
                        let mut rng = Rng::new(seed + 1);
                        let live: Vec<Buffer> = (0..200)
                            .map(|_| filled(rng.log_uniform(16, 20_000)))
                            .collect();
                        assert!(live.iter().all(|buffer| is_all(buffer, 0xA5)));
                    })
                })
                .collect();
            threads
                .into_iter()
                .for_each(|thread| thread.join().expect("no panic"));
        }
        check_above(start, 16 * MIB, "300 threads");
    });
}

/// After 50 pools, each dropped before its 2,000 buffers, less than 4 MiB stay resident.
#[test]
fn pools_dropped_before_their_buffers_leave_little() {
    isolated_on_memory(
        "pools_dropped_before_their_buffers_leave_little",
        512 * MIB,
        |start| {
            for seed in 1..=50 {
                let pool = fresh_pool();
                let mut rng = Rng::new(seed);
                let mut live: Vec<Buffer> = (0..2000)
                    .map(|_| pool.alloc_unsafe(rng.log_uniform(16, 20_000)))
                    .collect();
                live.iter_mut().for_each(|buffer| buffer.fill(0xA5));
                drop(pool);
                assert!(live.iter().all(|buffer| is_all(buffer, 0xA5)));
            }
            check_above(start, 4 * MIB, "50 pools");
        },
    );
}

/// 150,000 live buffers of 9 to 12 KB, every second one freed, then 75,000 of 20 KB: none fails,
/// whatever the kernel's limit of map areas.
#[test]
fn many_large_buffers_do_not_run_out_of_map_areas() {
    isolated_on_memory(
        "many_large_buffers_do_not_run_out_of_map_areas",
        6144 * MIB,
        |_| {
            let mut rng = Rng::new(1);
            let take = |len: usize, index: usize| {
                let mut buffer = Buffer::try_alloc_unsafe(len)
                    .unwrap_or_else(|error| panic!("buffer {index} of {len}: {error}"));
                buffer[0] = index as u8;
                buffer[len - 1] = index as u8;
                Some(buffer)
            };
            let mut live: Vec<Option<Buffer>> = (0..150_000)
                .map(|index| take(9000 + rng.below(3001), index))
                .collect();
            live.iter_mut().step_by(2).for_each(|slot| *slot = None);
            for (index, slot) in live.iter_mut().enumerate().step_by(2) {
                *slot = take(20_000, index);
            }
            for (index, slot) in live.iter().enumerate() {
                let buffer = slot.as_ref().expect("all are live");
                let (first, last) = (buffer.first(), buffer.last());
                assert!(
                    first == Some(&(index as u8)) && last == first,
                    "buffer {index}"
                );
            }
            let areas =
                std::fs::read_to_string("/proc/self/maps").map_or(0, |maps| maps.lines().count());
            report(&format!(
                "{areas} map areas for {} live buffers",
                live.len()
            ));
        },
    );
}

/// Number of random replacements: six million, or one million in debug builds.
const REPLACEMENTS: usize = if cfg!(debug_assertions) {
    1_000_000
} else {
    6_000_000
};

/// 100,000 live buffers of 16 to 8,191 bytes, each doubling equally likely, replaced at random: the
/// resident size is at most 1.30 times the live bytes.
#[test]
fn churn_stays_compact() {
    isolated_on_memory("churn_stays_compact", 1024 * MIB, |_| {
        let mut rng = Rng::new(42);
        // The list itself is not a buffer: its pages are written before the first measurement.
        let mut live: Vec<Option<Buffer>> = Vec::new();
        live.resize_with(100_000, || None);
        let start = resident().expect("the kernel reported it before");
        for slot in &mut live {
            *slot = Some(filled(rng.log_uniform(16, 8192)));
        }
        for _ in 0..REPLACEMENTS {
            let index = rng.below(live.len());
            live[index] = Some(filled(rng.log_uniform(16, 8192)));
        }
        let live_bytes: usize = live.iter().flatten().map(|buffer| buffer.len()).sum();
        let ratio = resident_above(start) as f64 / live_bytes as f64;
        report(&format!(
            "resident/live {ratio:.3} for {live_bytes} bytes after {REPLACEMENTS} replacements"
        ));
        assert!(
            ratio <= 1.30,
            "resident/live {ratio:.3}; {:?}",
            Pool::global().usage()
        );
    });
}
