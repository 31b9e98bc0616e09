//! The heap bytes of magazines: they grow with use, shrink with a trim, and are bounded for each
//! thread.
//!
//! One test, because the counter of heap bytes is the process's.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use common::{KIB, MIB};
use slabuf::{Buffer, Pool};

/// Bytes that the process has allocated on the heap.
static LIVE: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: forwards to the system's allocator and changes only a counter.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's contract is that of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

/// The bound on the heap bytes of a thread's blocks.
const BOUND: usize = MIB;

fn heap() -> usize {
    LIVE.load(Relaxed)
}

/// Returns a length of each size class: the slot sizes.
fn classes(pool: &Pool) -> Vec<usize> {
    let capacity = |len| pool.alloc_unsafe(len).capacity();
    std::iter::successors(Some(16), |size| Some(capacity(size + 1)))
        .take_while(|size| *size <= 8_192)
        .collect()
}

fn batch(pool: &Pool, len: usize, room: &mut Vec<Buffer>) {
    room.extend((0..64).map(|_| pool.alloc_unsafe(len)));
    room.clear();
}

fn grows_with_use_and_shrinks_with_a_trim() {
    let pool = Pool::builder().build().expect("valid");
    let mut room = Vec::with_capacity(64);
    drop(pool.alloc_unsafe(64));
    let first = heap();
    for _ in 0..20 {
        batch(&pool, 64, &mut room);
    }
    let grown = heap();
    assert!(grown >= first + 400, "from {first} to {grown} bytes");
    assert!(grown <= first + 8 * KIB, "from {first} to {grown} bytes");
    pool.trim();
    assert!(heap() < first, "the trim frees the first block, too");
    // A pair needs one small block, however often it is repeated.
    for _ in 0..10_000 {
        drop(pool.alloc_unsafe(64));
    }
    assert!(heap() <= first);
}

fn blocks_are_bounded_for_each_thread() {
    let pools: Vec<Pool> = (0..1_000)
        .map(|_| Pool::builder().build().expect("valid"))
        .collect();
    let before = heap();
    pools.iter().for_each(|pool| drop(pool.alloc_unsafe(64)));
    let classes = classes(&pools[0]);
    assert_eq!(classes.len(), 31);
    let one_class = heap();
    let mut room = Vec::with_capacity(64);
    for pool in &pools {
        for len in &classes {
            drop(pool.alloc_unsafe(*len));
        }
    }
    let all_classes = heap();
    // The lists of regions are on the heap, too.
    let lists = 1_000 * 256;
    assert!(all_classes <= one_class + BOUND + lists);
    println!("{before} {one_class} {all_classes}");
    // Grown blocks count with their bytes. What the depots exchange is not in magazines.
    for pool in &pools[..100] {
        for len in &classes[..20] {
            for _ in 0..10 {
                batch(pool, *len, &mut room);
            }
        }
    }
    let grown = heap();
    for pool in &pools {
        pool.trim();
    }
    let trimmed = heap();
    println!("{grown} {trimmed}");
    assert!(trimmed < one_class + lists, "every block is freed");
}

/// Each thread frees buffers of another one, grows its blocks meanwhile, and ends.
fn short_lived_threads_leave_no_blocks() {
    const LEN: usize = 64;
    let pool = Pool::builder().build().expect("valid");
    let round = || {
        let buffers: Vec<_> = (0..5_000).map(|_| pool.alloc_unsafe(LEN)).collect();
        std::thread::scope(|scope| {
            let freeing = scope.spawn(|| drop(buffers));
            freeing.join().expect("frees");
        });
    };
    (0..100).for_each(|_| round());
    let before = heap();
    (0..400).for_each(|_| round());
    let more = heap().saturating_sub(before);
    assert!(more <= 64 * KIB, "{more} bytes more");
}

#[test]
fn heap_bytes_of_magazines() {
    let start = heap();
    grows_with_use_and_shrinks_with_a_trim();
    short_lived_threads_leave_no_blocks();
    let pools = heap();
    // The chunk of the thread's table stays.
    assert!(pools <= start + 4 * KIB);
    blocks_are_bounded_for_each_thread();
    // So does the list of all pools.
    let left = heap() - pools;
    assert!(left <= 64 * KIB, "{left} bytes are left");
}
