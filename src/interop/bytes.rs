//! The traits of the `bytes` crate: reading removes bytes from the front, writing appends bytes.
//!
//! # Safety
//!
//! `BufMut` is an unsafe trait, because callers may rely on `chunk_mut` and `remaining_mut` for
//! memory safety. `Buffer` implements both through its own safe methods: the chunk is a
//! `&mut [u8]`, so it is valid and initialised for all of its length.

use ::bytes::buf::UninitSlice;
use ::bytes::{Buf, BufMut, Bytes};

use crate::buffer::Buffer;

/// The bytes that `chunk_mut` reserves in a full buffer, as `BytesMut` does.
const CHUNK: usize = 64;

/// Reads from the front: bytes that were read are no longer part of the buffer, and its capacity
/// decreases by as many. After the last byte the buffer can use the whole memory again.
///
/// ```
/// use bytes::Buf;
/// use slabuf::Buffer;
///
/// let mut buffer = Buffer::copy_from_slice(b"\x00\x05hello, world");
/// let len = buffer.get_u16();
/// let word = buffer.copy_to_bytes(usize::from(len));
/// assert_eq!(word, "hello");
/// assert_eq!(buffer, b", world");
/// ```
impl Buf for Buffer {
    #[inline]
    fn remaining(&self) -> usize {
        self.len()
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        self
    }

    /// # Panics
    ///
    /// If `count` is above the length.
    #[inline]
    #[track_caller]
    fn advance(&mut self, count: usize) {
        self.advance_start(count);
    }

    /// Removes `len` bytes from the front and returns them without a copy: equals
    /// [`split_to(len)`](Buffer::split_to)`.`[`freeze()`](Buffer::freeze).
    ///
    /// # Panics
    ///
    /// If `len` is above the length, or memory is refused; see
    /// [`try_split_to`](Buffer::try_split_to). In a pool with `zero_on_free` the pool's limit can
    /// refuse it.
    #[track_caller]
    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        assert!(
            len <= self.len(),
            "cannot copy {len} bytes: {} remain",
            self.len()
        );
        if len == 0 {
            return Bytes::new();
        }
        self.split_to(len).freeze()
    }
}

/// Appends bytes, and grows as `BytesMut` does.
///
/// ```
/// use bytes::BufMut;
/// use slabuf::Buffer;
///
/// let mut buffer = Buffer::with_capacity(0);
/// buffer.put_u16(5);
/// buffer.put_slice(b"hello");
/// buffer.put_bytes(b'!', 3);
/// assert_eq!(buffer, b"\x00\x05hello!!!");
/// ```
///
/// # Panics
///
/// Every method that needs more memory panics if it cannot be allocated. To get an error, call
/// [`Buffer::try_reserve`] before, or use [`std::io::Write`].
// SAFETY: `chunk_mut` returns the memory after the contents, all of it writable and at most
// `remaining_mut` bytes (no buffer is larger than isize::MAX); `advance_mut` moves the length over
// the same memory, and `set_len` checks that it stays within.
unsafe impl BufMut for Buffer {
    #[inline]
    fn remaining_mut(&self) -> usize {
        isize::MAX as usize - self.len()
    }

    /// # Safety
    ///
    /// None for a `Buffer`: all of its capacity is initialised.
    ///
    /// # Panics
    ///
    /// If `count` is above the spare capacity.
    #[inline]
    #[track_caller]
    unsafe fn advance_mut(&mut self, count: usize) {
        // An overflowing sum is above any capacity, and so is `usize::MAX`.
        self.set_len(self.len().saturating_add(count));
    }

    /// Returns the spare capacity; a full buffer reserves some first.
    ///
    /// A read loop that removes bytes with [`split_to`](Buffer::split_to), [`split`](Buffer::split)
    /// or `copy_to_bytes` keeps its capacity. If the removed parts are dropped by then, the buffer
    /// uses the whole memory again. Otherwise a remainder without spare capacity moves to new
    /// memory of the same capacity, at most 64 KiB, in the same pool.
    #[inline]
    #[track_caller]
    fn chunk_mut(&mut self) -> &mut UninitSlice {
        if self.is_part() || self.len() == self.capacity() {
            self.make_chunk(CHUNK);
        }
        UninitSlice::new(self.spare_capacity_mut())
    }

    #[track_caller]
    fn put<T: Buf>(&mut self, mut source: T) {
        self.reserve(source.remaining());
        while source.has_remaining() {
            let chunk = source.chunk();
            let len = chunk.len();
            self.extend_from_slice(chunk);
            source.advance(len);
        }
    }

    #[inline]
    #[track_caller]
    fn put_slice(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    #[track_caller]
    fn put_bytes(&mut self, byte: u8, count: usize) {
        // An overflowing sum is too large for any buffer, and so is `usize::MAX`.
        self.resize(self.len().saturating_add(count), byte);
    }
}

/// Converts without a copy: see [`Buffer::freeze`].
impl From<Buffer> for Bytes {
    fn from(buffer: Buffer) -> Bytes {
        buffer.freeze()
    }
}

impl PartialEq<Bytes> for Buffer {
    fn eq(&self, other: &Bytes) -> bool {
        self[..] == other[..]
    }
}

impl PartialEq<Buffer> for Bytes {
    fn eq(&self, other: &Buffer) -> bool {
        self[..] == other[..]
    }
}
