//! Timing in chunks: the clock is read once per many operations.

use std::time::{Duration, Instant};

/// Runs `chunk` once unmeasured, then until `budget` is used up. Returns nanoseconds per operation.
pub fn nanos_per_operation(budget: Duration, operations: usize, mut chunk: impl FnMut()) -> f64 {
    chunk();
    let mut chunks = 0_u32;
    let start = Instant::now();
    loop {
        chunk();
        chunks += 1;
        let elapsed = start.elapsed();
        if elapsed >= budget {
            return nanos_each(elapsed, operations as f64 * f64::from(chunks));
        }
    }
}

/// Divides `elapsed` by `operations`.
#[must_use]
pub fn nanos_each(elapsed: Duration, operations: f64) -> f64 {
    elapsed.as_secs_f64() * 1e9 / operations
}
