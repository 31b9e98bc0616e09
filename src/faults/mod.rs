//! A fixed workload, run repeatedly, with another call of the system refused each time.
//!
//! Whichever call is refused, a request is served or fails with an error that names the call, no
//! byte is lost, the counters equal a recount, and the pool continues to work.

use crate::AllocError;
use crate::Buffer;
use crate::Pool;
use crate::PoolUsage;
use crate::SlabState;
use crate::inner::PoolInner;
use crate::os::fake::{Call, FakeOs, Fault};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

mod page_sizes;

const KIB: usize = 1 << 10;

/// Each kind of call, and whether a request may fail because of it. A request does not fail because
/// of a call that is advice, has an alternative, or can be repeated later.
const CALLS: [(Option<Call>, bool); 9] = [
    (Some(Call::Map), true),
    (Some(Call::Align), true),
    (Some(Call::Protect), true),
    (Some(Call::Unmap), false),
    (Some(Call::Purge), false),
    (Some(Call::Remap), false),
    (Some(Call::AdviseHuge), false),
    (Some(Call::AdviseSmall), false),
    (None, true),
];

/// A pool on a system that refuses calls, and the live buffers.
struct Workload {
    fake: &'static FakeOs,
    pool: Pool,
    live: Vec<(Buffer, Vec<u8>)>,
    failures: usize,
}

impl Workload {
    fn new(page_size: usize, guard_pages: bool) -> Self {
        let fake = FakeOs::leaked_with_pages(page_size);
        let builder = Pool::builder().fake_os(fake).guard_pages(guard_pages);
        // Small regions, so that there are several.
        let pool = builder.slab_size(4096).limit(8 << 20);
        Self {
            fake,
            pool: pool.cache_limit(256 * KIB).build().unwrap(),
            live: Vec::new(),
            failures: 0,
        }
    }

    /// Asserts that the counters equal a recount.
    fn check(&self) {
        let mut expected = PoolUsage::default();
        for (buffer, _) in &self.live {
            if buffer.is_pooled() {
                expected.in_use += buffer.capacity() as u64;
            } else {
                expected.large_live += buffer.len() as u64;
            }
        }
        let usage = self.pool.usage();
        assert_eq!(usage.large_live, expected.large_live);
        assert_eq!(usage.in_use, expected.in_use + expected.large_live);
        let snapshot = self.pool.snapshot();
        let regions = snapshot.regions.iter().map(|region| region.bytes);
        let mappings = snapshot.mappings.iter().map(|mapping| mapping.bytes);
        let stranded = PoolInner::of(self.pool.inner()).mapper.stranded_bytes();
        let sum = regions.chain(mappings).sum::<usize>() + stranded;
        assert_eq!(sum, self.fake.mapped());
        let live = snapshot.mappings.iter().filter_map(|mapping| mapping.live);
        assert_eq!(live.sum::<usize>() as u64, usage.large_live);
        assert_eq!(snapshot.slabs_in(SlabState::Empty), usage.slabs_empty);
        assert_eq!(snapshot.slabs_in(SlabState::Full), usage.slabs_full);
        assert_eq!(usage.external, self.fake.mapped() as u64);
        let slabs = usage.slabs_partial + usage.slabs_full;
        assert_eq!(usage.array_buffers, 4096 * slabs + usage.large_live);
    }

    fn failed(&mut self, error: &AllocError, requested_len: usize) {
        let AllocError::OutOfMemory { requested, .. } = *error else {
            panic!("{error}")
        };
        assert_eq!(requested, requested_len);
        self.failures += 1;
    }

    fn take(&mut self, len: usize) {
        self.take_unchecked(len);
        self.check();
    }

    fn take_unchecked(&mut self, len: usize) {
        match self.pool.try_alloc(len) {
            Ok(mut buffer) => {
                assert!(buffer == vec![0; len]);
                let bytes = [len as u8 | 1].repeat(len);
                buffer.copy_from_slice(&bytes);
                self.live.push((buffer, bytes));
            }
            Err(error) => self.failed(&error, len),
        }
    }

    fn grow_last(&mut self, len: usize) {
        let Some((mut buffer, mut bytes)) = self.live.pop() else {
            return;
        };
        let outcome = buffer.try_grow(len);
        if outcome.is_ok() {
            let more = len.saturating_sub(bytes.len());
            bytes.extend_from_slice(&vec![0; more]);
        }
        self.live.push((buffer, bytes));
        if let Err(error) = outcome {
            self.failed(&error, len);
        }
        self.check();
    }

