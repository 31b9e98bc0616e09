//! What the threads of one pool share, and how long it lives.
//!
//! # Life
//!
//! `references` counts what may still lead a thread here: one for all handles together, one for each region, one for
//! each mapping of a large buffer. Buffers hold none: a slot's region and a large buffer's mapping do it for them, so
//! allocating and freeing a buffer counts nothing. Thread caches hold none either: with the last handle the pool is
//! *closed*, which empties them through their gates, and from then on freed slots bypass them. So a closed pool that has
//! neither regions nor mappings has no buffers, no thread is on its way to a cache of it, and the thread that released
//! the last reference frees the caches of all threads together with the pool.
//!
//! # Safety
//!
//! A `PoolInner` is made by [`PoolInner::create`] and freed by [`PoolInner::release`] alone. Every function that may
//! release a region or a mapping is called by a thread that holds a reference of another kind.

use crate::config::Config;
use crate::depot::Depot;
use crate::depot::cache::{CacheList, ThreadCache, absent};
use crate::depot::gate::{FULL_FENCE, SAMPLED};
use crate::error::AllocFailure;
use crate::large::cache::MappingCache;
use crate::large::list::LargeList;
use crate::os::mapping::Mapper;
use crate::pressure::wait_queue::WaitQueue;
use crate::pressure::watermark::Watermarks;
use crate::slab::Geometry;
use crate::slab::region::{Keep, Regions};
use crate::slab::size_class::{ClassTable, SPAN};
use crate::sync::{
    AtomicBool, AtomicPtr, AtomicUsize, Mutex, MutexGuard,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
    fence, lock,
};
use crate::util::events::{self, Event};
use crate::util::heap::try_box;
use std::ptr::{self, NonNull};

mod mappings;
mod pressure;
pub(crate) mod reclaim;
pub(crate) mod registry;
mod release;
pub(crate) mod sampler;
mod slots;
pub(crate) mod tag;

use reclaim::Transit;
use sampler::Sampler;
use tag::Prefix;

/// A pool, without its handles.
pub(crate) struct PoolInner {
    /// See [`registry`].
    pub(crate) index: usize,
    /// The pointer that the pool was made with, as regions and large buffers hold it.
    this: AtomicPtr<PoolInner>,
    pub(crate) config: Config,
    pub(crate) prefix: Prefix,
    pub(crate) table: &'static ClassTable,
    pub(crate) mapper: Mapper,
    /// Carved into slabs, and carved into spans.
    pub(crate) regions: [Regions; 2],
    pub(crate) depot: Depot,
    pub(crate) mappings: MappingCache,
    /// Every large mapping, cached or live.
    pub(crate) large_list: LargeList,
    /// The waiters for memory.
    pub(crate) waiting: WaitQueue,
    pub(crate) watermarks: Option<Watermarks>,
    pub(crate) sampler: Option<Sampler>,
    /// Every thread's cache of this pool.
    caches: Mutex<CacheList>,
    transit: Transit,
    closed: AtomicBool,
    handles: AtomicUsize,
    references: AtomicUsize,
    /// Bytes of mappings that threads may keep, over all threads.
    leased: AtomicUsize,
    /// See [`ThreadCache::large_live`]: the part of threads that have no cache (any more). Wraps.
    large_live: AtomicUsize,
}

impl PoolInner {
    /// Creates a pool with one handle and one reference, on behalf of the handles.
    pub(crate) fn create(
        index: usize,
        config: Config,
        table: &'static ClassTable,
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
        let inner = try_box(Self {
            index,
            this: AtomicPtr::new(ptr::null_mut()),
            config,
            prefix: Prefix::new(index, config.region_shift)
                .with_flags(config.zero_on_free, config.zero_fill),
            table,
            mapper: Mapper::new(config.os, config.limit),
            regions: geometries.map(Regions::new),
            depot: Depot::new(geometries, table),
            mappings: MappingCache::new(),
            large_list: LargeList::new(),
            waiting: WaitQueue::new(),
            watermarks: config.levels.map(Watermarks::new),
            sampler,
            caches: Mutex::new(CacheList::new(full_fence | sampled)),
            transit: Transit::new(),
            closed: AtomicBool::new(false),
            handles: AtomicUsize::new(1),
            references: AtomicUsize::new(1),
            leased: AtomicUsize::new(0),
            large_live: AtomicUsize::new(0),
        })?;
        Self::of(inner).this.store(inner.as_ptr(), Relaxed);
        Ok(inner)
    }

