//! The contents of a buffer are not visible after its drop, in other pools, or in messages.

mod common;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{KIB, MIB, assert_all_home, fresh_pool, holds_stamp, is_zero, stamp};
use slabuf::{Buffer, Pool};

// ---- Searching the whole memory ----

#[cfg(target_os = "linux")]
mod dump {
    use super::common::child;
    use super::{KIB, MIB, Pool, is_zero};
    use bytes::Buf;
    use slabuf::Buffer;
    use std::fs::{self, File};
    use std::hint::black_box;
    use std::ops::Range;
    use std::os::unix::fs::FileExt;
    use std::time::Duration;

    const HOUR: Duration = Duration::from_secs(3600);
    const SECRET: usize = 32;
    /// The part of the secret that fits into the smallest buffer, and is searched for.
    const NEEDLE: usize = 16;
    const LENGTHS: [usize; 12] = [
        16,
        32,
        100,
        1000,
        5000,
        8 * KIB,
        8 * KIB + 1,
        100 * KIB,
        MIB,
        2 * MIB + 1,
        5 * MIB,
        16 * MIB,
    ];

    /// Computes a byte of the secret. Two bytes of it are adjacent in memory only where
    /// a test writes them.
    fn secret(at: usize) -> u8 {
        const MASKED: [u8; SECRET] = *b"written nowhere as it is read...";
        MASKED[at] ^ black_box(0xA5)
    }

    /// Writes the secret at the start, at intervals, and at the end.
    fn write_secret(bytes: &mut [u8]) {
        let step = (bytes.len() / 5).max(SECRET);
        let len = bytes.len();
        let starts = (0..len).step_by(step).chain([len.saturating_sub(SECRET)]);
        for start in starts {
            for (at, byte) in bytes[start..].iter_mut().take(SECRET).enumerate() {
                *byte = secret(at);
            }
        }
    }

    /// Allocates a buffer and fills its capacity with the secret.
    fn written(pool: &Pool, len: usize) -> Buffer {
        let mut buffer = pool.alloc_unsafe(len);
        buffer.set_len(buffer.capacity());
        write_secret(&mut buffer);
        buffer
    }

    /// Returns the writable anonymous mappings, except the stack of the main thread.
    fn anonymous() -> Vec<Range<u64>> {
        let maps = fs::read_to_string("/proc/self/maps").expect("Linux lists its mappings");
        let range = |line: &str| {
            let mut fields = line.split_whitespace();
            let (start, end) = fields.next()?.split_once('-')?;
            let writable = fields.next()?.starts_with("rw");
            let of_file = fields.nth(2)? != "0" || fields.next() == Some("[stack]");
            let start = u64::from_str_radix(start, 16).ok()?;
            let end = u64::from_str_radix(end, 16).ok()?;
            (writable && !of_file).then_some(start..end)
        };
        maps.lines().filter_map(range).collect()
    }

    /// Returns the number of occurrences of the secret in the memory of this process.
    fn found() -> usize {
        let mut scratch = vec![0; MIB];
        let own = scratch.as_ptr_range();
        let own = own.start as u64..own.end as u64;
        let memory = File::open("/proc/self/mem").expect("Linux shows its memory");
        let mut count = 0;
        for range in anonymous() {
            let mut at = range.start;
            while at + NEEDLE as u64 <= range.end {
                let len = scratch.len().min((range.end - at) as usize);
                let piece = &mut scratch[..len];
                // A mapping may be gone by now, for example that of the list itself.
                if memory.read_exact_at(piece, at).is_ok() {
                    let hits = hits(piece).map(|offset| at + offset as u64);
                    count += hits.filter(|hit| !own.contains(hit)).count();
                }
                at += (len - NEEDLE + 1) as u64;
            }
        }
        count
    }

