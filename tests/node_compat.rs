//! Properties of Node.js's `Buffer` memory that its documentation, tests or bug reports mention,
//! tested here. Effects on the resident size are in `rss.rs`.

mod common;

use bytes::Bytes;
use common::child::isolated;
use common::constructors::{CONSTRUCTORS, Gives};
use common::{
    KIB, MIB, SLAB, address, assert_all_home, assert_apart, boundary_lengths, fresh_pool, is_all,
    is_zero,
};
use slabuf::{Buffer, Pool, memory_usage, system};

fn array_buffers(pool: &Pool) -> usize {
    pool.usage().array_buffers as usize
}

// ---- pool ----

/// Node's rule: buffers up to 8 KiB are small.
#[test]
fn eight_kib_divides_small_from_large() {
    let pool = fresh_pool();
    for n in (0..=SLAB).step_by(61).chain([SLAB - 1, SLAB]) {
        assert!(pool.alloc_unsafe(n).is_pooled(), "{n}");
    }
    assert!(!pool.alloc_unsafe(SLAB + 1).is_pooled());
}

/// A slab is allocated as a whole and divided: sixteen buffers of 100 bytes are in the same one.
#[test]
fn sixteen_buffers_share_a_slab() {
    let pool = fresh_pool();
    let row: Vec<Buffer> = (0..16).map(|_| pool.alloc_unsafe(100)).collect();
    let first = row
        .iter()
        .map(|buffer| address(buffer))
        .min()
        .expect("sixteen");
    let last = row
        .iter()
        .map(|buffer| address(buffer))
        .max()
        .expect("sixteen");
    assert!(last + 100 - first <= SLAB, "{first:x} to {last:x}");
    assert_eq!(array_buffers(&pool), SLAB);
}

/// 64 buffers of 128 bytes, allocated and freed repeatedly, use at most four slabs.
#[test]
fn slots_are_reused_before_new_slabs_are_touched() {
    let pool = fresh_pool();
    let mut slabs = std::collections::BTreeSet::new();
    for _ in 0..10_000 {
        let batch: Vec<Buffer> = (0..64).map(|_| pool.alloc_unsafe(128)).collect();
        slabs.extend(batch.iter().map(|buffer| address(buffer) / SLAB));
    }
    assert!(slabs.len() <= 4, "{} slabs touched", slabs.len());
    assert!(array_buffers(&pool) <= 4 * SLAB);
}

/// Offsets are aligned to 8 (ours to 16), whatever lengths came before.
#[test]
fn offsets_are_aligned() {
    let pool = fresh_pool();
    let mut live = Vec::new();
    for n in 0..3000 {
        live.push(pool.alloc_unsafe(n % 777));
        live.push(pool.alloc_unsafe(1));
    }
    assert!(live.iter().all(|buffer| address(buffer).is_multiple_of(16)));
    assert_apart(&live);
}

/// `alloc_unsafe_slow` never uses a slab and does not disturb the current slab. In Node it once
/// moved the offset of the pool, and the next buffer was out of bounds.
#[test]
fn an_unpooled_request_leaves_the_slab_alone() {
    let pool = fresh_pool();
    let mut live = Vec::new();
    let mut unpooled = Vec::new();
    for n in (0..64).map(|i| i * 150) {
        live.push(pool.alloc_unsafe(100));
        unpooled.push(pool.alloc_unsafe_slow(n));
        assert!(pool.try_alloc_unsafe_slow(usize::MAX).is_err());
        assert!(!unpooled.last().is_some_and(Buffer::is_pooled));
    }
    assert_apart(live.iter().chain(&unpooled));
    assert_eq!(pool.usage().slabs_partial + pool.usage().slabs_full, 1);
}

