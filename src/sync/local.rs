//! Thread-locals of shuttle, with the lifetimes of `std`'s: those without a destructor exist until
//! the thread's end, so the destructors of others may use them.

use shuttle_engine::thread_support::{AccessError, DestroyedLastKey};

pub(crate) struct LocalKey<T: 'static> {
    first: shuttle::thread::LocalKey<T>,
    last: DestroyedLastKey<T>,
}

impl<T: 'static> LocalKey<T> {
    pub(crate) const fn new(init: fn() -> T) -> Self {
        Self {
            first: shuttle::thread::LocalKey {
                init,
                _p: std::marker::PhantomData,
            },
            last: DestroyedLastKey::new(init),
        }
    }

    pub(crate) fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        self.try_with(f).expect("destroyed already")
    }

    pub(crate) fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        if std::mem::needs_drop::<T>() {
            self.first.try_with(f)
        } else {
            self.last.try_with(f)
        }
    }
}