    /// Returns the positions of the needle. Pages of zeros are skipped.
    fn hits(piece: &[u8]) -> impl Iterator<Item = usize> {
        const PAGE: usize = 4 * KIB;
        let starts = (piece.len() + 1).saturating_sub(NEEDLE);
        let pages = (0..starts).step_by(PAGE);
        let pages = pages.map(move |at| at..(at + PAGE).min(starts));
        let pages = pages.filter(|page| !is_zero(&piece[page.clone()]));
        pages.flatten().filter(|&start| {
            piece[start] == secret(0) && (1..NEEDLE).all(|at| piece[start + at] == secret(at))
        })
    }

    // ---- The paths that memory takes after a drop ----

    fn magazine_and_mapping_cache(pool: &Pool) {
        for len in LENGTHS {
            drop(written(pool, len));
        }
        // Never visible as contents: beyond the length, and before the start.
        for len in LENGTHS {
            let mut unseen = pool.with_capacity(len);
            write_secret(unseen.spare_capacity_mut());
            drop(unseen);
            let mut cleared = written(pool, len);
            cleared.clear();
            drop(cleared);
            let mut advanced = written(pool, len);
            advanced.advance(len - 1);
            drop(advanced);
        }
    }

    /// Enough for magazines to overflow.
    fn rows(pool: &Pool) -> Vec<Buffer> {
        let mut rows = Vec::new();
        for len in LENGTHS {
            let count = (MIB / len).clamp(1, 600);
            rows.extend((0..count).map(|_| written(pool, len)));
        }
        rows
    }

    fn depot(pool: &Pool) {
        drop(rows(pool));
        let rows = rows(pool);
        let thread = std::thread::spawn(move || drop(rows));
        thread.join().expect("it does not panic");
    }

    fn thread_exit(pool: &Pool) {
        let theirs = pool.clone();
        let thread = std::thread::spawn(move || drop(LENGTHS.map(|len| written(&theirs, len))));
        thread.join().expect("it does not panic");
    }

    fn growth(pool: &Pool) {
        for len in LENGTHS {
            let mut grown = written(pool, len);
            grown.grow(grown.len() * 2 + 100);
            let mut resized = written(pool, len);
            resized.resize(resized.len() + 9000, 0);
            let mut reserved = written(pool, len);
            reserved.reserve(3 * MIB);
            let mut extended = written(pool, len);
            extended.extend_from_slice(&grown);
            drop(extended.clone());
        }
    }

    fn frozen(pool: &Pool) {
        for len in LENGTHS {
            let mut bytes = written(pool, len).freeze();
            let front = bytes.split_to(len / 2);
            drop(bytes.clone());
            drop((bytes, front));
        }
    }

    type Path = fn(&Pool);

    const PATHS: [(&str, Path); 5] = [
        ("magazine and mapping cache", magazine_and_mapping_cache),
        ("depot", depot),
        ("thread exit", thread_exit),
        ("growth", growth),
        ("freeze", frozen),
    ];

    /// Runs the path in a new pool and counts the remaining secrets while the pool keeps its
    /// memory.
    fn left_after(path: Path, zero_on_free: bool, guard_pages: bool) -> usize {
        let builder = Pool::builder().zero_on_free(zero_on_free).decay(HOUR);
        let pool = builder.guard_pages(guard_pages).build().expect("valid");
        path(&pool);
        let usage = pool.usage();
        assert_eq!((usage.in_use, usage.large_live), (0, 0), "{usage:?}");
        assert!(usage.large_cached > 0, "{usage:?}");
        assert!(usage.external > usage.large_cached, "{usage:?}");
        let left = found();
        drop(pool);
        left
    }

    /// With `zero_on_free` no secret remains in the process, on any path of its memory.
    #[test]
    fn freed_secrets_are_gone() {
        child::isolated("dump::freed_secrets_are_gone", || {
            assert_eq!(found(), 0);
            for (name, path) in PATHS {
                for guard_pages in [false, true] {
                    assert_eq!(left_after(path, true, guard_pages), 0, "{name}");
                }
            }
            let pool = Pool::builder().zero_on_free(true).build().expect("valid");
            let live = LENGTHS.map(|len| written(&pool, len));
            assert!(found() >= LENGTHS.len(), "the search finds live ones");
            drop(live);
            assert_eq!(found(), 0);
        });
    }

