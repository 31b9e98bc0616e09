//! Telling V8 that a pool is full, maybe of garbage.
//!
//! V8 collects when its own heap or the sum of external memory has grown by tens of MiB. A small limit is reached
//! long before: 64 dead buffers of 64 KiB fill a pool of 4 MiB and are no reason for V8 to do anything. So a pool
//! that must refuse says so, by way of the one figure V8 heeds: external memory that goes up beyond the step at
//! which V8 starts incremental marking, and down again at once. It collects over the next turns of the event loop,
//! and what comes back is there for whoever tries again.

use napi::Env;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Just above V8's step (`kExternalAllocationSoftLimit`).
const STEP: i64 = (64 << 20) + 1;
/// A pool that is full of live buffers and stays so is no reason to mark the heap more often than this.
const INTERVAL: Duration = Duration::from_secs(1);

/// What one pool in one environment has told V8.
#[derive(Default)]
pub(crate) struct Pressure {
    last: Cell<Option<Instant>>,
    /// Bytes taken since.
    taken: Cell<usize>,
}

impl Pressure {
    pub(crate) fn took(&self, len: usize) {
        self.taken.set(self.taken.get().saturating_add(len));
    }

    /// Tells V8, unless it was told and neither an eighth of the limit was taken since nor `INTERVAL` has passed.
    pub(crate) fn full(&self, env: &Env, limit: usize) {
        let now = Instant::now();
        let due = self.taken.get() >= limit / 8;
        match self.last.get() {
            Some(last) if !due && now - last < INTERVAL => return,
            _ => self.last.set(Some(now)),
        }
        self.taken.set(0);
        // An environment that ends refuses the first; then there is nothing to take back.
        if env.adjust_external_memory(STEP).is_ok() {
            let _ = env.adjust_external_memory(-STEP);
        }
    }
}