/// Memory is not reused before its last view is dropped.
#[test]
fn memory_waits_for_its_last_view() {
    let pool = fresh_pool();
    for n in [64, 3000, SLAB, SLAB + 1, MIB] {
        let view: Bytes = pool.alloc_filled(n, [0xAB]).freeze().slice(n / 4..n / 2);
        let second = view.clone();
        drop(view);
        let others: Vec<Buffer> = (0..200).map(|_| pool.alloc_filled(n, [0xCD])).collect();
        assert!(is_all(&second, 0xAB));
        let (start, end) = (address(&second), address(&second) + second.len());
        for other in &others {
            assert!(address(other) + n <= start || end <= address(other));
        }
    }
    assert_all_home(&pool);
}

// ---- counters ----

/// `arrayBuffers` grows and shrinks by the requested length, not rounded to pages; views add
/// nothing.
#[test]
fn array_buffers_counts_the_length_asked_for() {
    let pool = fresh_pool();
    for n in [1_048_576, 100_001, SLAB + 1, 3 * MIB - 1] {
        let small = pool.alloc(1);
        let before = array_buffers(&pool);
        let frozen = pool.alloc(n).freeze();
        assert_eq!(array_buffers(&pool) - before, n);
        let views: Vec<Bytes> = (0..10).map(|i| frozen.slice(i..)).collect();
        drop(frozen);
        assert_eq!(array_buffers(&pool) - before, n);
        drop(views);
        assert_eq!(array_buffers(&pool), before);
        drop(small);
    }
}

/// The counters include every constructor. Node once missed some.
#[test]
fn array_buffers_counts_every_constructor() {
    for constructor in CONSTRUCTORS {
        let pool = fresh_pool();
        for n in [SLAB + 1, 100_001, 2 * MIB] {
            let plain = (constructor.on_pool)(&pool, n);
            assert_eq!(array_buffers(&pool), n, "{}", constructor.name);
            let twin = (constructor.try_on_pool)(&pool, n).expect("memory for the test");
            assert_eq!(array_buffers(&pool), 2 * n, "{}", constructor.name);
            drop((plain, twin));
            assert_eq!(array_buffers(&pool), 0, "{}", constructor.name);
        }
    }
}

/// Failed requests do not change the counters.
#[test]
fn a_failed_request_counts_nothing() {
    let pool = fresh_pool();
    let _live = (pool.alloc(100), pool.alloc(MIB));
    let before = pool.usage();
    for n in [1 << 47, 1 << 60, isize::MAX as usize, usize::MAX] {
        for constructor in CONSTRUCTORS.iter().filter(|row| row.by_number) {
            assert!((constructor.try_on_pool)(&pool, n).is_err());
        }
    }
    assert_eq!(format!("{before:?}"), format!("{:?}", pool.usage()));
}

/// A slab counts once, with its full 8192 bytes; slices and views add nothing.
#[test]
fn a_slab_counts_once() {
    let pool = fresh_pool();
    let first = pool.alloc_unsafe(100);
    assert_eq!(array_buffers(&pool), SLAB);
    let more: Vec<Bytes> = (0..64).map(|_| pool.alloc_unsafe(100).freeze()).collect();
    let views: Vec<Bytes> = more.iter().map(|frozen| frozen.slice(10..20)).collect();
    assert_eq!(array_buffers(&pool), SLAB);
    drop((first, more));
    assert_eq!(array_buffers(&pool), SLAB);
    drop(views);
    assert_all_home(&pool);
}

/// `external` includes `arrayBuffers` at all times.
#[test]
fn external_includes_array_buffers() {
    let pool = fresh_pool();
    let mut live = Vec::new();
    for n in boundary_lengths(&pool) {
        live.push(pool.alloc(n));
        let usage = pool.usage();
        assert!(usage.external >= usage.array_buffers, "{usage:?}");
        assert!(usage.array_buffers >= usage.in_use, "{usage:?}");
    }
    while live.pop().is_some() {
        let usage = pool.usage();
        assert!(usage.external >= usage.array_buffers, "{usage:?}");
    }
}

