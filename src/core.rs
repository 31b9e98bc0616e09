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
//! A `Core` is made by [`Core::create`] and freed by [`Core::release`] alone. Every function that may
//! let go of a region or a mapping is called by somebody who holds a reference of another kind.

use crate::config::Config;
use crate::depot::{Depot, Exchange, Refill};
use crate::error::Refused;
use crate::events::{self, Event};
use crate::handle::Prefix;
use crate::heap::try_box;
use crate::large::{Large, MapOptions};
use crate::magazine::{Block, Magazines};
use crate::mapping::Mapper;
use crate::mapping_cache::{Evicted, MappingCache};
use crate::marks::Marks;
use crate::region::{EmptyRegions, Keep, Regions};
use crate::registry;
use crate::roll::Roll;
use crate::sampler::Sampler;
use crate::size_class::{ClassTable, SPAN};
use crate::slab::{EmptySlab, EmptySlabs, Geometry};
use crate::sync::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Mutex, MutexGuard,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
    fence, lock,
};
use crate::wait::WaitQueue;
use std::ptr::NonNull;

mod reclaim;

/// Set in the key of a gated pool: no number of a pool is as high, so that fast paths, which look for the
/// number, do not find a local cache that has to be entered.
pub(crate) const GATED: u64 = 1 << 63;

/// A pool, without its handles.
pub(crate) struct Core {
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
    pub(crate) roll: Roll,
    /// Who waits for memory.
    pub(crate) waiting: WaitQueue,
    pub(crate) marks: Option<Marks>,
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

/// Which mappings are unmapped.
#[derive(Clone, Copy)]
enum Unmap {
    /// Not those whose unmapping would cut the address space up, when so many leave together.
    Sparing {
        leaving: usize,
    },
    All,
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

impl Core {
    /// A pool with one handle and one reference, on behalf of the handles.
    pub(crate) fn create(
        id: u64,
        config: Config,
        table: &'static ClassTable,
    ) -> Result<NonNull<Core>, Refused> {
        let geometries =
            [1, SPAN].map(|n| Geometry::new(n * config.slab_size, config.region_shift));
        let sampler = match config.sample {
            0 => None,
            one_in => Some(Sampler::new(one_in)?),
        };
        let core = try_box(Self {
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
            roll: Roll::new(),
            waiting: WaitQueue::new(),
            marks: config.levels.map(Marks::new),
            sampler,
            locals: Mutex::new(Locals::default()),
            epoch: AtomicU32::new(0),
            closed: AtomicBool::new(false),
            handles: AtomicUsize::new(1),
            references: AtomicUsize::new(1),
            leased: AtomicUsize::new(0),
            large_live: AtomicU64::new(0),
        })?;
        match registry::register(core.cast()) {
            Ok(()) => Ok(core),
            Err(refused) => {
                Self::release(core);
                Err(refused)
            }
        }
    }

