//! The only module that chooses between `std`, loom and shuttle.
//!
//! All code that shares memory between threads uses these names, so the models run the code that
//! ships. No other module checks whether loom or shuttle is present.

#[allow(unsafe_code)]
mod cell;
#[cfg(all(test, shuttle))]
mod local;
#[cfg(not(all(test, any(loom, shuttle))))]
#[allow(unsafe_code)]
mod membarrier;
#[cfg(all(test, loom))]
pub(crate) mod model_thread;

pub(crate) use cell::InPlace;
/// The crate whose types replace those of `std` in models.
#[cfg(all(test, loom))]
pub(crate) use loom as checker;
#[cfg(all(test, loom))]
pub(crate) use loom::cell::{Cell, UnsafeCell};
#[cfg(all(test, loom))]
pub(crate) use model_thread::{Thread, current_thread};
#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) use std as checker;
#[cfg(not(all(test, loom)))]
pub(crate) use {cell::UnsafeCell, std::cell::Cell};
#[cfg(all(test, shuttle))]
pub(crate) use {local::LocalKey, shuttle as checker};

pub(crate) use checker::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};
#[cfg(all(test, any(loom, shuttle)))]
use checker::thread::yield_now;
#[cfg(not(all(test, loom)))]
pub(crate) use checker::thread::{Thread, current as current_thread};

/// Whether this is a model of loom: then tables are small enough for loom.
pub(crate) const MODEL: bool = cfg!(all(test, loom));

/// Orders the caller's earlier stores before its later loads, with respect to a thread that
/// executes a [heavy fence](fence_heavy) between a store and a load: at least one of the two
/// threads sees the other's store. Costs no instruction, because the heavy fence acts on the
/// caller's processor. In models both are `SeqCst` fences, so that the models check their
/// positions.
#[inline(always)]
pub(crate) fn fence_light() {
    #[cfg(all(test, any(loom, shuttle)))]
    fence(Ordering::SeqCst);
    #[cfg(not(all(test, any(loom, shuttle))))]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
}

/// Prepares [`fence_heavy`]. Returns `false` if the system has no such fence: then threads that
/// would use [`fence_light`] need a full fence instead. May make a system call, once a process.
pub(crate) fn register_fences() -> bool {
    #[cfg(all(test, any(loom, shuttle)))]
    return true;
    #[cfg(not(all(test, any(loom, shuttle))))]
    membarrier::register()
}

/// Executes a full fence on every processor that runs a thread of this process: the partner of
/// [`fence_light`]. Returns `false` if the system refuses; then no access is ordered. Makes a
/// system call.
pub(crate) fn fence_heavy() -> bool {
    #[cfg(all(test, any(loom, shuttle)))]
    {
        fence(Ordering::SeqCst);
        true
    }
    #[cfg(not(all(test, any(loom, shuttle))))]
    membarrier::fence()
}

/// Waits until earlier stores of other threads are visible, if no fence can be executed on their
/// behalf. Such stores take nanoseconds, this wait takes a millisecond.
pub(crate) fn settle_stores() {
    #[cfg(not(all(test, any(loom, shuttle))))]
    std::thread::sleep(std::time::Duration::from_millis(1));
}

/// A wait for another thread that is about to finish: spins briefly, then sleeps, so that a thread
/// of a lower priority on the same processor runs.
pub(crate) struct Backoff {
    rounds: u32,
}

impl Backoff {
    const SPINS: u32 = 64;
    /// Number of rounds after which [`pause`](Self::pause) gives up: about a second of sleep.
    #[cfg(not(all(test, any(loom, shuttle))))]
    const ROUNDS: u32 = Self::SPINS + 1000;

    pub(crate) fn new() -> Self {
        Self { rounds: 0 }
    }

