//! Watermarks: when producers should pause and when they may resume.
//!
//! A pool with watermarks is *over* from the moment its live bytes reach the high mark until they
//! have come down to the low mark. Then all waiters are woken, once.
//!
//! # Counting
//!
//! The bytes are counted where slots move between threads' magazines and the depot or the slabs, a
//! block at a time. The count includes the slots in magazines, so it is never below the live bytes.
//! While it is below the high mark the pool is not over, and no exact count is needed. When it
//! reaches the mark, the pool *counts exactly*: it empties the magazines and lets each slot bypass
//! them, until the live bytes have come down to half of the high mark. If the slots in magazines
//! had made the count reach the mark, the next period of exact counting lasts twice as many frees.
//! So a pool whose mark is small compared with its magazines does not empty them again and again.
//!
//! | `counting` | meaning | next |
//! |---|---|---|
//! | `BLOCKS` | the count includes magazines; not over | `BECOMING_EXACT`, by the thread that reaches the mark |
//! | `BECOMING_EXACT` | that thread empties the magazines | `EXACT`, then it compares with the mark |
//! | `EXACT` | the count is that of the live bytes | `BECOMING_BLOCKS`, by a thread that frees |
//! | `BECOMING_BLOCKS` | that thread ends the bypass | `BLOCKS`, then it compares with the mark |
//!
//! # No lock
//!
//! A thread that raises the count to the high mark sets "over" and then reads the count again. A
//! thread that lowers the count to the low mark does so and then reads "over". The second read of
//! the count is a read-modify-write, as is every change of it, so it comes before or after each
//! change. If it comes after, it sees the change. If it comes before, the thread that changes the
//! count synchronises with it and sees "over" as it was set. So a pool is never left "over" after
//! its buffers are freed, nor not "over" above the mark. The same holds for `counting`.

use crate::config::Levels;
use crate::error::AllocFailure;
use crate::pressure::wake::Wake;
use crate::sync::{
    AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Mutex,
    Ordering::{AcqRel, Acquire, Relaxed},
    lock, park_until,
};
use crate::util::heap::lock_with_room;
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

const BLOCKS: u8 = 0;
const BECOMING_EXACT: u8 = 1;
const EXACT: u8 = 2;
const BECOMING_BLOCKS: u8 = 3;

/// The minimum number of frees that exact counting lasts: the initial and the largest value.
const STAY: u32 = 64;
const MAX_STAY: u32 = 1 << 16;

/// The watermarks of one pool: see the module's text.
pub(crate) struct Watermarks {
    levels: Levels,
    /// Bytes of live buffers; includes bytes of slots in magazines unless the pool counts exactly.
    count: AtomicUsize,
    counting: AtomicU8,
    /// Number of frees that the next period of exact counting lasts at least.
    stay: AtomicU32,
    stay_left: AtomicU32,
    over: AtomicBool,
    /// Number of times the pool has come down to the low mark. Wraps.
    drains: AtomicU32,
    waiters: Mutex<Waiters>,
}

/// A change of a pool's counting, to be carried out by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Empty the magazines, let slots bypass them, and call [`Watermarks::is_exact_now`].
    CountExactly,
    /// Let threads use their magazines, and call [`Watermarks::is_by_blocks_now`].
    CountBlocks,
}

impl Watermarks {
    pub(crate) fn new(levels: Levels) -> Self {
        Self {
            levels,
            count: AtomicUsize::new(0),
            counting: AtomicU8::new(BLOCKS),
            stay: AtomicU32::new(STAY),
            stay_left: AtomicU32::new(0),
            over: AtomicBool::new(false),
            drains: AtomicU32::new(0),
            waiters: Mutex::new(Waiters::default()),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Acquire)
    }

    /// Returns the count. AcqRel: pairs with itself in the threads that change the count (see the
    /// module's text).
    fn count(&self) -> usize {
        self.count.fetch_add(0, AcqRel)
    }

    /// Counts bytes that left the depot or the slabs. AcqRel: pairs with `count`. The thread calls
    /// [`check`](Self::check) when it is outside of all gates.
    #[inline]
    pub(crate) fn add(&self, bytes: usize) {
        self.count.fetch_add(bytes, AcqRel);
    }

    /// Counts bytes that came back to the depot or the slabs. AcqRel: pairs with `count`.
    #[inline]
    pub(crate) fn subtract(&self, bytes: usize) {
        self.count.fetch_sub(bytes, AcqRel);
    }

    /// Compares the count with the high mark after it has grown. May wake waiters.
    #[inline]
    pub(crate) fn check(&self) -> Option<Change> {
        if self.count.load(Acquire) < self.levels.high {
            return None;
        }
        self.check_high()
    }

    #[cold]
    fn check_high(&self) -> Option<Change> {
        let changed = self
            .counting
            .compare_exchange(BLOCKS, BECOMING_EXACT, AcqRel, Acquire);
        match changed {
            Ok(_) => Some(Change::CountExactly),
            Err(EXACT) => {
                self.raise();
                None
            }
            // The thread that changes the counting compares afterwards.
            Err(_) => None,
        }
    }

