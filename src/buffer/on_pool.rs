//! Constructors on a pool.

use super::Buffer;
use super::build;
use super::capacity::or_fail;
use crate::buffer::raw::Fill;
use crate::buffer::raw::alloc::Source;
use crate::error::AllocError;
use crate::pool::Pool;

impl Pool {
    /// Returns whether the buffer's memory belongs to this pool.
    ///
    /// ```
    /// use slabuf::{Buffer, Pool};
    ///
    /// let pool = Pool::builder().build()?;
    /// assert!(pool.owns(&pool.alloc(100)) && !pool.owns(&Buffer::alloc(100)));
    /// assert!(pool.clone().owns(&pool.alloc(100_000)));
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    ///
    /// # Complexity
    ///
    /// Constant. Makes no system call.
    pub fn owns(&self, buffer: &Buffer) -> bool {
        buffer.memory().inner() == self.inner()
    }

    /// Allocates `len` zeros from this pool, as Node's `Buffer.alloc`.
    ///
    /// ```
    /// # let pool = slabuf::Pool::builder().build()?;
    /// let buffer = pool.alloc(100);
    /// assert_eq!(buffer, [0; 100]);
    /// # Ok::<(), slabuf::ConfigError>(())
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
    pub fn alloc(&self, len: usize) -> Buffer {
        let taken = self.take(len, Fill::Zero);
        build::finish_or_panic(self, taken, len, len)
    }

    /// Allocates as [`alloc`](Self::alloc), and returns an error instead of panicking.
    ///
    /// # Errors
    ///
    /// - [`AllocError::LimitExceeded`] if the pool's limit has no room.
    /// - [`AllocError::OutOfMemory`] if the system refuses.
    /// - [`AllocError::TooLarge`] if no address space is that large.
    #[inline]
    pub fn try_alloc(&self, len: usize) -> Result<Buffer, AllocError> {
        build::alloc(self, len)
    }

    /// Allocates `len` bytes from this pool and fills them with `pattern`, repeated and cut, as
    /// Node's `Buffer.alloc(size, fill)`. An empty pattern means zeros.
    ///
    /// ```
    /// # let pool = slabuf::Pool::builder().build()?;
    /// let buffer = pool.alloc_filled(5, "é");
    /// assert_eq!(buffer, [0xc3, 0xa9, 0xc3, 0xa9, 0xc3]);
    /// # Ok::<(), slabuf::ConfigError>(())
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
    pub fn alloc_filled(&self, len: usize, pattern: impl AsRef<[u8]>) -> Buffer {
        or_fail(build::alloc_filled(self, len, pattern))
    }

    /// Allocates as [`alloc_filled`](Self::alloc_filled), and returns an error instead of
    /// panicking.
    ///
    /// # Errors
    ///
    /// - [`AllocError::LimitExceeded`] if the pool's limit has no room.
    /// - [`AllocError::OutOfMemory`] if the system refuses.
    /// - [`AllocError::TooLarge`] if no address space is that large.
    pub fn try_alloc_filled(
        &self,
        len: usize,
        pattern: impl AsRef<[u8]>,
    ) -> Result<Buffer, AllocError> {
        build::alloc_filled(self, len, pattern)
    }

    /// Allocates `len` stale bytes from this pool: the bytes of earlier buffers, as Node's
    /// `Buffer.allocUnsafe`.
    ///
    /// This function is safe: the bytes are initialised, so reading them is not undefined
    /// behaviour. But they may be secrets of other parts of the program. Overwrite all of them
    /// before they are sent anywhere, or use `alloc`, or a pool with `zero_on_free`.
    ///
    /// ```
    /// # let pool = slabuf::Pool::builder().build()?;
    /// let mut buffer = pool.alloc_unsafe(5);
    /// buffer.copy_from_slice(b"hello");
    /// assert_eq!(buffer, b"hello");
    /// # Ok::<(), slabuf::ConfigError>(())
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
    pub fn alloc_unsafe(&self, len: usize) -> Buffer {
        let taken = self.take(len, Fill::Stale);
        build::finish_or_panic(self, taken, len, len)
    }

    /// Allocates as [`alloc_unsafe`](Self::alloc_unsafe), and returns an error instead of
    /// panicking.
    ///
    /// # Errors
    ///
    /// - [`AllocError::LimitExceeded`] if the pool's limit has no room.
    /// - [`AllocError::OutOfMemory`] if the system refuses.
    /// - [`AllocError::TooLarge`] if no address space is that large.
    #[inline]
    pub fn try_alloc_unsafe(&self, len: usize) -> Result<Buffer, AllocError> {
        build::alloc_unsafe(self, len)
    }

    /// Allocates `len` stale bytes as [`alloc_unsafe`](Self::alloc_unsafe), but always in their own
    /// mapping, never in a slot, as Node's `Buffer.allocUnsafeSlow`. Use it for small buffers that
    /// live long and would keep a slab in use.
    ///
    /// ```
    /// # let pool = slabuf::Pool::builder().build()?;
    /// assert!(!pool.alloc_unsafe_slow(10).is_pooled());
    /// # Ok::<(), slabuf::ConfigError>(())
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
    pub fn alloc_unsafe_slow(&self, len: usize) -> Buffer {
        or_fail(build::alloc_unsafe_slow(self, len))
    }

