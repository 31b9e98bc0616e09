//! Reclaiming memory from the caches of all threads: for a trim, for a request that is about to
//! fail, and when a pool is closed.
//!
//! # No spurious refusal
//!
//! A request is refused only if, at some moment, neither a slab nor a cache had memory for it.
//! Requests that fail take turns under a lock; each retries after the one before it has reclaimed.
//! Freed slots bypass the magazines meanwhile, so that no thread caches what was reclaimed. Threads
//! that move memory are counted as carriers ([`PoolInner::carry`]): a request that found nothing
//! while there was a carrier waits until the memory has arrived, and retries.
//!
//! # Bypass
//!
//! While a pool is full, each request that fails would claim every cache again. So the bypass stays
//! in effect until [`CACHED_AGAIN`] slots were freed without another refusal and without a waiter.
//! Until then magazines stay empty, and there is nothing to claim.
//!
//! # Safety
//!
//! A thread takes a block or a mapping out of another thread's cache only while the cache's owner
//! is outside of its gate and cannot enter. Then the block or mapping belongs to the claimer.

use super::PoolInner;
use crate::depot::block::{Block, Blocks};
use crate::depot::cache::{CacheList, ThreadCache};
use crate::depot::gate::{BYPASS, CLAIMED, FULL_FENCE};
use crate::error::AllocFailure;
use crate::large::cache::Evicted;
use crate::pressure::transit::Transit;
use crate::pressure::wake::Deferred;
use crate::slab::size_class::CLASS_PLACES;
use crate::sync::{
    MODEL, MutexGuard,
    Ordering::{Relaxed, SeqCst},
    fence, lock, settle_stores,
};
use crate::util::attempt;
use std::ptr::NonNull;

/// A reason for the bypass: a request was refused recently, or waits.
pub(super) const REFUSED: u8 = 1;
/// A reason for the bypass: the pool is closed.
const CLOSED: u8 = 1 << 1;
/// A reason for the bypass: the pool is near a watermark, and counts each slot.
const WATERMARK: u8 = 1 << 2;

/// Number of slots freed without a refusal after which threads use their magazines again.
pub(super) const CACHED_AGAIN: u32 = if MODEL { 1 } else { 64 };
/// Maximum number of attempts of a request that finds nothing while other threads carry memory.
/// Models use one attempt: their requests wait in the queue, and are woken.
const ROUNDS: usize = if MODEL { 1 } else { 64 };

/// A thread that carries memory from one structure to another. Waiters are woken when it ends.
pub(crate) struct Carry<'a> {
    pool: Option<&'a PoolInner>,
    /// Dropped last: that runs wakers.
    _deferred: Option<Deferred<'a>>,
}

impl Carry<'_> {
    /// Ends the carrying without an arrival, because there was no memory to carry.
    pub(crate) fn end_without(mut self) {
        if let Some(pool) = self.pool.take() {
            pool.transits().for_each(Transit::end);
        }
    }
}

impl Drop for Carry<'_> {
    fn drop(&mut self) {
        if let Some(pool) = self.pool {
            for transit in pool.transits() {
                let arrivals = transit.arrive();
                // The last of them is the budget's.
                pool.last_used.store(arrivals, Relaxed);
            }
            pool.transits().for_each(Transit::end);
        }
    }
}

/// Proof that the owner of a thread cache is inside its gate. While it exists, the owner allocates
/// no heap memory, makes no system call, waits for no lock but a class's, and runs no foreign code.
pub(crate) struct Inside<'a> {
    cache: &'a ThreadCache,
    bypass: bool,
    /// `Some` if the gate was claimed when the owner entered: the lock keeps the next claimer out.
    locked: Option<MutexGuard<'a, CacheList>>,
}

impl Inside<'_> {
    /// Returns whether freed slots go to their slabs and magazines are not filled.
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

/// Memory that a claimer took out of thread caches.
struct Claimed {
    /// Whether the claimer takes empty blocks, too. It leaves them if the owners need them again,
    /// when they come back from the bypass.
    empty_blocks: bool,
    blocks: [Blocks; CLASS_PLACES],
    mappings: Evicted,
    lease: usize,
}

