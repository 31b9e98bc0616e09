//! The queue of waiters for memory, first in, first out.
//!
//! A request that cannot be served joins the queue. Of the waiters of a pool, only the first one
//! retries, each time it is woken. When it has its memory, or gives up, it leaves, and the next
//! waiter is woken. So no waiter overtakes another: a large request blocks smaller ones behind it.
//!
//! # The queue of a budget
//!
//! The pools of a budget share one queue. A waiter there lacks room in its pool, or in the budget.
//! The first waiter that is not *held*, which means that its own pool's limit refused its last
//! attempt, is the first one for the budget's bytes. Only this waiter, and the held ones before
//! it, may map more memory. The first waiter of another pool may use what its pool has mapped
//! ([`Attempt::Mapped`]). A pool that is at its own limit therefore holds up no other pool.
//!
//! A thread that frees memory of a pool wakes two waiters: the first one of the pool, and the first
//! one for the budget's bytes.
//!
//! # No wake-up is lost
//!
//! A thread that frees memory does so first and then reads whether there is a waiter. A waiter
//! joins the queue first and then tries. Each has a SeqCst fence between the two: either the thread
//! that frees sees the waiter, or the waiter's attempt sees the memory. Memory that a thread
//! carries from one structure to another is in neither for a moment, so the carrier calls
//! [`Line::notify`] after the memory has arrived. An attempt that fails changes nothing and
//! notifies no waiter, or it would wake itself.
//!
//! A waiter is not held during its attempts. If the attempt leaves it held, the next waiter for the
//! budget's bytes is woken, because its own attempts could not use them meanwhile.

use crate::error::AllocFailure;
use crate::pressure::wake::{Deferred, Due, Wake};
use crate::sync::{
    AtomicUsize, Mutex,
    Ordering::{Relaxed, SeqCst},
    fence, lock, park_until,
};
use crate::util::attempt::{self, Attempt};
use crate::util::heap::lock_with_room;
use std::time::Instant;

struct Waiter {
    ticket: u64,
    /// The index of the waiter's pool.
    pool: usize,
    /// Whether the limit of the pool refused the last attempt. The same for all waiters of a pool;
    /// `false` in the queue of a single pool.
    held: bool,
    /// `None` after a wake-up, until the waiter registers again.
    wake: Option<Wake>,
}

#[derive(Default)]
struct Queue {
    next_ticket: u64,
    /// The waiters, in the order of their tickets.
    waiters: Vec<Waiter>,
}

/// The queue of waiters for memory of one pool, or of the pools of a budget.
pub(crate) struct WaitQueue {
    /// Whether this is the queue of a budget.
    is_shared: bool,
    /// Number of waiters, readable without the lock.
    waiting: AtomicUsize,
    /// Number of waiters that are not held, readable without the lock.
    not_held: AtomicUsize,
    queue: Mutex<Queue>,
}

impl WaitQueue {
    pub(crate) fn new(is_shared: bool) -> Self {
        Self {
            is_shared,
            waiting: AtomicUsize::new(0),
            not_held: AtomicUsize::new(0),
            queue: Mutex::new(Queue::default()),
        }
    }

    pub(super) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Returns the number of waiters. Relaxed: a caller that depends on the order executes a fence
    /// before the call.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Returns whether a waiter waits for bytes of the budget. Relaxed, as in [`len`](Self::len).
    pub(crate) fn wants_budget(&self) -> bool {
        self.is_shared && self.not_held.load(Relaxed) > 0
    }

    /// Wakes the first waiter of the pool, if one is given, and the first one for the budget's
    /// bytes. Runs foreign code.
    fn notify(&self, pool: Option<usize>) {
        let woken = {
            let mut queue = lock(&self.queue);
            let of_pool = pool.map(|pool| queue.first_of(pool, self.is_shared));
            let of_pool = of_pool.and_then(|place| queue.wake_at(place));
            [of_pool, queue.wake_next_for_budget()]
        };
        // Wakers are foreign code, so they run outside of the lock.
        woken.into_iter().flatten().for_each(Wake::wake);
    }

    /// Performs what was deferred.
    pub(super) fn notify_due(&self, due: Due) {
        match due {
            Due::Nothing => {}
            Due::Pool(pool) => {
                // SeqCst: pairs with the fence in `join`.
                fence(SeqCst);
                if self.len() > 0 {
                    self.notify(Some(pool));
                }
            }
            Due::AnyPool => self.notify_all(),
        }
    }

