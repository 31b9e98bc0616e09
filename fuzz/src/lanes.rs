//! Runs a program on several threads, and recounts whenever all of them pause.

use crate::facts::PoolFacts;
use crate::item::Item;
use crate::program::{Change, LaneStep, LanesProgram, Length, Make, Step};
use crate::settings::Settings;
use crate::world::{PoolUnderTest, Sums, build_pools, check_apart};
use slabuf::Pool;
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;

/// Live buffers of a thread, at most.
const MAX_ITEMS: usize = 24;
/// The longest buffer, in bytes; longer ones are cut to a small length.
const MAX_LEN: usize = 1 << 20;

/// What the threads share.
struct Floor {
    pools: Vec<PoolUnderTest>,
    /// Each thread's buffers while it pauses, and what was sent to it.
    lockers: Vec<Mutex<Locker>>,
    /// Passed by all threads before and after each recount.
    barrier: Barrier,
}

#[derive(Default)]
struct Locker {
    paused: Vec<Item>,
    inbox: Vec<Item>,
}

impl Locker {
    fn items(&self) -> impl Iterator<Item = &Item> {
        self.paused.iter().chain(&self.inbox)
    }
}

/// One of the threads.
struct Lane<'a> {
    floor: &'a Floor,
    number: usize,
    handles: Vec<Option<Pool>>,
    items: Vec<Item>,
    turn: u8,
}

/// Runs a program to its end.
pub fn run(program: &LanesProgram) {
    let settings: Vec<Settings> = program
        .pools
        .iter()
        .map(|(settings, _)| *settings)
        .collect();
    let mut pools = build_pools(&settings, false);
    let count = program.lanes.len();
    let handles: Vec<Vec<_>> = (0..count)
        .map(|_| pools.iter().map(|pool| pool.handle().cloned()).collect())
        .collect();
    // Where the main thread keeps no handle, the pool ends when the threads have dropped theirs.
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
    let rounds = program.lanes[0].len();
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for (number, (steps, handles)) in program.lanes.iter().zip(handles).enumerate() {
            let lane = Lane {
                floor: &floor,
                number,
                handles,
                items: Vec::new(),
                turn: number as u8 * 101,
            };
            threads.push(scope.spawn(move || lane.run(steps)));
        }
        for _ in 0..rounds {
            floor.barrier.wait();
            floor.recount();
            floor.barrier.wait();
        }
        // Joined one by one: a scope's end does not wait for the threads' destructors.
        for thread in threads {
            thread.join().expect("no lane panics");
        }
    });
    floor.end();
}

fn open(locker: &Mutex<Locker>) -> std::sync::MutexGuard<'_, Locker> {
    locker.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Floor {
    /// All threads pause, with their buffers in their lockers and their magazines full of slots.
    fn recount(&self) {
        let lockers: Vec<_> = self.lockers.iter().map(open).collect();
        let items = || lockers.iter().flat_map(|locker| locker.items());
        for pool in &self.pools {
            let mut sums = Sums::default();
            sums.add(&pool.facts, items());
            if pool.handle().is_some() {
                pool.check(&sums);
            } else {
                // Perhaps a thread has a handle still, so the pool may keep what it likes.
                pool.check_bounds();
            }
        }
        items().for_each(Item::verify);
        check_apart(items().map(|item| item.extent).collect());
    }

    /// The threads are gone and so are their local caches: what is left belongs to live buffers.
    fn end(self) {
        let items = |locker: Mutex<Locker>| {
            let Locker { paused, inbox } =
                locker.into_inner().unwrap_or_else(PoisonError::into_inner);
            paused.into_iter().chain(inbox)
        };
        let items: Vec<Item> = self.lockers.into_iter().flat_map(items).collect();
        items.iter().for_each(Item::verify);
        for pool in &self.pools {
            let mut sums = Sums::default();
            sums.add(&pool.facts, &items);
            pool.check(&sums);
            pool.trim(&sums);
        }
        drop(items);
        self.pools.into_iter().for_each(PoolUnderTest::end);
    }
}

