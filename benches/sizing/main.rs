//! What fits into a limit, and what pools and threads cost on the heap: the figures of
//! docs/sizing.md.
//!
//! `cargo bench --bench sizing` prints tables in Markdown. They depend on counts alone, not on
//! time.

#[path = "../../examples/shared/rng.rs"]
mod rng;

use std::alloc::{GlobalAlloc, Layout, System};
use std::ops::RangeInclusive;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use rng::Rng;
use slabuf::{Buffer, Pool};

const KIB: usize = 1 << 10;
const LIMITS: [usize; 5] = [256 * KIB, 1 << 20, 4 << 20, 16 << 20, 64 << 20];
/// Number of runs, each with other lengths.
const RUNS: u64 = 20;
const POOLS: usize = 1000;

/// Bytes that the process has allocated on the heap, as requested.
static HEAP_BYTES: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: forwards to the system's allocator and changes only a counter.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HEAP_BYTES.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's contract is that of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HEAP_BYTES.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

fn heap() -> usize {
    HEAP_BYTES.load(Relaxed)
}

fn limited(limit: usize) -> Pool {
    Pool::builder().limit(limit).build().expect("valid")
}

/// Allocates buffers of random lengths until the pool refuses one. Returns their requested bytes.
fn fill(pool: &Pool, lengths: &RangeInclusive<usize>, seed: u64) -> usize {
    let mut rng = Rng::new(seed);
    let span = lengths.end() - lengths.start() + 1;
    let mut held = Vec::new();
    let mut bytes = 0;
    while let Ok(buffer) = pool.try_alloc_unsafe(lengths.start() + rng.below(span)) {
        bytes += buffer.len();
        held.push(buffer);
    }
    bytes
}

/// Prints the least and the mean live bytes in per cent of each limit.
fn print_live_bytes() {
    println!("| requested lengths, bytes | 256 KiB | 1 MiB | 4 MiB | 16 MiB | 64 MiB |");
    println!("|---|--:|--:|--:|--:|--:|");
    for (name, lengths) in [
        ("2,048", 2048..=2048),
        ("1,400", 1400..=1400),
        ("100 to 2,099", 100..=2099),
        ("1 to 65,536", 1..=65_536),
        ("8,193 to 100,000", 8193..=100_000),
    ] {
        print!("| {name} |");
        for limit in LIMITS {
            let shares = (1..=RUNS).map(|seed| {
                let bytes = fill(&limited(limit), &lengths, seed);
                100.0 * bytes as f64 / limit as f64
            });
            let shares: Vec<f64> = shares.collect();
            let least = shares.iter().copied().fold(f64::MAX, f64::min);
            let mean = shares.iter().sum::<f64>() / RUNS as f64;
            print!(" {mean:.0} ({least:.0}) |");
        }
        println!();
    }
}

/// Returns a length of each size class: the slot sizes.
fn classes(pool: &Pool) -> Vec<usize> {
    let capacity = |len| pool.alloc_unsafe(len).capacity();
    std::iter::successors(Some(16), |size| Some(capacity(size + 1)))
        .take_while(|size| *size <= 8192)
        .collect()
}

/// Prints how many classes can have a live buffer at a time, smallest slots first, and the bytes
/// that they need.
fn print_classes() {
    println!("| limit | size classes | classes with a live buffer | `external` |");
    println!("|---|--:|--:|--:|");
    for limit in LIMITS {
        let pool = limited(limit);
        let classes = classes(&pool);
        pool.trim();
        let allocate = |len: &usize| pool.try_alloc_unsafe(*len).ok();
        let held: Vec<Buffer> = classes.iter().map_while(allocate).collect();
        let external = pool.usage().external as usize / KIB;
        let (limit, all) = (limit / KIB, classes.len());
        println!("| {limit} KiB | {all} | {} | {external} KiB |", held.len());
    }
}

/// Prints the heap bytes of pools and of threads that use them, for each pool.
fn print_heap() {
    println!("| for each of {POOLS} pools | heap bytes |");
    println!("|---|--:|");
    let row = |what: &str, before: usize| {
        let bytes = heap().saturating_sub(before) / POOLS;
        println!("| {what} | {bytes} |");
    };
    // The thread's table exists before the first count.
    drop(Pool::global().alloc_unsafe(64));
    let all_classes = classes(Pool::global());
    let mut pools = Vec::with_capacity(POOLS);
    let start = heap();
    pools.resize_with(POOLS, || Pool::builder().build().expect("valid"));
    row("built, not used", start);
    let built = heap();
    pools.iter().for_each(|pool| drop(pool.alloc_unsafe(64)));
    row("and a thread has used one size class", built);
    let used = heap();
    for pool in &pools {
        for len in &all_classes {
            drop(pool.alloc_unsafe(*len));
        }
    }
    row("and all 31 size classes", used);
    let one_thread = heap();
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            pools.iter().for_each(|pool| drop(pool.alloc_unsafe(64)));
            barrier.wait();
            barrier.wait();
        });
        barrier.wait();
        row("and a second thread has used one size class", one_thread);
        barrier.wait();
    });
    pools.iter().map(Pool::trim).for_each(drop);
    row("all of these, after a trim", start);
    drop(pools);
    row("after the pools are dropped", start);
}

fn main() {
    print_live_bytes();
    println!();
    print_classes();
    println!();
    print_heap();
}
