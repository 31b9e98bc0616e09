//! The one trait through which every allocator is measured.

use std::ops::Range;

/// Where an allocator stands in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The crate's global pool: the numerator of every ratio.
    Subject,
    /// The crate through an explicit pool: shown, and compared with the subject.
    Variant,
    /// Somebody else's allocator: a candidate for "best peer".
    Peer,
}

/// An allocator of byte blocks. The timed loops are generic over it, so each allocator gets loops of its own
/// with nothing dynamic in them.
pub trait Allocator: Sync {
    /// A live block; dropping it gives its memory back, with the length known (a sized free).
    type Block: Send;

    /// The name in the tables.
    const NAME: &'static str;

    /// What the allocator is in this comparison.
    const ROLE: Role = Role::Peer;

    /// Whether blocks of any length may be taken at any time. False for a pool of like objects.
    const ANY_LENGTH: bool = true;

    /// A block of `len` bytes with whatever bytes happen to be in it.
    fn take(&self, len: usize) -> Self::Block;

    /// A block of `len` zeros.
    fn take_zeroed(&self, len: usize) -> Self::Block;

    /// The first byte of the block, which may be written up to the length that was asked for.
    fn start(block: &mut Self::Block) -> *mut u8;

    /// Grows a block of `old` bytes to `new` ones and keeps what is in it; what is new may be any bytes. False where
    /// the allocator's blocks do not grow.
    fn grow(&self, block: &mut Self::Block, old: usize, new: usize) -> bool {
        let _ = (block, old, new);
        false
    }

    /// Gives back to the system what the allocator is able to give back on request.
    fn purge(&self) {}
}

/// Writes one byte at `offset`, in a way the compiler keeps.
///
/// # Safety
///
/// `start` must be valid for writes of more than `offset` bytes.
#[inline(always)]
pub unsafe fn touch(start: *mut u8, offset: usize) {
    // SAFETY: in bounds by the caller's promise.
    let byte = unsafe { start.add(offset) };
    // SAFETY: as above; a `u8` is aligned anywhere.
    unsafe { byte.write_volatile(1) }
}

/// Writes the first byte of a block of at least one byte.
#[inline(always)]
pub fn touch_first<A: Allocator>(block: &mut A::Block) {
    // SAFETY: every workload asks for at least one byte.
    unsafe { touch(A::start(block), 0) }
}

/// Writes one byte in every `step` of the block's `len`.
#[inline(always)]
pub fn touch_every<A: Allocator>(block: &mut A::Block, len: usize, step: usize) {
    let start = A::start(block);
    for offset in (0..len).step_by(step) {
        // SAFETY: `offset < len`, the length the block was asked for with.
        unsafe { touch(start, offset) }
    }
}

/// Fills a part of the block, which has at least `range.end` bytes.
#[inline(always)]
pub fn fill<A: Allocator>(block: &mut A::Block, range: Range<usize>, byte: u8) {
    // SAFETY: in bounds, as the block was asked for with no less than `range.end` bytes.
    let first = unsafe { A::start(block).add(range.start) };
    // SAFETY: as above.
    unsafe { first.write_bytes(byte, range.len()) }
}