    /// Wakes all waiters. Those that may not try yet register again. Runs foreign code.
    pub(crate) fn notify_all(&self) {
        // SeqCst: pairs with the fence in `join`.
        fence(SeqCst);
        let mut next = 0;
        while self.len() > 0 {
            let wake = {
                let mut queue = lock(&self.queue);
                let place = queue.waiters.partition_point(|waiter| waiter.ticket < next);
                let Some(waiter) = queue.waiters.get_mut(place) else {
                    return;
                };
                next = waiter.ticket + 1;
                waiter.wake.take()
            };
            if let Some(wake) = wake {
                wake.wake();
            }
        }
    }
}

/// A pool's share of a queue.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) queue: &'a WaitQueue,
    /// The index of the pool.
    pub(crate) pool: usize,
    /// Number of the pool's waiters. Changed under the queue's lock.
    pub(crate) waiting: &'a AtomicUsize,
}

impl<'a> Line<'a> {
    /// Returns whether the pool has no waiter. Relaxed, as in [`WaitQueue::len`].
    pub(crate) fn is_empty(self) -> bool {
        self.waiting.load(Relaxed) == 0
    }

    /// Wakes the first waiter of the pool and the first one for the budget's bytes, after memory of
    /// the pool has become free. Deferred while the thread has a [`Deferred`] guard of the queue.
    /// Runs foreign code.
    pub(crate) fn notify(self) {
        if Deferred::defer(self.queue, self.pool) {
            return;
        }
        // SeqCst: pairs with the fence in `join`.
        fence(SeqCst);
        if self.queue.len() > 0 {
            self.queue.notify((!self.is_empty()).then_some(self.pool));
        }
    }

    /// Joins the end of the queue.
    pub(crate) fn join(self) -> Result<QueueTicket<'a>, AllocFailure> {
        let ticket = {
            let mut queue = lock_with_room(&self.queue.queue, |queue| &mut queue.waiters)
                .ok_or(AllocFailure::System)?;
            let ticket = queue.next_ticket;
            queue.next_ticket += 1;
            let first = queue.first_of(self.pool, true);
            let held = queue.waiters.get(first).is_some_and(|first| first.held);
            queue.waiters.push(Waiter {
                ticket,
                pool: self.pool,
                held,
                wake: None,
            });
            self.waiting.fetch_add(1, Relaxed);
            self.queue.waiting.fetch_add(1, Relaxed);
            if !held {
                self.queue.not_held.fetch_add(1, Relaxed);
            }
            ticket
        };
        // SeqCst: pairs with the fence in `notify`.
        fence(SeqCst);
        Ok(QueueTicket { line: self, ticket })
    }

    /// Restores the place in the queue that was suspended. The caller does so once.
    pub(crate) fn resume(self, ticket: u64) -> QueueTicket<'a> {
        QueueTicket { line: self, ticket }
    }

    /// Blocks until `attempt` returns anything other than a refusal by the limit or the budget, and
    /// returns its result. Returns that refusal if the instant `until` passes first. Without an
    /// instant there is no time limit.
    pub(crate) fn wait<T>(
        self,
        until: Option<Instant>,
        mut attempt: impl FnMut() -> Result<T, AllocFailure>,
    ) -> Result<T, AllocFailure> {
        if self.queue.len() == 0 {
            match attempt() {
                Err(failure) if failure.is_limit() => (),
                result => return result,
            }
        }
        let turn = self.join()?;
        let mut refusal = AllocFailure::Limit;
        let mut over = false;
        loop {
            if let Some(kind) = turn.may_try(Wake::this_thread()) {
                match attempt::run(kind, &mut attempt) {
                    Err(failure) if failure.is_limit() => {
                        refusal = failure;
                        turn.refused(failure);
                    }
                    result => return result,
                }
            }
            if over {
                return Err(refusal);
            }
            over = !park_until(until);
        }
    }
}

/// A place in the queue. Dropping it leaves the queue, and wakes the next waiters if this one was
/// before them.
pub(crate) struct QueueTicket<'a> {
    line: Line<'a>,
    ticket: u64,
}

