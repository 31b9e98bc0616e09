//! Models of the interleavings of threads, explored by loom.
//!
//! The pool is small enough for that: one class, two slots a slab, one or two slots a magazine, one
//! full block in the depot, one or three slabs a region. Every model ends with [`Rig::finish`],
//! which asserts conservation: all slots are in slabs, the counters are zero, nothing is mapped,
//! and the pool was freed exactly once.
//!
//! # Safety
//!
//! Each thread of a model has an entry for its thread cache, which outlives the pool.

use crate::config::{Config, Settings};
use crate::depot::cache::{Entry, MagazineOffset, ThreadCache, absent};
use crate::error::AllocFailure;
use crate::inner::{PoolInner, registry, slots::Classes};
use crate::large::LargeAlloc;
use crate::os::{Os, fake::FakeOs};
use crate::pool::usage::{PoolUsage, of_pool};
use crate::pressure::budget::Budget;
use crate::slab::region::owner_of;
use crate::slab::size_class::ClassTable;
use crate::sync::Ordering::Relaxed;
use crate::thread::cache;
use ::loom::thread;
use std::ptr::{self, NonNull};
use std::time::Duration;

mod budget;
mod depot;
mod empty;
mod gate;
mod index;
mod large;
mod parts;
mod queue;
mod transit;
mod waiting;

const PAGE: usize = 4096;
const CLASS: usize = 0;
const SLOT: u64 = 2048;

impl PoolInner {
    /// Allocates a slot past the magazines.
    fn alloc_slot(&self, class: usize) -> Result<NonNull<u8>, AllocFailure> {
        self.alloc_slot_of(Classes::from(class))
            .map(|(slot, _)| slot)
    }
}

/// A pool with one handle, held by the model's main thread.
#[derive(Clone, Copy)]
struct Rig {
    fake: &'static FakeOs,
    inner: NonNull<PoolInner>,
}

// SAFETY: a `PoolInner` is shared between threads; the models keep it alive by its handle or a
// region.
unsafe impl Send for Rig {}

/// A slot or large buffer that moves to another thread.
struct Sent<T>(T);

// SAFETY: the thread that holds the value owns the memory.
unsafe impl<T> Send for Sent<T> {}

impl<T> Sent<T> {
    fn get(self) -> T {
        self.0
    }
}

impl Rig {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        Self::build(None, 1, change)
    }

    fn with_budget(budget: &Budget, change: impl FnOnce(&mut Config)) -> Self {
        Self::build(Some(budget), 1, change)
    }

    /// Creates a pool whose magazines have this capacity, and are filled with one slot at once.
    fn with_magazines(capacity: u32, change: impl FnOnce(&mut Config)) -> Self {
        Self::build(None, capacity, change)
    }

    fn build(budget: Option<&Budget>, capacity: u32, change: impl FnOnce(&mut Config)) -> Self {
        let fake = FakeOs::leaked();
        let mut config = Settings {
            os: Some(Os::Fake(fake)),
            slab_size: PAGE,
            budget: budget.map(|_| 1 << 30),
            decay: Duration::MAX,
            ..Settings::DEFAULT
        }
        .validate()
        .unwrap();
        // Three slabs a region, in addition to the one that holds their headers.
        config.region_shift = 14;
        change(&mut config);
        let index = registry::reserve().unwrap().unwrap();
        let table = ClassTable::tiny(capacity);
        let inner = PoolInner::create(index, config, table, budget.cloned()).unwrap();
        registry::pools().add(index, inner.cast());
        Self { fake, inner }
    }

    fn inner(&self) -> &'static PoolInner {
        PoolInner::of(self.inner)
    }

    /// Creates a cache for the calling thread. Another thread may use it after the calling thread.
    fn attach(&self) -> Own {
        let own = Own(Box::leak(Box::new(Entry::new(
            ptr::from_ref(absent()).cast_mut(),
        ))));
        cache::attach(self.inner, NonNull::from(own.0)).unwrap();
        own
    }

    /// Runs `body` on a new thread, with a cache that is detached at the end.
    fn spawn<T: 'static>(
        self,
        body: impl FnOnce(&'static PoolInner, &ThreadCache) -> T + Send + 'static,
    ) -> thread::JoinHandle<Sent<T>> {
        thread::spawn(move || {
            let rig = self;
            let own = rig.attach();
            let result = body(rig.inner(), own.cache());
            own.detach();
            Sent(result)
        })
    }

    /// Runs `body` on a new thread that is idle afterwards: it does not flush its cache, and
    /// returns it.
    fn spawn_idle(
        self,
        body: impl FnOnce(&'static PoolInner, &ThreadCache) + Send + 'static,
    ) -> thread::JoinHandle<Own> {
        thread::spawn(move || {
            let rig = self;
            let own = rig.attach();
            body(rig.inner(), own.cache());
            own
        })
    }

    fn usage(&self) -> PoolUsage {
        of_pool(self.inner())
    }

    /// Asserts that all memory is free and every counter is exact, then drops the last handle.
    fn finish(self) {
        let usage = self.usage();
        let inner = self.inner();
        assert_eq!((usage.in_use, usage.large_live), (0, 0));
        assert_eq!(usage.external, self.fake.mapped() as u64);
        inner.trim();
        let usage = self.usage();
        assert_eq!((usage.array_buffers, usage.external), (0, 0));
        assert_eq!(self.fake.mapped(), 0);
        self.close();
        self.assert_gone();
    }

    /// Drops the last handle.
    fn close(self) {
        assert!(self.inner().remove_handle());
        self.inner().close();
        PoolInner::release(self.inner);
    }

    /// Asserts that all memory was unmapped and the pool was freed.
    fn assert_gone(&self) {
        assert_eq!(self.fake.mapped(), 0);
        assert_eq!(
            registry::pools().iter().count(),
            0,
            "the pool was not freed"
        );
    }
}

