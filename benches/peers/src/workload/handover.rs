//! Two threads: one allocates, the other frees.

use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::allocator::{Allocator, touch_first};
use crate::stopwatch::nanos_each;

const BATCH: usize = 128;
/// Batches that may be in transit between the two threads.
const LANES: usize = 4;
/// Unmeasured batches before the clock starts.
const WARM_UP_BATCHES: usize = 64;

/// A slot for one batch: the sender fills it while it is empty, the receiver empties it while it is
/// full.
///
/// Aligned so that a thread that waits for one lane does not slow down the thread that uses the
/// next.
#[repr(align(128))]
struct Lane<T> {
    full: AtomicBool,
    batch: Apart<Mutex<Vec<T>>>,
}

/// In separate cache lines, away from the flag on which the other thread spins.
#[repr(align(128))]
struct Apart<T>(T);

impl<T> Lane<T> {
    fn new() -> Self {
        Lane {
            full: AtomicBool::new(false),
            batch: Apart(Mutex::new(Vec::with_capacity(BATCH))),
        }
    }

    /// Waits until the lane is in the right state, uses it and passes it on.
    fn turn(&self, full: bool, use_batch: impl FnOnce(&mut Vec<T>)) {
        let mut looks = 0_u32;
        // Acquire: pairs with the Release below, on the other thread.
        while self.full.load(Ordering::Acquire) != full {
            looks += 1;
            if looks.is_multiple_of(128) {
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
        use_batch(&mut self.batch.0.lock().expect("no holder panics"));
        self.full.store(!full, Ordering::Release);
    }
}

/// Times one thread that allocates batches of 128 and another that frees them.
pub(super) fn between_two<A: Allocator>(allocator: &A, len: usize, budget: Duration) -> f64 {
    let lanes: [Lane<A::Block>; LANES] = std::array::from_fn(|_| Lane::new());
    std::thread::scope(|scope| {
        scope.spawn(|| receive(&lanes));
        let mut turns = lanes.iter().cycle();
        let mut give = |count: usize| {
            let lane = turns.next().expect("a cycle has no end");
            lane.turn(false, |batch| take_batch(allocator, len, count, batch));
        };
        (0..WARM_UP_BATCHES).for_each(|_| give(BATCH));
        let start = Instant::now();
        let mut batches = 0_u32;
        while start.elapsed() < budget {
            give(BATCH);
            batches += 1;
        }
        let nanos = nanos_each(start.elapsed(), f64::from(batches) * BATCH as f64);
        // An empty batch marks the end.
        give(0);
        nanos
    })
}

fn take_batch<A: Allocator>(allocator: &A, len: usize, count: usize, batch: &mut Vec<A::Block>) {
    batch.extend((0..count).map(|_| {
        let mut block = allocator.take(black_box(len));
        touch_first::<A>(&mut block);
        block
    }));
}

/// Frees received batches until an empty one arrives.
fn receive<T>(lanes: &[Lane<T>]) {
    for lane in lanes.iter().cycle() {
        let mut last = false;
        lane.turn(true, |batch| {
            last = batch.is_empty();
            batch.clear();
        });
        if last {
            return;
        }
    }
}
