//! What the threads of one pool share, and how long it lives.
//!
//! # Life
//!
//! `references` counts whatever may still lead somebody here: one for all handles together, one for
//! each local cache, each region, each mapping of a large buffer. Buffers hold none: a slot's region and
//! a large buffer's mapping do it for them, so taking and dropping a buffer counts nothing. When the
//! last handle goes the pool is *closed*: it gives back what it can, keeps no caches any more, and is
//! freed with its last region, mapping or local cache.
//!
//! # Safety
//!
//! A `PoolInner` is made by [`PoolInner::create`] and freed by [`PoolInner::release`] alone. Every function that may
//! let go of a region or a mapping is called by somebody who holds a reference of another kind.

use crate::config::Config;
use crate::depot::Depot;
use crate::depot::magazine::Magazines;
use crate::error::AllocFailure;
use crate::inner::sampler::Sampler;
use crate::inner::tag::Prefix;
use crate::large::cache::MappingCache;
use crate::large::list::LargeList;
use crate::os::mapping::Mapper;
use crate::pressure::wait_queue::WaitQueue;
use crate::pressure::watermark::Watermarks;
use crate::slab::Geometry;
use crate::slab::region::{Keep, Regions};
use crate::slab::size_class::{ClassTable, SPAN};
use crate::sync::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Mutex, MutexGuard,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
    fence, lock,
};
use crate::util::events::{self, Event};
use crate::util::heap::try_box;
use std::ptr::NonNull;

mod mappings;
mod reclaim;
pub(crate) mod registry;
pub(crate) mod sampler;
mod slots;
mod spare;
pub(crate) mod tag;

/// Set in the key of a gated pool: no number of a pool is as high, so that fast paths, which look for the
/// number, do not find a local cache that has to be entered.
pub(crate) const GATED: u64 = 1 << 63;

/// A pool, without its handles.
pub(crate) struct PoolInner {
    pub(crate) id: u64,
    /// What threads find their local cache by, where the pool is gated; see `thread`.
    pub(crate) key: u64,
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
    /// Who waits for memory.
    pub(crate) waiting: WaitQueue,
    pub(crate) watermarks: Option<Watermarks>,
    pub(crate) sampler: Option<Sampler>,
    locals: Mutex<Locals>,
    /// Raised to call every thread to its slow path, where it gives up what it holds.
    epoch: AtomicU32,
    closed: AtomicBool,
    handles: AtomicUsize,
    references: AtomicUsize,
    /// Bytes of mappings that threads may keep to themselves, over all threads.
    leased: AtomicUsize,
    /// See [`Magazines::large_live`]: the part of threads that have no local cache (any more).
    large_live: AtomicU64,
}

/// The figures of every thread that has a local cache of the pool.
#[derive(Debug, Default)]
pub(crate) struct Locals(Vec<NonNull<Magazines>>);

// SAFETY: the figures are atomics, and a thread takes its own out before they go.
unsafe impl Send for Locals {}

impl Locals {
    /// Each thread's figures.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Magazines> {
        // SAFETY: registered figures are valid until `unregister`, which needs the lock we are under.
        self.0.iter().map(|magazines| unsafe { magazines.as_ref() })
    }
}

impl PoolInner {
    /// A pool with one handle and one reference, on behalf of the handles.
    pub(crate) fn create(
        id: u64,
        config: Config,
        table: &'static ClassTable,
    ) -> Result<NonNull<PoolInner>, AllocFailure> {
        let geometries =
            [1, SPAN].map(|n| Geometry::new(n * config.slab_size, config.region_shift));
        let sampler = match config.sample {
            0 => None,
            one_in => Some(Sampler::new(one_in)?),
        };
        let inner = try_box(Self {
            id,
            key: if config.gated { id | GATED } else { id },
            config,
            prefix: Prefix::new(id, config.region_shift)
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
            locals: Mutex::new(Locals::default()),
            epoch: AtomicU32::new(0),
            closed: AtomicBool::new(false),
            handles: AtomicUsize::new(1),
            references: AtomicUsize::new(1),
            leased: AtomicUsize::new(0),
            large_live: AtomicU64::new(0),
        })?;
        match registry::register(inner.cast()) {
            Ok(()) => Ok(inner),
            Err(refused) => {
                Self::release(inner);
                Err(refused)
            }
        }
    }

