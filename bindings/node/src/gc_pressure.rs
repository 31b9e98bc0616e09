//! Makes V8 collect garbage when a pool is full.
//!
//! V8 collects when its own heap or the sum of external memory has grown by tens of MiB. A small
//! limit is reached long before: 64 dead buffers of 64 KiB fill a pool of 4 MiB, which is no reason
//! for V8 to collect. A pool that refuses therefore raises the external memory that V8 counts above
//! the step at which V8 starts incremental marking, and lowers it again at once. V8 collects over
//! the next turns of the event loop, so a later attempt finds the memory.

use napi::Env;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Just above V8's step (`kExternalAllocationSoftLimit`).
const STEP: i64 = (64 << 20) + 1;
/// Shortest time between two requests while a pool stays full of live buffers.
const INTERVAL: Duration = Duration::from_secs(1);

/// When one pool of one environment, or the pools of one budget, last asked V8 to collect.
pub(crate) struct GcPressure {
    limit: usize,
    last: Cell<Option<Instant>>,
    /// Bytes allocated since.
    allocated: Cell<usize>,
}

impl GcPressure {
    /// For a limit, or a budget, of `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            last: Cell::new(None),
            allocated: Cell::new(0),
        }
    }

    /// Counts an allocation.
    pub(crate) fn allocated(&self, len: usize) {
        self.allocated.set(self.allocated.get().saturating_add(len));
    }

    /// Asks V8 to collect, if since the last request an eighth of the limit was allocated or
    /// `INTERVAL` has passed.
    pub(crate) fn request(&self, env: &Env) {
        let now = Instant::now();
        let due = self.allocated.get() >= self.limit / 8;
        match self.last.get() {
            Some(last) if !due && now - last < INTERVAL => return,
            _ => self.last.set(Some(now)),
        }
        self.allocated.set(0);
        // An environment that ends refuses the first; then there is nothing to take back.
        if env.adjust_external_memory(STEP).is_ok() {
            let _ = env.adjust_external_memory(-STEP);
        }
    }
}
