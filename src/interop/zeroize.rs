//! `Zeroize`: wiping a buffer by hand.

use ::zeroize::Zeroize;

use crate::buffer::Buffer;

/// Wipes all of the buffer's memory and makes it empty, as for `Vec<u8>`: also the bytes behind its length, and
/// those before its start that were read by [`Buf`](bytes::Buf) or [`Read`](std::io::Read). The writes are volatile, so the
/// compiler keeps them. What a large buffer's mapping has that nobody ever wrote stays untouched.
///
/// Memory that the buffer moved out of when it grew is not reached, nor are copies. In a pool with
/// [`zero_on_free`](crate::PoolBuilder::zero_on_free) every buffer is wiped when it is dropped or moves, without
/// this trait; `Buffer` is therefore not `ZeroizeOnDrop`, and
/// [`Zeroizing<Buffer>`](zeroize::Zeroizing) is for pools that do not wipe.
///
/// ```
/// use slabuf::Buffer;
/// use zeroize::Zeroize;
///
/// let mut key = Buffer::from(b"secret");
/// key.zeroize();
/// assert!(key.is_empty());
/// assert!(key.spare_capacity_mut().iter().all(|byte| *byte == 0));
/// ```
///
/// # Complexity
///
/// Linear in the capacity, or of a large buffer in the bytes that were ever exposed for writing.
impl Zeroize for Buffer {
    fn zeroize(&mut self) {
        // All read, the start is where the memory begins.
        self.advance_start(self.len());
        self.written_mut().zeroize();
    }
}
