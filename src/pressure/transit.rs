//! Memory on its way between structures, and requests that fail.
//!
//! Memory that a thread moves from one structure to another is in neither for a moment. The thread
//! is counted as a *carrier*, in its pool and in the pool's budget. A request that found nothing
//! while there was a carrier waits until the memory has arrived, and retries.

use crate::pressure::wait_queue::WaitQueue;
use crate::sync::{
    AtomicUsize, Backoff, Mutex,
    Ordering::{AcqRel, Acquire, Relaxed},
};

/// What requests that fail share, in one pool or in the pools of a budget.
pub(crate) struct Arbiter {
    /// The waiters for memory.
    pub(crate) waiting: WaitQueue,
    /// Held by a request that is about to fail, while it reclaims and retries.
    pub(crate) turns: Mutex<()>,
}

impl Arbiter {
    pub(crate) fn new(is_shared: bool) -> Self {
        Self {
            waiting: WaitQueue::new(is_shared),
            turns: Mutex::new(()),
        }
    }
}

/// The counters of carriers: see the module's text.
pub(crate) struct Transit {
    /// Number of threads that carry memory between structures.
    carrying: AtomicUsize,
    /// Number of arrivals of carriers. Wraps.
    arrived: AtomicUsize,
    /// The value of `arrived` before the last release that was followed by a refusal, or that was
    /// made for another pool. While `arrived` has this value, there is nothing to release.
    fruitless: AtomicUsize,
}

impl Transit {
    pub(crate) fn new() -> Self {
        Self {
            carrying: AtomicUsize::new(0),
            arrived: AtomicUsize::new(0),
            fruitless: AtomicUsize::new(usize::MAX),
        }
    }

    /// Counts a carrier, before the memory leaves its structure.
    pub(crate) fn depart(&self) {
        self.carrying.fetch_add(1, AcqRel);
    }

    /// Counts the arrival of a carrier, which then [ends](Self::end). Returns the number of
    /// arrivals. AcqRel: pairs with the Acquire in `has_arrived_since`.
    pub(crate) fn arrive(&self) -> usize {
        self.arrived.fetch_add(1, AcqRel).wrapping_add(1)
    }

    /// Ends the carrying. After the arrival: a thread that sees no carrier any more sees it.
    pub(crate) fn end(&self) {
        self.carrying.fetch_sub(1, AcqRel);
    }

    /// Returns the number of arrivals.
    pub(crate) fn arrived(&self) -> usize {
        self.arrived.load(Acquire)
    }

    /// Notes that a release which began after `seen` arrivals left nothing to release.
    pub(crate) fn set_fruitless(&self, seen: usize) {
        self.fruitless.store(seen, Relaxed);
    }

    /// Returns whether nothing has arrived since the release that was noted last.
    pub(crate) fn is_fruitless(&self) -> bool {
        self.carrying.load(Acquire) == 0 && self.arrived() == self.fruitless.load(Relaxed)
    }

    /// Waits while a thread carries memory. Returns whether a carrier has arrived since `seen`.
    pub(crate) fn has_arrived_since(&self, seen: usize) -> bool {
        let mut backoff = Backoff::new();
        // Acquire: pairs with the AcqRel in `arrive` and `end`.
        while self.carrying.load(Acquire) > 0 && self.arrived() == seen {
            if !backoff.pause() {
                return false;
            }
        }
        self.arrived() != seen
    }
}
