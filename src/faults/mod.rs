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

mod cases;
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
        let usage = self.pool.usage();
        let nothing = PoolUsage {
            external_peak: usage.external_peak,
            refused: failures as u64,
            ..PoolUsage::default()
        };
        assert_eq!(usage, nothing);
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