/// The counters of the process are the sums over its pools.
#[test]
fn the_process_counter_is_the_sum_of_the_pools() {
    isolated("the_process_counter_is_the_sum_of_the_pools", || {
        let pools = [fresh_pool(), fresh_pool(), Pool::global().clone()];
        let mut live = Vec::new();
        for n in [0, 100, SLAB, SLAB + 1, 100_001, 5 * MIB] {
            live.extend(pools.iter().map(|pool| pool.alloc(n)));
            let sum = |value: fn(&Pool) -> u64| pools.iter().map(value).sum::<u64>();
            let process = memory_usage();
            assert_eq!(process.external, sum(|pool| pool.usage().external));
            assert_eq!(
                process.array_buffers,
                sum(|pool| pool.usage().array_buffers)
            );
        }
        let printed = memory_usage().to_string();
        for name in [
            "rss: ",
            "heapTotal: ",
            "heapUsed: ",
            "external: ",
            "arrayBuffers: ",
        ] {
            assert!(printed.contains(name), "{printed}");
        }
    });
}

/// `os.totalmem` is MemTotal and `os.freemem` is MemAvailable; constrained memory is at most the
/// total.
#[test]
#[cfg(target_os = "linux")]
fn system_values_are_the_kernels() {
    let meminfo = std::fs::read_to_string("/proc/meminfo").expect("Linux reports its memory");
    let kernel = |name: &str| -> u64 {
        let line = meminfo.lines().find(|line| line.starts_with(name));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.and_then(|kib| kib.parse::<u64>().ok())
            .expect("a value in KiB")
            * 1024
    };
    let total = kernel("MemTotal:");
    assert_eq!(system::total_memory(), Some(total));
    let free = system::free_memory().expect("Linux knows it");
    let apart = free.abs_diff(kernel("MemAvailable:"));
    assert!(apart < total / 4, "{apart} bytes apart");
    let available = system::available_memory().expect("Linux knows it");
    assert!((1..=total).contains(&available));
    assert!(system::constrained_memory().is_none_or(|limit| limit <= total));
}

// ---- zeroing ----

/// `alloc` directly after `alloc_unsafe` is zeroed for every small size. In Node a stale flag once
/// prevented it.
#[test]
fn alloc_after_alloc_unsafe_is_zero_for_every_small_size() {
    let pool = fresh_pool();
    for n in 0..=SLAB + 1 {
        pool.alloc_unsafe(n).fill(0xEE);
        assert!(is_zero(&pool.alloc(n)), "{n}");
    }
}

/// `alloc` directly after `alloc_unsafe` is zeroed for large sizes too, up to 64 MiB.
#[test]
fn alloc_after_alloc_unsafe_is_zero_up_to_64_mib() {
    let pool = fresh_pool();
    let mut n = SLAB;
    while n <= 64 * MIB {
        for n in [n - 1, n, n + 1] {
            pool.alloc_unsafe(n).fill(0xEE);
            assert!(is_zero(&pool.alloc(n)), "{n}");
            pool.alloc_unsafe_slow(n).fill(0xEE);
            assert!(is_zero(&pool.alloc_filled(n, [0])), "{n}");
        }
        n *= 2;
    }
}

/// No constructor that fills shows stale bytes.
#[test]
fn no_stale_byte_shows_in_a_filled_buffer() {
    let pool = fresh_pool();
    for n in boundary_lengths(&pool) {
        for constructor in CONSTRUCTORS.iter().filter(|row| row.gives != Gives::Stale) {
            let mut dirt = [pool.alloc_unsafe(n), pool.alloc_unsafe_slow(n)];
            dirt.iter_mut().for_each(|buffer| buffer.fill(0xEE));
            drop(dirt);
            constructor.check(&(constructor.on_pool)(&pool, n), n);
        }
    }
}

/// `alloc_unsafe` of the length just freed returns the same slot with unchanged bytes.
#[test]
fn alloc_unsafe_shows_the_stale_bytes() {
    let pool = fresh_pool();
    for n in 1..=SLAB {
        let buffer = pool.alloc_filled(n, [0xEE]);
        let before = address(&buffer);
        drop(buffer);
        let again = pool.alloc_unsafe(n);
        assert!(address(&again) == before && is_all(&again, 0xEE), "{n}");
    }
}

