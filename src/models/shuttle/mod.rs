//! Models of larger programs, in random orders chosen by shuttle: three or four threads with thread
//! caches of their own, pools of the real sizes, and the public interface.
//!
//! Shuttle finds a deadlock if all threads sleep. No waiter of these models keeps what another
//! waits for, so a deadlock is a waiter that sleeps although memory is available. Shuttle gives
//! each atomic access a sequentially consistent order; orderings are for loom.

use crate::Buffer;
use crate::Pool;
use crate::PoolBuilder;
use crate::SlabState;
use crate::inner::{PoolInner, registry};
use crate::os::fake::{Call, FakeOs, Fault};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::PctScheduler;
use shuttle::{Config, Runner, thread};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

mod closing;
mod refusals;
mod waiting;

const KIB: usize = 1 << 10;
/// Longer than any model: time does not advance.
const LONG: Duration = Duration::from_secs(1 << 20);
/// Requested lengths of a pool with slabs of 4 KiB: slots, slots of spans, mappings.
const LENGTHS: [usize; 5] = [40, 1000, 2500, 9 * KIB, 20 * KIB];

/// Runs a model in random orders with at most three preemptions. `SHUTTLE_ORDERS` is their number.
/// If `SHUTTLE_REPLAY` names a file with an order that failed, only that order runs.
fn model(body: impl Fn() + Send + Sync + 'static) {
    if let Ok(path) = std::env::var("SHUTTLE_REPLAY") {
        return shuttle::replay_from_file(body, path);
    }
    let orders = std::env::var("SHUTTLE_ORDERS").map_or(1000, |orders| orders.parse().unwrap());
    let mut config = Config::new();
    config.silence_warnings = true;
    config.stack_size = 1 << 18;
    Runner::new(PctScheduler::new(4, orders), config).run(body);
}

fn any<T: Copy>(choices: &[T]) -> T {
    choices[thread_rng().gen_range(0..choices.len())]
}

/// A pool on a simulated system.
#[derive(Clone)]
struct Rig {
    fake: &'static FakeOs,
    pool: Pool,
}

impl Rig {
    fn new(change: impl FnOnce(PoolBuilder) -> PoolBuilder) -> Self {
        let fake = FakeOs::leaked();
        let builder = Pool::builder().fake_os(fake).slab_size(4096);
        let pool = change(builder).build().unwrap();
        Self { fake, pool }
    }

    /// Runs `body` on a new thread.
    fn spawn<T: Send + 'static>(
        &self,
        body: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let rig = self.clone();
        thread::spawn(move || body(&rig))
    }

    /// Asserts that the counters equal a recount, that all memory is released, and that the pool is
    /// freed. The caller has the last handle, and no buffer.
    fn finish(self) {
        self.fake.set_fault(None);
        let usage = self.pool.usage();
        assert_eq!((usage.in_use, usage.large_live), (0, 0));
        let snapshot = self.pool.snapshot();
        let regions = snapshot.regions.iter().map(|region| region.bytes);
        let mappings = snapshot.mappings.iter().map(|mapping| mapping.bytes);
        let stranded = PoolInner::of(self.pool.inner()).mapper.stranded_bytes();
        let sum = regions.chain(mappings).sum::<usize>() + stranded;
        assert_eq!(sum, self.fake.mapped());
        assert_eq!(usage.external, self.fake.mapped() as u64);
        assert_eq!(snapshot.slabs_in(SlabState::Empty), usage.slabs_empty);
        assert_eq!(snapshot.slabs_in(SlabState::Full), usage.slabs_full);
        self.pool.trim();
        let usage = self.pool.usage();
        assert_eq!(
            (usage.external, usage.array_buffers, usage.waiters),
            (0, 0, 0)
        );
        let fake = self.fake;
        drop(self);
        assert_gone(fake);
    }
}

fn assert_gone(fake: &FakeOs) {
    assert_eq!(fake.mapped(), 0);
    let pools = registry::pools().iter().count();
    assert_eq!(pools, 0, "the pool was not freed");
}

/// A waker that uses the pool before it wakes its thread.
struct Reentrant {
    rig: Rig,
    thread: thread::Thread,
}

impl Wake for Reentrant {
    fn wake(self: Arc<Self>) {
        match any(&[0, 1, 2]) {
            0 => drop(self.rig.pool.try_alloc_unsafe(any(&LENGTHS))),
            1 => drop(self.rig.pool.trim()),
            _ => (),
        }
        self.thread.unpark();
    }
}

/// Waits for a buffer as a task does. Gives up after `polls` polls.
fn wait_as_task(rig: &Rig, len: usize, polls: usize) -> Option<Buffer> {
    let waker = Waker::from(Arc::new(Reentrant {
        rig: rig.clone(),
        thread: thread::current(),
    }));
    let mut future = pin!(rig.pool.alloc_async(len));
    for _ in 0..polls {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(buffer) => return buffer.ok(),
            Poll::Pending => thread::park(),
        }
    }
    None
}
