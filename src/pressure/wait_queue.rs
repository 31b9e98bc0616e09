//! The queue of waiters for memory, first in, first out.
//!
//! A request that cannot be served joins the queue. Only the first waiter in the queue retries,
//! each time it is woken. When it has its memory, or gives up, it leaves, and the next waiter is
//! woken. So no waiter overtakes another: a large request blocks smaller ones behind it.
//!
//! # No wake-up is lost
//!
//! A thread that frees memory does so first and then reads whether there is a waiter. A waiter
//! joins the queue first and then tries. Each has a SeqCst fence between the two: either the thread
//! that frees sees the waiter, or the waiter's attempt sees the memory. Memory that a thread
//! carries from one structure to another is in neither for a moment, so the carrier calls
//! [`WaitQueue::notify`] after the memory has arrived. An attempt that fails changes nothing and
//! notifies no waiter, or it would wake itself.

use crate::error::AllocFailure;
use crate::sync::{
    AtomicUsize, LocalKey, Mutex,
    Ordering::{Relaxed, SeqCst},
    Thread, current_thread, fence, lock, park_until, thread_local_const,
};
use crate::util::foreign;
use crate::util::heap::lock_with_room;
use std::cell::Cell;
use std::task::Waker;
use std::time::Instant;

thread_local_const! {
    // These have no destructors, so they exist until the thread's end.
    static DEFERRED: Cell<Option<Pending>> = Cell::new(None);
    static ATTEMPTING: Cell<bool> = Cell::new(false);
}

/// The deferred wake-up of a thread: the queue's address, and whether a wake-up is due.
#[derive(Clone, Copy)]
struct Pending {
    queue: usize,
    due: bool,
}

/// A guard that defers the calling thread's wake-ups of the queue's waiters until it is dropped,
/// because the thread holds a lock.
pub(crate) struct Deferred<'a>(&'a WaitQueue);

impl<'a> Deferred<'a> {
    /// Whether the calling thread defers wake-ups of the queue.
    pub(crate) fn is_active(queue: &WaitQueue) -> bool {
        DEFERRED
            .with(Cell::get)
            .is_some_and(|pending| pending.queue == queue.address())
    }

    /// Starts to defer wake-ups. Returns `None` if the thread defers them already.
    pub(crate) fn new(queue: &'a WaitQueue) -> Option<Self> {
        if DEFERRED.with(Cell::get).is_some() {
            return None;
        }
        let pending = Pending {
            queue: queue.address(),
            due: false,
        };
        DEFERRED.with(|deferred| deferred.set(Some(pending)));
        Some(Self(queue))
    }
}

impl Drop for Deferred<'_> {
    /// Performs the wake-up if one is due. Runs foreign code.
    fn drop(&mut self) {
        if DEFERRED.with(Cell::take).is_some_and(|pending| pending.due) {
            self.0.notify();
        }
    }
}

/// Sets a flag of the calling thread, and restores it on drop, also when a panic unwinds.
struct Flagged {
    flag: &'static LocalKey<Cell<bool>>,
    before: bool,
}

impl Flagged {
    fn new(flag: &'static LocalKey<Cell<bool>>, value: bool) -> Self {
        let before = flag.with(|flag| flag.replace(value));
        Self { flag, before }
    }
}

impl Drop for Flagged {
    fn drop(&mut self) {
        self.flag.with(|flag| flag.set(self.before));
    }
}

/// Returns whether the calling thread runs the attempt of a waiter, which must not wake itself.
pub(crate) fn is_attempting() -> bool {
    ATTEMPTING.with(Cell::get)
}

/// Runs the attempt of a waiter. [`is_attempting`] returns `true` meanwhile.
pub(crate) fn attempting<T>(attempt: impl FnOnce() -> T) -> T {
    let _attempting = Flagged::new(&ATTEMPTING, true);
    attempt()
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
            Self::Task(waker) => {
                let _not_attempting = Flagged::new(&ATTEMPTING, false);
                foreign::call(|| waker.wake());
            }
        }
    }
}

struct Waiter {
    ticket: u64,
    /// `None` after a wake-up, until the waiter registers again.
    wake: Option<Wake>,
}

#[derive(Default)]
struct Queue {
    next_ticket: u64,
    /// The waiters, in the order of their tickets.
    waiters: Vec<Waiter>,
}

/// The queue of waiters for memory of one pool.
pub(crate) struct WaitQueue {
    /// Number of waiters, readable without the lock.
    waiting: AtomicUsize,
    queue: Mutex<Queue>,
}

