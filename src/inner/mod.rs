//! The state that the threads of one pool share, and its lifetime.
//!
//! # Lifetime
//!
//! `references` counts what may still give a thread access to this state: one reference for all
//! handles together, one for each region, one for each mapping of a large buffer. Buffers with
//! memory hold none: a slot's region and a large buffer's mapping hold one for them, so allocating
//! and freeing a buffer counts nothing. Empty buffers of a pool other than the global one hold one
//! each. Thread caches hold none: when the last handle is dropped the pool is *closed*, which
//! empties the caches through their gates, and from then on freed slots bypass them. So a closed
//! pool that has neither regions nor mappings has no buffers, and no thread is about to use one of
//! its caches. The thread that releases the last reference frees the caches of all threads together
//! with the pool.
//!
//! # Safety
//!
//! A `PoolInner` is created by [`PoolInner::create`] and freed by [`PoolInner::release`] alone.
//! Every function that may release a region or a mapping is called by a thread that holds a
//! reference of another kind.

use crate::config::Config;
use crate::depot::Depot;
use crate::depot::cache::{CacheList, ThreadCache, absent};
use crate::depot::gate::{FULL_FENCE, SAMPLED};
use crate::error::AllocFailure;
use crate::large::cache::MappingCache;
use crate::large::list::LargeList;
use crate::os::mapping::Mapper;
use crate::os::quota::Share;
use crate::pressure::budget::{Budget, BudgetInner};
use crate::pressure::transit::{Arbiter, Transit};
use crate::pressure::wait_queue::Line;
use crate::pressure::watermark::Watermarks;
use crate::slab::Geometry;
use crate::slab::region::{Keep, Regions};
use crate::slab::size_class::{ClassTable, SPAN};
use crate::sync::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Mutex, MutexGuard,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
    fence, lock,
};
use crate::util::events::{self, Event};
use crate::util::heap::try_box;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;

pub(crate) mod budget;
mod mappings;
mod pressure;
pub(crate) mod reclaim;
pub(crate) mod registry;
mod release;
pub(crate) mod sampler;
pub(crate) mod slots;
pub(crate) mod tag;

use sampler::Sampler;
use tag::Prefix;

/// A pool's shared state, without its handles.
pub(crate) struct PoolInner {
    /// The pool's index: see [`registry`].
    pub(crate) index: usize,
    /// The pointer that `create` returned, as regions and large buffers hold it.
    this: AtomicPtr<PoolInner>,
    pub(crate) config: Config,
    pub(crate) prefix: Prefix,
    pub(crate) table: &'static ClassTable,
    pub(crate) mapper: Mapper,
    /// The regions that are carved into slabs, and those that are carved into spans.
    pub(crate) regions: [Regions; 2],
    pub(crate) depot: Depot,
    pub(crate) mappings: MappingCache,
    /// Every large mapping, cached or live.
    pub(crate) large_list: LargeList,
    pub(crate) budget: Option<Budget>,
    /// Number of waiters for memory of this pool.
    waiters: AtomicUsize,
    /// Number of requests that the limit, the budget or the system refused. Atomics of `std` also
    /// under loom, because no other access depends on them.
    pub(crate) refused: AtomicU64,
    /// Number of requests that waited and timed out.
    pub(crate) timed_out: AtomicU64,
    pub(crate) watermarks: Option<Watermarks>,
    pub(crate) sampler: Option<Sampler>,
    /// Every thread's cache of this pool.
    caches: Mutex<CacheList>,
    /// Used if the pool has no budget: see [`arbiter`](Self::arbiter).
    own_arbiter: Arbiter,
    transit: Transit,
    /// Number of slots to be freed until threads use their magazines again; 0 while they do.
    until_cached: AtomicU32,
    /// The number of arrivals in the budget at the last arrival in this pool.
    last_used: AtomicUsize,
    closed: AtomicBool,
    handles: AtomicUsize,
    references: AtomicUsize,
    /// Sum of the leases of all threads: bytes of mappings that they may keep.
    leased: AtomicUsize,
    /// Requested lengths of live large buffers, as counted by threads without a cache: see
    /// [`ThreadCache::large_live`]. Includes the counters of caches that were unlinked. Wraps.
    large_live: AtomicUsize,
}