    /// Starts exact counting, after the magazines were emptied and the bypass was set. May wake
    /// waiters.
    pub(crate) fn is_exact_now(&self) {
        let stay = self.stay.load(Relaxed);
        self.stay_left.store(stay, Relaxed);
        self.stay.store((2 * stay).min(MAX_STAY), Relaxed);
        self.counting.swap(EXACT, AcqRel);
        self.raise();
        // Set by a thread that compared what magazines held, which were emptied meanwhile.
        self.check_low(self.count());
    }

    /// Ends exact counting, after the bypass was cleared.
    pub(crate) fn is_by_blocks_now(&self) -> Option<Change> {
        self.counting.swap(BLOCKS, AcqRel);
        self.check()
    }

    fn raise(&self) {
        if self.count() >= self.levels.high && !self.is_over() {
            self.set_over();
        }
    }

    #[cold]
    fn set_over(&self) {
        // The live bytes reached the mark, not the slots in magazines.
        self.stay.store(STAY, Relaxed);
        self.over.swap(true, AcqRel);
        self.check_low(self.count());
    }

    /// Counts the bytes of a buffer that was freed past the magazines. May wake waiters.
    pub(crate) fn free(&self, bytes: usize) -> Option<Change> {
        let count = self.count.fetch_sub(bytes, AcqRel).wrapping_sub(bytes);
        self.check_low(count);
        if self.counting.load(Relaxed) != EXACT {
            return None;
        }
        let less = |left: u32| left.checked_sub(1);
        let stays = self.stay_left.fetch_update(Relaxed, Relaxed, less).is_ok();
        if stays || count > self.levels.high / 2 || self.is_over() {
            return None;
        }
        let change = self
            .counting
            .compare_exchange(EXACT, BECOMING_BLOCKS, AcqRel, Acquire);
        change.is_ok().then_some(Change::CountBlocks)
    }

    fn check_low(&self, count: usize) {
        if count <= self.levels.low && self.is_over() {
            self.drained();
        }
    }

    /// Ends "over", and wakes the waiters. If several threads get here at once, one of them does
    /// so.
    #[cold]
    fn drained(&self) {
        if !self.over.swap(false, AcqRel) {
            return;
        }
        let woken = {
            let mut waiters = lock(&self.waiters);
            self.drains.fetch_add(1, Relaxed);
            std::mem::take(&mut waiters.list)
        };
        // Wakers are foreign code, so they run outside of the lock.
        for waiter in woken {
            waiter.wake.wake();
        }
        // Another thread may have reached the high mark meanwhile and seen "over" still set.
        if self.count() >= self.levels.high {
            self.set_over();
        }
    }

    /// Starts to watch for the pool to come down to the low mark.
    pub(crate) fn watch(&self) -> Watch<'_> {
        let mut waiters = lock(&self.waiters);
        waiters.next += 1;
        Watch {
            watermarks: self,
            number: waiters.next,
            drains: self.drains.load(Relaxed),
        }
    }

    /// Blocks until the pool is not over, or has come down to the low mark meanwhile. Returns
    /// `false` if the instant `until` passes first.
    pub(crate) fn wait(&self, until: Option<Instant>) -> bool {
        let watch = self.watch();
        loop {
            let waits = match watch.is_drained(Wake::this_thread()) {
                Ok(true) => return true,
                Ok(false) => park_until(until),
                // The heap has no memory to register the waiter, so it polls.
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

/// A waiter for the pool to come down to the low mark. Dropping it deregisters it.
pub(crate) struct Watch<'a> {
    watermarks: &'a Watermarks,
    number: u64,
    /// Value of `Watermarks::drains` when the watch began.
    drains: u32,
}

impl Watch<'_> {
    fn has_drained(&self) -> bool {
        !self.watermarks.is_over() || self.watermarks.drains.load(Relaxed) != self.drains
    }

    /// Returns whether the pool has drained. If it has not, registers `wake`, which is used when it
    /// does. Fails with `AllocFailure::System` if the heap has no memory to register it.
    pub(crate) fn is_drained(&self, wake: Wake) -> Result<bool, AllocFailure> {
        if self.has_drained() {
            return Ok(true);
        }
        let waiters = lock_with_room(&self.watermarks.waiters, |waiters| &mut waiters.list);
        let mut waiters = waiters.ok_or(AllocFailure::System)?;
        // Read under the lock: a thread whose drain is not seen here finds this waiter in the list.
        if self.watermarks.drains.load(Relaxed) != self.drains {
            // `wake` is dropped after the lock, because its drop is foreign code.
            drop(waiters);
            return Ok(true);
        }
        let number = self.number;
        let mut of_all = waiters.list.iter_mut();
        let old = match of_all.find(|waiter| waiter.number == number) {
            Some(waiter) => Some(std::mem::replace(&mut waiter.wake, wake)),
            None => {
                waiters.list.push(Waiter { number, wake });
                None
            }
        };
        drop(waiters);
        drop(old);
        Ok(false)
    }

    /// Returns the number and the drain count without deregistering, for
    /// [`resume`](Watermarks::resume).
    pub(crate) fn suspend(self) -> (u64, u32) {
        let parts = (self.number, self.drains);
        std::mem::forget(self);
        parts
    }
}

impl Watermarks {
    /// Restores the watch that was suspended. The caller does so once.
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
