//! The trait through which every allocator is measured.

use std::ops::Range;

/// The role of an allocator in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The crate's global pool: the numerator of every ratio.
    Subject,
    /// The crate through an explicit pool: listed, and compared with the global pool.
    Variant,
    /// Another allocator: a candidate for "best peer".
    Peer,
}

/// An allocator of byte blocks. The timed loops are generic over it, so each allocator gets
/// separate loops without dynamic calls.
pub trait Allocator: Sync {
    /// A live block. Its drop frees the memory with a known length (a sized free).
    type Block: Send;

    /// The name in the tables.
    const NAME: &'static str;

    /// The role of the allocator in the comparison.
    const ROLE: Role = Role::Peer;

    /// Whether blocks of any length can be allocated at any time. False for a pool of equal
    /// objects.
    const ANY_LENGTH: bool = true;

    /// Allocates a block of `len` unspecified bytes.
    fn take(&self, len: usize) -> Self::Block;

    /// Allocates a block of `len` zeros.
    fn take_zeroed(&self, len: usize) -> Self::Block;

    /// Returns the first byte of the block, which may be written up to the requested length.
    fn start(block: &mut Self::Block) -> *mut u8;

    /// Grows a block from `old` to `new` bytes and keeps its contents. Returns `false` if blocks of
    /// this allocator cannot grow.
    fn grow(&self, block: &mut Self::Block, old: usize, new: usize) -> bool {
        let _ = (block, old, new);
        false
    }

    /// Releases to the system what the allocator can release on request.
    fn purge(&self) {}
}

/// Writes one byte at `offset`. The compiler cannot remove the write.
///
/// # Safety
///
/// `start` must be valid for writes of more than `offset` bytes.
#[inline(always)]
pub unsafe fn touch(start: *mut u8, offset: usize) {
    // SAFETY: in bounds, by the caller's contract.
    let byte = unsafe { start.add(offset) };
    // SAFETY: as above; a `u8` is aligned anywhere.
    unsafe { byte.write_volatile(1) }
}

/// Writes the first byte of a block of at least one byte.
#[inline(always)]
pub fn touch_first<A: Allocator>(block: &mut A::Block) {
    // SAFETY: every workload requests at least one byte.
    unsafe { touch(A::start(block), 0) }
}

/// Writes one byte in every `step` of the block's `len`.
#[inline(always)]
pub fn touch_every<A: Allocator>(block: &mut A::Block, len: usize, step: usize) {
    let start = A::start(block);
    for offset in (0..len).step_by(step) {
        // SAFETY: `offset < len`, the requested length of the block.
        unsafe { touch(start, offset) }
    }
}

/// Fills a part of the block, which has at least `range.end` bytes.
#[inline(always)]
pub fn fill<A: Allocator>(block: &mut A::Block, range: Range<usize>, byte: u8) {
    // SAFETY: in bounds, since the block has at least `range.end` bytes.
    let first = unsafe { A::start(block).add(range.start) };
    // SAFETY: as above.
    unsafe { first.write_bytes(byte, range.len()) }
}