impl PoolInner {
    /// Creates a pool with one handle and one reference, which the handles share.
    pub(crate) fn create(
        index: usize,
        config: Config,
        table: &'static ClassTable,
        budget: Option<Budget>,
    ) -> Result<NonNull<PoolInner>, AllocFailure> {
        let geometries =
            [1, SPAN].map(|n| Geometry::new(n * config.slab_size, config.region_shift));
        let sampler = match config.sample {
            0 => None,
            one_in => Some(Sampler::new(one_in)?),
        };
        let full_fence = if config.os.register_fences() {
            0
        } else {
            FULL_FENCE
        };
        let sampled = if sampler.is_some() { SAMPLED } else { 0 };
        let shared = budget.as_ref().map(|budget| Share {
            quota: budget.inner().quota.clone(),
            pool: index,
        });
        let mut caches = CacheList::new(full_fence | sampled);
        // A waiter may have set the bypass in all pools of the budget just before.
        let until_cached = if budget.is_some() {
            caches.bypass = reclaim::REFUSED;
            reclaim::CACHED_AGAIN
        } else {
            0
        };
        let inner = try_box(Self {
            index,
            this: AtomicPtr::new(ptr::null_mut()),
            config,
            prefix: Prefix::new(index, config.region_shift)
                .with_flags(config.zero_on_free, config.zero_fill),
            table,
            mapper: Mapper::new(config.os, config.limit.unwrap_or(usize::MAX), shared),
            regions: geometries.map(Regions::new),
            depot: Depot::new(geometries, table)?,
            mappings: MappingCache::new(),
            large_list: LargeList::new(),
            budget,
            waiters: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            watermarks: config.levels.map(Watermarks::new),
            sampler,
            caches: Mutex::new(caches),
            own_arbiter: Arbiter::new(false),
            transit: Transit::new(),
            until_cached: AtomicU32::new(until_cached),
            last_used: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            handles: AtomicUsize::new(1),
            references: AtomicUsize::new(1),
            leased: AtomicUsize::new(0),
            large_live: AtomicUsize::new(0),
        })?;
        Self::of(inner).this.store(inner.as_ptr(), Relaxed);
        Ok(inner)
    }

    /// Returns the pool behind a pointer. The caller holds a reference.
    pub(crate) fn of<'a>(inner: NonNull<PoolInner>) -> &'a PoolInner {
        // SAFETY: the caller's reference keeps the pool alive.
        unsafe { inner.as_ref() }
    }

    /// Returns the pool's pointer as regions, large buffers and thread caches hold it.
    pub(crate) fn as_owner(&self) -> NonNull<()> {
        NonNull::new(self.this.load(Relaxed)).map_or(NonNull::dangling(), NonNull::cast)
    }

    /// Adds a reference. Relaxed: the caller holds one already.
    pub(crate) fn retain(&self) {
        self.references.fetch_add(1, Relaxed);
    }

    /// Adds a reference unless there is none. The caller holds the registry's lock, which a thread
    /// acquires after it has released the last reference and before it frees the pool.
    pub(crate) fn try_retain(&self) -> bool {
        let one_more = |references| (references > 0).then_some(references + 1);
        let retained = self.references.fetch_update(Relaxed, Relaxed, one_more);
        retained.is_ok()
    }

    /// Releases a reference, and frees the pool if it was the last.
    pub(crate) fn release(inner: NonNull<PoolInner>) {
        // Release: pairs with the fence below, so that the thread that frees the pool sees all
        // accesses of other threads.
        if Self::of(inner).references.fetch_sub(1, Release) != 1 {
            return;
        }
        // Acquire: pairs with the Release of every other `release`.
        fence(Acquire);
        Self::free(inner);
    }

    /// Frees a pool without references, and the caches of all threads.
    #[cold]
    fn free(inner: NonNull<PoolInner>) {
        let this = Self::of(inner);
        let mut unlinked = CacheList::new(0);
        {
            let mut pools = registry::pools();
            let mut caches = this.caches();
            while let Some(cache) = caches.pop() {
                if let Some(entry) = ThreadCache::of(cache).entry() {
                    // Release: pairs with the Acquire in `cache::detach`, after which the entry's
                    // thread frees the entry.
                    entry.store(ptr::from_ref(absent()).cast_mut(), Release);
                }
                unlinked.link(cache);
            }
            drop(caches);
            pools.remove(this.index, Some(inner.cast()));
        }
        while let Some(cache) = unlinked.pop() {
            // SAFETY: in no entry and no list, and no thread is about to use it (see the module's
            // text).
            unsafe { ThreadCache::free(cache) };
        }
        let stranded = this.mapper.any_stranded();
        let budget = if stranded { this.budget.clone() } else { None };
        // SAFETY: there is no reference, and `create` allocated it as a box.
        drop(unsafe { Box::from_raw(inner.as_ptr()) });
        // The mapper has tried once more to unmap the stranded ranges.
        if let Some(budget) = budget {
            budget.inner().arbiter.waiting.notify_all();
        }
    }

