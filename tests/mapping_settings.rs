//! The settings that affect the mappings of large buffers: each has an observable effect.

mod common;

use std::time::Duration;

use common::child;
use common::{
    KIB, MIB, SLAB, address, assert_all_home, boundary_lengths, holds_stamp, is_zero, stamp,
};
use slabuf::{Buffer, ConfigError, Pool, PoolBuilder};

const HOUR: Duration = Duration::from_secs(3600);

fn build(builder: PoolBuilder) -> Pool {
    builder.build().expect("these settings are valid")
}

// ---- cache_limit, decay ----

/// A freed mapping counts as cached and is reused at the same address.
#[test]
fn a_cached_mapping_comes_back() {
    let pool = build(Pool::builder().cache_limit(64 * MIB).decay(HOUR));
    for n in [SLAB + 1, 100_001, MIB, 5 * MIB] {
        let buffer = pool.alloc(n);
        let before = address(&buffer);
        let live = pool.usage();
        assert_eq!((live.large_live, live.large_cached), (n as u64, 0));
        drop(buffer);
        let dropped = pool.usage();
        assert_eq!(dropped.large_live, 0);
        assert!(dropped.large_cached >= n as u64, "{dropped:?}");
        assert_eq!(dropped.external, live.external, "still mapped");
        assert_eq!(address(&pool.alloc_unsafe(n)), before);
        assert!(pool.trim() >= n);
        assert_eq!(pool.usage().large_cached, 0);
    }
}

/// With `cache_limit(0)` every freed mapping is unmapped at once.
#[test]
fn a_cache_of_nothing_keeps_nothing() {
    let pool = build(Pool::builder().cache_limit(0).decay(HOUR));
    for n in [SLAB + 1, MIB, 5 * MIB] {
        let row: Vec<Buffer> = (0..8).map(|_| pool.alloc(n)).collect();
        for buffer in row {
            drop(buffer);
            assert_eq!(pool.usage().large_cached, 0, "{n}");
        }
    }
}

/// A cache larger than the pool's limit is refused, and the message names both.
#[test]
fn a_cache_beyond_the_limit_is_refused() {
    let with_cache = |bytes| Pool::builder().limit(8 * MIB).cache_limit(bytes).build();
    let error = with_cache(8 * MIB + 1).expect_err("refused");
    let ConfigError::CacheLimit { given, limit, .. } = error else {
        panic!("{error}")
    };
    assert_eq!((given, limit), (8 * MIB + 1, 8 * MIB));
    let text = error.to_string();
    assert!(
        text.contains("8388609") && text.contains("8388608"),
        "{text}"
    );
    assert!(with_cache(8 * MIB).is_ok());
}

/// The cache never exceeds its limit.
#[test]
fn the_cache_keeps_to_its_limit() {
    let limit = 4 * MIB;
    let pool = build(Pool::builder().cache_limit(limit).decay(HOUR));
    let mut most = 0;
    for n in [SLAB + 1, 100_001, MIB, 3 * MIB, 5 * MIB] {
        let row: Vec<Buffer> = (0..12).map(|_| pool.alloc(n)).collect();
        for buffer in row {
            drop(buffer);
            most = most.max(pool.usage().large_cached);
        }
    }
    assert!((1..=limit as u64).contains(&most), "{most} bytes cached");
}

/// Mappings kept by a thread count against the limit of the cache.
#[test]
fn the_cache_keeps_to_its_limit_with_what_threads_keep() {
    let pool = build(Pool::builder().cache_limit(MIB).decay(HOUR));
    for n in [704_513, 340_000, 200_000, 90_000, 400_000] {
        drop(pool.alloc(n));
        let usage = pool.usage();
        assert!(usage.large_cached <= MIB as u64, "after {n}: {usage:?}");
    }
}

/// Very large mappings are zeroed by releasing their pages. Once written again, they count against
/// the limit like any other.
#[test]
fn the_cache_keeps_to_its_limit_after_zeroing() {
    let limit = 64 * MIB;
    let pool = build(Pool::builder().cache_limit(limit).decay(HOUR));
    for n in [40 * MIB, 51 * MIB, 63 * MIB] {
        drop(pool.alloc_filled(n, [1]));
        let mut rewritten = pool.alloc(n);
        rewritten.fill(3);
        drop(rewritten);
        let usage = pool.usage();
        assert!(usage.large_cached <= limit as u64, "after {n}: {usage:?}");
    }
}

/// With a decay of zero the cache keeps nothing.
#[test]
fn a_decay_of_zero_keeps_nothing() {
    let pool = build(Pool::builder().cache_limit(64 * MIB).decay(Duration::ZERO));
    for n in [SLAB + 1, MIB, 5 * MIB] {
        let row: Vec<Buffer> = (0..8).map(|_| pool.alloc(n)).collect();
        drop(row);
        assert_eq!(pool.usage().large_cached, 0, "{n}");
    }
}

// ---- huge_pages, guard_pages ----

/// Returns the lines of /proc/self/smaps about the mapping that contains `address`.
#[cfg(target_os = "linux")]
fn smaps_of(address: usize) -> String {
    let smaps = std::fs::read_to_string("/proc/self/smaps").expect("Linux lists its mappings");
    let range = |line: &str| {
        let (start, end) = line.split_whitespace().next()?.split_once('-')?;
        let start = usize::from_str_radix(start, 16).ok()?;
        Some(start..usize::from_str_radix(end, 16).ok()?)
    };
    let mut inside = false;
    let block: Vec<&str> = smaps
        .lines()
        .filter(|line| {
            inside = range(line).map_or(inside, |range| range.contains(&address));
            inside
        })
        .collect();
    block.join("\n")
}