/// A thread's entry, for its cache of one pool. It is leaked, because a pool may write to it after
/// its thread has ended.
struct Own(&'static Entry);

impl Own {
    fn cache(&self) -> &'static ThreadCache {
        // SAFETY: never null; the pool lives while the model uses the cache.
        unsafe { &*self.0.load(Relaxed) }
    }

    fn detach(self) {
        cache::detach(self.0);
    }
}

fn model(body: impl Fn() + Sync + Send + 'static) {
    // By experience, three preemptions find the same errors as more, in a fraction of the time.
    bounded_model(3, body);
}

/// Explores a model with at most this number of preemptions. `LOOM_MAX_PREEMPTIONS` overrides it.
fn bounded_model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.max_branches = 20_000;
    builder.check(body);
}

fn try_take(inner: &PoolInner, cache: &ThreadCache) -> Result<NonNull<u8>, AllocFailure> {
    let slot = match cache.pop(CLASS) {
        Some((slot, _)) => slot,
        None => cache::alloc_slot(inner, Some(cache), Classes::from(CLASS))?.0,
    };
    // SAFETY: the slot is in use, in a slab of a region of this pool.
    let owner = unsafe { owner_of(slot, inner.config.region_shift) };
    assert_eq!(owner, inner.as_owner());
    Ok(slot)
}

fn take(inner: &PoolInner, cache: &ThreadCache) -> NonNull<u8> {
    try_take(inner, cache).unwrap()
}

fn give(inner: &PoolInner, cache: &ThreadCache, slot: NonNull<u8>) {
    if !cache.push(MagazineOffset::of(CLASS), slot) {
        inner.retain();
        cache::free_slot(inner, Some(cache), CLASS, slot);
        PoolInner::release(inner.as_owner().cast());
    }
}

/// Two threads find their magazines empty at once, in a pool prepared by `prepare`, which returns
/// the slots it keeps.
fn two_threads_miss(prepare: fn(&Rig) -> Vec<NonNull<u8>>) {
    model(move || {
        let rig = Rig::new(|_| ());
        let kept = prepare(&rig);
        let body = |inner: &PoolInner, cache: &ThreadCache| {
            let slot = take(inner, cache);
            // SAFETY: this thread owns the slot.
            unsafe { slot.write(1) };
            slot
        };
        let (a, b) = (rig.spawn(body), rig.spawn(body));
        let (a, b) = (a.join().unwrap().get(), b.join().unwrap().get());
        assert_ne!(a, b, "one slot was taken twice");
        assert_eq!(rig.usage().in_use, (2 + kept.len() as u64) * SLOT);
        for slot in kept.into_iter().chain([a, b]) {
            rig.inner().free_slot(CLASS, slot);
        }
        rig.finish();
    });
}

#[test]
fn loom_two_threads_miss_at_once() {
    two_threads_miss(|_| Vec::new());
}

