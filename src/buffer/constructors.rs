//! Constructors on the global pool.

use super::Buffer;
use super::build;
use super::capacity::or_fail;
use crate::buffer::raw::Fill;
use crate::buffer::raw::alloc::{Global, Source};
use crate::error::AllocError;

impl Buffer {
    /// Allocates `len` zeros from the global pool, as Node's `Buffer.alloc`.
    ///
    /// ```
    /// # use slabuf::Buffer;
    /// let buffer = Buffer::alloc(100);
    /// assert_eq!(buffer, [0; 100]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be allocated; [`try_alloc`](Self::try_alloc) returns the error instead.
    ///
    /// # Complexity
    ///
    /// Linear in `len` for slots and reused mappings, which are overwritten; constant for fresh
    /// mappings, which the system has zeroed. May make a system call.
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn alloc(len: usize) -> Self {
        let taken = Global.take(len, Fill::Zero);
        build::finish_or_panic(Global, taken, len, len)
    }

    /// Allocates as [`alloc`](Self::alloc), and returns an error instead of panicking.
    ///
    /// # Errors
    ///
    /// - [`AllocError::OutOfMemory`] if the system refuses.
    /// - [`AllocError::TooLarge`] if no address space is that large.
    #[inline]
    pub fn try_alloc(len: usize) -> Result<Self, AllocError> {
        build::alloc(Global, len)
    }

    /// Allocates `len` bytes from the global pool and fills them with `pattern`, repeated and cut,
    /// as Node's `Buffer.alloc(size, fill)`. An empty pattern means zeros.
    ///
    /// ```
    /// # use slabuf::Buffer;
    /// let buffer = Buffer::alloc_filled(5, "é");
    /// assert_eq!(buffer, [0xc3, 0xa9, 0xc3, 0xa9, 0xc3]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be allocated; [`try_alloc_filled`](Self::try_alloc_filled) returns the
    /// error instead.
    ///
    /// # Complexity
    ///
    /// Linear in `len`. May make a system call.
    #[must_use]
    #[track_caller]
    pub fn alloc_filled(len: usize, pattern: impl AsRef<[u8]>) -> Self {
        or_fail(build::alloc_filled(Global, len, pattern))
    }

    /// Allocates as [`alloc_filled`](Self::alloc_filled), and returns an error instead of
    /// panicking.
    ///
    /// # Errors
    ///
    /// - [`AllocError::OutOfMemory`] if the system refuses.
    /// - [`AllocError::TooLarge`] if no address space is that large.
    pub fn try_alloc_filled(len: usize, pattern: impl AsRef<[u8]>) -> Result<Self, AllocError> {
        build::alloc_filled(Global, len, pattern)
    }

    /// Allocates `len` stale bytes from the global pool: the bytes of earlier buffers, as Node's
    /// `Buffer.allocUnsafe`.
    ///
    /// This function is safe: the bytes are initialised, so reading them is not undefined
    /// behaviour. But they may be secrets of other parts of the program. Overwrite all of them
    /// before they are sent anywhere, or use `alloc`, or a pool with `zero_on_free`.
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
    /// If the memory cannot be allocated; [`try_alloc_unsafe`](Self::try_alloc_unsafe) returns the
    /// error instead.
    ///
    /// # Complexity
    ///
    /// Constant. A slot from the thread's magazine needs no lock and no atomic read-modify-write
    /// operation. May make a system call.
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn alloc_unsafe(len: usize) -> Self {
        let taken = Global.take(len, Fill::Stale);
        build::finish_or_panic(Global, taken, len, len)
    }

    /// Allocates as [`alloc_unsafe`](Self::alloc_unsafe), and returns an error instead of
    /// panicking.
    ///
    /// # Errors
    ///
    /// - [`AllocError::OutOfMemory`] if the system refuses.
    /// - [`AllocError::TooLarge`] if no address space is that large.
    #[inline]
    pub fn try_alloc_unsafe(len: usize) -> Result<Self, AllocError> {
        build::alloc_unsafe(Global, len)
    }

    /// Allocates `len` stale bytes as [`alloc_unsafe`](Self::alloc_unsafe), but always in their own
    /// mapping, never in a slot, as Node's `Buffer.allocUnsafeSlow`. Use it for small buffers that
    /// live long and would keep a slab in use.
    ///
    /// ```
    /// # use slabuf::Buffer;
    /// assert!(!Buffer::alloc_unsafe_slow(10).is_pooled());
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be allocated; [`try_alloc_unsafe_slow`](Self::try_alloc_unsafe_slow)
    /// returns the error instead.
    ///
    /// # Complexity
    ///
    /// Constant. May make system calls (`mmap`, `madvise`).
    #[must_use]
    #[track_caller]
    pub fn alloc_unsafe_slow(len: usize) -> Self {
        or_fail(build::alloc_unsafe_slow(Global, len))
    }