#[cfg(target_os = "linux")]
fn has_huge_pages() -> bool {
    let has = std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists();
    if !has {
        println!("left out: this kernel has no transparent huge pages");
    }
    has
}

/// Returns whether the kernel was advised to use huge pages in the middle of the buffer.
#[cfg(target_os = "linux")]
fn asks_for_huge_pages(buffer: &[u8]) -> bool {
    let block = smaps_of(address(buffer) + buffer.len() / 2);
    let flags = block.lines().find(|line| line.starts_with("VmFlags:"));
    let mut flags = flags.expect("a mapping has flags").split_whitespace();
    flags.any(|flag| flag == "hg")
}

/// A large buffer requests huge pages if and only if the setting is on.
#[test]
#[cfg(target_os = "linux")]
fn huge_pages_are_asked_for() {
    if !has_huge_pages() {
        return;
    }
    for wanted in [true, false] {
        let pool = build(Pool::builder().huge_pages(wanted));
        assert_eq!(asks_for_huge_pages(&pool.alloc(4 * MIB)), wanted);
        assert!(!asks_for_huge_pages(&pool.alloc(MIB)));
    }
}

/// A buffer that grows to 2 MiB or more requests huge pages like one allocated at that length.
#[test]
#[cfg(target_os = "linux")]
fn huge_pages_are_asked_for_after_growth() {
    if !has_huge_pages() {
        return;
    }
    for (wanted, first) in [(true, 64 * KIB), (true, 3 * MIB), (false, 64 * KIB)] {
        let pool = build(Pool::builder().huge_pages(wanted));
        let mut buffer = pool.alloc(first);
        buffer.grow(8 * MIB);
        assert_eq!(asks_for_huge_pages(&buffer), wanted, "from {first} bytes");
    }
}

/// With guard pages, reading past the end of a mapping ends the process.
#[test]
#[cfg(target_os = "linux")]
fn guard_pages_stop_reading_past_the_end() {
    use std::os::unix::process::ExitStatusExt;

    const NAME: &str = "guard_pages_stop_reading_past_the_end";
    if child::is_child(NAME) {
        let pool = build(Pool::builder().guard_pages(true));
        let buffer = pool.alloc_filled(64 * KIB, [1]);
        let end = address(&buffer) + buffer.capacity();
        let guard = smaps_of(end);
        assert!(
            guard
                .lines()
                .next()
                .is_some_and(|line| line.contains(" ---p ")),
            "{guard}"
        );
        let past = buffer.as_ptr().wrapping_add(buffer.capacity());
        println!("past the end");
        // SAFETY: none: this read is out of bounds, and the guard page behind the buffer must end
        // the process.
        let byte = unsafe { past.read_volatile() };
        println!("read {byte}");
        return;
    }
    let output = child::run(NAME);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("past the end"), "{stdout}");
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{stdout}");
}

/// Guard pages are not part of the buffer: capacity, counters of lengths, growth and reuse do not
/// change.
#[test]
fn guarded_buffers_work_like_others() {
    // Without a cache, because a reused mapping may be longer than necessary.
    let guarded = build(Pool::builder().guard_pages(true).cache_limit(0));
    let plain = build(Pool::builder().cache_limit(0));
    for n in boundary_lengths(&plain) {
        let mut buffer = guarded.alloc(n);
        assert_eq!(buffer.capacity(), plain.alloc(n).capacity(), "{n}");
        buffer.set_len(buffer.capacity());
        stamp(&mut buffer, 9);
        let len = buffer.len();
        buffer.grow(len + MIB);
        assert!(holds_stamp(&buffer[..len], 9) && is_zero(&buffer[len..]));
        assert!(guarded.usage().external >= guarded.usage().array_buffers);
    }
    assert_all_home(&guarded);
}

/// Regions have small pages whatever the system's setting; large buffers keep to it.
#[cfg(target_os = "linux")]
#[test]
fn slabs_have_small_pages() {
    /// The kernel's flags of the area that holds the byte at `address`.
    fn flags(address: usize) -> String {
        let smaps = std::fs::read_to_string("/proc/self/smaps").expect("readable");
        let mut inside = false;
        for line in smaps.lines() {
            let range = line
                .split_once(' ')
                .and_then(|(range, _)| range.split_once('-'));
            let range =
                range.map(|(a, b)| (usize::from_str_radix(a, 16), usize::from_str_radix(b, 16)));
            if let Some((Ok(start), Ok(end))) = range {
                inside = (start..end).contains(&address);
            } else if inside && let Some(flags) = line.strip_prefix("VmFlags:") {
                return flags.to_owned();
            }
        }
        panic!("no area at {address:#x}");
    }

    if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
        println!("slabs_have_small_pages: left out, this kernel has no transparent huge pages");
        return;
    }
    let pool = build(Pool::builder());
    let (small, large) = (pool.alloc(100), pool.alloc(100 * KIB));
    let has_none = |buffer: &Buffer| flags(address(buffer)).split(' ').any(|flag| flag == "nh");
    assert!(has_none(&small));
    assert!(!has_none(&large));
}
