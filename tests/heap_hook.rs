//! A process whose heap calls a hook that uses the crate: buffers are allocated and dropped inside
//! `malloc` and `free`.
//!
//! Profilers and accounting allocators do so. Wherever the crate allocates on the heap, its
//! structures must be whole and its locks free.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use common::child::{isolated, report};
use common::{KIB, MIB, Rng, SLAB, assert_all_home};
use slabuf::{Buffer, Pool, PoolBuilder};

#[global_allocator]
static HEAP: Hooked = Hooked;

/// The system's heap, with the hook after each allocation and before each deallocation.
struct Hooked;

// SAFETY: all calls go to the system's heap with their arguments as they are; the hook does not
// unwind.
unsafe impl GlobalAlloc for Hooked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        hook();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) };
        hook();
    }
}

/// The pool that the hook uses, while there is one.
static POOL: OnceLock<Pool> = OnceLock::new();
/// Buffers that hooks leave to others.
static SHELF: [Mutex<Option<Owned>>; 16] = [const { Mutex::new(None) }; 16];
/// A buffer that the next hook drops.
static LEFT_TO_HOOK: Mutex<Option<Buffer>> = Mutex::new(None);
/// Hooks run, and buffers whose bytes were not their owner's.
static RUNS: AtomicUsize = AtomicUsize::new(0);
static WRONG: AtomicUsize = AtomicUsize::new(0);
/// After this many seconds the kernel ends a process whose threads wait for themselves.
const WATCHDOG_SECONDS: u32 = 60;
static ENABLED: AtomicBool = AtomicBool::new(false);

thread_local! {
    // Without destructors: they can be reached at any time.
    static IN_HOOK: Cell<bool> = const { Cell::new(false) };
    /// The length that this thread works with, so that the hook meets the same size class.
    static LEN: Cell<usize> = const { Cell::new(64) };
    static TURN: Cell<usize> = const { Cell::new(0) };
}

fn hook() {
    if !ENABLED.load(Relaxed) || IN_HOOK.replace(true) {
        return;
    }
    if let Some(pool) = POOL.get() {
        RUNS.fetch_add(1, Relaxed);
        let turn = TURN.get().wrapping_add(1);
        TURN.set(turn);
        let len = LEN.get();
        let owned = [(); 3].map(|()| Owned::new(pool, len));
        drop(Owned::new(Pool::global(), len));
        if let Ok(mut left) = LEFT_TO_HOOK.try_lock() {
            drop(left.take());
        }
        if let [kept, ..] = owned
            && turn.is_multiple_of(5)
            && let Ok(mut place) = SHELF[turn % SHELF.len()].try_lock()
        {
            *place = kept;
        }
    }
    IN_HOOK.set(false);
}

/// A buffer whose bytes are all made of its own number.
struct Owned {
    number: u64,
    buffer: Buffer,
}

impl Owned {
    fn new(pool: &Pool, len: usize) -> Option<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut buffer = pool.try_alloc_unsafe(len).ok()?;
        let number = NEXT.fetch_add(1, Relaxed);
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&number.to_le_bytes()[..chunk.len()]);
        }
        Some(Self { number, buffer })
    }

    fn is_whole(&self) -> bool {
        let number = self.number.to_le_bytes();
        self.buffer
            .chunks(8)
            .all(|chunk| *chunk == number[..chunk.len()])
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Counted, not asserted: a hook must not unwind.
        if !self.is_whole() {
            WRONG.fetch_add(1, Relaxed);
        }
    }
}

