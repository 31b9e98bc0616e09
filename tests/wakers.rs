//! Wakers are foreign code, called where memory is freed: they may panic, allocate and free buffers
//! of the same pool, and drop the pool.

mod common;

use common::MIB;
use common::child::isolated;
use slabuf::{AllocFuture, Drained, Pool, memory_usage};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

fn pool() -> Pool {
    Pool::builder().limit(MIB).build().unwrap()
}

fn assert_pending<F: Future>(future: Pin<&mut F>, wake: Arc<impl Wake + Send + Sync + 'static>) {
    let waker = Waker::from(wake);
    assert!(future.poll(&mut Context::from_waker(&waker)).is_pending());
}

/// Drops its value and overwrites heap memory that this frees.
struct Drops<T>(Mutex<Option<T>>);

impl<T: Send> Wake for Drops<T> {
    fn wake(self: Arc<Self>) {
        if let Some(what) = self.0.lock().unwrap().take() {
            drop(what);
            let over: Vec<Vec<u8>> = (1..256).map(|n| vec![0xff; 64 * n]).collect();
            assert!(over.iter().flatten().all(|byte| *byte == 0xff));
        }
    }
}

#[test]
fn a_waker_may_drop_the_last_handle() {
    for len in [64, 5000, 100_000] {
        let pool = pool();
        let held = pool.alloc(len);
        let wake = Arc::new(Drops(Mutex::new(None)));
        let mut all: Pin<Box<AllocFuture>> = Box::pin(pool.alloc_async(MIB));
        assert_pending(all.as_mut(), wake.clone());
        *wake.0.lock().unwrap() = Some(all);
        drop(pool);
        drop(held);
        assert!(wake.0.lock().unwrap().is_none(), "no waiter was woken");
    }
}

#[test]
fn a_waker_of_a_drain_may_drop_the_last_handle() {
    for len in [64, 5000, 100_000] {
        let pool = Pool::builder().high_water_mark(64).build().unwrap();
        let held = pool.alloc(len);
        let wake = Arc::new(Drops(Mutex::new(None)));
        let mut drained: Pin<Box<Drained>> = Box::pin(pool.drained());
        assert_pending(drained.as_mut(), wake.clone());
        *wake.0.lock().unwrap() = Some(drained);
        drop(pool);
        drop(held);
        assert!(wake.0.lock().unwrap().is_none(), "no waiter was woken");
    }
}

#[derive(Default)]
struct Panics(AtomicUsize);

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
        // Without the panic hook, whose message would only distract.
        std::panic::resume_unwind(Box::new("a waker's"));
    }
}

/// Drops a buffer that four such wakers wait for: the drop does not unwind, and wakes them all.
fn panics_end_in_the_drop<W: Wake + Send + Sync + 'static>(waker: Arc<W>, wakes: &AtomicUsize) {
    let builder = Pool::builder().limit(MIB).high_water_mark(500_000);
    let pool = builder.build().unwrap();
    let held = pool.alloc(600_000);
    let mut drained = [0; 3].map(|_| Box::pin(pool.drained()));
    for future in &mut drained {
        assert_pending(future.as_mut(), waker.clone());
    }
    let mut all = Box::pin(pool.alloc_async(MIB));
    assert_pending(all.as_mut(), waker);
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(held)));
    if let Err(payload) = dropped {
        // Its destructor may panic too.
        std::mem::forget(payload);
        panic!("a buffer's destructor panicked");
    }
    assert_eq!(wakes.load(SeqCst), 4, "a waiter was not woken");
    drop(all);
    assert!(!pool.is_over_high_water());
    drop(pool.alloc(100));
    pool.trim();
    assert_eq!(pool.usage().external, 0);
}

#[test]
fn a_waker_that_panics_has_no_effect() {
    let panics = Arc::new(Panics::default());
    panics_end_in_the_drop(panics.clone(), &panics.0);
}

/// Panics with a payload that panics when it is dropped.
#[derive(Default)]
struct PanicsTwice(AtomicUsize);

struct Payload;

impl Drop for Payload {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new("a payload's"));
    }
}

impl Wake for PanicsTwice {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
        std::panic::resume_unwind(Box::new(Payload));
    }
}

/// The drop leaves the thread as it was: the caches of pools that are dropped later are freed.
#[test]
fn a_panic_whose_payload_panics_stays_in_the_waker() {
    isolated("a_panic_whose_payload_panics_stays_in_the_waker", || {
        let panics = Arc::new(PanicsTwice::default());
        panics_end_in_the_drop(panics.clone(), &panics.0);
        let use_pools = || {
            for _ in 0..100 {
                let pool = Pool::builder().limit(8 * MIB).build().unwrap();
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
