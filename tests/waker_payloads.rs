//! Wakers that panic with values whose destructors panic too.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Wake, Waker};

use slabuf::{Pool, memory_usage};

mod common;

use common::MIB;
use common::child::isolated;

/// A panic's value, whose destructor unwinds unless the thread does so already.
struct Payload;

impl Drop for Payload {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let message: Box<dyn Any + Send> = Box::new("the payload's destructor");
            resume_unwind(message);
        }
    }
}

/// Counts, and unwinds with a [`Payload`].
#[derive(Default)]
struct Unwinds(AtomicUsize);

impl Wake for Unwinds {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
        resume_unwind(Box::new(Payload));
    }
}

/// A drop that wakes such a waker does not unwind, wakes all others, and leaves the thread as it
/// was: the caches of pools that are dropped later are freed.
#[test]
fn a_payload_that_panics_ends_in_the_drop() {
    isolated("a_payload_that_panics_ends_in_the_drop", || {
        let builder = Pool::builder().limit(MIB).high_water_mark(500_000);
        let pool = builder.build().expect("valid settings");
        let unwinds = Arc::new(Unwinds::default());
        let waker = Waker::from(unwinds.clone());
        let mut context = Context::from_waker(&waker);
        let held = pool.alloc(600_000);
        let mut drained = [(); 3].map(|()| Box::pin(pool.drained()));
        for future in &mut drained {
            assert!(future.as_mut().poll(&mut context).is_pending());
        }
        let mut all = Box::pin(pool.alloc_async(MIB));
        assert!(all.as_mut().poll(&mut context).is_pending());
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(held)));
        // Not dropped: that would unwind here.
        let dropped = dropped.map_err(std::mem::forget);
        assert!(dropped.is_ok(), "a buffer's destructor panicked");
        assert_eq!(unwinds.0.load(SeqCst), 4, "a waiter was not woken");
        drop(all);
        pool.trim();
        assert_eq!(pool.usage().external, 0);

        let use_pools = || {
            for _ in 0..100 {
                let pool = Pool::builder().limit(8 * MIB).build().expect("valid");
                drop([100, 5_000, 100_000].map(|len| pool.alloc(len)));
            }
            let usage = memory_usage();
            (usage.heap_used, usage.external)
        };
        let (heap, external) = use_pools();
        let (heap_after, external_after) = use_pools();
        assert!(
            heap_after < heap + 64 * 1024,
            "{heap} to {heap_after} bytes"
        );
        assert_eq!(external_after, external);
    });
}