    fn drop_all_but_each(&mut self, nth: usize) {
        assert!(self.live.iter().all(|(buffer, bytes)| buffer == bytes));
        let mut number = 0;
        self.live.retain(|_| {
            number += 1;
            number % nth == 0
        });
        self.check();
    }

    /// Makes every kind of call, several times.
    fn run(&mut self) {
        for round in 1..=2 {
            for n in 0..48 {
                self.take(40 + 83 * n);
            }
            for len in [9 * KIB, 40 * KIB, 100 * KIB, round << 20] {
                self.take(len);
            }
            self.drop_all_but_each(3);
            self.pool.trim();
            self.check();
            self.take(10 * KIB);
            // Each length is more than the capacity of the mapping, so that the mapping has to grow
            // each time.
            for len in [60 * KIB, 150 * KIB, 400 * KIB, 900 * KIB] {
                self.grow_last(len);
            }
            if self.fake.page_size() > 4 * KIB {
                // Creates pages with only empty slabs, in regions that stay.
                for _ in 0..72 {
                    self.take_unchecked(4 * KIB);
                }
                self.drop_all_but_each(30);
                self.pool.trim();
            }
            self.drop_all_but_each(5 * round);
        }
    }

    /// Ends the faults, and asserts that the pool works and all memory is released.
    fn end(mut self) {
        self.fake.set_fault(None);
        let failures = self.failures;
        self.take(100);
        self.take(100 * KIB);
        self.grow_last(200 * KIB);
        assert_eq!(self.failures, failures, "refused by a system that is well");
        self.drop_all_but_each(usize::MAX);
        self.pool.trim();
        assert_eq!(self.pool.usage(), PoolUsage::default());
        drop(self.pool);
        assert_eq!(self.fake.mapped(), 0);
    }
}

/// Returns the number of calls of a kind that the workload makes if none is refused.
fn calls_of(call: Option<Call>, page_size: usize, guard_pages: bool) -> u64 {
    let mut workload = Workload::new(page_size, guard_pages);
    let (first, count) = (u64::MAX, 0);
    workload.fake.set_fault(Some(Fault { call, first, count }));
    workload.run();
    assert_eq!(workload.failures, 0);
    let calls = workload.fake.calls();
    workload.end();
    calls
}

fn refuse_each_in_turn(page_size: usize, guard_pages: bool) {
    for (call, may_fail) in CALLS {
        let calls = calls_of(call, page_size, guard_pages);
        // A guarded mapping cannot grow. Mappings have guards only with the setting.
        let unused = [Call::Protect, Call::Remap][usize::from(guard_pages)];
        assert_eq!(calls == 0, call == Some(unused), "{call:?}");
        for first in 0..calls {
            for count in [1, 2, u64::MAX] {
                let mut workload = Workload::new(page_size, guard_pages);
                let fault = Fault { call, first, count };
                println!("pages of {page_size}, guard_pages: {guard_pages}, {fault:?}");
                workload.fake.set_fault(Some(fault));
                workload.run();
                assert!(may_fail || workload.failures == 0);
                let hopeless = first == 0 && count == u64::MAX;
                assert!(!(may_fail && hopeless) || workload.failures > 0);
                workload.end();
            }
        }
    }
}

#[test]
fn each_call_refused_in_turn() {
    refuse_each_in_turn(4 * KIB, false);
}

#[test]
fn each_call_refused_in_turn_with_guard_pages() {
    refuse_each_in_turn(4 * KIB, true);
}

#[test]
fn each_call_refused_in_turn_with_pages_of_16_kib() {
    refuse_each_in_turn(16 * KIB, false);
}

#[test]
fn each_call_refused_in_turn_with_pages_of_64_kib() {
    refuse_each_in_turn(64 * KIB, false);
    refuse_each_in_turn(64 * KIB, true);
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
    fake.set_fault(Some(Fault {
        call: Some(Call::Unmap),
        first: 0,
        count: u64::MAX,
    }));
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
    fake.set_fault(Some(Fault {
        call: Some(Call::Unmap),
        first: 0,
        count: u64::MAX,
    }));
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
        fake.set_fault(Some(Fault {
            call: Some(Call::Map),
            first: 0,
            count: u64::MAX,
        }));
        assert!(pool.try_alloc(KIB << 11).is_err());
        assert_eq!(fake.mapped(), 0, "round {round}");
        fake.set_fault(None);
    }
}
