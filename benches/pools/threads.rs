//! The loops of several threads, in elapsed time.

use std::hint::black_box;
use std::mem::swap;
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use slabuf::{Buffer, Pool};

use crate::lengths::{Step, steps};
use crate::workload::touch;

/// Pairs of each thread, for each 10 ms of the budget.
const PAIRS: u128 = 200_000;
const THREADS: usize = 8;
/// Live buffers of each of the eight threads.
const LIVE: usize = 1000;
const STEPS: usize = 1 << 13;
/// One step in this many exchanges its buffer for one that another thread left.
const EXCHANGE_EVERY: usize = 8;
const SHELVES: usize = 64;

/// How often `unit` operations fit into `budget`, in the proportion of 10 ms; at least 1,000.
fn scaled(budget: Duration, unit: u128) -> usize {
    (budget.as_micros() * unit / 10_000).max(1_000) as usize
}

/// Two threads allocate and drop in one pool; nanoseconds for each thread's pair.
pub(crate) fn two_on_one_pool(budget: Duration, pool: &Pool, len: usize) -> f64 {
    let count = scaled(budget, PAIRS);
    let pairs = |count: usize| {
        for _ in 0..count {
            touch(&mut pool.alloc_unsafe(black_box(len)));
        }
    };
    let (begin, end) = (Barrier::new(3), Barrier::new(3));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                pairs(1_000);
                begin.wait();
                pairs(count);
                end.wait();
            });
        }
        begin.wait();
        let start = Instant::now();
        end.wait();
        start.elapsed().as_nanos() as f64 / count as f64
    })
}

type Shelf = Mutex<Buffer>;

/// Eight threads replace at random, each in a table of its own, and exchange one buffer in eight;
/// nanoseconds for one replacement, all threads together.
pub(crate) fn eight_global(budget: Duration) -> f64 {
    let laps = scaled(budget, PAIRS).div_ceil(STEPS);
    let shelves: Vec<Shelf> = (0..SHELVES)
        .map(|_| Mutex::new(Buffer::alloc_unsafe(64)))
        .collect();
    let plans: Vec<Vec<Step>> = (0..THREADS)
        .map(|seed| steps(seed as u64, STEPS, LIVE))
        .collect();
    let (begin, end) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    std::thread::scope(|scope| {
        for plan in &plans {
            scope.spawn(|| {
                let mut table: Vec<Buffer> = plan[..LIVE]
                    .iter()
                    .map(|step| Buffer::alloc_unsafe(step.len))
                    .collect();
                replace(&mut table, plan, &shelves);
                begin.wait();
                (0..laps).for_each(|_| replace(&mut table, plan, &shelves));
                end.wait();
            });
        }
        begin.wait();
        let start = Instant::now();
        end.wait();
        start.elapsed().as_nanos() as f64 / (THREADS * STEPS * laps) as f64
    })
}

fn replace(table: &mut [Buffer], plan: &[Step], shelves: &[Shelf]) {
    for (index, step) in plan.iter().enumerate() {
        let mut buffer = Buffer::alloc_unsafe(black_box(step.len));
        touch(&mut buffer);
        if index % EXCHANGE_EVERY == 0
            // A shelf that another thread is using is left out.
            && let Ok(mut other) = shelves[step.place % SHELVES].try_lock()
        {
            swap(&mut *other, &mut buffer);
        }
        table[step.place] = buffer;
    }
}