impl WaitQueue {
    pub(crate) fn new() -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            queue: Mutex::new(Queue::default()),
        }
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Returns whether there is no waiter. Relaxed: a caller that depends on the order executes a
    /// fence before the call.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.load(Relaxed) == 0
    }

    /// Wakes the first waiter, after memory has become free. Deferred while the thread has a
    /// [`Deferred`] guard of this queue. Runs foreign code.
    pub(crate) fn notify(&self) {
        if let Some(pending) = DEFERRED.with(Cell::get)
            && pending.queue == self.address()
        {
            let due = true;
            return DEFERRED.with(|deferred| deferred.set(Some(Pending { due, ..pending })));
        }
        // SeqCst: pairs with the fence in `join`.
        fence(SeqCst);
        if self.is_empty() {
            return;
        }
        let first = lock(&self.queue).take_first();
        // Wakers are foreign code, so they run outside of the lock.
        if let Some(wake) = first {
            wake.wake();
        }
    }

    /// Joins the end of the queue.
    pub(crate) fn join(&self) -> Result<QueueTicket<'_>, AllocFailure> {
        let ticket = {
            let mut queue = lock_with_room(&self.queue, |queue| &mut queue.waiters)
                .ok_or(AllocFailure::System)?;
            let ticket = queue.next_ticket;
            queue.next_ticket += 1;
            queue.waiters.push(Waiter { ticket, wake: None });
            self.waiting.fetch_add(1, Relaxed);
            ticket
        };
        // SeqCst: pairs with the fence in `notify`.
        fence(SeqCst);
        Ok(QueueTicket {
            queue: self,
            ticket,
        })
    }

    /// Blocks until `attempt` returns anything other than the limit's refusal, and returns its
    /// result. Returns that refusal if the instant `until` passes first. Without an instant there
    /// is no time limit.
    pub(crate) fn wait<T>(
        &self,
        until: Option<Instant>,
        mut attempt: impl FnMut() -> Result<T, AllocFailure>,
    ) -> Result<T, AllocFailure> {
        if self.is_empty() {
            match attempt() {
                Err(AllocFailure::Limit) => (),
                result => return result,
            }
        }
        let turn = self.join()?;
        let mut over = false;
        loop {
            if turn.is_first(Wake::this_thread()) {
                match attempting(&mut attempt) {
                    Err(AllocFailure::Limit) => (),
                    result => return result,
                }
            }
            if over {
                return Err(AllocFailure::Limit);
            }
            over = !park_until(until);
        }
    }
}

/// A place in the queue. Dropping it leaves the queue, and wakes the next waiter if this one was
/// the first.
pub(crate) struct QueueTicket<'a> {
    queue: &'a WaitQueue,
    ticket: u64,
}

impl QueueTicket<'_> {
    /// Returns whether the caller is the first waiter and may try now. If it is not, or if its
    /// attempt fails, `wake` is used when it should try again.
    pub(crate) fn is_first(&self, wake: Wake) -> bool {
        self.queue.is_first(self.ticket, wake)
    }

    /// Returns the ticket without leaving the queue, for [`resume`](WaitQueue::resume).
    pub(crate) fn suspend(self) -> u64 {
        let ticket = self.ticket;
        std::mem::forget(self);
        ticket
    }
}

impl WaitQueue {
    /// Restores the place in the queue that was suspended. The caller does so once.
    pub(crate) fn resume(&self, ticket: u64) -> QueueTicket<'_> {
        QueueTicket {
            queue: self,
            ticket,
        }
    }

    fn is_first(&self, ticket: u64, wake: Wake) -> bool {
        let mut queue = lock(&self.queue);
        let Some(place) = queue.place_of(ticket) else {
            return false;
        };
        // The old waker is dropped outside of the lock, because its drop is foreign code.
        let old = queue.waiters[place].wake.replace(wake);
        drop(queue);
        drop(old);
        place == 0
    }

    fn leave(&self, ticket: u64) {
        let mut queue = lock(&self.queue);
        let Some(place) = queue.place_of(ticket) else {
            return;
        };
        let left = queue.waiters.remove(place);
        self.waiting.fetch_sub(1, Relaxed);
        let next = if place == 0 { queue.take_first() } else { None };
        drop(queue);
        if let Some(wake) = next {
            wake.wake();
        }
        // Dropped last: the waker's drop is foreign code, which may panic.
        drop(left);
    }
}

impl Drop for QueueTicket<'_> {
    fn drop(&mut self) {
        self.queue.leave(self.ticket);
    }
}

impl Queue {
    fn place_of(&self, ticket: u64) -> Option<usize> {
        self.waiters
            .binary_search_by_key(&ticket, |waiter| waiter.ticket)
            .ok()
    }

    fn take_first(&mut self) -> Option<Wake> {
        self.waiters.first_mut()?.wake.take()
    }
}
