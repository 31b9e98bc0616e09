//! `Zeroize`: wiping a buffer explicitly.

use ::zeroize::Zeroize;

use crate::buffer::Buffer;

/// Wipes all of the buffer's memory and makes it empty, as for `Vec<u8>`. This includes the bytes
/// behind its length, and those before its start that [`Buf`](bytes::Buf) or
/// [`Read`](std::io::Read) has read. The writes are volatile, so the compiler keeps them. Bytes of
/// a large buffer's mapping that were never written are not touched.
///
/// It does not reach memory that the buffer moved out of when it grew, nor copies. In a pool with
/// [`zero_on_free`](crate::PoolBuilder::zero_on_free) every buffer is wiped when it is dropped or
/// moves, without this trait. Therefore `Buffer` is not `ZeroizeOnDrop`, and
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
/// Linear in the capacity; for a large buffer, in the bytes that were ever exposed for writing.
impl Zeroize for Buffer {
    fn zeroize(&mut self) {
        // After all bytes are read, the start is at the beginning of the memory.
        self.advance_start(self.len());
        self.written_mut().zeroize();
    }
}
