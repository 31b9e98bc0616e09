//! `bytes::BytesMut` as most programs use it: on the process's allocator, here the system's.

use bytes::BytesMut;

use super::global_alloc::trim_system_heap;
use crate::allocator::Allocator;

/// `BytesMut` on the system's allocator.
pub(crate) struct SystemBytesMut;

impl Allocator for SystemBytesMut {
    type Block = BytesMut;

    const NAME: &'static str = "BytesMut";

    #[inline(always)]
    fn take(&self, len: usize) -> BytesMut {
        BytesMut::with_capacity(len)
    }

    #[inline(always)]
    fn take_zeroed(&self, len: usize) -> BytesMut {
        BytesMut::zeroed(len)
    }

    #[inline(always)]
    fn grow(&self, block: &mut BytesMut, old: usize, new: usize) -> bool {
        // SAFETY: the capacity is at least `old`. The bytes are copied and never read as values.
        unsafe { block.set_len(old) }
        block.reserve(new - old);
        true
    }

    #[inline(always)]
    fn start(block: &mut BytesMut) -> *mut u8 {
        block.as_mut_ptr()
    }

    fn purge(&self) {
        trim_system_heap();
    }
}
