//! Runs a program on several threads and recounts whenever all of them pause.

use crate::harness::{PoolUnderTest, Sums, build_pools, check_apart};
use crate::model_buffer::ModelBuffer;
use crate::oracle::PoolOracle;
use crate::program::{Change, Length, Make, Step, ThreadStep, ThreadsProgram};
use crate::settings::Settings;
use slabuf::Pool;
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;

/// Maximum number of live buffers of a thread.
const MAX_BUFFERS: usize = 24;
/// The longest buffer in bytes; longer requests get a small length.
const MAX_LEN: usize = 1 << 20;

/// The state that the threads share.
struct Floor {
    pools: Vec<PoolUnderTest>,
    /// Each thread's buffers while it pauses, and the buffers sent to it.
    lockers: Vec<Mutex<Locker>>,
    /// Passed by all threads before and after each recount.
    barrier: Barrier,
}

#[derive(Default)]
struct Locker {
    paused: Vec<ModelBuffer>,
    inbox: Vec<ModelBuffer>,
}

impl Locker {
    fn buffers(&self) -> impl Iterator<Item = &ModelBuffer> {
        self.paused.iter().chain(&self.inbox)
    }
}

/// One of the threads.
struct Worker<'a> {
    floor: &'a Floor,
    number: usize,
    handles: Vec<Option<Pool>>,
    buffers: Vec<ModelBuffer>,
    turn: u8,
}

/// Runs a program to its end.
pub fn run(program: &ThreadsProgram) {
    let settings: Vec<Settings> = program
        .pools
        .iter()
        .map(|(settings, _)| *settings)
        .collect();
    let mut pools = build_pools(&settings, false);
    let count = program.threads.len();
    let handles: Vec<Vec<_>> = (0..count)
        .map(|_| pools.iter().map(|pool| pool.handle().cloned()).collect())
        .collect();
    // If the main thread keeps no handle, the pool is closed when the threads have dropped theirs.
    for (pool, (_, kept)) in pools.iter_mut().zip(&program.pools) {
        if !kept {
            pool.handles.clear();
        }
    }
    let floor = Floor {
        pools,
        lockers: (0..count).map(|_| Mutex::default()).collect(),
        barrier: Barrier::new(count + 1),
    };
    let rounds = program.threads[0].len();
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for (number, (steps, handles)) in program.threads.iter().zip(handles).enumerate() {
            let worker = Worker {
                floor: &floor,
                number,
                handles,
                buffers: Vec::new(),
                turn: number as u8 * 101,
            };
            threads.push(scope.spawn(move || worker.run(steps)));
        }
        for _ in 0..rounds {
            floor.barrier.wait();
            floor.recount();
            floor.barrier.wait();
        }
        // Joined one by one, because the end of a scope does not wait for thread-local destructors.
        for thread in threads {
            thread.join().expect("no worker panics");
        }
    });
    floor.end();
}

fn open(locker: &Mutex<Locker>) -> std::sync::MutexGuard<'_, Locker> {
    locker.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Floor {
    /// Checks the pools while all threads pause, with their buffers in their lockers.
    fn recount(&self) {
        let lockers: Vec<_> = self.lockers.iter().map(open).collect();
        let buffers = || lockers.iter().flat_map(|locker| locker.buffers());
        for pool in &self.pools {
            let mut sums = Sums::default();
            sums.add(&pool.oracle, buffers());
            if pool.handle().is_some() {
                pool.check(&sums);
            } else {
                // A thread may still have a handle, so the pool may keep memory.
                pool.check_bounds();
            }
        }
        buffers().for_each(ModelBuffer::verify);
        check_apart(buffers().map(|buffer| buffer.extent).collect());
    }

    /// Checks after the threads have ended that only memory of live buffers is left.
    fn end(self) {
        let buffers = |locker: Mutex<Locker>| {
            let Locker { paused, inbox } =
                locker.into_inner().unwrap_or_else(PoisonError::into_inner);
            paused.into_iter().chain(inbox)
        };
        let buffers: Vec<ModelBuffer> = self.lockers.into_iter().flat_map(buffers).collect();
        buffers.iter().for_each(ModelBuffer::verify);
        for pool in &self.pools {
            let mut sums = Sums::default();
            sums.add(&pool.oracle, &buffers);
            pool.check(&sums);
            pool.trim(&sums);
        }
        drop(buffers);
        self.pools.into_iter().for_each(PoolUnderTest::end);
    }
}