#[test]
fn loom_two_threads_ask_for_the_last_empty_slab() {
    // Two of the region's three slabs are full.
    two_threads_miss(|rig| Vec::from([0; 4].map(|_| rig.inner().alloc_slot(CLASS).unwrap())));
}

#[test]
fn loom_two_threads_ask_for_the_only_full_magazine() {
    two_threads_miss(|rig| {
        let slots = [0; 3].map(|_| rig.inner().alloc_slot(CLASS).unwrap());
        let own = rig.attach();
        slots
            .into_iter()
            .for_each(|slot| give(rig.inner(), own.cache(), slot));
        own.detach();
        Vec::new()
    });
}

#[test]
fn loom_a_slab_empties_while_another_thread_carves_it() {
    model(|| {
        let rig = Rig::new(|_| ());
        let slots = Sent([0; 2].map(|_| rig.inner().alloc_slot(CLASS).unwrap()));
        let giver = rig.spawn(move |inner, _| {
            for slot in slots.get() {
                inner.free_slot(CLASS, slot);
            }
        });
        let taker = rig.spawn(|inner, cache| {
            let slot = take(inner, cache);
            give(inner, cache, slot);
        });
        giver.join().unwrap();
        taker.join().unwrap();
        rig.finish();
    });
}

#[test]
fn loom_a_region_is_released_while_a_thread_asks_for_a_slab() {
    model(|| {
        // One slab a region: freeing it empties the region.
        let rig = Rig::new(|config| config.region_shift = 13);
        let slot = Sent(rig.inner().alloc_slot(CLASS).unwrap());
        let giver = rig.spawn(move |inner, _| {
            inner.free_slot(CLASS, slot.get());
            inner.trim();
        });
        let taker = rig.spawn(|inner, _| {
            let slot = inner.alloc_slot(CLASS).unwrap();
            // SAFETY: this thread owns the slot, and its region is mapped.
            unsafe { slot.write(1) };
            inner.free_slot(CLASS, slot);
        });
        giver.join().unwrap();
        taker.join().unwrap();
        rig.finish();
    });
}

#[test]
fn loom_a_thread_ends_while_another_trims() {
    model(|| {
        let rig = Rig::new(|_| ());
        let slot = Sent(rig.inner().alloc_slot(CLASS).unwrap());
        let ending = rig.spawn(move |inner, cache| give(inner, cache, slot.get()));
        let inner = rig.inner();
        inner.trim();
        inner.purge();
        ending.join().unwrap();
        rig.finish();
    });
}

/// The last handle is dropped while a thread without a cache frees the last of `slots` slots.
fn last_slot_comes_home(slots: usize, region_shift: u32) {
    model(move || {
        let rig = Rig::new(|config| config.region_shift = region_shift);
        let slots: Vec<_> = (0..slots)
            .map(|_| rig.inner().alloc_slot(CLASS).unwrap())
            .collect();
        let last = Sent(slots[0]);
        for slot in &slots[1..] {
            rig.inner().free_slot(CLASS, *slot);
        }
        let dropper = thread::spawn(move || {
            // The slot's region keeps the pool alive.
            let slot = last.get();
            let inner = rig.inner();
            inner.retain();
            inner.free_slot(CLASS, slot);
            PoolInner::release(rig.inner);
        });
        rig.close();
        dropper.join().unwrap();
        rig.assert_gone();
    });
}

#[test]
fn loom_the_last_handle_goes_while_the_last_slot_comes_home() {
    last_slot_comes_home(1, 13);
}

#[test]
fn loom_the_last_handle_goes_while_idle_slabs_become_too_many() {
    // The third idle slab causes a sweep of all three, which empties the region.
    last_slot_comes_home(6, 14);
}

#[test]
fn loom_the_last_handle_goes_while_a_thread_ends() {
    model(|| {
        let rig = Rig::new(|_| ());
        let slot = Sent(rig.inner().alloc_slot(CLASS).unwrap());
        let ending = rig.spawn(move |inner, cache| give(inner, cache, slot.get()));
        rig.close();
        ending.join().unwrap();
        rig.assert_gone();
    });
}

#[test]
fn loom_two_handles_go_at_once() {
    model(|| {
        let rig = Rig::new(|_| ());
        rig.inner().add_handle();
        let body = move || {
            let last = rig.inner().remove_handle();
            if last {
                rig.inner().close();
                PoolInner::release(rig.inner);
            }
            last
        };
        let other = thread::spawn(body);
        assert!(body() != other.join().unwrap(), "one of them is the last");
        rig.assert_gone();
    });
}
