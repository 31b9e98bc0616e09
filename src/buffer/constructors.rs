//! The constructors on the global pool.

use super::Buffer;
use super::build;
use super::capacity::or_fail;
use crate::buffer::raw::Fill;
use crate::buffer::raw::alloc::{Global, Source};
use crate::error::AllocError;

impl Buffer {
    /// A buffer of `len` zeros, as Node's `Buffer.alloc`.
    ///
    /// ```
    /// # use slabuf::Buffer;
    /// let buffer = Buffer::alloc(100);
    /// assert_eq!(buffer, [0; 100]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be had; [`try_alloc`](Self::try_alloc) returns the error instead.
    ///
    /// # Complexity
    ///
    /// Linear in `len` for slots and reused mappings, which are overwritten; constant for fresh mappings, which the system has zeroed.
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn alloc(len: usize) -> Self {
        let taken = Global.take(len, Fill::Zero);
        build::finish_or_panic(Global, taken, len, len)
    }

    /// As [`alloc`](Self::alloc).
    ///
    /// # Errors
    ///
    /// If the pool's limit, the system or the address space has no room; the error names the length.
    #[inline]
    pub fn try_alloc(len: usize) -> Result<Self, AllocError> {
        build::alloc(Global, len)
    }

    /// A buffer of `len` bytes filled with `pattern`, repeated and cut, as Node's `Buffer.alloc(size, fill)`. An empty
    /// pattern means zeros.
    ///
    /// ```
    /// # use slabuf::Buffer;
    /// let buffer = Buffer::alloc_filled(5, "é");
    /// assert_eq!(buffer, [0xc3, 0xa9, 0xc3, 0xa9, 0xc3]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be had; [`try_alloc_filled`](Self::try_alloc_filled) returns the error instead.
    ///
    /// # Complexity
    ///
    /// Linear in `len`.
    #[must_use]
    #[track_caller]
    pub fn alloc_filled(len: usize, pattern: impl AsRef<[u8]>) -> Self {
        or_fail(build::alloc_filled(Global, len, pattern))
    }

    /// As [`alloc_filled`](Self::alloc_filled).
    ///
    /// # Errors
    ///
    /// If the pool's limit, the system or the address space has no room; the error names the length.
    pub fn try_alloc_filled(len: usize, pattern: impl AsRef<[u8]>) -> Result<Self, AllocError> {
        build::alloc_filled(Global, len, pattern)
    }

    /// A buffer of `len` stale bytes: whatever earlier buffers of the global pool left there, as Node's
    /// `Buffer.allocUnsafe`.
    ///
    /// It is a safe function: the bytes are initialised, and reading them is no undefined behaviour. But they
    /// may be somebody's secrets: overwrite them all before they are sent anywhere, or use `alloc`, or a pool
    /// with `zero_on_free`.
    ///
    /// ```
    /// # use slabuf::Buffer;
    /// let mut buffer = Buffer::alloc_unsafe(5);
    /// buffer.copy_from_slice(b"hello");
    /// assert_eq!(buffer, b"hello");
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be had; [`try_alloc_unsafe`](Self::try_alloc_unsafe) returns the error instead.
    ///
    /// # Complexity
    ///
    /// Constant; a slot that is in the thread's magazine takes no lock and no atomic read-modify-write.
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn alloc_unsafe(len: usize) -> Self {
        let taken = Global.take(len, Fill::Stale);
        build::finish_or_panic(Global, taken, len, len)
    }

    /// As [`alloc_unsafe`](Self::alloc_unsafe).
    ///
    /// # Errors
    ///
    /// If the pool's limit, the system or the address space has no room; the error names the length.
    #[inline]
    pub fn try_alloc_unsafe(len: usize) -> Result<Self, AllocError> {
        build::alloc_unsafe(Global, len)
    }

    /// As `alloc_unsafe`, but always a mapping of its own, never a slot, as Node's `Buffer.allocUnsafeSlow`: for
    /// small buffers that live long and would keep a slab from emptying.
    ///
    /// ```
    /// # use slabuf::Buffer;
    /// assert!(!Buffer::alloc_unsafe_slow(10).is_pooled());
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be had; [`try_alloc_unsafe_slow`](Self::try_alloc_unsafe_slow) returns the error instead.
    ///
    /// # Complexity
    ///
    /// Constant. May make system calls (`mmap`, `madvise`).
    #[must_use]
    #[track_caller]
    pub fn alloc_unsafe_slow(len: usize) -> Self {
        or_fail(build::alloc_unsafe_slow(Global, len))
    }