    /// Allocates as [`alloc_unsafe_slow`](Self::alloc_unsafe_slow), and returns an error instead of
    /// panicking.
    ///
    /// # Errors
    ///
    /// - [`AllocError::LimitExceeded`] if the pool's limit has no room.
    /// - [`AllocError::OutOfMemory`] if the system refuses.
    /// - [`AllocError::TooLarge`] if no address space is that large.
    pub fn try_alloc_unsafe_slow(&self, len: usize) -> Result<Buffer, AllocError> {
        build::alloc_unsafe_slow(self, len)
    }

    /// Allocates an empty buffer with room for at least `capacity` bytes from this pool.
    ///
    /// ```
    /// # let pool = slabuf::Pool::builder().build()?;
    /// let mut buffer = pool.with_capacity(100);
    /// buffer.extend_from_slice(b"abc");
    /// assert_eq!(buffer, b"abc");
    /// # Ok::<(), slabuf::ConfigError>(())
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
    pub fn with_capacity(&self, capacity: usize) -> Buffer {
        let taken = self.take(capacity, Fill::Reserve);
        build::finish_or_panic(self, taken, capacity, 0)
    }

    /// Allocates as [`with_capacity`](Self::with_capacity), and returns an error instead of
    /// panicking.
    ///
    /// # Errors
    ///
    /// - [`AllocError::LimitExceeded`] if the pool's limit has no room.
    /// - [`AllocError::OutOfMemory`] if the system refuses.
    /// - [`AllocError::TooLarge`] if no address space is that large.
    #[inline]
    pub fn try_with_capacity(&self, capacity: usize) -> Result<Buffer, AllocError> {
        build::with_capacity(self, capacity)
    }

    /// Allocates a copy of `bytes` from this pool, as Node's `Buffer.from(buffer)`.
    ///
    /// ```
    /// # let pool = slabuf::Pool::builder().build()?;
    /// assert_eq!(pool.copy_from_slice(b"abc"), b"abc");
    /// # Ok::<(), slabuf::ConfigError>(())
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
    pub fn copy_from_slice(&self, bytes: &[u8]) -> Buffer {
        let taken = self.take(bytes.len(), Fill::Stale);
        let mut buffer = build::finish_or_panic(self, taken, bytes.len(), bytes.len());
        buffer.as_mut_slice().copy_from_slice(bytes);
        buffer
    }

    /// Allocates as [`copy_from_slice`](Self::copy_from_slice), and returns an error instead of
    /// panicking.
    ///
    /// # Errors
    ///
    /// - [`AllocError::LimitExceeded`] if the pool's limit has no room.
    /// - [`AllocError::OutOfMemory`] if the system refuses.
    /// - [`AllocError::TooLarge`] if no address space is that large.
    #[inline]
    pub fn try_copy_from_slice(&self, bytes: &[u8]) -> Result<Buffer, AllocError> {
        build::copy_from_slice(self, bytes)
    }

    /// Allocates a buffer from this pool and copies the parts into it, one after the other, as
    /// Node's `Buffer.concat(list)`.
    ///
    /// ```
    /// # let pool = slabuf::Pool::builder().build()?;
    /// assert_eq!(pool.concat(&["ab", "c"]), b"abc");
    /// # Ok::<(), slabuf::ConfigError>(())
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
    pub fn concat<T: AsRef<[u8]>>(&self, parts: &[T]) -> Buffer {
        or_fail(build::concat(self, parts))
    }

    /// Allocates as [`concat`](Self::concat), and returns an error instead of panicking.
    ///
    /// # Errors
    ///
    /// - [`AllocError::LimitExceeded`] if the pool's limit has no room.
    /// - [`AllocError::OutOfMemory`] if the system refuses.
    /// - [`AllocError::TooLarge`] if no address space is that large.
    pub fn try_concat<T: AsRef<[u8]>>(&self, parts: &[T]) -> Result<Buffer, AllocError> {
        build::concat(self, parts)
    }

    /// Allocates `len` bytes from this pool and copies the parts into them, one after the other, as
    /// Node's `Buffer.concat(list, totalLength)`. Longer parts are cut at `len`; behind shorter
    /// parts the buffer has zeros, never stale bytes.
    ///
    /// ```
    /// # let pool = slabuf::Pool::builder().build()?;
    /// assert_eq!(pool.concat_to_len(&["ab", "c"], 2), b"ab");
    /// assert_eq!(pool.concat_to_len(&["ab", "c"], 5), b"abc\0\0");
    /// # Ok::<(), slabuf::ConfigError>(())
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
    pub fn concat_to_len<T: AsRef<[u8]>>(&self, parts: &[T], len: usize) -> Buffer {
        or_fail(build::concat_to_len(self, parts, len))
    }

    /// Allocates as [`concat_to_len`](Self::concat_to_len), and returns an error instead of
    /// panicking.
    ///
    /// # Errors
    ///
    /// - [`AllocError::LimitExceeded`] if the pool's limit has no room.
    /// - [`AllocError::OutOfMemory`] if the system refuses.
    /// - [`AllocError::TooLarge`] if no address space is that large.
    pub fn try_concat_to_len<T: AsRef<[u8]>>(
        &self,
        parts: &[T],
        len: usize,
    ) -> Result<Buffer, AllocError> {
        build::concat_to_len(self, parts, len)
    }
}