impl Lane<'_> {
    fn run(mut self, rounds: &[Vec<LaneStep>]) {
        for steps in rounds {
            for step in steps {
                self.turn = self.turn.wrapping_add(37);
                match step {
                    LaneStep::Own(step) => self.step(*step),
                    LaneStep::Send(item, to) => self.send(*item, *to),
                    LaneStep::Receive => self.receive(),
                }
            }
            open(&self.floor.lockers[self.number]).paused = std::mem::take(&mut self.items);
            self.floor.barrier.wait();
            self.floor.barrier.wait();
            self.items = std::mem::take(&mut open(&self.floor.lockers[self.number]).paused);
        }
        // Every second thread ends with its buffers dropped; the others leave them to the main thread.
        if self.number % 2 == 1 {
            open(&self.floor.lockers[self.number]).paused = self.items;
        }
    }

    fn pool_of(&self, number: u8) -> usize {
        usize::from(number) % self.handles.len()
    }

    fn pick(&mut self, item: u8) -> Option<Item> {
        let at = usize::from(item).checked_rem(self.items.len())?;
        let item = self.items.swap_remove(at);
        item.verify();
        Some(item)
    }

    fn send(&mut self, item: u8, to: u8) {
        let Some(item) = self.pick(item) else { return };
        let to = usize::from(to) % self.floor.lockers.len();
        open(&self.floor.lockers[to]).inbox.push(item);
    }

    fn receive(&mut self) {
        let sent = std::mem::take(&mut open(&self.floor.lockers[self.number]).inbox);
        sent.iter().for_each(Item::verify);
        self.items.extend(sent);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Take {
                pool,
                make,
                len,
                peek,
            } => self.take(self.pool_of(pool), make, len, peek),
            Step::Change(item, change) => self.change(item, change),
            Step::Clone(item) => self.clone_item(item),
            Step::Drop(item) => drop(self.pick(item)),
            Step::DropMany(from, count) => {
                for _ in 0..count % 16 {
                    drop(self.pick(from));
                }
            }
            // Too slow here; sending does the same.
            Step::DropElsewhere(item) => self.send(item, self.number as u8 + 1),
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
            Step::CheckAll => self.items.iter().for_each(Item::verify),
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

    fn facts(&self, pool: usize) -> PoolFacts {
        self.floor.pools[pool].facts
    }

    fn take(&mut self, pool: usize, make: Make, len: Length, peek: bool) {
        if self.items.len() >= MAX_ITEMS {
            self.items.swap_remove(usize::from(self.turn) % MAX_ITEMS);
        }
        let make = match make {
            Make::ConcatToLen(to) => Make::ConcatToLen(cut(to)),
            other => other,
        };
        let facts = self.facts(pool);
        let Some(handle) = &self.handles[pool] else {
            return;
        };
        match Item::take(handle, facts, make, cut(len).0, self.turn) {
            Ok(mut item) => {
                if peek {
                    item.peek();
                }
                self.items.push(item);
            }
            Err(refusal) => self.floor.pools[pool].judge(&refusal, false),
        }
    }

    fn change(&mut self, item: u8, change: Change) {
        let Some(at) = usize::from(item).checked_rem(self.items.len()) else {
            return;
        };
        let change = match change {
            Change::Grow(n) => Change::Grow(cut(n)),
            Change::Resize(n, byte) => Change::Resize(cut(n), byte),
            Change::Reserve(n) => Change::Reserve(cut(n)),
            Change::Append(n) => Change::Append(cut(n)),
            // Byte by byte, and slow.
            Change::AppendEach(n) => Change::AppendEach(Length(n.0 % 5000)),
            Change::Print(n) => Change::Print(cut(n)),
            other => other,
        };
        let facts = self.items[at].facts;
        if let Err(refusal) = self.items[at].change(change, self.turn) {
            self.floor.pools[facts.number].judge(&refusal, false);
        }
        if self.items[at].is_gone() {
            self.items.swap_remove(at);
        }
    }

    fn clone_item(&mut self, item: u8) {
        let at = usize::from(item).checked_rem(self.items.len());
        let Some(at) = at.filter(|_| self.items.len() < MAX_ITEMS) else {
            return;
        };
        match self.items[at].try_clone() {
            Ok(copy) => self.items.extend(copy),
            Err(refusal) => self.floor.pools[self.items[at].facts.number].judge(&refusal, false),
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