impl PoolInner {
    /// Lets the calling thread, which owns the cache, enter its gate. Waits while the gate is
    /// claimed.
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

    /// Counts the calling thread as a carrier until the returned guard is dropped. Two kinds of
    /// carriers are not counted: those of a pool without a limit and without a budget, because no
    /// request depends on them, and a thread in its turn, because no other request retries before
    /// the turn ends.
    pub(crate) fn carry(&self) -> Carry<'_> {
        let queue = &self.arbiter().waiting;
        let counted = self.is_limited() && !Deferred::is_active(queue);
        if counted {
            self.transits().for_each(Transit::depart);
        }
        Carry {
            pool: counted.then_some(self),
            _deferred: counted.then(|| Deferred::new(queue)).flatten(),
        }
    }

    /// Returns the counters of carriers that depend on this pool: its own, and those of its budget.
    fn transits(&self) -> impl Iterator<Item = &Transit> {
        let shared = self.shared().map(|shared| &shared.transit);
        std::iter::once(&self.transit).chain(shared)
    }

    /// Returns whether the pool has a limit or a budget. Only then it may have waiters, and counts
    /// carriers.
    pub(super) fn is_limited(&self) -> bool {
        self.config.bound() != usize::MAX
    }

    /// Runs `attempt`. If it is refused, releases the caches of all threads and of the pool, and
    /// then those of the other pools of its budget, and runs it again. Makes system calls and runs
    /// wakers then. The argument of `attempt` is whether a release has found nothing, so that this
    /// is the last attempt.
    pub(crate) fn with_reclaim<T>(
        &self,
        attempt: impl Fn(bool) -> Result<T, AllocFailure>,
    ) -> Result<T, AllocFailure> {
        match attempt(false) {
            Err(AllocFailure::Length) => Err(AllocFailure::Length),
            Err(_) => self.reclaim_and_retry(attempt),
            result => result,
        }
    }

    #[cold]
    fn reclaim_and_retry<T>(
        &self,
        attempt: impl Fn(bool) -> Result<T, AllocFailure>,
    ) -> Result<T, AllocFailure> {
        // Wakers run foreign code: after the turn. A hook of the heap that comes here in its
        // thread's turn, or while the thread carries memory, must not wait for other threads, which
        // may wait for this one.
        let arbiter = self.arbiter();
        let deferred = Deferred::new(&arbiter.waiting);
        let turn = deferred.as_ref().map(|_| lock(&arbiter.turns));
        let mut result = Err(AllocFailure::Limit);
        let waits_for_all =
            |failure| failure == AllocFailure::Budget && attempt::may_use_budget(self.index);
        for _ in 0..ROUNDS {
            let seen = self.transit.arrived();
            let seen_in_all = self.shared().map(|shared| shared.transit.arrived());
            result = self.release_and_retry(&attempt);
            let Err(failure) = &result else { break };
            if turn.is_none() {
                break;
            }
            let (transit, seen_there) = match (self.shared(), seen_in_all) {
                (Some(shared), Some(seen)) if waits_for_all(*failure) => (&shared.transit, seen),
                _ => (&self.transit, seen),
            };
            if MODEL || !transit.has_arrived_since(seen_there) {
                self.transit.set_fruitless(seen);
                transit.set_fruitless(seen_there);
                break;
            }
        }
        drop(turn);
        drop(deferred);
        result
    }

    fn release_and_retry<T>(
        &self,
        attempt: impl Fn(bool) -> Result<T, AllocFailure>,
    ) -> Result<T, AllocFailure> {
        // A waiter's attempt always releases: what the system refused to unmap in the last turn
        // wakes the waiter, and is no arrival.
        let is_known = self.is_limited() && self.line().is_empty() && self.is_fruitless();
        // In a budget, the last attempt follows the release of the other pools.
        let is_alone = self.budget.is_none();
        let mut result = attempt(is_known && is_alone);
        if result.is_err() && !is_known {
            self.release_for_request();
            result = attempt(is_alone);
        }
        match result {
            Err(failure) if !is_alone => self
                .release_others_and_retry(failure, || attempt(false))
                .or_else(|_| attempt(true)),
            result => result,
        }
    }

    /// Returns whether nothing has been freed since the last release, so that another would find
    /// nothing. `false` without the bypass: then frees that fill magazines are not counted as
    /// arrivals.
    pub(super) fn is_fruitless(&self) -> bool {
        self.transit.is_fruitless() && self.until_cached.load(Relaxed) > 0
    }

    /// Releases the caches for a request that is about to fail, and starts the bypass.
    pub(super) fn release_for_request(&self) {
        self.until_cached.store(CACHED_AGAIN, Relaxed);
        self.release_caches(REFUSED);
    }

    /// Releases all memory that no buffer uses, after the last handle was dropped. The pool keeps
    /// nothing from then on.
    pub(crate) fn close(&self) {
        self.release_caches(CLOSED);
    }

    /// Frees every slot in a magazine or in the depot to its slab, so that all slots out of the
    /// slabs belong to buffers. Makes system calls and runs wakers.
    pub(crate) fn flush_all(&self) {
        let _carry = self.carry();
        self.reclaim(0);
        for class in 0..self.table.count() {
            self.free_slabs(class, self.depot.drain(class));
        }
    }

    /// Starts exact counting: empties the magazines and sets the bypass, so that each slot is
    /// counted.
    pub(super) fn count_exactly(&self) {
        let _carry = self.carry();
        self.reclaim(WATERMARK);
    }

    /// Ends exact counting, when the pool is far from its watermarks again.
    pub(super) fn count_blocks(&self) {
        self.end_bypass(WATERMARK);
    }

    /// Counts a slot or mapping that was freed past the thread caches, and ends the bypass after
    /// the last refusal if it was the last one to count.
    pub(crate) fn freed_past_caches(&self) {
        if self.until_cached.load(Relaxed) == 0 {
            return;
        }
        let less = |until: u32| until.checked_sub(1);
        let before = self.until_cached.fetch_update(Relaxed, Relaxed, less);
        if before == Ok(1) {
            self.end_bypass(REFUSED);
        }
    }

    fn end_bypass(&self, reason: u8) {
        let mut caches = self.caches();
        // SeqCst: pairs with the fence in `WaitQueue::join`. Either this thread sees the waiter, or
        // the waiter's attempt, which acquires this lock, comes later and sets the bypass again.
        fence(SeqCst);
        if reason == REFUSED && self.until_cached.load(Relaxed) > 0 {
            // Refused again meanwhile: that request has set the bypass anew, or is about to.
            return;
        }
        if reason == REFUSED && (!self.line().is_empty() || self.is_budget_wanted()) {
            self.until_cached.store(CACHED_AGAIN, Relaxed);
            return;
        }
        caches.bypass &= !reason;
        if caches.bypass == 0 {
            for cache in caches.iter() {
                cache.gate.clear(BYPASS);
            }
        }
    }

    /// Frees every slot in a thread's magazine to its slab, and every mapping that a thread keeps
    /// to the mapping cache. Sets the bypass for the reason `bypass`, unless that is 0. The caller
    /// [carries](Self::carry).
    pub(super) fn reclaim(&self, bypass: u8) {
        let mut claimed = Claimed {
            empty_blocks: bypass == 0,
            blocks: std::array::from_fn(|_| Blocks::default()),
            mappings: Evicted::default(),
            lease: 0,
        };
        {
            let mut caches = self.caches();
            // If the bypass is in effect, no thread has cached anything since it was set, and there
            // is usually nothing to claim.
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
            // Some owners may have entered with a light fence before they saw the bit. This waits
            // until their stores are visible.
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
            if class < self.table.count() && (magazine.slots() > 0 || claimed.empty_blocks) {
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

    /// Frees the slots of a block to their slabs, then the block.
    pub(crate) fn flush_block(&self, class: usize, block: NonNull<Block>) {
        let count = Block::of(block).height();
        self.free_slabs(class, self.depot.flush(class, block));
        self.sweep_if_closed(class);
        // SAFETY: allocated for a magazine, taken out of it, and emptied.
        unsafe { Block::free(block) };
        if count > 0 {
            self.count_slots(class, 0, count);
            self.notify();
        }
    }
}