impl Worker<'_> {
    fn run(mut self, rounds: &[Vec<ThreadStep>]) {
        for steps in rounds {
            for step in steps {
                self.turn = self.turn.wrapping_add(37);
                match step {
                    ThreadStep::Own(step) => self.step(*step),
                    ThreadStep::Send(buffer, to) => self.send(*buffer, *to),
                    ThreadStep::Receive => self.receive(),
                }
            }
            open(&self.floor.lockers[self.number]).paused = std::mem::take(&mut self.buffers);
            self.floor.barrier.wait();
            self.floor.barrier.wait();
            self.buffers = std::mem::take(&mut open(&self.floor.lockers[self.number]).paused);
        }
        // Every second thread ends with its buffers dropped; the others leave them to the main
        // thread.
        if self.number % 2 == 1 {
            open(&self.floor.lockers[self.number]).paused = self.buffers;
        }
    }

    fn pool_of(&self, number: u8) -> usize {
        usize::from(number) % self.handles.len()
    }

    fn pick(&mut self, buffer: u8) -> Option<ModelBuffer> {
        let at = usize::from(buffer).checked_rem(self.buffers.len())?;
        let buffer = self.buffers.swap_remove(at);
        buffer.verify();
        Some(buffer)
    }

    fn send(&mut self, buffer: u8, to: u8) {
        let Some(buffer) = self.pick(buffer) else {
            return;
        };
        let to = usize::from(to) % self.floor.lockers.len();
        open(&self.floor.lockers[to]).inbox.push(buffer);
    }

    fn receive(&mut self) {
        let sent = std::mem::take(&mut open(&self.floor.lockers[self.number]).inbox);
        sent.iter().for_each(ModelBuffer::verify);
        self.buffers.extend(sent);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Take {
                pool,
                make,
                len,
                peek,
            } => self.take(self.pool_of(pool), make, len, peek),
            Step::Change(buffer, change) => self.change(buffer, change),
            Step::Clone(buffer) => self.clone_buffer(buffer),
            Step::Drop(buffer) => drop(self.pick(buffer)),
            Step::DropMany(from, count) => {
                for _ in 0..count % 16 {
                    drop(self.pick(from));
                }
            }
            // Starting a thread is too slow here; sending has the same effect.
            Step::DropElsewhere(buffer) => self.send(buffer, self.number as u8 + 1),
            Step::Trim(pool) => {
                if let Some(pool) = &self.handles[self.pool_of(pool)] {
                    pool.trim();
                }
            }
            Step::Wait(pool, ms) => {
                if let Some(fake) = self.floor.pools[self.pool_of(pool)].fake {
                    fake.advance_ms(u64::from(ms));
                }
            }
            Step::CheckAll => self.buffers.iter().for_each(ModelBuffer::verify),
            Step::CloneHandle(pool) => drop(self.handles[self.pool_of(pool)].clone()),
            Step::DropHandle(pool) => {
                let pool = self.pool_of(pool);
                self.handles[pool] = None;
            }
            Step::TakeTooMuch(pool, _) => {
                if let Some(pool) = &self.handles[self.pool_of(pool)] {
                    assert!(pool.try_alloc(usize::MAX).is_err());
                }
            }
            Step::Refuse(..) | Step::Heal(_) => unreachable!("not a step of a thread"),
        }
        self.floor
            .pools
            .iter()
            .for_each(PoolUnderTest::check_bounds);
    }

    fn oracle(&self, pool: usize) -> PoolOracle {
        self.floor.pools[pool].oracle
    }

    fn take(&mut self, pool: usize, make: Make, len: Length, peek: bool) {
        if self.buffers.len() >= MAX_BUFFERS {
            self.buffers
                .swap_remove(usize::from(self.turn) % MAX_BUFFERS);
        }
        let make = match make {
            Make::ConcatToLen(to) => Make::ConcatToLen(cut(to)),
            other => other,
        };
        let oracle = self.oracle(pool);
        let Some(handle) = &self.handles[pool] else {
            return;
        };
        match ModelBuffer::take(handle, oracle, make, cut(len).0, self.turn) {
            Ok(mut buffer) => {
                if peek {
                    buffer.peek();
                }
                self.buffers.push(buffer);
            }
            Err(refusal) => self.floor.pools[pool].judge(&refusal, false),
        }
    }

    fn change(&mut self, buffer: u8, change: Change) {
        let Some(at) = usize::from(buffer).checked_rem(self.buffers.len()) else {
            return;
        };
        let change = match change {
            Change::Grow(n) => Change::Grow(cut(n)),
            Change::Resize(n, byte) => Change::Resize(cut(n), byte),
            Change::Reserve(n) => Change::Reserve(cut(n)),
            Change::Append(n) => Change::Append(cut(n)),
            // Works byte by byte, which is slow.
            Change::AppendEach(n) => Change::AppendEach(Length(n.0 % 5000)),
            Change::Print(n) => Change::Print(cut(n)),
            other => other,
        };
        let oracle = self.buffers[at].oracle;
        if let Err(refusal) = self.buffers[at].change(change, self.turn) {
            self.floor.pools[oracle.number].judge(&refusal, false);
        }
        if self.buffers[at].is_gone() {
            self.buffers.swap_remove(at);
        }
    }

    fn clone_buffer(&mut self, buffer: u8) {
        let at = usize::from(buffer).checked_rem(self.buffers.len());
        let Some(at) = at.filter(|_| self.buffers.len() < MAX_BUFFERS) else {
            return;
        };
        match self.buffers[at].try_clone() {
            Ok(copy) => self.buffers.extend(copy),
            Err(refusal) => self.floor.pools[self.buffers[at].oracle.number].judge(&refusal, false),
        }
    }
}

fn cut(len: Length) -> Length {
    if len.0 > MAX_LEN {
        Length(len.0 % 4096)
    } else {
        len
    }
}
