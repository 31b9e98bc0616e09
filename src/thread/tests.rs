use super::*;
use crate::Pool;
use crate::pressure::wake::Wake;
use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};

/// Allocates and drops a buffer, as a waker and at the end of a thread.
struct Uses(Pool, AtomicUsize);

/// The first ticket of the queue, and the only one in this test.
const TICKET: u64 = 0;

impl Uses {
    fn go(&self) {
        assert_eq!(self.0.alloc(64), [0; 64]);
        self.1.fetch_add(1, Relaxed);
    }
}

impl std::task::Wake for Uses {
    fn wake(self: Arc<Self>) {
        // The queue is empty after this, so magazines are filled again.
        drop(PoolInner::of(self.0.inner()).line().resume(TICKET));
        self.go();
    }
}

struct AtTheEnd(Arc<Uses>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        self.0.go();
    }
}

thread_local! {
    static AT_THE_END: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
}

/// The slots that an ending thread frees wake a waiter. Its waker finds no cache that is about to
/// be freed.
#[test]
fn a_waker_uses_the_pool_while_a_thread_ends() {
    let pool = Pool::builder().limit(1 << 20).build().unwrap();
    let uses = Arc::new(Uses(pool.clone(), AtomicUsize::new(0)));
    let (filled, is_filled) = mpsc::channel();
    let (end, may_end) = mpsc::channel::<()>();
    let ends = {
        let uses = uses.clone();
        std::thread::spawn(move || {
            AT_THE_END.with(|last| *last.borrow_mut() = Some(AtTheEnd(uses.clone())));
            uses.go();
            filled.send(()).unwrap();
            may_end.recv().unwrap();
        })
    };
    is_filled.recv().unwrap();
    // The test joins the queue without an attempt, which would empty the other thread's magazine.
    let turn = PoolInner::of(pool.inner()).line().join().unwrap();
    assert!(turn.may_try(Wake::Task(uses.clone().into())).is_some());
    assert_eq!(turn.suspend(), TICKET);
    end.send(()).unwrap();
    ends.join().unwrap();
    assert_eq!(uses.1.load(Relaxed), 3, "in the thread, woken, at its end");
    pool.trim();
    let usage = pool.usage();
    assert_eq!((usage.in_use, usage.external), (0, 0));
}
