//! High-water and low-water mark: when those who fill a pool had better pause, and when they may go on.
//!
//! A pool with marks counts the bytes of its live buffers as they come and go. It is *over* from the
//! moment they reach the high mark until they have come down to the low mark; then all who wait are told, once.
//!
//! Nobody takes a lock to count. Whoever raises the figure to the high mark sets "over" and then looks at the
//! figure again; whoever lowers it to the low mark lowers it and then looks at "over". The second look at the
//! figure is a read-modify-write as every change of it is: it comes before or after each of them. If after,
//! it sees the change; if before, the one who changes the figure synchronises with it and sees "over" as it
//! was set. So a pool is never left "over" with its buffers gone, nor the other way round.

use crate::config::Levels;
use crate::error::AllocFailure;
use crate::pressure::wait_queue::Wake;
use crate::sync::{
    AtomicBool, AtomicU32, AtomicUsize, Mutex,
    Ordering::{AcqRel, Acquire, Relaxed},
    lock, park_until,
};
use std::time::{Duration, Instant};

struct Waiter {
    number: u64,
    wake: Wake,
}

#[derive(Default)]
struct Waiters {
    next: u64,
    list: Vec<Waiter>,
}

/// See the module's text.
pub(crate) struct Watermarks {
    levels: Levels,
    /// Bytes of live buffers.
    live: AtomicUsize,
    over: AtomicBool,
    /// How often the pool has come down to the low mark. Wraps.
    drains: AtomicU32,
    waiters: Mutex<Waiters>,
}

impl Watermarks {
    pub(crate) fn new(levels: Levels) -> Self {
        Self {
            levels,
            live: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            drains: AtomicU32::new(0),
            waiters: Mutex::new(Waiters::default()),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Acquire)
    }

    /// The figure. AcqRel: pairs with itself in whoever changes it (see the module's text).
    fn live(&self) -> usize {
        self.live.fetch_add(0, AcqRel)
    }

    /// Counts a live buffer's bytes. AcqRel: pairs with `live`.
    #[inline]
    pub(crate) fn add(&self, bytes: usize) {
        let live = self.live.fetch_add(bytes, AcqRel).wrapping_add(bytes);
        if live >= self.levels.high && !self.is_over() {
            self.set_over();
        }
    }

    #[cold]
    fn set_over(&self) {
        self.over.swap(true, AcqRel);
        self.look(self.live());
    }

    /// The same for bytes that are live no more.
    #[inline]
    pub(crate) fn subtract(&self, bytes: usize) {
        self.look(self.live.fetch_sub(bytes, AcqRel).wrapping_sub(bytes));
    }

    #[inline]
    fn look(&self, live: usize) {
        if live <= self.levels.low && self.is_over() {
            self.drained();
        }
    }

    /// Ends "over", and tells those who wait. Of several threads that come here at once one does it.
    #[cold]
    fn drained(&self) {
        if !self.over.swap(false, AcqRel) {
            return;
        }
        let told = {
            let mut waiters = lock(&self.waiters);
            self.drains.fetch_add(1, Relaxed);
            std::mem::take(&mut waiters.list)
        };
        // Wakers run code of others: not under the lock.
        for waiter in told {
            waiter.wake.wake();
        }
        // Raised again meanwhile, by somebody who saw "over" still set.
        if self.live() >= self.levels.high {
            self.set_over();
        }
    }

    /// What [`is_drained`](Self::is_drained) is to be asked with.
    pub(crate) fn watch(&self) -> Watch<'_> {
        let mut waiters = lock(&self.waiters);
        waiters.next += 1;
        Watch {
            watermarks: self,
            number: waiters.next,
            drains: self.drains.load(Relaxed),
        }
    }

    /// Blocks until the pool is not over, or has come down to the low mark since. `false`: the time has
    /// come before.
    pub(crate) fn wait(&self, until: Option<Instant>) -> bool {
        let watch = self.watch();
        loop {
            let waits = match watch.is_drained(Wake::this_thread()) {
                Ok(true) => return true,
                Ok(false) => park_until(until),
                // No memory to be remembered with: look now and then.
                Err(_) => {
                    let soon = Instant::now() + Duration::from_millis(1);
                    park_until(until.min(Some(soon)).or(Some(soon)));
                    until.is_none_or(|until| Instant::now() < until)
                }
            };
            if !waits {
                return watch.has_drained();
            }
        }
    }
}

/// Somebody who waits for the pool to come down. Dropping it leaves no trace.
pub(crate) struct Watch<'a> {
    watermarks: &'a Watermarks,
    number: u64,
    /// As it was at the beginning.
    drains: u32,
}

impl Watch<'_> {
    fn has_drained(&self) -> bool {
        !self.watermarks.is_over() || self.watermarks.drains.load(Relaxed) != self.drains
    }

    /// Whether the wait is over. If not, `wake` is used when it is.
    pub(crate) fn is_drained(&self, wake: Wake) -> Result<bool, AllocFailure> {
        if self.has_drained() {
            return Ok(true);
        }
        let mut waiters = lock(&self.watermarks.waiters);
        // Under the lock: a drain that we do not see here finds us in the list.
        if self.watermarks.drains.load(Relaxed) != self.drains {
            return Ok(true);
        }
        let number = self.number;
        let same = waiters
            .list
            .iter_mut()
            .find(|waiter| waiter.number == number);
        let old = match same {
            Some(waiter) => Some(std::mem::replace(&mut waiter.wake, wake)),
            None => {
                waiters
                    .list
                    .try_reserve(1)
                    .map_err(|_| AllocFailure::System)?;
                waiters.list.push(Waiter { number, wake });
                None
            }
        };
        drop(waiters);
        drop(old);
        Ok(false)
    }

    /// Number and count, to [`resume`](Watermarks::resume) with.
    pub(crate) fn suspend(self) -> (u64, u32) {
        let parts = (self.number, self.drains);
        std::mem::forget(self);
        parts
    }
}

impl Watermarks {
    /// The watch that was suspended, once.
    pub(crate) fn resume(&self, (number, drains): (u64, u32)) -> Watch<'_> {
        Watch {
            watermarks: self,
            number,
            drains,
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut waiters = lock(&self.watermarks.waiters);
        let place = waiters
            .list
            .iter()
            .position(|waiter| waiter.number == self.number);
        let gone = place.map(|place| waiters.list.remove(place));
        drop(waiters);
        drop(gone);
    }
}