    /// Allocates as [`alloc_unsafe_slow`](Self::alloc_unsafe_slow), and returns an error instead of
    /// panicking.
    ///
    /// # Errors
    ///
    /// - [`AllocError::OutOfMemory`] if the system refuses.
    /// - [`AllocError::TooLarge`] if no address space is that large.
    pub fn try_alloc_unsafe_slow(len: usize) -> Result<Self, AllocError> {
        build::alloc_unsafe_slow(Global, len)
    }

    /// Allocates an empty buffer with room for at least `capacity` bytes from the global pool.
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
    /// If the memory cannot be allocated; [`try_with_capacity`](Self::try_with_capacity) returns
    /// the error instead.
    ///
    /// # Complexity
    ///
    /// Constant. May make a system call.
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn with_capacity(capacity: usize) -> Self {
        let taken = Global.take(capacity, Fill::Reserve);
        build::finish_or_panic(Global, taken, capacity, 0)
    }

    /// Allocates as [`with_capacity`](Self::with_capacity), and returns an error instead of
    /// panicking.
    ///
    /// # Errors
    ///
    /// - [`AllocError::OutOfMemory`] if the system refuses.
    /// - [`AllocError::TooLarge`] if no address space is that large.
    #[inline]
    pub fn try_with_capacity(capacity: usize) -> Result<Self, AllocError> {
        build::with_capacity(Global, capacity)
    }

    /// Allocates a copy of `bytes` from the global pool, as Node's `Buffer.from(buffer)`.
    ///
    /// ```
    /// # use slabuf::Buffer;
    /// assert_eq!(Buffer::copy_from_slice(b"abc"), b"abc");
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be allocated; [`try_copy_from_slice`](Self::try_copy_from_slice)
    /// returns the error instead.
    ///
    /// # Complexity
    ///
    /// Linear in the length. May make a system call.
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn copy_from_slice(bytes: &[u8]) -> Self {
        let taken = Global.take(bytes.len(), Fill::Stale);
        let mut buffer = build::finish_or_panic(Global, taken, bytes.len(), bytes.len());
        buffer.as_mut_slice().copy_from_slice(bytes);
        buffer
    }

    /// Allocates as [`copy_from_slice`](Self::copy_from_slice), and returns an error instead of
    /// panicking.
    ///
    /// # Errors
    ///
    /// - [`AllocError::OutOfMemory`] if the system refuses.
    /// - [`AllocError::TooLarge`] if no address space is that large.
    #[inline]
    pub fn try_copy_from_slice(bytes: &[u8]) -> Result<Self, AllocError> {
        build::copy_from_slice(Global, bytes)
    }

    /// Allocates a buffer from the global pool and copies the parts into it, one after the other,
    /// as Node's `Buffer.concat(list)`.
    ///
    /// ```
    /// # use slabuf::Buffer;
    /// assert_eq!(Buffer::concat(&["ab", "c"]), b"abc");
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be allocated; [`try_concat`](Self::try_concat) returns the error
    /// instead.
    ///
    /// # Complexity
    ///
    /// Linear in the length. May make a system call.
    #[must_use]
    #[track_caller]
    pub fn concat<T: AsRef<[u8]>>(parts: &[T]) -> Self {
        or_fail(build::concat(Global, parts))
    }

    /// Allocates as [`concat`](Self::concat), and returns an error instead of panicking.
    ///
    /// # Errors
    ///
    /// - [`AllocError::OutOfMemory`] if the system refuses.
    /// - [`AllocError::TooLarge`] if no address space is that large.
    pub fn try_concat<T: AsRef<[u8]>>(parts: &[T]) -> Result<Self, AllocError> {
        build::concat(Global, parts)
    }

    /// Allocates `len` bytes from the global pool and copies the parts into them, one after the
    /// other, as Node's `Buffer.concat(list, totalLength)`. Longer parts are cut at `len`; behind
    /// shorter parts the buffer has zeros, never stale bytes.
    ///
    /// ```
    /// # use slabuf::Buffer;
    /// assert_eq!(Buffer::concat_to_len(&["ab", "c"], 2), b"ab");
    /// assert_eq!(Buffer::concat_to_len(&["ab", "c"], 5), b"abc\0\0");
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be allocated; [`try_concat_to_len`](Self::try_concat_to_len) returns
    /// the error instead.
    ///
    /// # Complexity
    ///
    /// Linear in `len`. May make a system call.
    #[must_use]
    #[track_caller]
    pub fn concat_to_len<T: AsRef<[u8]>>(parts: &[T], len: usize) -> Self {
        or_fail(build::concat_to_len(Global, parts, len))
    }

    /// Allocates as [`concat_to_len`](Self::concat_to_len), and returns an error instead of
    /// panicking.
    ///
    /// # Errors
    ///
    /// - [`AllocError::OutOfMemory`] if the system refuses.
    /// - [`AllocError::TooLarge`] if no address space is that large.
    pub fn try_concat_to_len<T: AsRef<[u8]>>(parts: &[T], len: usize) -> Result<Self, AllocError> {
        build::concat_to_len(Global, parts, len)
    }
}
