//! A pointer with a counter of its clones, as `std::sync::Arc`, except that a heap without memory
//! is an error instead of the end of the process.
//!
//! # Safety
//!
//! The box is freed by the thread that drops the last clone. Every clone counts once.

use super::heap::try_box;
use crate::error::AllocFailure;
use crate::sync::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};
use std::ops::Deref;
use std::ptr::NonNull;

struct Counter<T> {
    clones: AtomicUsize,
    value: T,
}

/// A shared value on the heap: see the module's text.
pub(crate) struct Counted<T>(NonNull<Counter<T>>);

// SAFETY: clones give shared access to the value from all threads, and the last one drops it.
unsafe impl<T: Send + Sync> Send for Counted<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Counted<T> {}

impl<T> Counted<T> {
    pub(crate) fn new(value: T) -> Result<Self, AllocFailure> {
        let clones = AtomicUsize::new(1);
        try_box(Counter { clones, value }).map(Self)
    }

    fn counter(&self) -> &Counter<T> {
        // SAFETY: this clone is counted, so the box is not freed.
        unsafe { self.0.as_ref() }
    }

    /// Returns whether both are clones of one value.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Deref for Counted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.counter().value
    }
}

impl<T> Clone for Counted<T> {
    fn clone(&self) -> Self {
        // Relaxed: the caller has a clone already.
        self.counter().clones.fetch_add(1, Relaxed);
        Self(self.0)
    }
}

impl<T> Drop for Counted<T> {
    fn drop(&mut self) {
        // Release: pairs with the fence below, so that the thread that frees the box sees all
        // accesses of other threads.
        if self.counter().clones.fetch_sub(1, Release) != 1 {
            return;
        }
        // Acquire: pairs with the Release of every other drop.
        fence(Acquire);
        // SAFETY: `new` allocated it as a box, and this was the last clone.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_last_clone_drops_the_value() {
        let value = Arc::new(());
        let first = Counted::new(value.clone()).unwrap();
        let second = first.clone();
        assert!(first.is_same(&second) && !first.is_same(&Counted::new(value.clone()).unwrap()));
        drop(first);
        assert_eq!(Arc::strong_count(&value), 2);
        let thread = std::thread::spawn(move || drop(second));
        thread.join().unwrap();
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
