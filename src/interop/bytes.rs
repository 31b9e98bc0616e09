//! The traits of the `bytes` crate: reading takes from the front, writing appends at the end.
//!
//! # Safety
//!
//! `BufMut` is an unsafe trait, because callers may rely on `chunk_mut` and `remaining_mut` for
//! memory safety. Both are answered by `Buffer` itself, through safe functions: the chunk is a
//! `&mut [u8]`, so it is valid and initialised for all of its length.

use ::bytes::buf::UninitSlice;
use ::bytes::{Buf, BufMut, Bytes};

use crate::buffer::Buffer;

/// What `chunk_mut` reserves when the buffer is full, as `BytesMut` does.
const CHUNK: usize = 64;

/// Reads from the front: what was read is no longer part of the buffer, and its capacity falls by as much. With
/// the last byte read, the whole memory is room again.
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
    /// If `count` is more than what remains.
    #[inline]
    #[track_caller]
    fn advance(&mut self, count: usize) {
        self.advance_start(count);
    }

    /// Takes `len` bytes from the front without a copy: equals
    /// [`split_to(len)`](Buffer::split_to)`.`[`freeze()`](Buffer::freeze).
    ///
    /// # Panics
    ///
    /// If `len` is more than what remains, or the heap has no memory for the block that the parts share.
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

/// Appends at the end, and grows as `BytesMut` does.
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
/// Every method that needs more memory panics where it can't be had. [`Buffer::try_reserve`] first, or
/// [`std::io::Write`], returns an error instead.
// SAFETY: `chunk_mut` returns the memory after the contents, all of it writable and at most
// `remaining_mut` bytes (no buffer is larger than isize::MAX); `advance_mut` moves the length over the
// same memory, and `set_len` checks that it stays within.
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
    /// If `count` is more than the capacity leaves.
    #[inline]
    #[track_caller]
    unsafe fn advance_mut(&mut self, count: usize) {
        // A sum that overflows is past any capacity, and so is usize::MAX.
        self.set_len(self.len().saturating_add(count));
    }

    /// Returns the spare capacity; a full buffer reserves some first.
    ///
    /// A read loop that takes bytes out with [`split_to`](Buffer::split_to), [`split`](Buffer::split) or
    /// `copy_to_bytes` keeps its capacity. If what was taken is dropped by now, the whole memory is used again.
    /// Otherwise a remainder without spare capacity moves to new memory of the same capacity, at
    /// most 64 KiB, in the same pool.
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
        // A sum that overflows is too large for any buffer, and so is usize::MAX.
        self.resize(self.len().saturating_add(count), byte);
    }
}

/// Without a copy: see [`Buffer::freeze`].
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