    /// Waits briefly. Returns `false` if the wait has lasted about a second in total: then the
    /// other thread may not exist any more, as in the child of a fork.
    pub(crate) fn pause(&mut self) -> bool {
        self.rounds += 1;
        #[cfg(all(test, any(loom, shuttle)))]
        {
            yield_now();
            true
        }
        #[cfg(not(all(test, any(loom, shuttle))))]
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

/// Blocks the calling thread until it is unparked or wakes up spuriously. Returns `false` if the
/// instant `until` has passed. In models time does not advance.
pub(crate) fn park_until(until: Option<std::time::Instant>) -> bool {
    #[cfg(all(test, loom))]
    model_thread::park();
    #[cfg(all(test, shuttle))]
    checker::thread::park();
    #[cfg(not(all(test, any(loom, shuttle))))]
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

/// Locks a mutex and ignores poison: no code of this crate leaves a structure inconsistent when it
/// panics.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Whether the atomics are those of a model checker, which are larger than those of `std`.
pub(crate) const CHECKED: bool = cfg!(all(test, any(loom, shuttle)));

/// The atomics of structures in the system's memory. Those of shuttle have no value that is all
/// zero; such structures are accessed under locks.
pub(crate) mod in_place {
    #[cfg(all(test, loom))]
    pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU64};
    #[cfg(not(all(test, loom)))]
    pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU64};
}

/// Declares a function that returns a value of these types. It is a `const fn` where the types have
/// constant constructors.
#[cfg(not(all(test, any(loom, shuttle))))]
macro_rules! const_fn {
    ($(#[$meta:meta])* $vis:vis fn $name:ident() -> $type:ty $body:block) => {
        $(#[$meta])*
        $vis const fn $name() -> $type $body
    };
}
#[cfg(all(test, any(loom, shuttle)))]
macro_rules! const_fn {
    ($(#[$meta:meta])* $vis:vis fn $name:ident() -> $type:ty $body:block) => {
        $(#[$meta])*
        $vis fn $name() -> $type $body
    };
}

/// Creates an array of values of these types, at compile time where the types have constant
/// constructors.
#[cfg(not(all(test, any(loom, shuttle))))]
macro_rules! array_of {
    ($value:expr) => {
        [const { $value }; _]
    };
}
#[cfg(all(test, any(loom, shuttle)))]
macro_rules! array_of {
    ($value:expr) => {
        std::array::from_fn(|_| $value)
    };
}

/// Declares a thread-local, initialised at compile time where the types have constant constructors.
#[cfg(not(all(test, any(loom, shuttle))))]
macro_rules! thread_local_const {
    ($(static $name:ident: $type:ty = $value:expr;)*) => {
        std::thread_local! { $(static $name: $type = const { $value };)* }
    };
}
#[cfg(all(test, any(loom, shuttle)))]
macro_rules! thread_local_const {
    ($(static $name:ident: $type:ty = $value:expr;)*) => {
        #[cfg(loom)]
        $crate::sync::checker::thread_local! { $(static $name: $type = $value;)* }
        $(#[cfg(shuttle)] static $name: $crate::sync::LocalKey<$type> = $crate::sync::LocalKey::new(|| $value);)*
    };
}

/// Declares a function that returns a reference to a static of these types.
#[cfg(not(all(test, any(loom, shuttle))))]
macro_rules! static_ref {
    ($(#[$meta:meta])* $vis:vis fn $name:ident() -> &'static $type:ty = $value:expr;) => {
        $(#[$meta])*
        $vis const fn $name() -> &'static $type {
            static STATIC: $type = $value;
            &STATIC
        }
    };
}
#[cfg(all(test, any(loom, shuttle)))]
macro_rules! static_ref {
    ($(#[$meta:meta])* $vis:vis fn $name:ident() -> &'static $type:ty = $value:expr;) => {
        $(#[$meta])*
        $vis fn $name() -> &'static $type {
            $crate::sync::checker::lazy_static! { static ref STATIC: $type = $value; }
            // A model's statics live until its threads have ended.
            &STATIC
        }
    };
}

pub(crate) use {array_of, const_fn, static_ref, thread_local_const};
