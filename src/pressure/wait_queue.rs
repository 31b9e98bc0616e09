//! Waiting for memory, first come, first served.
//!
//! Who cannot have memory now takes a place in the queue. Only the first in the queue tries again, each time it is
//! woken; when it has its memory, or gives up, it leaves, and the next one is woken. So nobody in the queue
//! overtakes, and a place that is given up leaves no trace.
//!
//! # No wake-up is lost
//!
//! Whoever makes memory free does so first and then looks whether anybody waits; whoever waits takes its
//! place first and then tries. Each has a SeqCst fence between the two: either the one who frees sees the one
//! who waits, or the attempt sees the memory. What is on its way from one structure to another is in neither
//! for a moment, so whoever carries memory calls [`WaitQueue::notify`] when it has arrived. An attempt that fails
//! changes nothing and notifies nobody, or it would wake itself.

use crate::error::AllocFailure;
use crate::sync::{
    AtomicUsize, Mutex,
    Ordering::{Relaxed, SeqCst},
    Thread, current_thread, fence, lock, park_until,
};
use crate::util::heap::lock_with_room;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::thread::LocalKey;
use std::time::Instant;

thread_local! {
    // Without destructors, so that they are there to the thread's very end.
    static DEFERRED: Cell<Option<Pending>> = const { Cell::new(None) };
    static ATTEMPTING: Cell<bool> = const { Cell::new(false) };
}

/// What a thread that defers wake-ups knows: the queue, by address, and whether a wake-up is due.
#[derive(Clone, Copy)]
struct Pending {
    queue: usize,
    due: bool,
}

/// While it exists, memory that the calling thread makes free wakes no waiter of the queue: the thread holds a lock.
pub(crate) struct Deferred<'a>(&'a WaitQueue);

impl<'a> Deferred<'a> {
    /// Whether the calling thread defers wake-ups of the queue.
    pub(crate) fn is_active(queue: &WaitQueue) -> bool {
        DEFERRED
            .get()
            .is_some_and(|pending| pending.queue == queue.address())
    }

    /// `None`: the thread defers wake-ups already.
    pub(crate) fn new(queue: &'a WaitQueue) -> Option<Self> {
        if DEFERRED.get().is_some() {
            return None;
        }
        DEFERRED.set(Some(Pending {
            queue: queue.address(),
            due: false,
        }));
        Some(Self(queue))
    }
}

impl Drop for Deferred<'_> {
    /// Makes up for the wake-up that is due. Runs foreign code.
    fn drop(&mut self) {
        if DEFERRED.take().is_some_and(|pending| pending.due) {
            self.0.notify();
        }
    }
}

/// Sets a flag of the calling thread, and restores it when dropped, also by a panic.
struct Flagged {
    flag: &'static LocalKey<Cell<bool>>,
    before: bool,
}

impl Flagged {
    fn new(flag: &'static LocalKey<Cell<bool>>, value: bool) -> Self {
        let before = flag.replace(value);
        Self { flag, before }
    }
}

impl Drop for Flagged {
    fn drop(&mut self) {
        self.flag.set(self.before);
    }
}

/// Whether the calling thread is in the attempt of a waiter, which must not wake itself.
pub(crate) fn is_attempting() -> bool {
    ATTEMPTING.get()
}

/// Runs the attempt of a waiter.
pub(crate) fn attempting<T>(attempt: impl FnOnce() -> T) -> T {
    let _attempting = Flagged::new(&ATTEMPTING, true);
    attempt()
}

/// How somebody who waits is told.
pub(crate) enum Wake {
    Thread(Thread),
    Task(Waker),
}

impl Wake {
    pub(crate) fn this_thread() -> Self {
        Self::Thread(current_thread())
    }

    /// A waker is foreign code. Its panic ends here, where the hook has reported it: whoever wakes is in the
    /// middle of something, most often in a destructor, and others may be to be woken too.
    pub(crate) fn wake(self) {
        match self {
            Self::Thread(thread) => thread.unpark(),
            Self::Task(waker) => {
                let _not_attempting = Flagged::new(&ATTEMPTING, false);
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                    // Its destructor is foreign code too, and may panic.
                    std::mem::forget(payload);
                }
            }
        }
    }
}

struct Waiter {
    ticket: u64,
    /// `None`: told, and has not looked since.
    wake: Option<Wake>,
}

#[derive(Default)]
struct Queue {
    next_ticket: u64,
    /// In the order of their tickets.
    waiters: Vec<Waiter>,
}

/// Who waits for memory of one pool.
pub(crate) struct WaitQueue {
    /// How many that are, for those who do not want to lock.
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

    /// Whether nobody waits. Relaxed: who depends on it has a fence before it.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.load(Relaxed) == 0
    }

    /// Says that memory has become free.
    pub(crate) fn notify(&self) {
        if let Some(pending) = DEFERRED.get()
            && pending.queue == self.address()
        {
            return DEFERRED.set(Some(Pending {
                due: true,
                ..pending
            }));
        }
        // SeqCst: pairs with the fence in `join`.
        fence(SeqCst);
        if self.is_empty() {
            return;
        }
        let first = lock(&self.queue).take_first();
        // Wakers run code of others: not under the lock.
        if let Some(wake) = first {
            wake.wake();
        }
    }

    /// Takes the last place in the queue.
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

    /// Blocks until `attempt` gives something else than the limit's refusal, or the time has come: then that
    /// refusal is returned. Without an instant, as long as it takes.
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

/// A place in the queue. Dropping it gives it up, and wakes the next one if it was the first.
pub(crate) struct QueueTicket<'a> {
    queue: &'a WaitQueue,
    ticket: u64,
}

impl QueueTicket<'_> {
    /// Whether the caller is the first and may try now. If not, or if it tries in vain, it is woken when
    /// it is worth trying.
    pub(crate) fn is_first(&self, wake: Wake) -> bool {
        self.queue.is_first(self.ticket, wake)
    }

    /// The ticket, to [`resume`](WaitQueue::resume) the turn with.
    pub(crate) fn suspend(self) -> u64 {
        let ticket = self.ticket;
        std::mem::forget(self);
        ticket
    }
}

impl WaitQueue {
    /// The turn that was suspended, once.
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
        // The old one is dropped outside of the lock: that runs code of others.
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
        // Last: that runs code of others, which may panic.
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
