//! The one place that chooses between `std` and loom.
//!
//! Everything that threads share is built on these names, so that the models run the very code that
//! ships. Nothing else in the crate asks whether loom is there.

#[cfg(not(all(test, loom)))]
#[allow(unsafe_code)]
mod membarrier;

#[cfg(all(test, loom))]
pub(crate) use loom::{
    sync::{
        Mutex, MutexGuard,
        atomic::{
            AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
        },
    },
    thread::{Thread, current as current_thread, yield_now},
};
#[cfg(not(all(test, loom)))]
pub(crate) use std::{
    sync::{
        Mutex, MutexGuard,
        atomic::{
            AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
        },
    },
    thread::{Thread, current as current_thread},
};

/// Whether this is a model: then tables are so small that loom can follow.
pub(crate) const MODEL: bool = cfg!(all(test, loom));

/// Orders the caller's earlier stores before its later loads for a thread that executes a [heavy fence](fence_heavy)
/// between a store and a load of its own: at least one of the two
/// threads sees the other's store. Costs no instruction; the processor's part is done by the heavy fence. Under
/// loom both are `SeqCst` fences, so that the models check where they stand.
#[inline(always)]
pub(crate) fn fence_light() {
    #[cfg(all(test, loom))]
    fence(Ordering::SeqCst);
    #[cfg(not(all(test, loom)))]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
}

/// Prepares [`fence_heavy`]. Returns `false` where there is none: then threads that would use [`fence_light`] need a
/// full fence instead. May make a system call, once a process.
pub(crate) fn register_fences() -> bool {
    #[cfg(all(test, loom))]
    return true;
    #[cfg(not(all(test, loom)))]
    membarrier::register()
}

/// The partner of [`fence_light`]: a full fence on every processor that runs a thread of this process. Returns `false`
/// if the system refuses; then nothing is ordered. Makes a system call.
pub(crate) fn fence_heavy() -> bool {
    #[cfg(all(test, loom))]
    {
        fence(Ordering::SeqCst);
        true
    }
    #[cfg(not(all(test, loom)))]
    membarrier::fence()
}

/// Waits until stores that other threads made before have left their processors, where no fence can be executed on
/// their behalf: they take nanoseconds, this a millisecond.
pub(crate) fn settle_stores() {
    #[cfg(not(all(test, loom)))]
    std::thread::sleep(std::time::Duration::from_millis(1));
}

/// A wait for another thread that is about to finish: spins briefly, then sleeps, so that a thread of a lower
/// priority on the same processor runs.
pub(crate) struct Backoff {
    rounds: u32,
}

impl Backoff {
    const SPINS: u32 = 64;
    /// Rounds after which [`pause`](Self::pause) gives up: about a second of sleep.
    #[cfg(not(all(test, loom)))]
    const ROUNDS: u32 = Self::SPINS + 1000;

    pub(crate) fn new() -> Self {
        Self { rounds: 0 }
    }

    /// Waits a moment. Returns `false` when the wait has lasted so long that the other thread may not exist any
    /// more, as in the child of a fork.
    pub(crate) fn pause(&mut self) -> bool {
        self.rounds += 1;
        #[cfg(all(test, loom))]
        {
            yield_now();
            true
        }
        #[cfg(not(all(test, loom)))]
        {
            if self.rounds <= Self::SPINS {
                std::hint::spin_loop();
            } else {
                let doubled = (self.rounds - Self::SPINS).min(7);
                std::thread::sleep(std::time::Duration::from_micros(8 << doubled));
            }
            self.rounds < Self::ROUNDS
        }
    }
}

/// Blocks the calling thread until it is unparked (or, now and then, for no reason). `false`: the instant has come.
/// Under loom time stands still.
pub(crate) fn park_until(until: Option<std::time::Instant>) -> bool {
    #[cfg(all(test, loom))]
    loom::thread::park();
    #[cfg(not(all(test, loom)))]
    match until {
        None => std::thread::park(),
        Some(until) => {
            let left = until.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return false;
            }
            std::thread::park_timeout(left);
        }
    }
    let _ = until;
    true
}

/// Locks, poisoned or not: no code of this crate leaves a structure half-changed when it panics.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// `const fn`s that make values of these types, where the types can be made in constants.
#[cfg(not(all(test, loom)))]
macro_rules! const_fn {
    ($(#[$meta:meta])* $vis:vis fn $name:ident() -> $type:ty $body:block) => {
        $(#[$meta])*
        $vis const fn $name() -> $type $body
    };
}
#[cfg(all(test, loom))]
macro_rules! const_fn {
    ($(#[$meta:meta])* $vis:vis fn $name:ident() -> $type:ty $body:block) => {
        $(#[$meta])*
        $vis fn $name() -> $type $body
    };
}

/// An array of values of these types, likewise.
#[cfg(not(all(test, loom)))]
macro_rules! array_of {
    ($value:expr) => {
        [const { $value }; _]
    };
}
#[cfg(all(test, loom))]
macro_rules! array_of {
    ($value:expr) => {
        std::array::from_fn(|_| $value)
    };
}

/// A thread-local that is made at compile time where these types can be.
#[cfg(not(all(test, loom)))]
macro_rules! thread_local_const {
    ($(static $name:ident: $type:ty = $value:expr;)*) => {
        std::thread_local! { $(static $name: $type = const { $value };)* }
    };
}
#[cfg(all(test, loom))]
macro_rules! thread_local_const {
    ($(static $name:ident: $type:ty = $value:expr;)*) => {
        loom::thread_local! { $(static $name: $type = $value;)* }
    };
}

/// A function that returns a reference to a static of these types.
#[cfg(not(all(test, loom)))]
macro_rules! static_ref {
    ($(#[$meta:meta])* $vis:vis fn $name:ident() -> &'static $type:ty = $value:expr;) => {
        $(#[$meta])*
        $vis const fn $name() -> &'static $type {
            static STATIC: $type = $value;
            &STATIC
        }
    };
}
#[cfg(all(test, loom))]
macro_rules! static_ref {
    ($(#[$meta:meta])* $vis:vis fn $name:ident() -> &'static $type:ty = $value:expr;) => {
        $(#[$meta])*
        $vis fn $name() -> &'static $type {
            loom::lazy_static! { static ref STATIC: $type = $value; }
            // A model's statics live until its threads have ended.
            &STATIC
        }
    };
}

pub(crate) use {array_of, const_fn, static_ref, thread_local_const};
