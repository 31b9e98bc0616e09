//! The one place that chooses between `std` and loom.
//!
//! Everything that threads share is built on these names, so that the models run the very code that
//! ships. Nothing else in the crate asks whether loom is there.

#[cfg(all(test, loom))]
pub(crate) use loom::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
    },
    thread::{Thread, current as current_thread, yield_now},
};
#[cfg(not(all(test, loom)))]
pub(crate) use std::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
    },
    thread::{Thread, current as current_thread, yield_now},
};

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

pub(crate) use {array_of, const_fn, thread_local_const};
