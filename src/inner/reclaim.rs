//! Reaching what all threads hold: for a trim, for a request that is about to fail, and when a pool is closed.
//!
//! # No spurious refusal
//!
//! A request is refused only if, at some moment, neither a slab nor a cache had memory for it. Requests that fail take
//! turns on a lock of their own; each retries after the one before it has reclaimed. Freed slots bypass the magazines
//! meanwhile, so that no thread collects what was reclaimed. Memory on its way from one structure to another is in
//! neither for a moment: threads that carry some are counted ([`PoolInner::carry`]), and a request that found nothing
//! while one was under way waits until it has arrived and retries.
//!
//! # Bypass
//!
//! While a pool is full, each request that fails would claim every cache anew. So the bypass stays in effect until
//! [`CACHED_AGAIN`] slots were freed without another refusal and without a waiter. Until then magazines stay empty, and
//! there is nothing to claim.
//!
//! # Safety
//!
//! A block or mapping is taken out of a cache while its owner is kept out of the gate, and is this thread's then.

use super::PoolInner;
use crate::depot::cache::{CacheList, ThreadCache};
use crate::depot::gate::{BYPASS, CLAIMED, FULL_FENCE};
use crate::depot::magazine::{Block, Blocks};
use crate::error::AllocFailure;
use crate::large::cache::Evicted;
use crate::pressure::wait_queue::Deferred;
use crate::slab::size_class::CLASS_PLACES;
use crate::sync::{
    AtomicU32, AtomicUsize, Backoff, MODEL, Mutex, MutexGuard,
    Ordering::{AcqRel, Acquire, Relaxed, SeqCst},
    fence, lock, settle_stores,
};
use std::cell::Cell;
use std::ptr::NonNull;

/// Why freed slots bypass magazines: a request was refused lately, or waits.
const REFUSED: u8 = 1;
/// The pool is closed.
const CLOSED: u8 = 1 << 1;
/// The pool is near a watermark, and counts each slot.
const WATERMARK: u8 = 1 << 2;

/// Slots freed without a refusal after which threads cache again.
const CACHED_AGAIN: u32 = 64;
/// Attempts of a request that finds nothing while other threads carry memory. Models have waiters, which are woken.
const ROUNDS: usize = if MODEL { 1 } else { 64 };

/// What the module's text calls turns and carrying.
pub(super) struct Transit {
    turns: Mutex<()>,
    /// Threads that carry memory between structures.
    carrying: AtomicUsize,
    /// How often one has arrived. Wraps.
    arrived: AtomicUsize,
    /// Slots to be freed until threads cache again; 0 while they do.
    until_cached: AtomicU32,
    /// `arrived` after the last release that did not serve its request: while it is the same, there is nothing to
    /// release.
    fruitless: AtomicUsize,
}

impl Transit {
    pub(super) fn new() -> Self {
        Self {
            turns: Mutex::new(()),
            carrying: AtomicUsize::new(0),
            arrived: AtomicUsize::new(0),
            until_cached: AtomicU32::new(0),
            fruitless: AtomicUsize::new(usize::MAX),
        }
    }

    /// Whether nothing has been freed since a release that did not serve its request. The bypass is in effect: it ends
    /// with frees.
    fn is_fruitless(&self) -> bool {
        self.carrying.load(Acquire) == 0
            && self.arrived.load(Acquire) == self.fruitless.load(Relaxed)
            && self.until_cached.load(Relaxed) > 0
    }

    /// Waits while memory is on its way. Returns whether some has arrived since `seen`.
    fn has_arrived_since(&self, seen: usize) -> bool {
        let mut backoff = Backoff::new();
        // Acquire: pairs with the AcqRel in the drop of `Carry`.
        while self.carrying.load(Acquire) > 0 && self.arrived.load(Acquire) == seen {
            if !backoff.pause() {
                return false;
            }
        }
        self.arrived.load(Acquire) != seen
    }
}

thread_local! {
    // How often the thread carries memory. Without a destructor, so that it is there to the thread's very end.
    static CARRIES: Cell<u32> = const { Cell::new(0) };
}

/// A thread that carries memory from one structure to another.
pub(crate) struct Carry<'a>(Option<&'a Transit>);

impl Carry<'_> {
    /// Ends it without an arrival: there was nothing to carry.
    pub(super) fn end_without(mut self) {
        if let Some(transit) = self.0.take() {
            CARRIES.set(CARRIES.get() - 1);
            transit.carrying.fetch_sub(1, AcqRel);
        }
    }
}

