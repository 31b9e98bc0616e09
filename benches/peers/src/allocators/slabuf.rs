//! The crate itself: through `Buffer` and its global pool, and through an explicit pool.

use slabuf::{Buffer, Pool};

use crate::allocator::{Allocator, Role};

/// `Buffer::*`.
pub(crate) struct GlobalPool;

impl Allocator for GlobalPool {
    type Block = Buffer;

    const NAME: &'static str = "slabuf";
    const ROLE: Role = Role::Subject;

    #[inline(always)]
    fn take(&self, len: usize) -> Buffer {
        Buffer::alloc_unsafe(len)
    }

    #[inline(always)]
    fn take_zeroed(&self, len: usize) -> Buffer {
        Buffer::alloc(len)
    }

    #[inline(always)]
    fn grow(&self, block: &mut Buffer, old: usize, new: usize) -> bool {
        block.reserve(new - old);
        block.set_len(new);
        true
    }

    #[inline(always)]
    fn start(block: &mut Buffer) -> *mut u8 {
        block.as_mut_ptr()
    }

    fn purge(&self) {
        Pool::global().trim();
    }
}

/// The same methods on a pool with the default settings.
pub(crate) struct ExplicitPool {
    pool: Pool,
}

impl ExplicitPool {
    pub(crate) fn new() -> Self {
        let pool = Pool::builder()
            .build()
            .expect("the default settings are valid");
        ExplicitPool { pool }
    }
}

impl Allocator for ExplicitPool {
    type Block = Buffer;

    const NAME: &'static str = "slabuf, own pool";
    const ROLE: Role = Role::Variant;

    #[inline(always)]
    fn take(&self, len: usize) -> Buffer {
        self.pool.alloc_unsafe(len)
    }

    #[inline(always)]
    fn take_zeroed(&self, len: usize) -> Buffer {
        self.pool.alloc(len)
    }

    #[inline(always)]
    fn grow(&self, block: &mut Buffer, old: usize, new: usize) -> bool {
        block.reserve(new - old);
        block.set_len(new);
        true
    }

    #[inline(always)]
    fn start(block: &mut Buffer) -> *mut u8 {
        block.as_mut_ptr()
    }

    fn purge(&self) {
        self.pool.trim();
    }
}