    /// The pool behind a pointer that a holder of a reference has.
    pub(crate) fn of<'a>(core: NonNull<Core>) -> &'a Core {
        // SAFETY: the holder's reference keeps it alive.
        unsafe { core.as_ref() }
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
    pub(crate) fn release(core: NonNull<Core>) {
        // Release: pairs with the fence below, so that the one who frees sees all that others did.
        if Self::of(core).references.fetch_sub(1, Release) != 1 {
            return;
        }
        // Acquire: pairs with the Release of every other `release`.
        fence(Acquire);
        registry::unregister(core.cast());
        // SAFETY: that was the last reference, and `create` made it as a box.
        drop(unsafe { Box::from_raw(core.as_ptr()) });
    }

    pub(crate) fn add_handle(&self) {
        self.handles.fetch_add(1, Relaxed);
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

    pub(crate) fn register(&self, magazines: &Magazines) -> Result<(), Refused> {
        let mut locals = lock(&self.locals);
        locals.0.try_reserve(1).map_err(|_| Refused::System)?;
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
    pub(crate) fn count_large_live(&self, asked: u64) {
        self.large_live.fetch_add(asked, Relaxed);
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

    /// A block with slots of the class in it for an empty one, which stays the caller's on refusal.
    pub(crate) fn refill(
        &self,
        class: usize,
        block: NonNull<Block>,
    ) -> Result<NonNull<Block>, Refused> {
        match self.depot.refill(class, block) {
            Refill::Block(block) => Ok(block),
            Refill::NeedsSlab(block) => {
                let slab = self.take_slab(class)?;
                self.depot.refill_from(class, slab, block);
                Ok(block)
            }
        }
    }

    /// A slot for a thread without magazines.
    pub(crate) fn take_slot(&self, class: usize) -> Result<NonNull<u8>, Refused> {
        if let Some(slot) = self.depot.take_one(class) {
            return Ok(slot);
        }
        let slab = self.take_slab(class)?;
        let slot = self.depot.take_one_from(class, slab);
        self.notify();
        slot.ok_or(Refused::System)
    }

    /// Says that memory has arrived where others can take it.
    pub(crate) fn notify(&self) {
        if self.config.gated {
            self.waiting.notify();
        }
    }

    /// The regions that the class' slabs or spans are carved from.
    fn regions_of(&self, class: usize) -> &Regions {
        &self.regions[usize::from(self.table.get(class).spans)]
    }

    fn take_slab(&self, class: usize) -> Result<EmptySlab, Refused> {
        let regions = self.regions_of(class);
        if let Some(slab) = regions.take() {
            return Ok(slab);
        }
        self.retain();
        let slab = regions.take_new(&self.mapper, self.as_owner());
        match slab {
            Ok(_) => self.note(Event::RegionsMapped, 1, regions.region_size()),
            Err(refused) => {
                self.references.fetch_sub(1, Relaxed);
                self.notify_of_refusal(refused);
            }
        }
        slab
    }

    /// What was counted as mapped until the system refused is free for others. The limit's own refusal has
    /// changed nothing.
    fn notify_of_refusal(&self, refused: Refused) {
        if refused == Refused::System {
            self.notify();
        }
    }

    /// An empty block for a full one.
    pub(crate) fn exchange_full(&self, class: usize, block: NonNull<Block>) -> NonNull<Block> {
        match self.depot.exchange_full(class, block) {
            Exchange::Empty(block) => block,
            Exchange::Emptied(block, slabs) => {
                self.give_slabs(class, slabs);
                block
            }
            Exchange::NeedsEmpty(block) => {
                let Ok(empty) = Block::allocate() else {
                    self.flush(class, block);
                    return block;
                };
                self.depot.keep_full(class, block);
                empty
            }
        }
    }

    /// Puts the slots of a block back into their slabs.
    pub(crate) fn flush(&self, class: usize, block: NonNull<Block>) {
        let any = Block::of(block).height() > 0;
        self.give_slabs(class, self.depot.flush(class, block));
        if any {
            self.notify();
        }
    }

    /// Puts a slot back into its slab, for a thread without magazines.
    pub(crate) fn give_slot(&self, class: usize, slot: NonNull<u8>) {
        self.give_slabs(class, self.depot.give_one(class, slot));
        if self.is_closed() {
            self.give_slabs(class, self.depot.sweep_most(class));
        }
        self.notify();
    }

    pub(crate) fn give_slabs(&self, class: usize, slabs: EmptySlabs) {
        if !slabs.is_empty() {
            let now_ms = self.mapper.now_ms();
            let regions = self.regions_of(class);
            let spare = regions.give(slabs, self.keep_regions(), now_ms);
            self.unmap_regions(regions, spare);
            self.leave_nothing_behind();
            self.shrink_mappings(now_ms);
            self.notify();
        }
    }

    /// Gives back cached mappings that are too many or too old.
    fn shrink_mappings(&self, now_ms: u64) {
        let decay_ms = self.config.decay_ms;
        let evicted = self.mappings.release(self.cache_limit(), decay_ms, now_ms);
        self.unmap_mappings(evicted, Unmap::Sparing { leaving: 0 });
    }

    fn note(&self, event: Event, count: usize, bytes: usize) {
        events::note(self.id, event, count, bytes);
    }

    fn unmap_regions(&self, regions: &Regions, empty: EmptyRegions) {
        let count = regions.unmap(&self.mapper, empty);
        self.note(Event::RegionsUnmapped, count, count * regions.region_size());
        // Not the last references: the caller holds one of another kind.
        self.references.fetch_sub(count, Release);
        if count > 0 {
            self.notify();
        }
    }

    pub(crate) fn map_options(&self) -> MapOptions {
        MapOptions {
            huge_pages: self.config.huge_pages,
            guard_pages: self.config.guard_pages,
        }
    }

    /// Whether an empty pool has room for a buffer of `len` bytes within its limit. A slot always has: the
    /// least limit holds a region.
    pub(crate) fn could_hold(&self, len: usize) -> bool {
        let page = self.mapper.page_size();
        let guard = if self.config.guard_pages { page } else { 0 };
        let footprint = len
            .checked_next_multiple_of(page)
            .and_then(|rounded| rounded.checked_add(guard));
        self.table.class_of(len).is_some() || footprint.is_some_and(|sum| sum <= self.config.limit)
    }

    /// A mapping of at least `len` bytes: a cached one, or a new one.
    pub(crate) fn take_large(&self, len: usize) -> Result<NonNull<Large>, Refused> {
        // At least one byte: a retired mapping has room for none.
        if let Some(large) = self.mappings.take(len.max(1)) {
            return Ok(large);
        }
        self.retain();
        let large = Large::map(&self.mapper, len, self.map_options(), self.as_owner());
        if let Ok(large) = large {
            self.note(Event::MappingsMapped, 1, Large::of(large).footprint());
            self.roll.enter(large);
        }
        match large {
            Ok(large) if !self.config.guard_pages => Ok(large),
            Ok(large) if Large::of(large).protect_guard(&self.mapper) => Ok(large),
            // A guard that was asked for and cannot be had is a failure, not a risk to take.
            Ok(large) => {
                // SAFETY: mapped just now, and nobody else's.
                match unsafe { self.unmap_large(large) } {
                    Ok(()) => drop(self.references.fetch_sub(1, Relaxed)),
                    Err(large) => {
                        Large::of(large).retire();
                        let _ = self.mappings.keep(large, &self.mapper);
                    }
                }
                self.notify();
                Err(Refused::System)
            }
            Err(refused) => {
                self.references.fetch_sub(1, Relaxed);
                self.notify_of_refusal(refused);
                Err(refused)
            }
        }
    }

    /// Caches a freed mapping, or gives it back.
    pub(crate) fn give_large(&self, large: NonNull<Large>) {
        let regions: usize = self.regions.iter().map(Regions::all_empty_bytes).sum();
        let bytes = self.cache_limit().saturating_sub(regions);
        let decay_ms = self.config.decay_ms;
        let now_ms = self.mapper.now_ms();
        let evicted = self.mappings.give(large, bytes, decay_ms, now_ms);
        self.unmap_mappings(evicted, Unmap::Sparing { leaving: 0 });
        self.leave_nothing_behind();
        self.notify();
    }

    /// Empties the caches of a closed pool once more, after something was put into them: whoever did may
    /// have looked before the pool was closed, and come after the closing thread had emptied them. The
    /// caches' locks order this look after theirs.
    fn leave_nothing_behind(&self) {
        if self.is_closed() {
            if self.mappings.resident() > 0 {
                self.unmap_mappings(self.mappings.drain().0, Unmap::All);
            }
            let now_ms = self.mapper.now_ms();
            for regions in &self.regions {
                self.unmap_regions(regions, regions.release(Keep::NOTHING, now_ms));
            }
        }
    }

    /// Gives a mapping back to the system, or back to the caller if the system refuses.
    ///
    /// # Safety
    ///
    /// As for [`Large::unmap`].
    unsafe fn unmap_large(&self, large: NonNull<Large>) -> Result<(), NonNull<Large>> {
        self.roll.strike(large);
        // SAFETY: the caller's promise.
        let unmapped = unsafe { Large::unmap(large, &self.mapper) };
        unmapped.inspect_err(|large| self.roll.enter(*large))
    }

    /// Unmaps what was evicted. What has to stay, or had better by `how`, is purged and kept.
    fn unmap_mappings(&self, mut evicted: Evicted, how: Unmap) {
        let mut any = false;
        while let Some(large) = evicted.pop() {
            let footprint = Large::of(large).footprint();
            let keep = match how {
                Unmap::Sparing { leaving } if !self.is_closed() => {
                    let len = Large::of(large).capacity();
                    self.mapper.unmapping_fragments(len, leaving)
                }
                _ => false,
            };
            let kept = if keep {
                Err(large)
            } else {
                // SAFETY: evicted, so nobody else's.
                unsafe { self.unmap_large(large) }
            };
            match kept {
                // Not the last reference: the caller holds one of another kind.
                Ok(()) => {
                    self.note(Event::MappingsUnmapped, 1, footprint);
                    self.references.fetch_sub(1, Release);
                    any = true;
                }
                // Worth a word only once: who waits may come by here with each attempt.
                Err(large) => {
                    let purged_before = Large::of(large).purged.get();
                    any |= self.mappings.keep(large, &self.mapper) && !purged_before;
                }
            }
        }
        if any {
            self.notify();
        }
    }

    /// Gives back everything that no buffer and no thread's local cache holds.
    pub(crate) fn trim(&self) {
        let (evicted, leaving) = self.mappings.drain();
        self.unmap_mappings(evicted.sorted(), Unmap::Sparing { leaving });
        self.drain_slabs();
    }

    /// Has every thread give up its slots: in a gated pool at once, in others at its next drop.
    pub(crate) fn recall(&self) {
        if self.config.gated {
            self.reclaim();
        } else {
            self.call_threads();
        }
    }

    /// The same when a request is about to fail, or the pool is closed: also addresses that were better kept;
    /// and calls on other threads to give up what they hold, for requests to come.
    pub(crate) fn relieve(&self) {
        self.note(Event::CachesEmptied, 1, 0);
        self.recall();
        self.unmap_mappings(self.mappings.drain().0.sorted(), Unmap::All);
        self.drain_slabs();
    }

    fn drain_slabs(&self) {
        for class in 0..self.table.count() {
            let slabs = self.depot.drain(class);
            let any = !slabs.is_empty();
            let regions = self.regions_of(class);
            let spare = regions.give(slabs, Keep::NOTHING, self.mapper.now_ms());
            self.unmap_regions(regions, spare);
            if any {
                self.notify();
            }
        }
    }

    /// Gives back the memory of empty slabs whose region stays. Returns the bytes.
    pub(crate) fn purge(&self) -> usize {
        let purge = |regions: &Regions| regions.purge(&self.mapper);
        let purged = self.regions.iter().map(purge).sum();
        // Slabs were out of their regions meanwhile.
        self.notify();
        purged
    }
}