    pub(crate) fn add_handle(&self) {
        self.handles.fetch_add(1, Relaxed);
    }

    /// Adds a handle on behalf of a buffer, which keeps the pool alive. If there was no other
    /// handle left, the handles get a new reference, and the pool stays closed.
    pub(crate) fn add_handle_from_buffer(&self) {
        if self.handles.fetch_add(1, Relaxed) == 0 {
            // The caller's own handle keeps this reference until it is dropped.
            self.retain();
        }
    }

    /// Removes a handle. Returns `true` if it was the last, and closes the pool. The caller then
    /// calls [`close`](Self::close) and releases the handles' reference.
    pub(crate) fn remove_handle(&self) -> bool {
        // AcqRel: pairs with itself in other threads, so that the thread of the last handle sees
        // what they did through theirs.
        if self.handles.fetch_sub(1, AcqRel) != 1 {
            return false;
        }
        // Release: pairs with the Acquire in `is_closed`.
        self.closed.store(true, Release);
        true
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: pairs with the Release in `remove_handle`.
        self.closed.load(Acquire)
    }

    /// Locks the list of thread caches, which stay linked while the guard lives.
    pub(crate) fn caches(&self) -> MutexGuard<'_, CacheList> {
        lock(&self.caches)
    }

    /// Unlinks a thread's cache and adds its counters to the pool's own. A thread that sums them
    /// under the list's lock counts them exactly once.
    pub(crate) fn unlink(&self, cache: NonNull<ThreadCache>) {
        let mut caches = self.caches();
        caches.unlink(cache);
        self.count_large_live(ThreadCache::of(cache).large_live.get());
    }

    /// Adds to the requested lengths of live large buffers. Pass the two's complement to subtract.
    pub(crate) fn count_large_live(&self, requested_len: usize) {
        self.large_live.fetch_add(requested_len, Relaxed);
    }

    pub(crate) fn large_live(&self) -> usize {
        self.large_live.load(Relaxed)
    }

    /// Adds `bytes` to the sum of leases, if the sum stays within its limit and the pool is not
    /// closed. Returns whether it did. Relaxed: the sum orders no other access.
    pub(crate) fn lease(&self, bytes: usize) -> bool {
        let lease = |leased: usize| {
            let sum = leased.checked_add(bytes)?;
            (sum <= self.config.lease_limit && !self.is_closed()).then_some(sum)
        };
        self.leased.fetch_update(Relaxed, Relaxed, lease).is_ok()
    }

    pub(crate) fn end_lease(&self, bytes: usize) {
        self.leased.fetch_sub(bytes, Relaxed);
    }

    /// Returns the bytes that the pool's caches may hold: the configured limit less the leases of
    /// threads.
    fn cache_limit(&self) -> usize {
        if self.is_closed() || self.is_budget_wanted() {
            return 0;
        }
        let leased = self.leased.load(Relaxed);
        self.config.cache_limit.saturating_sub(leased)
    }

    /// Returns what each of the two kinds of regions may keep: half of what the mapping cache
    /// leaves.
    fn keep_regions(&self) -> Keep {
        Keep {
            bytes: self.cache_limit().saturating_sub(self.mappings.resident()) / 2,
            decay_ms: self.config.decay_ms,
        }
    }

    fn shared(&self) -> Option<&BudgetInner> {
        self.budget.as_ref().map(Budget::inner)
    }

    /// Returns what the pool's failing requests share with each other, and with those of the other
    /// pools of its budget.
    fn arbiter(&self) -> &Arbiter {
        self.shared()
            .map_or(&self.own_arbiter, |shared| &shared.arbiter)
    }

    /// Returns the pool's share of the queue of waiters.
    pub(crate) fn line(&self) -> Line<'_> {
        Line {
            queue: &self.arbiter().waiting,
            pool: self.index,
            waiting: &self.waiters,
        }
    }

    /// Returns whether a waiter waits for bytes of the budget: then the pool keeps none for reuse.
    fn is_budget_wanted(&self) -> bool {
        self.arbiter().waiting.wants_budget()
    }

    /// Returns the number of waiters for memory of this pool.
    pub(crate) fn waiters(&self) -> usize {
        self.waiters.load(Relaxed)
    }

    /// Wakes waiters. The caller has put memory where a waiter can allocate it. Runs foreign code
    /// (wakers).
    pub(crate) fn notify(&self) {
        if self.is_limited() {
            self.line().notify();
        }
    }

    fn note(&self, event: Event, count: usize, bytes: usize) {
        events::note(self.index as u64, event, count, bytes);
    }
}