impl Drop for Carry<'_> {
    fn drop(&mut self) {
        if let Some(transit) = self.0 {
            // AcqRel: pairs with the Acquire in `has_arrived_since`. First the arrival: a thread that sees no carrier
            // any more sees it.
            transit.arrived.fetch_add(1, AcqRel);
            CARRIES.set(CARRIES.get() - 1);
            transit.carrying.fetch_sub(1, AcqRel);
        }
    }
}

/// The owner of a thread cache, inside its gate. No memory is allocated meanwhile, no system call made, no lock waited
/// for but a class', and no foreign code runs.
pub(crate) struct Inside<'a> {
    cache: &'a ThreadCache,
    bypass: bool,
    /// The gate was claimed: the lock keeps the next claimer out.
    locked: Option<MutexGuard<'a, CacheList>>,
}

impl Inside<'_> {
    /// Whether freed slots go to their slabs, and magazines are not filled.
    pub(crate) fn bypass(&self) -> bool {
        self.bypass
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if self.locked.is_none() {
            self.cache.gate.leave();
        }
    }
}

/// What was taken out of thread caches.
struct Claimed {
    blocks: [Blocks; CLASS_PLACES],
    mappings: Evicted,
    lease: usize,
}

impl PoolInner {
    /// Lets the owner of a cache into it.
    pub(crate) fn enter<'a>(&'a self, cache: &'a ThreadCache) -> Inside<'a> {
        let (state, locked) = match cache.gate.enter() {
            Some(state) => (state, None),
            None => {
                let caches = self.caches();
                (cache.gate.state(), Some(caches))
            }
        };
        Inside {
            cache,
            bypass: state & BYPASS != 0,
            locked,
        }
    }

