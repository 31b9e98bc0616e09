//! Exhausted memory, exhausted map areas, forks and panics: an error, or no effect.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use common::{KIB, MIB, assert_all_home, fresh_pool, holds_stamp, stamp};
use slabuf::{Buffer, Pool};

/// Allocates and frees buffers of all kinds and checks their contents.
fn works_on(pool: &Pool) {
    let lengths = [0, 1, 100, 3000, 8 * KIB, 9000, 100 * KIB, MIB];
    let mut row: Vec<Buffer> = lengths.map(|n| pool.alloc(n)).into();
    for (seed, buffer) in (1..).zip(&mut row) {
        stamp(buffer, seed);
    }
    for (seed, buffer) in (1..).zip(&row) {
        assert!(holds_stamp(buffer, seed), "{} bytes", buffer.len());
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::common::child::isolated;
    use super::common::{KIB, MIB, assert_all_home, fresh_pool, holds_stamp, stamp};
    use super::works_on;
    use slabuf::{AllocError, Buffer, Pool};

    /// Frees every second buffer, then checks that one like the last can be allocated; then frees
    /// half of the others, and checks all kinds.
    fn drop_some(pool: &Pool, buffers: &mut Vec<Buffer>) {
        let last = buffers.last().map_or(0, |buffer| buffer.len());
        let mut stays = false;
        buffers.retain(|_| {
            stays = !stays;
            stays
        });
        assert_eq!(pool.alloc(last).len(), last);
        buffers.truncate(buffers.len() / 2);
        works_on(pool);
    }

    // ---- No memory ----

    /// Returns a value of /proc/self/status.
    fn status(key: &str) -> usize {
        let text = std::fs::read_to_string("/proc/self/status").expect("Linux reports it");
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let value = line.and_then(|rest| rest.trim_start_matches(':').split_whitespace().next());
        value.expect("a value").parse().expect("a number")
    }

    /// Lets this process map `more` bytes beyond what it has.
    fn limit_address_space(more: usize) {
        // The stack grows within the same limit, so its pages are touched first.
        std::hint::black_box([1_u8; 256 * KIB]);
        let bytes = (status("VmSize") * KIB + more) as libc::rlim_t;
        let limit = libc::rlimit {
            rlim_cur: bytes,
            rlim_max: bytes,
        };
        // SAFETY: the pointer is to a structure of the right type, only read during the call.
        let result = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
        assert_eq!(result, 0);
    }

    /// Allocates buffers of each length in turn until the first error of each. Allocates nothing
    /// else.
    fn exhaust<const N: usize>(
        pool: &Pool,
        lengths: [usize; N],
        taken: &mut Vec<Buffer>,
    ) -> [Option<AllocError>; N] {
        lengths.map(|len| {
            while taken.len() < taken.capacity() {
                match pool.try_alloc_unsafe(len) {
                    Ok(buffer) => taken.push(buffer),
                    Err(error) => return Some(error),
                }
            }
            None
        })
    }

    /// Asserts that each length failed with an error that names it.
    fn assert_refused<const N: usize>(lengths: [usize; N], errors: [Option<AllocError>; N]) {
        for (requested, error) in lengths.into_iter().zip(errors) {
            let error = error.expect("the limit was met");
            assert!(
                matches!(error, AllocError::OutOfMemory { requested: named, .. } if named == requested),
                "{error:?}"
            );
            assert!(error.to_string().contains(&requested.to_string()));
        }
    }

    /// With a limited address space, requests of every size fail with an error, and succeed again
    /// after others are freed.
    #[test]
    fn no_memory_is_an_error() {
        isolated("linux::no_memory_is_an_error", || {
            let down = [40 * MIB, 16 * MIB, MIB, 100 * KIB, 9000, 8000, 1000, 100];
            let mut up = down;
            up.reverse();
            let mut taken = Vec::with_capacity(1 << 20);
            let pool = fresh_pool();
            limit_address_space(64 * MIB);
            let mixed = [9000, 100, MIB, 8000, 40 * MIB, 1000, 100 * KIB, 16 * MIB];
            for lengths in [down, up, mixed] {
                let errors = exhaust(&pool, lengths, &mut taken);
                drop_some(&pool, &mut taken);
                assert_refused(lengths, errors);
                taken.clear();
                assert_all_home(&pool);
                drop(pool.alloc(32 * MIB));
            }
        });
    }

    /// Growth that the system refuses does not change the buffer.
    #[test]
    fn no_memory_to_grow_is_an_error() {
        isolated("linux::no_memory_to_grow_is_an_error", || {
            let pool = fresh_pool();
            limit_address_space(64 * MIB);
            for len in [1000, 9000, 20 * MIB] {
                let mut buffer = pool.alloc(len);
                stamp(&mut buffer, 5);
                let requested = 80 * MIB;
                let error = buffer.try_resize(requested, 1).expect_err("refused");
                assert!(
                    matches!(error, AllocError::OutOfMemory { requested: named, .. } if named == requested),
                    "{error:?}"
                );
                assert!(buffer.len() == len && holds_stamp(&buffer, 5), "{len}");
                buffer.grow(len + MIB);
                assert!(holds_stamp(&buffer[..len], 5), "{len} bytes");
            }
            assert_all_home(&pool);
            works_on(&pool);
        });
    }

    // ---- No map areas ----

    /// Above the kernel's limit of map areas, a request fails with an error. Afterwards all memory
    /// can be released, and the pool continues to work.
    #[test]
    fn no_map_areas_is_an_error() {
        const LEN: usize = 9000;
        let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count");
        let areas: usize = match limit.map(|text| text.trim().parse()) {
            Ok(Ok(areas)) if areas <= 1 << 18 => areas,
            other => {
                println!("no_map_areas_is_an_error: left out, the number of areas is {other:?}");
                return;
            }
        };
        isolated("linux::no_map_areas_is_an_error", || {
            let pool = Pool::builder().guard_pages(true).build().expect("valid");
            // A buffer and its guard are two areas; 40,000 buffers for the usual 65,530 areas.
            let mut taken = Vec::with_capacity(areas / 2 + areas / 9);
            for _ in 0..2 {
                let errors = exhaust(&pool, [LEN], &mut taken);
                assert_refused([LEN], errors);
                assert!(taken.len() > areas / 4, "{} buffers", taken.len());
                assert_eq!(pool.usage().large_live, (taken.len() * LEN) as u64);
                drop_some(&pool, &mut taken);
                taken.clear();
                works_on(&pool);
                assert_all_home(&pool);
            }
        });
    }

    /// A region is 16 MiB here, at a multiple of that. The process may have 24 MiB more, so there
    /// is no room for a padded mapping out of which the region is cut.
    #[test]
    fn an_aligned_region_takes_no_more_than_its_bytes() {
        isolated(
            "linux::an_aligned_region_takes_no_more_than_its_bytes",
            || {
                limit_address_space(24 * MIB);
                for _ in 0..4 {
                    let pool = Pool::builder().slab_size(MIB).build().expect("valid");
                    let buffer = pool.try_alloc(100).expect("there is room for a region");
                    assert_eq!(pool.usage().external, 16 * MIB as u64);
                    drop(buffer);
                }
            },
        );
    }

    // ---- Fork ----

    /// Checks one side of the fork: earlier buffers are intact, and the pools work.
    fn live_on(pool: &Pool, mut row: Vec<Buffer>, seed: u64) {
        for buffer in &mut row {
            assert!(holds_stamp(buffer, 1), "{} bytes", buffer.len());
            stamp(buffer, seed);
        }
        works_on(pool);
        works_on(Pool::global());
        for buffer in &mut row {
            assert!(holds_stamp(buffer, seed), "{} bytes", buffer.len());
            let len = buffer.len();
            buffer.grow(2 * len);
            assert!(holds_stamp(&buffer[..len], seed), "{len} bytes");
        }
        // Joined explicitly, since its caches are flushed only then.
        std::thread::scope(|scope| scope.spawn(|| works_on(pool)).join()).expect("no panic");
        drop(row);
        assert_all_home(pool);
    }

    /// Forks, runs `here` in the parent and `there` in the child, and waits for the child.
    fn fork(here: impl FnOnce(), there: impl FnOnce()) {
        // SAFETY: the caller's process has no other thread, or none that holds a lock.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "no fork");
        if child == 0 {
            let code = i32::from(catch_unwind(AssertUnwindSafe(there)).is_err());
            // SAFETY: ends the process without the parent's exit handlers, as a forked child
            // should.
            unsafe { libc::_exit(code) };
        }
        let result = catch_unwind(AssertUnwindSafe(here));
        let mut status = 0;
        // SAFETY: waits for this process' own child; the pointer is to a number of the right type.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!((waited, status), (child, 0), "the child failed");
        assert!(result.is_ok(), "the parent failed");
    }

    /// After a fork of a process with one thread, both sides can use their buffers and pools.
    #[test]
    fn both_sides_of_a_fork_work_on() {
        let scenario = || {
            assert_eq!(status("Threads"), 1);
            let pool = fresh_pool();
            let mut row = [1, 100, 8000, 9000, MIB].map(|n| pool.alloc(n)).to_vec();
            row.push(Buffer::alloc(500));
            row.iter_mut().for_each(|buffer| stamp(buffer, 1));
            works_on(&pool); // fills the caches
            let row = Cell::new(row);
            fork(
                || live_on(&pool, row.take(), 2),
                || live_on(&pool, row.take(), 3),
            );
        };
        // The test harness has a second thread, which does not exist in the child of the first
        // fork.
        isolated("linux::both_sides_of_a_fork_work_on", || {
            fork(|| (), scenario)
        });
    }
}

// ---- Panics ----

/// Unwinds like a panic, without a message.
fn give_up() -> ! {
    resume_unwind(Box::new("given up"))
}

/// Bytes whose dereference panics.
struct Panics;

impl AsRef<[u8]> for Panics {
    fn as_ref(&self) -> &[u8] {
        give_up()
    }
}

/// A panic between allocation and free returns every buffer.
#[test]
fn a_panic_loses_nothing() {
    let pool = fresh_pool();
    for n in [0, 1, 100, 8 * KIB, 8 * KIB + 1, 100 * KIB, 3 * MIB] {
        let mut survivor = pool.alloc(n);
        stamp(&mut survivor, 3);
        let live = || (pool.usage().in_use, pool.usage().large_live);
        let before = live();
        let attempts: [&dyn Fn(); 6] = [
            &|| {
                let _taken = (pool.alloc(n), pool.alloc_unsafe_slow(n));
                give_up()
            },
            &|| drop(pool.alloc_filled(n + 1, Panics)),
            &|| drop(pool.concat(&[Panics])),
            &|| drop(pool.concat_to_len(&[Panics], n)),
            &|| pool.alloc(n).extend((0..9).map(|_| -> u8 { give_up() })),
            &|| {
                let frozen = pool.alloc(n).freeze();
                let _both = (frozen.clone(), frozen);
                give_up()
            },
        ];
        for (which, attempt) in attempts.into_iter().enumerate() {
            let unwound = catch_unwind(AssertUnwindSafe(attempt)).is_err();
            assert!(unwound, "attempt {which} of {n} bytes");
            assert_eq!(live(), before, "attempt {which} of {n} bytes");
        }
        assert!(holds_stamp(&survivor, 3), "{n} bytes");
        drop(survivor);
        assert_eq!(pool.usage().in_use, 0, "{n} bytes");
    }
    assert_all_home(&pool);
}

/// A thread that panics returns its buffers and its caches.
#[test]
fn a_panic_ends_a_thread_in_order() {
    let pool = fresh_pool();
    let theirs = pool.clone();
    let thread = std::thread::spawn(move || {
        let _row: Vec<Buffer> = (0..500).map(|i| theirs.alloc(i * 40)).collect();
        give_up()
    });
    assert!(thread.join().is_err());
    assert_all_home(&pool);
    works_on(&pool);
}
