//! Cells and structures in the system's memory, with the interface of loom's cells.
//!
//! # Safety
//!
//! The pointers that an [`UnsafeCell`] passes to closures are valid while it is borrowed. Their
//! users exclude concurrent writes. An [`InPlace`] is found only in memory from the system, which
//! is zero at first.

/// `std`'s cell. Loom's finds accesses that race, by the closures in which they happen.
#[cfg(not(all(test, loom)))]
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(all(test, loom)))]
impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

/// A structure in zeroed memory from the system. Its default value is the one that all-zero memory
/// stands for.
///
/// Loom's types have no value that is all zero. So under loom the memory holds a pointer to the
/// structure, which is created at the first access and lives until the model's run ends.
#[repr(transparent)]
pub(crate) struct InPlace<T>(
    #[cfg(not(all(test, loom)))] T,
    #[cfg(all(test, loom))] std::sync::atomic::AtomicPtr<T>,
);

#[cfg(not(all(test, loom)))]
impl<T: Default> InPlace<T> {
    #[inline(always)]
    pub(crate) fn get(&self) -> &T {
        &self.0
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::InPlace;
    use std::any::Any;
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::sync::atomic::Ordering::Relaxed;

    loom::lazy_static! {
        /// The structures of the present run. Loom drops them after the run's threads have ended,
        /// and runs all its threads on one thread of the system.
        static ref CREATED: RefCell<Vec<Rc<dyn Any>>> = RefCell::new(Vec::new());
    }

    impl<T: Default + 'static> InPlace<T> {
        pub(crate) fn get(&self) -> &T {
            let mut at = self.0.load(Relaxed);
            if at.is_null() {
                let created = Rc::new(T::default());
                at = Rc::as_ptr(&created).cast_mut();
                CREATED.borrow_mut().push(created);
                self.0.store(at, Relaxed);
            }
            // SAFETY: created above or earlier in this run, and dropped when it has ended.
            unsafe { &*at }
        }
    }
}
