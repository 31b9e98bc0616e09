//! Waiting threads, and how long they wait.

use super::error::drain_timed_out;
use super::queue::Queue;
use super::shared::Signal;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Waiting threads, counted so that a notification without a waiter is one load.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    changed: Condvar,
    /// Changed under the lock of the state, so a thread that changes the state afterwards sees it.
    count: AtomicUsize,
}

impl Signal for Waiters {
    fn notify_all(&self) {
        if self.count.load(Relaxed) > 0 {
            self.changed.notify_all();
        }
    }
}

impl Waiters {
    /// Waits for a change, at most for `longest`.
    pub(super) fn wait<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        longest: Option<Duration>,
    ) -> MutexGuard<'a, T> {
        self.count.fetch_add(1, Relaxed);
        let guard = match longest {
            None => self.changed.wait(guard),
            Some(longest) => self
                .changed
                .wait_timeout(guard, longest)
                .map(|(guard, _)| guard)
                .map_err(|poisoned| PoisonError::new(poisoned.into_inner().0)),
        };
        self.count.fetch_sub(1, Relaxed);
        guard.unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a caller waits.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    timeout: Duration,
    start: Instant,
}

impl Patience {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            start: Instant::now(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.start.elapsed() >= self.timeout
    }

    /// Returns the time that is left, or an error if none is.
    pub(super) fn left(&self, queue: &Queue) -> io::Result<Duration> {
        self.timeout
            .checked_sub(self.start.elapsed())
            .filter(|left| !left.is_zero())
            .ok_or_else(|| drain_timed_out(queue.bytes(), self.timeout))
    }
}
