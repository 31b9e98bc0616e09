//! Requests that a full pool refuses.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Duration;

use slabuf::{Buffer, Pool};

use crate::workload::nanos_per_operation;

const LIMIT: usize = 4 << 20;
const REFUSALS: usize = 256;
/// What each idle thread allocated and dropped: several size classes, and large buffers.
const USED: [usize; 6] = [64, 500, 1_400, 4_000, 12 << 10, 40 << 10];

/// Nanoseconds for each request of `len` that a full pool refuses, while `idle` threads that have
/// caches of the pool do nothing.
pub(crate) fn repeated(budget: Duration, idle: usize, len: usize) -> f64 {
    let pool = Pool::builder()
        .limit(LIMIT)
        .build()
        .expect("4 MiB are enough for a pool");
    let (used, done) = (Barrier::new(idle + 1), Barrier::new(idle + 1));
    std::thread::scope(|scope| {
        for _ in 0..idle {
            scope.spawn(|| {
                for len in USED {
                    drop(pool.alloc_unsafe(len));
                }
                used.wait();
                done.wait();
            });
        }
        used.wait();
        let held = fill(&pool);
        let nanos = nanos_per_operation(budget, REFUSALS, || {
            for _ in 0..REFUSALS {
                let refused = pool.try_alloc_unsafe(black_box(len));
                assert!(refused.is_err(), "a full pool has served {len} bytes");
            }
        });
        done.wait();
        drop(held);
        nanos
    })
}

/// Allocates until nothing fits any more.
fn fill(pool: &Pool) -> Vec<Buffer> {
    let mut held = Vec::new();
    for len in [64 << 10, 12 << 10, 8_000, 4_000, 1_400, 500, 64] {
        held.extend(std::iter::from_fn(|| pool.try_alloc_unsafe(len).ok()));
    }
    held
}