    /// Counts the calling thread as one that carries memory, until what is returned is dropped. Not counted: in a pool
    /// without a limit, where no request depends on it; a thread in its turn, which no other request looks past.
    pub(crate) fn carry(&self) -> Carry<'_> {
        let counted = self.is_limited() && !Deferred::is_active();
        if counted {
            // AcqRel: before the memory leaves its structure.
            CARRIES.set(CARRIES.get() + 1);
            self.transit.carrying.fetch_add(1, AcqRel);
        }
        Carry(counted.then_some(&self.transit))
    }

    /// Whether the pool has a limit: then waiters may exist, and threads that carry memory are counted.
    pub(super) fn is_limited(&self) -> bool {
        self.config.limit != usize::MAX
    }

    /// Makes an attempt, and if it is refused, further ones after the caches of all threads and of the pool were
    /// released. Makes system calls and runs wakers then.
    pub(crate) fn with_reclaim<T>(
        &self,
        attempt: impl Fn() -> Result<T, AllocFailure>,
    ) -> Result<T, AllocFailure> {
        match attempt() {
            Err(AllocFailure::Limit | AllocFailure::System) => self.reclaim_and_retry(attempt),
            result => result,
        }
    }

    #[cold]
    fn reclaim_and_retry<T>(
        &self,
        attempt: impl Fn() -> Result<T, AllocFailure>,
    ) -> Result<T, AllocFailure> {
        // A hook of the heap that comes here in its thread's turn, or while the thread carries memory, must not wait for
        // others: they may wait for the thread.
        let waits = CARRIES.get() == 0;
        // Wakers run foreign code: after the turn.
        let deferred = waits.then(|| Deferred::new(&self.waiting)).flatten();
        let turn = deferred.as_ref().map(|_| lock(&self.transit.turns));
        let mut result = Err(AllocFailure::Limit);
        for _ in 0..ROUNDS {
            let seen = self.transit.arrived.load(Acquire);
            result = attempt().or_else(|failure| {
                if self.is_limited() && self.transit.is_fruitless() {
                    return Err(failure);
                }
                self.transit.until_cached.store(CACHED_AGAIN, Relaxed);
                self.release_caches(REFUSED);
                attempt()
            });
            if result.is_ok() || MODEL || turn.is_none() {
                break;
            }
            if !self.transit.has_arrived_since(seen) {
                self.transit.fruitless.store(seen, Relaxed);
                break;
            }
        }
        drop(turn);
        drop(deferred);
        result
    }

    /// After the last handle was dropped: releases all that no buffer uses, and keeps nothing from now on.
    pub(crate) fn close(&self) {
        self.release_caches(CLOSED);
    }

    /// Puts every slot that lies in a magazine or in the depot back into its slab, so that what is out of the slabs is
    /// with buffers. Makes system calls and runs wakers.
    pub(crate) fn flush_all(&self) {
        let _carry = self.carry();
        self.reclaim(0);
        for class in 0..self.table.count() {
            self.free_slabs(class, self.depot.drain(class));
        }
    }

    /// Counts each slot from now on.
    pub(super) fn count_exactly(&self) {
        let _carry = self.carry();
        self.reclaim(WATERMARK);
    }

    /// The pool is far from its watermarks again.
    pub(super) fn count_blocks(&self) {
        self.end_bypass(WATERMARK);
    }

    /// Notes that a slot went back to its slab past the magazines.
    pub(super) fn slot_bypassed(&self) {
        if self.transit.until_cached.load(Relaxed) == 0 {
            return;
        }
        let less = |until: u32| until.checked_sub(1);
        let before = self
            .transit
            .until_cached
            .fetch_update(Relaxed, Relaxed, less);
        if before == Ok(1) {
            self.end_bypass(REFUSED);
        }
    }

    fn end_bypass(&self, reason: u8) {
        let mut caches = self.caches();
        // SeqCst: pairs with the fence in `WaitQueue::join`. Either we see the waiter, or its attempt, which takes this
        // lock, comes after us and sets the bypass anew.
        fence(SeqCst);
        if reason == REFUSED && !self.waiting.is_empty() {
            self.transit.until_cached.store(CACHED_AGAIN, Relaxed);
            return;
        }
        caches.bypass &= !reason;
        if caches.bypass == 0 {
            for cache in caches.iter() {
                cache.gate.clear(BYPASS);
            }
        }
    }

    /// Puts every slot that lies in a thread's magazine back into its slab, and every mapping that a thread keeps into
    /// the mapping cache. Sets the bypass for the reason `bypass`, if it is one. The caller [carries](Self::carry).
    pub(super) fn reclaim(&self, bypass: u8) {
        let mut claimed = Claimed {
            blocks: std::array::from_fn(|_| Blocks::default()),
            mappings: Evicted::default(),
            lease: 0,
        };
        {
            let mut caches = self.caches();
            // Then no thread has cached anything since it took effect, and there is most often nothing to claim.
            let in_effect = caches.bypass != 0;
            caches.bypass |= bypass;
            if caches.iter().all(|cache| in_effect && cache.is_empty()) {
                return;
            }
            self.claim(&mut caches, &mut claimed);
        }
        self.flush(claimed);
    }

    fn claim(&self, caches: &mut CacheList, claimed: &mut Claimed) {
        let bits = if caches.bypass == 0 {
            CLAIMED
        } else {
            CLAIMED | BYPASS
        };
        caches.iter().for_each(|cache| cache.gate.set(bits));
        // Pairs with the fences in `Gate::enter` and `Gate::enter_unless`.
        if caches.common & FULL_FENCE == 0 && !self.config.os.fence_heavy() {
            caches.common |= FULL_FENCE;
            caches.iter().for_each(|cache| cache.gate.set(FULL_FENCE));
            // Owners that entered without a fence before: their stores are on their way for a moment only.
            settle_stores();
        }
        fence(SeqCst);
        for cache in caches.iter() {
            if cache.gate.wait_until_out() {
                self.take_all(cache, claimed);
            }
        }
        caches.iter().for_each(|cache| cache.gate.clear(CLAIMED));
    }

    fn take_all(&self, cache: &ThreadCache, claimed: &mut Claimed) {
        for (class, blocks) in claimed.blocks.iter_mut().enumerate() {
            let magazine = cache.magazine(class);
            // Empty blocks stay: the owner may be about to need them.
            if class < self.table.count() && magazine.slots() > 0 {
                magazine
                    .uninstall()
                    .into_iter()
                    .flatten()
                    .for_each(|block| blocks.push(block));
            }
        }
        claimed.lease += cache.take_kept(|large| claimed.mappings.push(large));
    }

    fn flush(&self, mut claimed: Claimed) {
        for (class, blocks) in claimed.blocks.iter_mut().enumerate() {
            while let Some(block) = blocks.pop() {
                self.flush_block(class, block);
            }
        }
        self.end_lease(claimed.lease);
        while let Some(large) = claimed.mappings.pop() {
            self.free_large(large);
        }
    }

    /// Puts the slots of a block back into their slabs and frees it.
    pub(crate) fn flush_block(&self, class: usize, block: NonNull<Block>) {
        let count = Block::of(block).height();
        self.free_slabs(class, self.depot.flush(class, block));
        self.sweep_if_closed(class);
        // SAFETY: allocated for a magazine, out of it, and emptied.
        unsafe { Block::free(block) };
        if count > 0 {
            self.count_slots(class, 0, count);
            self.notify();
        }
    }
}
