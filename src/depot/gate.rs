//! The gate of a thread cache: admits either its owner or another thread that empties it.
//!
//! A slot in an idle thread's magazine could serve a request of another thread, a trim needs it,
//! and a pool that is closed must get it back. So other threads can *claim* a cache. The owner
//! *enters* its gate before it accesses the cache and *leaves* afterwards: it stores "inside", then
//! loads the state. A claimer does the reverse: it stores "claimed" in the state, then loads
//! "inside". With a fence between the two accesses of each, at least one of the threads sees the
//! other's store (Dekker). An owner that finds its gate claimed leaves again, and waits for the
//! lock that claimers hold. A claimer waits until the owner is outside.
//!
//! The owner's fence is a *light* one, which costs no instruction. The claimer's is a *heavy* one,
//! which the processors of all threads execute ([`fence_light`]). With full fences on both sides, a
//! pair (`alloc_unsafe` and drop) of 64 bytes in a limited pool took 16 ns.
//!
//! | bit of `state` | meaning for the owner |
//! |---|---|
//! | `CLAIMED` | a claimer uses the cache, or is about to: wait for the pool's list lock |
//! | `BYPASS` | put freed slots into their slabs, not into magazines; keep no mapping |
//! | `SAMPLED` | count down to the next sample before each allocation |
//! | `FULL_FENCE` | there is no heavy fence: enter with a full fence, out of line |
//! | `ABSENT` | this cache has no owner: threads without a cache find it |

use crate::sync::{
    AtomicBool, AtomicU8, Backoff,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
    const_fn, fence, fence_light,
};

pub(crate) const CLAIMED: u8 = 1;
pub(crate) const BYPASS: u8 = 1 << 1;
pub(crate) const SAMPLED: u8 = 1 << 2;
pub(crate) const FULL_FENCE: u8 = 1 << 3;
pub(crate) const ABSENT: u8 = 1 << 4;

/// A thread cache's gate. Both bytes are in one cache line of the thread cache.
#[repr(C)]
pub(crate) struct Gate {
    inside: AtomicBool,
    state: AtomicU8,
}

impl Gate {
    const_fn! {
        /// Creates the gate of a cache that has no owner.
        pub(crate) fn absent() -> Self {
            Self {
                inside: AtomicBool::new(false),
                state: AtomicU8::new(ABSENT),
            }
        }
    }

    pub(crate) fn new(state: u8) -> Self {
        Self {
            inside: AtomicBool::new(false),
            state: AtomicU8::new(state),
        }
    }

    /// Lets the owner enter, unless a bit of `but` is set in the state. Returns whether it is
    /// inside.
    #[inline(always)]
    pub(crate) fn enter_unless(&self, but: u8) -> bool {
        self.inside.store(true, Relaxed);
        // Light fence: pairs with the heavy fence that a claimer executes between `set` and
        // `wait_until_out`.
        fence_light();
        // Acquire: pairs with the Release in `clear`, so that the owner sees the claimer's
        // accesses.
        if self.state.load(Acquire) & but != 0 {
            self.leave();
            return false;
        }
        true
    }

    /// Lets the owner enter with a full fence, unless the gate is claimed. Returns the state, or
    /// `None` if the owner is outside.
    pub(crate) fn enter(&self) -> Option<u8> {
        self.inside.store(true, Relaxed);
        // SeqCst: pairs with the fence that a claimer executes between `set` and `wait_until_out`,
        // heavy or not.
        fence(SeqCst);
        // Acquire: as in `enter_unless`.
        let state = self.state.load(Acquire);
        if state & CLAIMED != 0 {
            self.leave();
            return None;
        }
        Some(state)
    }

    /// Lets the owner leave. Release: pairs with the Acquire in `wait_until_out`.
    #[inline(always)]
    pub(crate) fn leave(&self) {
        self.inside.store(false, Release);
    }

    /// Returns the state. It is exact under the pool's list lock, which every thread holds that
    /// changes it, and may be outdated otherwise.
    pub(crate) fn state(&self) -> u8 {
        self.state.load(Relaxed)
    }

    /// Sets bits. The caller holds the pool's list lock.
    pub(crate) fn set(&self, bits: u8) {
        self.state.fetch_or(bits, Relaxed);
    }

    /// Clears bits. The caller holds the pool's list lock. Release: pairs with the Acquire in
    /// `enter` and `enter_unless`.
    pub(crate) fn clear(&self, bits: u8) {
        self.state.fetch_and(!bits, Release);
    }

    /// Waits until the owner is outside. The caller has set [`CLAIMED`] and executed a fence. The
    /// wait is short: inside, the owner makes no system call, allocates no heap memory, and waits
    /// for no lock but a class's. Returns `false` if the owner does not leave: it is a thread of
    /// the process that this one was forked from.
    pub(crate) fn wait_until_out(&self) -> bool {
        let mut backoff = Backoff::new();
        // Acquire: pairs with the Release in `leave`.
        while self.inside.load(Acquire) {
            if !backoff.pause() {
                return false;
            }
        }
        true
    }
}