    /// As [`alloc_unsafe_slow`](Self::alloc_unsafe_slow).
    ///
    /// # Errors
    ///
    /// If the pool's limit, the system or the address space has no room; the error names the length.
    pub fn try_alloc_unsafe_slow(len: usize) -> Result<Self, AllocError> {
        build::alloc_unsafe_slow(Global, len)
    }

    /// An empty buffer with room for `capacity` bytes at least.
    ///
    /// ```
    /// # use slabuf::Buffer;
    /// let mut buffer = Buffer::with_capacity(100);
    /// buffer.extend_from_slice(b"abc");
    /// assert_eq!(buffer, b"abc");
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be had; [`try_with_capacity`](Self::try_with_capacity) returns the error instead.
    ///
    /// # Complexity
    ///
    /// Constant.
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn with_capacity(capacity: usize) -> Self {
        let taken = Global.take(capacity, Fill::Reserve);
        build::finish_or_panic(Global, taken, capacity, 0)
    }

    /// As [`with_capacity`](Self::with_capacity).
    ///
    /// # Errors
    ///
    /// If the pool's limit, the system or the address space has no room; the error names the length.
    #[inline]
    pub fn try_with_capacity(capacity: usize) -> Result<Self, AllocError> {
        build::with_capacity(Global, capacity)
    }

    /// A buffer with a copy of `bytes`, as Node's `Buffer.from(buffer)`.
    ///
    /// ```
    /// # use slabuf::Buffer;
    /// assert_eq!(Buffer::copy_from_slice(b"abc"), b"abc");
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be had; [`try_copy_from_slice`](Self::try_copy_from_slice) returns the error instead.
    ///
    /// # Complexity
    ///
    /// Linear in the length.
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn copy_from_slice(bytes: &[u8]) -> Self {
        let taken = Global.take(bytes.len(), Fill::Stale);
        let mut buffer = build::finish_or_panic(Global, taken, bytes.len(), bytes.len());
        buffer.as_mut_slice().copy_from_slice(bytes);
        buffer
    }

    /// As [`copy_from_slice`](Self::copy_from_slice).
    ///
    /// # Errors
    ///
    /// If the pool's limit, the system or the address space has no room; the error names the length.
    #[inline]
    pub fn try_copy_from_slice(bytes: &[u8]) -> Result<Self, AllocError> {
        build::copy_from_slice(Global, bytes)
    }

    /// A buffer with the parts one after the other, as Node's `Buffer.concat(list)`.
    ///
    /// ```
    /// # use slabuf::Buffer;
    /// assert_eq!(Buffer::concat(&["ab", "c"]), b"abc");
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be had; [`try_concat`](Self::try_concat) returns the error instead.
    ///
    /// # Complexity
    ///
    /// Linear in the length.
    #[must_use]
    #[track_caller]
    pub fn concat<T: AsRef<[u8]>>(parts: &[T]) -> Self {
        or_fail(build::concat(Global, parts))
    }

    /// As [`concat`](Self::concat).
    ///
    /// # Errors
    ///
    /// If the pool's limit, the system or the address space has no room; the error names the length.
    pub fn try_concat<T: AsRef<[u8]>>(parts: &[T]) -> Result<Self, AllocError> {
        build::concat(Global, parts)
    }

    /// A buffer of `len` bytes: the parts one after the other, cut at `len`; zeros behind them if they are
    /// shorter, never stale bytes. As Node's `Buffer.concat(list, totalLength)`.
    ///
    /// ```
    /// # use slabuf::Buffer;
    /// assert_eq!(Buffer::concat_to_len(&["ab", "c"], 2), b"ab");
    /// assert_eq!(Buffer::concat_to_len(&["ab", "c"], 5), b"abc\0\0");
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be had; [`try_concat_to_len`](Self::try_concat_to_len) returns the error instead.
    ///
    /// # Complexity
    ///
    /// Linear in `len`.
    #[must_use]
    #[track_caller]
    pub fn concat_to_len<T: AsRef<[u8]>>(parts: &[T], len: usize) -> Self {
        or_fail(build::concat_to_len(Global, parts, len))
    }

    /// As [`concat_to_len`](Self::concat_to_len).
    ///
    /// # Errors
    ///
    /// If the pool's limit, the system or the address space has no room; the error names the length.
    pub fn try_concat_to_len<T: AsRef<[u8]>>(parts: &[T], len: usize) -> Result<Self, AllocError> {
        build::concat_to_len(Global, parts, len)
    }
}