impl QueueTicket<'_> {
    /// Returns whether the caller is the first waiter of its pool and may try now, and with which
    /// memory. If it is not, or if its attempt fails, `wake` is used when it should try again.
    pub(crate) fn may_try(&self, wake: Wake) -> Option<Attempt> {
        let mut queue = lock(&self.line.queue.queue);
        let place = queue.place_of(self.ticket)?;
        // The old waker is dropped outside of the lock, because its drop is foreign code.
        let old = queue.waiters[place].wake.replace(wake);
        let attempt = if !self.line.queue.is_shared {
            (place == 0).then_some(Attempt::Any)
        } else if queue.first_of(self.line.pool, true) < place {
            None
        } else {
            self.hold(&mut queue, false);
            let is_next = queue.next_for_budget() == place;
            Some(if is_next {
                Attempt::Any
            } else {
                Attempt::Mapped(self.line.pool)
            })
        };
        drop(queue);
        drop(old);
        // SeqCst: pairs with the fence at the end of a bypass. Either the thread there sees a
        // waiter that is not held, or the waiter's attempt sees what that thread has freed.
        fence(SeqCst);
        attempt
    }

    /// Notes the refusal of an attempt. Runs foreign code.
    pub(crate) fn refused(&self, failure: AllocFailure) {
        if !self.line.queue.is_shared || failure != AllocFailure::Limit {
            return;
        }
        let woken = {
            let mut queue = lock(&self.line.queue.queue);
            let was_next = queue.place_of(self.ticket) == Some(queue.next_for_budget());
            self.hold(&mut queue, true);
            was_next.then(|| queue.wake_next_for_budget()).flatten()
        };
        if let Some(wake) = woken {
            wake.wake();
        }
    }

    /// Sets whether the waiters of the pool are held.
    fn hold(&self, queue: &mut Queue, held: bool) {
        let mut changed = 0;
        for waiter in &mut queue.waiters {
            if waiter.pool == self.line.pool && waiter.held != held {
                waiter.held = held;
                changed += 1;
            }
        }
        let not_held = &self.line.queue.not_held;
        match held {
            true => not_held.fetch_sub(changed, Relaxed),
            false => not_held.fetch_add(changed, Relaxed),
        };
    }

    /// Returns the ticket without leaving the queue, for [`resume`](Line::resume).
    pub(crate) fn suspend(self) -> u64 {
        let ticket = self.ticket;
        std::mem::forget(self);
        ticket
    }
}

impl Drop for QueueTicket<'_> {
    fn drop(&mut self) {
        let Line {
            queue,
            pool,
            waiting,
        } = self.line;
        let mut state = lock(&queue.queue);
        let Some(place) = state.place_of(self.ticket) else {
            return;
        };
        let was_first = state.first_of(pool, queue.is_shared) == place;
        let was_next = state.next_for_budget() == place;
        let left = state.waiters.remove(place);
        waiting.fetch_sub(1, Relaxed);
        queue.waiting.fetch_sub(1, Relaxed);
        if !left.held {
            queue.not_held.fetch_sub(1, Relaxed);
        }
        let of_pool = state.first_of(pool, queue.is_shared);
        let woken = [
            was_first.then(|| state.wake_at(of_pool)).flatten(),
            was_next.then(|| state.wake_next_for_budget()).flatten(),
        ];
        drop(state);
        woken.into_iter().flatten().for_each(Wake::wake);
        // Dropped last: the waker's drop is foreign code, which may panic.
        drop(left);
    }
}

impl Queue {
    fn place_of(&self, ticket: u64) -> Option<usize> {
        self.waiters
            .binary_search_by_key(&ticket, |waiter| waiter.ticket)
            .ok()
    }

    /// Returns the place of the first waiter of the pool, or the number of waiters.
    fn first_of(&self, pool: usize, is_shared: bool) -> usize {
        let of_pool = |waiter: &Waiter| !is_shared || waiter.pool == pool;
        let place = self.waiters.iter().position(of_pool);
        place.unwrap_or(self.waiters.len())
    }

    /// Returns the place of the first waiter that is not held, or the number of waiters.
    fn next_for_budget(&self) -> usize {
        let place = self.waiters.iter().position(|waiter| !waiter.held);
        place.unwrap_or(self.waiters.len())
    }

    fn wake_at(&mut self, place: usize) -> Option<Wake> {
        self.waiters.get_mut(place)?.wake.take()
    }

    fn wake_next_for_budget(&mut self) -> Option<Wake> {
        let place = self.next_for_budget();
        self.wake_at(place)
    }
}
