//! Faults at a chosen moment, and what must happen then.

use super::KIB;
use crate::Pool;
use crate::os::fake::{Call, FakeOs, Fault};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

/// Refuses each call of a kind, from now on.
fn refuse(fake: &FakeOs, call: Call) {
    fake.set_fault(Some(Fault {
        call: Some(call),
        first: 0,
        count: u64::MAX,
    }));
}

/// From 32 MiB on, zeros come from a purge. If that is refused they come from a memset.
#[test]
fn zeros_without_a_purge() {
    let fake = FakeOs::leaked();
    let pool = Pool::builder().fake_os(fake).build().unwrap();
    let len = 32 << 20;
    for first in [0, u64::MAX] {
        drop(pool.alloc_filled(len, [7]));
        fake.set_fault(Some(Fault {
            call: Some(Call::Purge),
            first,
            count: 1,
        }));
        assert_eq!(pool.usage().large_cached, len as u64);
        assert!(pool.alloc(len) == vec![0; len]);
        assert_eq!(fake.calls(), 1, "no purge was tried");
    }
    drop(pool);
    assert_eq!(fake.mapped(), 0);
}

/// An allocation without its guard fails, also if its mapping cannot be unmapped and is kept for
/// later.
#[test]
fn no_buffer_goes_without_its_guard() {
    let fake = FakeOs::leaked();
    let builder = Pool::builder().fake_os(fake).guard_pages(true);
    let pool = builder.build().unwrap();
    for len in [0, 100 * KIB] {
        // The system maps, and refuses all other calls.
        fake.set_fault(Some(Fault {
            call: None,
            first: 1,
            count: u64::MAX,
        }));
        for _ in 0..3 {
            assert!(pool.try_alloc_unsafe_slow(len).is_err());
        }
        assert!(fake.calls() > 3 && fake.mapped() > 0);
        fake.set_fault(None);
        assert_eq!(pool.usage().external, fake.mapped() as u64);
        assert_eq!(pool.alloc_unsafe_slow(len).len(), len);
        pool.trim();
        assert_eq!(fake.mapped(), 0);
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Each attempt of a waiter releases the caches. If that frees nothing, the waiter does not wake
/// itself to try again.
#[test]
fn a_waiter_sleeps_though_nothing_can_be_unmapped() {
    let fake = FakeOs::leaked();
    let pool = Pool::builder()
        .fake_os(fake)
        .limit(1 << 20)
        .build()
        .unwrap();
    let held = pool.alloc(600 * KIB);
    drop([pool.alloc(100 * KIB), pool.alloc(5000)]);
    refuse(fake, Call::Unmap);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let context = &mut Context::from_waker(&waker);
    let mut waits = pin!(pool.alloc_async(700 * KIB));
    for _ in 0..10 {
        assert!(waits.as_mut().poll(context).is_pending());
    }
    assert!(wakes.0.load(Relaxed) <= 2, "woken by itself each time");
    fake.set_fault(None);
    drop(held);
    assert!(waits.as_mut().poll(context).is_ready());
}

/// The system refuses once to unmap what a waiter needs, and the mapping is kept. The waiter's next
/// attempt releases it again, because no other thread will.
#[test]
fn a_waiter_tries_again_after_a_mapping_was_kept() {
    let fake = FakeOs::leaked();
    let builder = Pool::builder().fake_os(fake).limit(1 << 20);
    let pool = builder.build().unwrap();
    drop(pool.alloc(600 * KIB));
    fake.set_fault(Some(Fault {
        call: Some(Call::Unmap),
        first: 0,
        count: 1,
    }));
    // The first attempt is made outside of the queue, the second one in it.
    let context = &mut Context::from_waker(Waker::noop());
    let mut waits = pin!(pool.alloc_async(700 * KIB));
    assert!(waits.as_mut().poll(context).is_ready());
}

/// A request releases an empty region, which the system refuses to unmap. A waiter that tries in
/// between finds no memory, and is woken when the region is in the list again, or it waits for its
/// turn and finds the region.
#[test]
fn a_waiter_is_woken_by_a_region_that_cannot_be_unmapped() {
    let fake = FakeOs::leaked();
    let pool = Pool::builder().fake_os(fake).limit(64 * KIB).build();
    let pool = pool.unwrap();
    // The pool has one region, which is empty, and no room for another.
    drop(pool.alloc(100));
    let held = pool.alloc(64 * KIB - fake.mapped());
    refuse(fake, Call::Unmap);
    // The slot returns to its slab, and the slab to its region.
    assert!(pool.try_alloc(32 * KIB).is_err());
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let waits = Arc::new(Mutex::new(Box::pin(pool.alloc_async(100))));
    let poll = move || {
        let mut waits = waits.lock().unwrap();
        waits.as_mut().poll(&mut Context::from_waker(&waker))
    };
    let on_another_thread = poll.clone();
    // A slot was freed since the last request that was refused, so the next request releases the
    // caches.
    drop(pool.alloc(100));
    let (sender, receiver) = std::sync::mpsc::channel();
    fake.before_next(Call::Unmap, move || {
        // The thread is joined later: its attempt waits for the turn of this request.
        sender.send(std::thread::spawn(on_another_thread)).unwrap();
    });
    assert!(pool.try_alloc(32 * KIB).is_err());
    let polled = receiver.recv().unwrap().join().unwrap();
    assert!(polled.is_ready() || (wakes.0.load(Relaxed) == 1 && poll().is_ready()));
    fake.set_fault(None);
    drop(held);
}

/// Memory that the system refuses to unmap while a pool closes is unmapped later.
#[test]
fn a_pool_that_closes_while_the_system_refuses() {
    for (first, pool_goes_last) in [0, 1, 2, 3].map(|n| (n / 2, n % 2 == 1)) {
        let fake = FakeOs::leaked();
        let builder = Pool::builder().fake_os(fake).slab_size(4096);
        let pool = builder.limit(8 << 20).build().unwrap();
        let live = [pool.alloc(100), pool.alloc(100 * KIB)];
        drop([pool.alloc(1000), pool.alloc(50 * KIB)]);
        fake.set_fault(Some(Fault {
            call: Some(Call::Unmap),
            first,
            count: 1,
        }));
        if pool_goes_last {
            drop(live);
            drop(pool);
        } else {
            drop(pool);
            drop(live);
        }
        assert_eq!(fake.mapped(), 0, "{first}, {pool_goes_last}");
    }
}

/// Each refusal of the system releases the caches, also after one that was of no use.
#[test]
fn caches_are_released_at_each_refusal() {
    let fake = FakeOs::leaked();
    let pool = Pool::builder().fake_os(fake).build().unwrap();
    for round in 0..3 {
        drop(pool.alloc(KIB << 10));
        assert!(fake.mapped() > 0, "round {round}: nothing is cached");
        refuse(fake, Call::Map);
        assert!(pool.try_alloc(KIB << 11).is_err());
        assert_eq!(fake.mapped(), 0, "round {round}");
        fake.set_fault(None);
    }
}
