//! The gate of a thread cache: its owner inside, or another thread that empties it.
//!
//! A slot that lies idle in a thread's magazine is missed by a request of another thread, by a trim, and by a pool that
//! is closed. So other threads can *claim* a cache. The owner *enters* its gate before it touches the cache and *leaves*
//! afterwards: it stores "inside", then loads the state. A claimer does the same the other way round: it stores
//! "claimed" in the state, then loads "inside". With a fence between the two accesses of each, at least one of them
//! sees the other (Dekker). An owner that finds its gate claimed leaves again, and waits for the lock that claimers
//! hold; a claimer waits until the owner is out.
//!
//! The owner's fence is a *light* one, which costs no instruction; the claimer's is a *heavy* one, which the processors
//! of all threads execute ([`fence_light`]). A pair of 64 bytes in a limited pool took 16 ns with full fences on
//! both sides.
//!
//! | bit of `state` | meaning for the owner |
//! |---|---|
//! | `CLAIMED` | another thread is at the cache, or about to be: wait for the pool's list lock |
//! | `BYPASS` | put freed slots into their slabs, not into magazines; keep no mapping |
//! | `SAMPLED` | count down to the next sample before each allocation |
//! | `FULL_FENCE` | there is no heavy fence: enter with a full fence, out of line |
//! | `ABSENT` | this is no thread's cache, but what a thread without one finds |

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

/// A thread cache's gate. Both bytes lie in the cache's first line.
#[repr(C)]
pub(crate) struct Gate {
    inside: AtomicBool,
    state: AtomicU8,
}

impl Gate {
    const_fn! {
        /// The gate of a cache that is no thread's.
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

    /// The owner enters, unless a bit of `but` is set in the state: then it stays outside.
    #[inline(always)]
    pub(crate) fn enter_unless(&self, but: u8) -> bool {
        self.inside.store(true, Relaxed);
        // Pairs with the heavy fence between `claim` and `wait_until_out`.
        fence_light();
        // Acquire: pairs with the Release in `release`, so that the owner sees what claimers did.
        if self.state.load(Acquire) & but != 0 {
            self.leave();
            return false;
        }
        true
    }

    /// The owner enters with a full fence, unless the gate is claimed. Returns the state.
    pub(crate) fn enter(&self) -> Option<u8> {
        self.inside.store(true, Relaxed);
        // SeqCst: pairs with the fence between `claim` and `wait_until_out`, heavy or not.
        fence(SeqCst);
        // Acquire: as in `enter_unless`.
        let state = self.state.load(Acquire);
        if state & CLAIMED != 0 {
            self.leave();
            return None;
        }
        Some(state)
    }

    /// The owner leaves. Release: pairs with the Acquire in `wait_until_out`.
    #[inline(always)]
    pub(crate) fn leave(&self) {
        self.inside.store(false, Release);
    }

    /// The state as it was at some moment. Exact under the pool's list lock, which every thread holds that changes it.
    pub(crate) fn state(&self) -> u8 {
        self.state.load(Relaxed)
    }

    /// Sets bits, under the pool's list lock.
    pub(crate) fn set(&self, bits: u8) {
        self.state.fetch_or(bits, Relaxed);
    }

    /// Clears bits, under the pool's list lock. Release: pairs with the Acquire in `enter`.
    pub(crate) fn clear(&self, bits: u8) {
        self.state.fetch_and(!bits, Release);
    }

    /// Waits until the owner is out, after [`CLAIMED`] was set and a fence. The owner is not inside for long: no
    /// system call is made there, no memory allocated, and no lock waited for but a class'. Returns `false` if it does
    /// not come out: it is a thread of the process that this one was forked from.
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
