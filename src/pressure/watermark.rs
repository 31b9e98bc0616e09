//! Watermarks: when producers should pause and when they may resume.
//!
//! A pool with watermarks is *over* from the moment its live bytes reach the high mark until they have come down to the
//! low mark; then all waiters are woken, once.
//!
//! # Counting
//!
//! The bytes are counted where slots move between threads' magazines and the depot or the slabs, a block at a time: the
//! count includes what lies in magazines, so it is never below the live bytes. While it is below the high mark the pool
//! is not over, and that is all that need be known. When it reaches the mark, the pool *counts exactly*: it empties the
//! magazines and lets each slot bypass them, until the live bytes have come down to half of the high mark. If it was the
//! magazines that had reached the mark, the next time lasts twice as many frees, so that a pool whose mark is
//! small beside its magazines does not empty them again and again.
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
//! Who raises the count to the high mark sets "over" and then reads the count again; who lowers it to the low mark
//! lowers it and then reads "over". The second read of the count is a read-modify-write as every change of it is: it
//! comes before or after each of them. If after, it sees the change; if before, the thread that changes the count
//! synchronises with it and sees "over" as it was set. So a pool is never left "over" with its buffers gone, nor the
//! other way round. The same holds for `counting`.

use crate::config::Levels;
use crate::error::AllocFailure;
use crate::pressure::wait_queue::Wake;
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

/// Frees that exact counting lasts at least, at first and at most.
const STAY: u32 = 64;
const MAX_STAY: u32 = 1 << 16;

/// See the module's text.
pub(crate) struct Watermarks {
    levels: Levels,
    /// Bytes of live buffers, and of magazines unless counted exactly.
    count: AtomicUsize,
    counting: AtomicU8,
    /// Frees that exact counting lasts, this time and still.
    stay: AtomicU32,
    stay_left: AtomicU32,
    over: AtomicBool,
    /// How often the pool has come down to the low mark. Wraps.
    drains: AtomicU32,
    waiters: Mutex<Waiters>,
}

/// What a pool has to do about its magazines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Empty them, let slots bypass them, and call [`Watermarks::is_exact_now`].
    CountExactly,
    /// Let threads use them, and call [`Watermarks::is_by_blocks_now`].
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

    /// The count. AcqRel: pairs with itself in the threads that change it (see the module's text).
    fn count(&self) -> usize {
        self.count.fetch_add(0, AcqRel)
    }

    /// Counts bytes that left the depot or the slabs. AcqRel: pairs with `count`. The thread calls
    /// [`check`](Self::check) when it is outside of all gates.
    #[inline]
    pub(crate) fn add(&self, bytes: usize) {
        self.count.fetch_add(bytes, AcqRel);
    }

    /// The same for bytes that came back.
    #[inline]
    pub(crate) fn subtract(&self, bytes: usize) {
        self.count.fetch_sub(bytes, AcqRel);
    }

    /// Compares the count with the marks after it has grown. May wake waiters.
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
            // The thread that changes it compares afterwards.
            Err(_) => None,
        }
    }

    /// The magazines are empty, and slots bypass them. May wake waiters.
    pub(crate) fn is_exact_now(&self) {
        let stay = self.stay.load(Relaxed);
        self.stay_left.store(stay, Relaxed);
        self.stay.store((2 * stay).min(MAX_STAY), Relaxed);
        self.counting.swap(EXACT, AcqRel);
        self.raise();
        // Set by a thread that compared what magazines held, which were emptied meanwhile.
        self.check_low(self.count());
    }

    /// Slots do not bypass the magazines any more.
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
        // It was not the magazines.
        self.stay.store(STAY, Relaxed);
        self.over.swap(true, AcqRel);
        self.check_low(self.count());
    }

    /// Counts a buffer's bytes that are live no more, past the magazines. May wake waiters.
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

    /// Ends "over", and wakes the waiters. Of several threads that come here at once one does it.
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
        // Wakers run code of others: not under the lock.
        for waiter in woken {
            waiter.wake.wake();
        }
        // Raised again meanwhile, by a thread that saw "over" still set.
        if self.count() >= self.levels.high {
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
        let waiters = lock_with_room(&self.watermarks.waiters, |waiters| &mut waiters.list);
        let mut waiters = waiters.ok_or(AllocFailure::System)?;
        // Under the lock: a drain that we do not see here finds us in the list.
        if self.watermarks.drains.load(Relaxed) != self.drains {
            // Dropped without the lock: that runs foreign code.
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
