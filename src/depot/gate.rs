//! Who is at a thread's magazines: their owner, or another thread that empties them.
//!
//! In a pool with a limit no slot may lie idle with a thread while another one asks for it. So there others
//! can empty a thread's magazines, and the owner *enters* before it touches them and *leaves* afterwards.
//!
//! Entering is two plain accesses with a fence between them: "I am inside" is stored, then "claimed" is
//! loaded. Another thread does the same the other way round: it stores "claimed" and then loads "inside".
//! With both fences at least one sees the other (Dekker). An owner that finds its gate claimed goes out again and waits
//! for the lock that those who claim hold; one who claims waits until the owner is out.
//!
//! A fence on the owner's side is what a buffer in such a pool costs more than in others. Linux could take it
//! over: `membarrier(2)` is a fence that one thread executes on behalf of all. It made a pair of 64 bytes no faster (15.4
//! and 15.4 ns), one of 1400 zeroed bytes 1.6 ns of 23.5, and is not used.

use crate::sync::{
    AtomicBool,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
    const_fn, fence, yield_now,
};

/// A thread's gate.
pub(crate) struct Gate {
    inside: AtomicBool,
    claimed: AtomicBool,
}

impl Gate {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self {
                inside: AtomicBool::new(false),
                claimed: AtomicBool::new(false),
            }
        }
    }

    /// The owner goes inside, unless the gate is claimed.
    #[inline(always)]
    pub(crate) fn enter(&self) -> bool {
        self.inside.store(true, Relaxed);
        // SeqCst: pairs with the fence in `claim`.
        fence(SeqCst);
        // Acquire: pairs with the Release in `release`, so that the owner sees what others did here.
        if self.claimed.load(Acquire) {
            self.leave();
            return false;
        }
        true
    }

    /// The owner goes out. Release: pairs with the Acquire in `wait_until_out`.
    #[inline(always)]
    pub(crate) fn leave(&self) {
        self.inside.store(false, Release);
    }

    /// Keeps the owner from entering, and waits until it is out. It is not inside for long: no system call is made
    /// there, and no lock waited for but a class'. The caller holds the pool's lock for this, and until
    /// [`release`](Self::release).
    pub(crate) fn claim(&self) {
        self.claimed.store(true, Relaxed);
        // SeqCst: pairs with the fence in `enter`.
        fence(SeqCst);
        // Acquire: pairs with the Release in `leave`.
        while self.inside.load(Acquire) {
            yield_now();
        }
    }

    /// Lets the owner enter again. Release: pairs with the Acquire in `enter`.
    pub(crate) fn release(&self) {
        self.claimed.store(false, Release);
    }
}
