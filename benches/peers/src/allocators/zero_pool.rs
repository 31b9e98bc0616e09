//! `zeropool`: eight classes of recycled `Vec`s, each four times the previous one, with
//! thread-local caches.

use zeropool::{Buf, BufUninit, ZeroPool};

use super::global_alloc::trim_system_heap;
use crate::allocator::Allocator;

/// One pool for all threads, with caches larger than its default so that a batch of 64 fits them.
pub(crate) struct SharedZeroPool {
    /// Never dropped, since blocks borrow it without a bound.
    pool: &'static ZeroPool,
}

impl SharedZeroPool {
    pub(crate) fn new() -> Self {
        let pool = ZeroPool::new()
            .tls_cache_size(64)
            .batch_size(32)
            .max_buffers_per_class(1024);
        SharedZeroPool {
            pool: Box::leak(Box::new(pool)),
        }
    }
}

/// `zeropool` has one type per kind of contents.
pub(crate) enum Recycled {
    Stale(BufUninit<'static>),
    Zeroed(Buf<'static>),
}

impl Allocator for SharedZeroPool {
    type Block = Recycled;

    const NAME: &'static str = "zeropool";

    #[inline(always)]
    fn take(&self, len: usize) -> Recycled {
        Recycled::Stale(self.pool.alloc_uninit(len))
    }

    #[inline(always)]
    fn take_zeroed(&self, len: usize) -> Recycled {
        Recycled::Zeroed(self.pool.alloc(len))
    }

    #[inline(always)]
    fn start(block: &mut Recycled) -> *mut u8 {
        match block {
            Recycled::Stale(buffer) => buffer.as_uninit_mut().as_mut_ptr().cast(),
            Recycled::Zeroed(buffer) => buffer.as_mut_ptr(),
        }
    }

    fn purge(&self) {
        self.pool.drain();
        trim_system_heap();
    }
}