// ---- filling and concatenating ----

/// The pattern repeats and is cut, possibly inside a character.
#[test]
fn the_pattern_repeats_and_is_cut() {
    assert_eq!(Buffer::alloc_filled(5, "é"), [0xC3, 0xA9, 0xC3, 0xA9, 0xC3]);
    assert_eq!(Buffer::alloc_filled(2, "longer"), b"lo");
    assert_eq!(Buffer::alloc_filled(3, ""), [0, 0, 0]);
    let pool = fresh_pool();
    for n in boundary_lengths(&pool) {
        for pattern in [
            &b"ab"[..],
            b"abc",
            &[7; 20],
            &[9; 5000],
            b"0123456789abcdefg",
        ] {
            let buffer = pool.alloc_filled(n, pattern);
            assert!(
                buffer
                    .chunks(pattern.len())
                    .all(|chunk| *chunk == pattern[..chunk.len()])
            );
        }
    }
}

/// `concat` of nothing is zeros; to fewer bytes it is cut; to more, the rest is zero and never
/// stale.
#[test]
fn concat_cuts_or_fills_with_zeros() {
    let pool = fresh_pool();
    assert_eq!(pool.concat_to_len::<&[u8]>(&[], 100), [0; 100]);
    assert!(pool.concat::<&[u8]>(&[]).is_empty());
    assert_eq!(pool.concat(&["ab", "", "cde"]), b"abcde");
    for n in boundary_lengths(&pool) {
        let parts = [vec![1; n / 2], vec![], vec![2; n / 3]];
        let whole = parts.concat();
        for len in [0, n / 4, n / 2, whole.len(), whole.len() + 1, n, n + 700] {
            pool.alloc_unsafe(len).fill(0xEE);
            let buffer = pool.concat_to_len(&parts, len);
            let given = whole.len().min(len);
            assert!(buffer[..given] == whole[..given] && is_zero(&buffer[given..]));
        }
        assert_eq!(pool.concat(&parts), whole);
    }
}

/// A single part is copied, not shared.
#[test]
fn a_single_part_is_copied() {
    let mut part = Buffer::copy_from_slice(b"single");
    let whole = Buffer::concat(&[&part]);
    part.fill(0);
    assert_eq!(whole, b"single");
}

// ---- reports of Node's users ----

/// A 4-byte buffer kept, three of 4,000 bytes freed, a thousand times: in Node this held 7 MB for 4
/// KB.
#[test]
fn a_small_survivor_holds_its_slot_only() {
    let pool = fresh_pool();
    let mut kept = Vec::new();
    let mut round = || {
        kept.push(pool.alloc_unsafe(4));
        drop([4000, 4000, 4000].map(|n| pool.alloc_unsafe(n)));
    };
    (0..100).for_each(|_| round());
    let before = array_buffers(&pool);
    (0..1000).for_each(|_| round());
    let grown = array_buffers(&pool) - before;
    assert!(grown <= 1000 * 16 + SLAB, "{grown} bytes for 4,000");
}

/// A buffer exposes only its own slot. In Node, `readFileSync().buffer` was the whole slab.
#[test]
fn no_buffer_shows_its_neighbours() {
    let pool = fresh_pool();
    let mut row: Vec<Buffer> = (0..64).map(|_| pool.alloc_filled(100, [0x5E])).collect();
    for buffer in row.iter_mut().step_by(2) {
        let capacity = buffer.capacity();
        assert!(capacity < KIB, "{capacity} bytes of capacity for 100");
        buffer.set_len(capacity);
        buffer.fill(0);
    }
    assert!(
        row.iter()
            .skip(1)
            .step_by(2)
            .all(|buffer| is_all(buffer, 0x5E))
    );
}