/// Runs `scenario` in a process whose hook uses a pool with these settings. A thread that waits for
/// itself is ended by the kernel.
fn with_hook(test: &str, set: fn(PoolBuilder) -> PoolBuilder, scenario: fn(&'static Pool)) {
    isolated(test, || {
        #[cfg(unix)]
        // SAFETY: takes a number; ends this process by a signal unless it has ended before.
        unsafe {
            libc::alarm(WATCHDOG_SECONDS);
        }
        let built = set(Pool::builder()).build().expect("valid settings");
        let pool = POOL.get_or_init(|| built);
        ENABLED.store(true, Relaxed);
        scenario(pool);
        ENABLED.store(false, Relaxed);
        for place in &SHELF {
            drop(place.lock().expect("no panic").take());
        }
        let (runs, wrong) = (RUNS.load(Relaxed), WRONG.load(Relaxed));
        report(&format!("{runs} hooks"));
        assert!(runs > 100, "{runs}");
        assert_eq!(
            wrong, 0,
            "buffers with another owner's bytes, of {runs} hooks"
        );
        assert_all_home(pool);
    });
}

/// Threads fill and empty magazines of all classes, exchange buffers, and end.
fn exchange(pool: &'static Pool) {
    const LENGTHS: [usize; 8] = [16, 64, 500, 1_400, 4_000, SLAB, 12 * KIB, 100 * KIB];
    for round in 0..2 {
        let threads: Vec<_> = (0..4)
            .map(|number| {
                thread::spawn(move || {
                    let mut rng = Rng::new(4 * round + number + 1);
                    for len in LENGTHS {
                        LEN.set(len);
                        batches(pool, len, &mut rng);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
        pool.trim();
    }
}

/// More buffers at once than a thread's magazines hold, some of them left to other threads.
fn batches(pool: &Pool, len: usize, rng: &mut Rng) {
    let count = (256 * KIB / len).clamp(4, 400);
    for _ in 0..4 {
        let mut held: Vec<Option<Owned>> = (0..count).map(|_| Owned::new(pool, len)).collect();
        for _ in 0..count / 4 {
            let index = rng.below(count);
            if let Ok(mut place) = SHELF[rng.below(SHELF.len())].try_lock() {
                std::mem::swap(&mut *place, &mut held[index]);
            }
        }
        held.reverse();
        held.truncate(count / 2);
        assert!(pool.usage().external > 0);
        held.extend((0..count / 2).map(|_| Owned::new(pool, len)));
    }
}

#[test]
fn slots_have_one_owner() {
    with_hook("slots_have_one_owner", |pool| pool, exchange);
}

#[test]
fn slots_of_a_limited_pool_have_one_owner() {
    let set = |pool: PoolBuilder| pool.limit(64 * MIB);
    with_hook("slots_of_a_limited_pool_have_one_owner", set, exchange);
}

#[test]
fn slots_of_a_full_pool_have_one_owner() {
    let set = |pool: PoolBuilder| pool.limit(MIB);
    with_hook("slots_of_a_full_pool_have_one_owner", set, exchange);
}

#[test]
fn slots_of_a_pool_with_marks_have_one_owner() {
    let set = |pool: PoolBuilder| pool.high_water_mark(256 * KIB);
    with_hook("slots_of_a_pool_with_marks_have_one_owner", set, exchange);
}

#[test]
fn slots_of_a_sampled_pool_have_one_owner() {
    let set = |pool: PoolBuilder| pool.sample(50);
    let scenario: fn(&'static Pool) = |pool| {
        exchange(pool);
        let held: Vec<_> = (0..200).map(|_| Owned::new(pool, 100)).collect();
        assert!(!pool.live_samples().is_empty());
        drop(held);
    };
    with_hook("slots_of_a_sampled_pool_have_one_owner", set, scenario);
}

/// Requests that wait, time out, are woken and are given up: the queue allocates on the heap.
#[test]
fn the_queue_is_whole_in_the_hook() {
    let set = |pool: PoolBuilder| pool.limit(MIB);
    with_hook("the_queue_is_whole_in_the_hook", set, |pool| {
        for round in 0..20 {
            let held: Vec<_> =
                std::iter::from_fn(|| pool.try_alloc_unsafe(64 * KIB).ok()).collect();
            let threads: Vec<_> = (0..3)
                .map(|_| thread::spawn(|| pool.alloc_timeout(300 * KIB, Duration::from_millis(20))))
                .collect();
            {
                let mut futures = [(); 40].map(|()| pin_box(pool.alloc_async(100 * KIB)));
                let mut context = Context::from_waker(Waker::noop());
                for future in &mut futures {
                    let _ = future.as_mut().poll(&mut context);
                }
            }
            let mut last = pin!(pool.alloc_async(200 * KIB));
            let mut context = Context::from_waker(Waker::noop());
            let _ = last.as_mut().poll(&mut context);
            if round % 2 == 0 {
                drop(held);
            }
            for thread in threads {
                drop(thread.join().expect("no panic"));
            }
        }
    });
}

/// Waits for the marks: the list of waiters is on the heap, and the hook's drops look at it.
#[test]
fn the_marks_are_whole_in_the_hook() {
    let set = |pool: PoolBuilder| pool.high_water_mark(2_000).low_water_mark(1_500);
    with_hook("the_marks_are_whole_in_the_hook", set, |pool| {
        for _ in 0..20 {
            let mut futures: Vec<_> = (0..40).map(|_| pin_box(pool.drained())).collect();
            let mut context = Context::from_waker(Waker::noop());
            for future in &mut futures {
                // Over the mark until a hook drops it; what the hooks hold is below the low mark.
                let over = pool.alloc_unsafe(2_000);
                *LEFT_TO_HOOK.lock().expect("no panic") = Some(over);
                let _ = future.as_mut().poll(&mut context);
                drop(LEFT_TO_HOOK.lock().expect("no panic").take());
            }
            assert!(pool.wait_drained(Duration::from_secs(5)));
            futures.truncate(10);
        }
    });
}

fn pin_box<F: Future>(future: F) -> std::pin::Pin<Box<F>> {
    Box::pin(future)
}

/// Pools are built, looked into and dropped: the list of all pools and a pool's structures are on
/// the heap.
#[test]
fn pools_come_and_go_in_the_hook() {
    with_hook(
        "pools_come_and_go_in_the_hook",
        |pool| pool,
        |pool| {
            for _ in 0..50 {
                let other = Pool::builder().limit(MIB).sample(2).build().expect("valid");
                let held: Vec<_> = (0..20).map(|_| Owned::new(&other, 500)).collect();
                let snapshot = other.snapshot();
                assert_eq!(snapshot.mappings.len(), 0);
                assert!(slabuf::memory_usage().external > 0);
                drop((other.clone(), snapshot));
                drop(other);
                drop(held);
                drop(Owned::new(pool, 9_000));
            }
        },
    );
}
