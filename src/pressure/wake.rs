//! Waking waiters, at once or when the calling thread has released its locks.

use crate::pressure::wait_queue::WaitQueue;
use crate::sync::{Thread, current_thread, thread_local_const};
use crate::util::{attempt, foreign};
use std::cell::Cell;
use std::task::Waker;

thread_local_const! {
    // This has no destructor, so it exists until the thread's end.
    static DEFERRED: Cell<Option<Pending>> = Cell::new(None);
}

fn deferred() -> Option<Pending> {
    DEFERRED.with(Cell::get)
}

fn set_deferred(pending: Option<Pending>) {
    DEFERRED.with(|deferred| deferred.set(pending));
}

/// The deferred wake-ups of a thread, and the address of their queue.
#[derive(Clone, Copy)]
struct Pending {
    queue: usize,
    due: Due,
}

/// The wake-ups that are due.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// Memory of the pool with this index has become free.
    Pool(usize),
    /// Memory of several pools has become free.
    AnyPool,
}

/// A guard that defers the calling thread's wake-ups of the queue's waiters until it is dropped,
/// because the thread holds a lock.
pub(crate) struct Deferred<'a>(&'a WaitQueue);

impl<'a> Deferred<'a> {
    /// Whether the calling thread defers wake-ups of the queue.
    pub(crate) fn is_active(queue: &WaitQueue) -> bool {
        deferred().is_some_and(|pending| pending.queue == queue.address())
    }

    /// Starts to defer wake-ups. Returns `None` if the thread defers them already.
    pub(crate) fn new(queue: &'a WaitQueue) -> Option<Self> {
        if deferred().is_some() {
            return None;
        }
        set_deferred(Some(Pending {
            queue: queue.address(),
            due: Due::Nothing,
        }));
        Some(Self(queue))
    }

    /// Defers the wake-up after memory of a pool has become free. Returns `false` if the calling
    /// thread does not defer wake-ups of the queue.
    pub(super) fn defer(queue: &WaitQueue, pool: usize) -> bool {
        let Some(mut pending) = deferred() else {
            return false;
        };
        if pending.queue != queue.address() {
            return false;
        }
        pending.due = match pending.due {
            Due::Nothing => Due::Pool(pool),
            Due::Pool(other) if other == pool => Due::Pool(pool),
            Due::Pool(_) | Due::AnyPool => Due::AnyPool,
        };
        set_deferred(Some(pending));
        true
    }
}

impl Drop for Deferred<'_> {
    /// Performs the wake-ups that are due. Runs foreign code.
    fn drop(&mut self) {
        if let Some(pending) = deferred() {
            set_deferred(None);
            self.0.notify_due(pending.due);
        }
    }
}

/// The means to wake a waiter.
pub(crate) enum Wake {
    Thread(Thread),
    Task(Waker),
}

impl Wake {
    pub(crate) fn this_thread() -> Self {
        Self::Thread(current_thread())
    }

    /// Wakes the waiter. A waker is foreign code. Its panic is caught here, after the panic hook
    /// has reported it: the calling thread may be in a destructor, and may have further waiters to
    /// wake.
    pub(crate) fn wake(self) {
        match self {
            Self::Thread(thread) => thread.unpark(),
            Self::Task(waker) => attempt::suspend(|| foreign::call(|| waker.wake())),
        }
    }
}