    /// The pool behind a pointer that a holder of a reference has.
    pub(crate) fn of<'a>(inner: NonNull<PoolInner>) -> &'a PoolInner {
        // SAFETY: the holder's reference keeps it alive.
        unsafe { inner.as_ref() }
    }

    /// The pool as regions, large buffers and thread caches know it.
    pub(crate) fn as_owner(&self) -> NonNull<()> {
        NonNull::new(self.this.load(Relaxed)).map_or(NonNull::dangling(), NonNull::cast)
    }

    /// Counts one more reference. Relaxed: the caller holds one already.
    pub(crate) fn retain(&self) {
        self.references.fetch_add(1, Relaxed);
    }

    /// Counts one more reference unless there is none. Under the registry's lock, which a pool without references
    /// passes before it is freed.
    pub(crate) fn try_retain(&self) -> bool {
        let one_more = |references| (references > 0).then_some(references + 1);
        let retained = self.references.fetch_update(Relaxed, Relaxed, one_more);
        retained.is_ok()
    }

    /// Counts one reference less, and frees the pool after the last.
    pub(crate) fn release(inner: NonNull<PoolInner>) {
        // Release: pairs with the fence below, so that the thread that frees sees all that others did.
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
                    // Relaxed: its thread reads the entry for another pool of this index, which it learns of from
                    // a thread that held this lock later.
                    entry.store(ptr::from_ref(absent()).cast_mut(), Relaxed);
                }
                unlinked.link(cache);
            }
            drop(caches);
            pools.remove(this.index, Some(inner.cast()));
        }
        while let Some(cache) = unlinked.pop() {
            // SAFETY: in no entry and no list, and no thread is on its way to it (see the module's text).
            unsafe { ThreadCache::free(cache) };
        }
        // SAFETY: there is no reference, and `create` made it as a box.
        drop(unsafe { Box::from_raw(inner.as_ptr()) });
    }

    pub(crate) fn add_handle(&self) {
        self.handles.fetch_add(1, Relaxed);
    }

    /// Adds a handle on behalf of a buffer, which keeps the pool alive; there may be no other handle left. Then the
    /// handles get their reference anew, and the pool stays closed.
    pub(crate) fn add_handle_from_buffer(&self) {
        if self.handles.fetch_add(1, Relaxed) == 0 {
            // Nothing releases it before the caller's own handle goes.
            self.retain();
        }
    }

    /// Removes a handle; `true` if it was the last, and the pool is closed now. The caller then calls
    /// [`close`](Self::close) and releases the handles' reference.
    pub(crate) fn remove_handle(&self) -> bool {
        // AcqRel: the last handle's thread sees what was done through the others.
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

    /// Unlinks a thread's cache and adds its counters to the pool's own, in one step for a thread that sums them up.
    pub(crate) fn unlink(&self, cache: NonNull<ThreadCache>) {
        let mut caches = self.caches();
        caches.unlink(cache);
        self.count_large_live(ThreadCache::of(cache).large_live.get());
    }

    /// Adds to the lengths of live large buffers. Pass the two's complement to subtract.
    pub(crate) fn count_large_live(&self, requested_len: usize) {
        self.large_live.fetch_add(requested_len, Relaxed);
    }

    pub(crate) fn large_live(&self) -> usize {
        self.large_live.load(Relaxed)
    }

    /// Lets a thread keep `bytes` more of mappings, if all threads together then keep no more than they may. Relaxed:
    /// the sum orders nothing else.
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

    /// Bytes that caches may hold, beside what threads have leased.
    fn cache_limit(&self) -> usize {
        if self.is_closed() {
            return 0;
        }
        let leased = self.leased.load(Relaxed);
        self.config.cache_limit.saturating_sub(leased)
    }

    /// For each of the two kinds of regions: half of what the mapping cache leaves.
    fn keep_regions(&self) -> Keep {
        Keep {
            bytes: self.cache_limit().saturating_sub(self.mappings.resident()) / 2,
            decay_ms: self.config.decay_ms,
        }
    }

    /// Wakes the first waiter, after memory has arrived where it can be allocated. Runs foreign code (wakers).
    pub(crate) fn notify(&self) {
        if self.is_limited() {
            self.waiting.notify();
        }
    }

    fn note(&self, event: Event, count: usize, bytes: usize) {
        events::note(self.index as u64, event, count, bytes);
    }
}
