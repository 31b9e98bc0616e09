//! Models of the wait queue and of the watermarks, without a pool.

use super::model;
use crate::config::Levels;
use crate::error::AllocFailure;
use crate::pressure::wait_queue::{Line, WaitQueue};
use crate::pressure::wake::Wake;
use crate::pressure::watermark::{Change, Watermarks};
use loom::thread;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A number of units of memory, to test the queue alone.
struct Permits(loom::sync::atomic::AtomicUsize);

impl Permits {
    fn take(&self) -> Result<usize, AllocFailure> {
        use loom::sync::atomic::Ordering::Relaxed;
        self.0
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
            .map_err(|_| AllocFailure::Limit)
    }

    fn give(&self, line: Line<'_>) {
        self.0.fetch_add(1, loom::sync::atomic::Ordering::Relaxed);
        line.notify();
    }
}

/// The queue of a single pool.
struct OfPool {
    queue: WaitQueue,
    waiting: loom::sync::atomic::AtomicUsize,
}

impl OfPool {
    fn line(&self) -> Line<'_> {
        Line {
            queue: &self.queue,
            pool: 1,
            waiting: &self.waiting,
        }
    }
}

type Shared = loom::sync::Arc<(OfPool, Permits)>;

fn shared(permits: usize) -> Shared {
    let queue = WaitQueue::new(false);
    let waiting = loom::sync::atomic::AtomicUsize::new(0);
    Shared::new((OfPool { queue, waiting }, Permits(permits.into())))
}

#[test]
fn loom_two_wait_and_each_is_woken() {
    model(|| {
        let shared = shared(0);
        let waiters = [0; 2].map(|_| {
            let shared = shared.clone();
            thread::spawn(move || shared.0.line().wait(None, || shared.1.take()).unwrap())
        });
        for _ in 0..2 {
            shared.1.give(shared.0.line());
        }
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert!(shared.0.line().is_empty());
    });
}

#[test]
fn loom_an_abandoned_wait_passes_its_wake_up_on() {
    model(|| {
        let shared = shared(0);
        let first = shared.0.line().join().unwrap();
        let second = {
            let shared = shared.clone();
            thread::spawn(move || shared.0.line().wait(None, || shared.1.take()).unwrap())
        };
        let giver = {
            let shared = shared.clone();
            thread::spawn(move || shared.1.give(shared.0.line()))
        };
        // The first waiter registers, and gives up. The other waiter is woken whether the first was
        // or not.
        assert!(first.may_try(Wake::this_thread()).is_some());
        drop(first);
        second.join().unwrap();
        giver.join().unwrap();
        assert!(shared.0.line().is_empty());
    });
}

#[test]
fn loom_no_waiter_overtakes_another() {
    model(|| {
        let shared = shared(1);
        let first = shared.0.line().join().unwrap();
        let served = loom::sync::Arc::new(AtomicUsize::new(0));
        let second = {
            let (shared, served) = (shared.clone(), served.clone());
            thread::spawn(move || {
                shared.0.line().wait(None, || shared.1.take()).unwrap();
                assert_eq!(served.load(Relaxed), 1, "served before the first");
            })
        };
        // A unit is free all the time, and the second waiter does not use it.
        thread::yield_now();
        assert!(first.may_try(Wake::this_thread()).is_some());
        shared.1.take().unwrap();
        served.store(1, Relaxed);
        drop(first);
        shared.1.give(shared.0.line());
        second.join().unwrap();
    });
}

/// Carries out a change of counting, for a pool whose magazines are always empty.
fn follow(watermarks: &Watermarks, mut change: Option<Change>) {
    while let Some(next) = change {
        change = match next {
            Change::CountExactly => {
                watermarks.is_exact_now();
                None
            }
            Change::CountBlocks => watermarks.is_by_blocks_now(),
        };
    }
}

fn alloc(watermarks: &Watermarks, bytes: usize) {
    watermarks.add(bytes);
    follow(watermarks, watermarks.check());
}

fn free(watermarks: &Watermarks) {
    follow(watermarks, watermarks.free(1));
}

#[test]
fn loom_marks_end_as_the_buffers_do() {
    model(|| {
        let watermarks = loom::sync::Arc::new(Watermarks::new(Levels { high: 2, low: 0 }));
        let counting = [0; 2].map(|_| {
            let watermarks = watermarks.clone();
            thread::spawn(move || {
                alloc(&watermarks, 1);
                free(&watermarks);
            })
        });
        assert!(watermarks.wait(None));
        for thread in counting {
            thread.join().unwrap();
        }
        assert!(!watermarks.is_over(), "nothing is live");
    });
}

#[test]
fn loom_marks_end_when_a_buffer_goes_as_soon_as_it_came() {
    model(|| {
        let watermarks = loom::sync::Arc::new(Watermarks::new(Levels { high: 1, low: 0 }));
        let drops = {
            let watermarks = watermarks.clone();
            // The free may be counted before the allocation: the counter wraps until both are done.
            thread::spawn(move || free(&watermarks))
        };
        alloc(&watermarks, 1);
        drops.join().unwrap();
        assert!(!watermarks.is_over(), "nothing is live");
    });
}

#[test]
fn loom_marks_end_over_when_the_buffers_stay() {
    model(|| {
        let watermarks = loom::sync::Arc::new(Watermarks::new(Levels { high: 2, low: 1 }));
        alloc(&watermarks, 2);
        let drops = {
            let watermarks = watermarks.clone();
            thread::spawn(move || free(&watermarks))
        };
        alloc(&watermarks, 1);
        drops.join().unwrap();
        assert!(watermarks.is_over(), "two are live");
    });
}

#[test]
fn loom_a_drain_wakes_the_waiter() {
    model(|| {
        let watermarks = loom::sync::Arc::new(Watermarks::new(Levels { high: 2, low: 1 }));
        alloc(&watermarks, 2);
        let watch = watermarks.watch().suspend();
        let waits = {
            let watermarks = watermarks.clone();
            thread::spawn(move || {
                let watch = watermarks.resume(watch);
                while !watch.is_drained(Wake::this_thread()).unwrap() {
                    crate::sync::model_thread::park();
                }
            })
        };
        free(&watermarks);
        // The next allocation ends the drained state at once; the waiter sees the drain all the
        // same.
        alloc(&watermarks, 1);
        waits.join().unwrap();
        assert!(watermarks.is_over());
    });
}

/// The pool counts exactly already, so no change of counting looks again.
#[test]
fn loom_marks_end_while_counting_is_exact() {
    model(|| {
        let watermarks = loom::sync::Arc::new(Watermarks::new(Levels { high: 2, low: 1 }));
        alloc(&watermarks, 2);
        free(&watermarks);
        assert!(!watermarks.is_over());
        let drops = {
            let watermarks = watermarks.clone();
            thread::spawn(move || free(&watermarks))
        };
        alloc(&watermarks, 1);
        drops.join().unwrap();
        assert!(!watermarks.is_over(), "one is live");
    });
}