    /// The pool behind a pointer that a holder of a reference has.
    pub(crate) fn of<'a>(inner: NonNull<PoolInner>) -> &'a PoolInner {
        // SAFETY: the holder's reference keeps it alive.
        unsafe { inner.as_ref() }
    }

    /// The pool as regions and large buffers know it.
    fn as_owner(&self) -> NonNull<()> {
        NonNull::from(self).cast()
    }

    /// Counts one more reference. Relaxed: whoever calls holds one already.
    pub(crate) fn retain(&self) {
        self.references.fetch_add(1, Relaxed);
    }

    /// Counts one reference less, and frees the pool after the last.
    pub(crate) fn release(inner: NonNull<PoolInner>) {
        // Release: pairs with the fence below, so that the one who frees sees all that others did.
        if Self::of(inner).references.fetch_sub(1, Release) != 1 {
            return;
        }
        // Acquire: pairs with the Release of every other `release`.
        fence(Acquire);
        registry::unregister(inner.cast());
        // SAFETY: that was the last reference, and `create` made it as a box.
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

    /// Takes a handle off; `true` if it was the last, and the pool is closed now. The caller then flushes
    /// its own local cache, calls [`trim`](Self::trim) and releases the handles' reference.
    pub(crate) fn remove_handle(&self) -> bool {
        // AcqRel: the last handle's thread sees what was done through the others.
        if self.handles.fetch_sub(1, AcqRel) != 1 {
            return false;
        }
        // Release: pairs with the Acquire in `is_closed`.
        self.closed.store(true, Release);
        self.call_threads();
        true
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: pairs with the Release in `remove_handle`.
        self.closed.load(Acquire)
    }

    pub(crate) fn epoch(&self) -> u32 {
        // Acquire: pairs with the Release in `call_threads`.
        self.epoch.load(Acquire)
    }

    /// Calls every thread to flush its local cache at its next drop or miss.
    pub(crate) fn call_threads(&self) {
        let locals = lock(&self.locals);
        // Release: pairs with the Acquire in `epoch`.
        self.epoch.fetch_add(1, Release);
        // SeqCst: pairs with the fence in `LocalCache::prepare`.
        fence(SeqCst);
        for magazines in locals.iter() {
            magazines.call_owner(self.table);
        }
    }

    /// The registered threads' figures, which stay registered while the guard lives.
    pub(crate) fn locals(&self) -> MutexGuard<'_, Locals> {
        lock(&self.locals)
    }

    pub(crate) fn register(&self, magazines: &Magazines) -> Result<(), AllocFailure> {
        let mut locals = lock(&self.locals);
        locals.0.try_reserve(1).map_err(|_| AllocFailure::System)?;
        locals.0.push(NonNull::from(magazines));
        Ok(())
    }

    /// Takes a thread's figures out and adds them to the pool's own, in one step for who sums them up.
    pub(crate) fn unregister(&self, magazines: &Magazines) {
        let mut locals = lock(&self.locals);
        locals.0.retain(|other| *other != NonNull::from(magazines));
        self.count_large_live(magazines.large_live.take());
    }

    /// Adds to the lengths of live large buffers; wraps, to take away.
    pub(crate) fn count_large_live(&self, requested_len: u64) {
        self.large_live.fetch_add(requested_len, Relaxed);
    }

    pub(crate) fn large_live(&self) -> u64 {
        self.large_live.load(Relaxed)
    }

    /// Lets a thread keep so many more bytes of mappings to itself, if all threads together then keep no
    /// more than they may. Relaxed: the sum orders nothing else.
    pub(crate) fn lease(&self, bytes: usize) -> bool {
        let lease = |leased: usize| {
            let sum = leased.checked_add(bytes)?;
            (sum <= self.config.lease_limit && !self.is_closed()).then_some(sum)
        };
        let leased = self.leased.fetch_update(Relaxed, Relaxed, lease).is_ok();
        if leased && bytes > 0 {
            // That much less is the mapping cache's.
            self.shrink_mappings(self.mapper.now_ms());
        }
        leased
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

    /// Says that memory has arrived where others can take it.
    pub(crate) fn notify(&self) {
        if self.config.gated {
            self.waiting.notify();
        }
    }

    fn note(&self, event: Event, count: usize, bytes: usize) {
        events::note(self.id, event, count, bytes);
    }
}
