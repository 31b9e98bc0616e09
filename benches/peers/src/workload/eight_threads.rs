//! Eight threads: each replaces at random in its own table, and some blocks move to other threads.

use std::mem::swap;
use std::sync::{Barrier, Mutex};
use std::time::Instant;

use crate::allocator::{Allocator, touch_first};
use crate::sizes::{Step, lengths, steps};
use crate::stopwatch::nanos_each;

/// Number of threads, and live blocks of each.
pub(super) const THREADS: usize = 8;
pub(super) const LIVE: usize = 1000;
/// Replacements by each thread, in the warm-up and in the measurement.
const STEPS: usize = 1 << 15;
const LAPS: usize = 6;
/// One step in this number exchanges its block for one that another thread left.
const EXCHANGE_EVERY: usize = 8;
/// Slots in which threads leave blocks for other threads.
const EXCHANGES: usize = 64;

type Exchange<T> = Vec<Mutex<T>>;

/// Times eight threads that replace at random in their own tables and exchange one block in eight.
pub(super) fn at_random<A: Allocator>(allocator: &A) -> f64 {
    let left: Exchange<A::Block> = lengths(1, EXCHANGES)
        .into_iter()
        .map(|len| Mutex::new(allocator.take(len as usize)))
        .collect();
    let plans: Vec<Vec<Step>> = (0..THREADS)
        .map(|seed| steps(seed as u64, STEPS, LIVE))
        .collect();
    let begin = Barrier::new(THREADS + 1);
    let end = Barrier::new(THREADS + 1);
    std::thread::scope(|scope| {
        for plan in &plans {
            scope.spawn(|| {
                let mut table = fill_table(allocator, plan);
                replace(allocator, &mut table, plan, &left);
                begin.wait();
                (0..LAPS).for_each(|_| replace(allocator, &mut table, plan, &left));
                end.wait();
            });
        }
        begin.wait();
        let start = Instant::now();
        end.wait();
        nanos_each(start.elapsed(), (THREADS * STEPS * LAPS) as f64)
    })
}

fn fill_table<A: Allocator>(allocator: &A, plan: &[Step]) -> Vec<A::Block> {
    plan[..LIVE]
        .iter()
        .map(|step| allocator.take(step.len as usize))
        .collect()
}

fn replace<A: Allocator>(
    allocator: &A,
    table: &mut [A::Block],
    plan: &[Step],
    left: &Exchange<A::Block>,
) {
    for (index, step) in plan.iter().enumerate() {
        let mut block = allocator.take(step.len as usize);
        touch_first::<A>(&mut block);
        if index % EXCHANGE_EVERY == 0 {
            // Skips a slot that another thread is using.
            if let Ok(mut other) = left[step.place as usize % EXCHANGES].try_lock() {
                swap(&mut *other, &mut block);
            }
        }
        table[step.place as usize] = block;
    }
}