    /// Without `zero_on_free` the same search finds secrets.
    #[test]
    fn without_zeroing_secrets_are_found() {
        child::isolated("dump::without_zeroing_secrets_are_found", || {
            for (name, path) in PATHS {
                let left = left_after(path, false, false);
                child::report(&format!("{name}: {left} secrets left"));
                assert!(left > 0, "{name}");
            }
        });
    }
}

// ---- From pool to pool ----

/// New memory of a pool is zero: memory moves between pools only through the system.
#[test]
fn pools_share_no_memory() {
    let lengths = [16, 100, 1000, 8 * KIB, 8 * KIB + 1, 100 * KIB, 3 * MIB];
    let fill = |pool: &Pool| {
        for len in lengths {
            let row: Vec<Buffer> = (0..50).map(|_| pool.alloc_filled(len, [0xEE])).collect();
            drop(row);
        }
    };
    let alive = fresh_pool();
    fill(&alive);
    for _ in 0..3 {
        let gone = fresh_pool();
        fill(&gone);
        drop(gone);
        let pool = fresh_pool();
        let mut seen = Vec::new();
        for len in lengths {
            for _ in 0..50 {
                let mut buffer = pool.alloc_unsafe(len);
                buffer.set_len(buffer.capacity());
                assert!(is_zero(&buffer), "{len} bytes are not the system's");
                seen.push(buffer); // so that no slot is read twice
            }
        }
    }
}

// ---- From buffer to buffer ----

/// Returns a different length at each call.
struct Lies(Cell<usize>);

impl AsRef<[u8]> for Lies {
    fn as_ref(&self) -> &[u8] {
        static BYTES: [u8; 20_000] = [7; 20_000];
        let len = self.0.get();
        self.0.set((len * 13 + 5) % BYTES.len());
        &BYTES[..len]
    }
}

/// Nothing is written beyond the buffer, whatever lengths foreign code returns.
#[test]
fn lengths_that_change_do_no_harm() {
    let pool = fresh_pool();
    for n in 0..200 {
        let mut around: Vec<Buffer> = (0..40).map(|i| pool.alloc(n * 50 + i)).collect();
        around.iter_mut().for_each(|buffer| stamp(buffer, 4));
        drop(around.remove(20));
        let lies = [n * 50, 3, 9000].map(|len| Lies(Cell::new(len)));
        let _ = catch_unwind(AssertUnwindSafe(|| pool.concat(&lies)));
        let _ = catch_unwind(AssertUnwindSafe(|| pool.concat_to_len(&lies, n * 51)));
        let _ = catch_unwind(AssertUnwindSafe(|| pool.alloc_filled(n * 51, &lies[0])));
        assert!(around.iter().all(|buffer| holds_stamp(buffer, 4)), "{n}");
    }
    assert_all_home(&pool);
}

// ---- Messages ----

/// `Debug` of a pool prints counters and never contents. `Debug` of a buffer prints only the length
/// if its pool has `zero_on_free`.
#[test]
fn debug_shows_no_contents() {
    let pool = Pool::builder().zero_on_free(true).build().unwrap();
    for len in [5, 100, 8 * KIB, 100 * KIB] {
        let mut buffer = pool.alloc_filled(len, b"hush!");
        let part = buffer.split_off(len / 2);
        let texts = [
            format!("{buffer:?}"),
            format!("{part:#?}"),
            format!("{:?}", pool.alloc_filled(len, b"hush!").drain(1..)),
            format!("{:?}", pool.alloc_filled(len, b"hush!").into_iter()),
            format!("{pool:?} {pool:#?}"),
        ];
        assert_eq!(texts[0], format!("Buffer {{ len: {}, .. }}", len / 2));
        for text in texts {
            for contents in [
                "hush",
                "104, 117, 115",
                "68, 75, 73",
                "6875",
                "104,\n    117",
            ] {
                assert!(!text.contains(contents), "{text}");
            }
        }
    }
}
