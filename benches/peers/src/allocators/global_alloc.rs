//! General allocators, called through `GlobalAlloc` with sized frees. None is the process's own,
//! except that the process's own is the system's.

use std::alloc::{GlobalAlloc, Layout, System, handle_alloc_error};
use std::ptr::NonNull;

use mimalloc::MiMalloc;
use tikv_jemallocator::Jemalloc;

use crate::allocator::Allocator;

/// A general allocator without state, so that a block need not store it.
pub(crate) trait General: GlobalAlloc + Sync + Sized + 'static {
    /// The allocator itself.
    const ALLOCATOR: Self;
    /// Its name in the tables.
    const NAME: &'static str;

    /// Releases what it can.
    fn purge();
}

/// A general allocator as a contestant.
pub(crate) struct Direct<G>(G);

/// The C library's `malloc`.
pub(crate) const fn glibc() -> Direct<System> {
    Direct(System)
}

/// jemalloc, as built by `tikv-jemallocator`.
pub(crate) const fn jemalloc() -> Direct<Jemalloc> {
    Direct(Jemalloc)
}

/// mimalloc, as built by the `mimalloc` crate.
pub(crate) const fn mimalloc() -> Direct<MiMalloc> {
    Direct(MiMalloc)
}

/// snmalloc, as built by `snmalloc-rs`.
#[cfg(feature = "snmalloc")]
pub(crate) const fn snmalloc() -> Direct<snmalloc_rs::SnMalloc> {
    Direct(snmalloc_rs::SnMalloc)
}

/// One block with its length, like a `Vec` or a `Box`.
pub(crate) struct RawBlock<G: General> {
    start: NonNull<u8>,
    len: usize,
    allocator: std::marker::PhantomData<G>,
}

// SAFETY: the block is the only owner of its memory, and a `GlobalAlloc` frees on any thread.
unsafe impl<G: General> Send for RawBlock<G> {}

/// Returns the layout of a `Vec<u8>`: what programs request in practice, with the least alignment.
#[inline(always)]
const fn layout(len: usize) -> Layout {
    // SAFETY: 1 is a power of two.
    unsafe { Layout::from_size_align_unchecked(len, 1) }
}

impl<G: General> RawBlock<G> {
    #[inline(always)]
    fn new(start: *mut u8, len: usize) -> Self {
        let Some(start) = NonNull::new(start) else {
            handle_alloc_error(layout(len))
        };
        let allocator = std::marker::PhantomData;
        RawBlock {
            start,
            len,
            allocator,
        }
    }
}

impl<G: General> Drop for RawBlock<G> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: `start` is from this allocator with the same layout, and is freed once.
        unsafe { G::ALLOCATOR.dealloc(self.start.as_ptr(), layout(self.len)) }
    }
}

impl<G: General> Allocator for Direct<G> {
    type Block = RawBlock<G>;

    const NAME: &'static str = G::NAME;

    #[inline(always)]
    fn take(&self, len: usize) -> Self::Block {
        // SAFETY: no workload requests zero bytes.
        let start = unsafe { self.0.alloc(layout(len)) };
        RawBlock::new(start, len)
    }

    #[inline(always)]
    fn take_zeroed(&self, len: usize) -> Self::Block {
        // SAFETY: no workload requests zero bytes.
        let start = unsafe { self.0.alloc_zeroed(layout(len)) };
        RawBlock::new(start, len)
    }

    #[inline(always)]
    fn grow(&self, block: &mut Self::Block, old: usize, new: usize) -> bool {
        let old_start = block.start.as_ptr();
        // SAFETY: the block is from this allocator with a layout of `old` bytes; `new` is neither
        // zero nor huge.
        let start = unsafe { self.0.realloc(old_start, layout(old), new) };
        // `realloc` has freed the old block: it must not be freed again.
        std::mem::forget(std::mem::replace(block, RawBlock::new(start, new)));
        true
    }

    #[inline(always)]
    fn start(block: &mut Self::Block) -> *mut u8 {
        block.start.as_ptr()
    }

    fn purge(&self) {
        G::purge();
    }
}

impl General for System {
    const ALLOCATOR: Self = System;
    const NAME: &'static str = "glibc";

    fn purge() {
        trim_system_heap();
    }
}

/// Calls the C library's function that releases free parts of its heap, if it has one.
pub(crate) fn trim_system_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: has no precondition.
    unsafe {
        libc::malloc_trim(0);
    }
}

impl General for Jemalloc {
    const ALLOCATOR: Self = Jemalloc;
    const NAME: &'static str = "jemalloc";

    fn purge() {
        control_jemalloc(c"thread.tcache.flush");
        // 4096 is MALLCTL_ARENAS_ALL.
        control_jemalloc(c"arena.4096.purge");
    }
}

/// Calls one of jemalloc's controls without arguments and results.
fn control_jemalloc(name: &std::ffi::CStr) {
    use std::ptr::null_mut;
    // SAFETY: the name is a C string; null pointers and length 0 mean no argument and no result.
    let status =
        unsafe { tikv_jemalloc_sys::mallctl(name.as_ptr(), null_mut(), null_mut(), null_mut(), 0) };
    assert_eq!(status, 0, "jemalloc refused {name:?}");
}

impl General for MiMalloc {
    const ALLOCATOR: Self = MiMalloc;
    const NAME: &'static str = "mimalloc";

    fn purge() {
        // SAFETY: has no precondition.
        unsafe { libmimalloc_sys::mi_collect(true) }
    }
}

#[cfg(feature = "snmalloc")]
impl General for snmalloc_rs::SnMalloc {
    const ALLOCATOR: Self = snmalloc_rs::SnMalloc;
    const NAME: &'static str = "snmalloc";

    /// snmalloc has no such call.
    fn purge() {}
}
