//! Changing the length and the capacity of buffers.

use super::Buffer;
use crate::buffer::raw;
use crate::error::AllocError;
use crate::inner::tag::Place;
use crate::large::LargeAlloc;

/// Panics at the caller's line with the error of a function that has a `try_` twin.
#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn fail(error: &AllocError) -> ! {
    panic!("{error}")
}

/// Out of line, so that [`Buffer::set_len`] is small enough for its callers.
#[cold]
#[inline(never)]
#[track_caller]
fn fail_above_capacity(len: usize, capacity: usize) -> ! {
    panic!("cannot set the length to {len} bytes: the capacity is {capacity}")
}

/// Returns the value, or panics with the error at the caller's line.
#[inline]
#[track_caller]
pub(super) fn or_fail<T>(result: Result<T, AllocError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => fail(&error),
    }
}

impl Buffer {
    /// Shortens the buffer to `len` bytes; does nothing if it is not longer. The buffer keeps its
    /// memory.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"abcdef");
    /// buffer.truncate(3);
    /// assert_eq!(buffer, b"abc");
    /// ```
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Removes all bytes. The buffer keeps its memory.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"abcdef");
    /// buffer.clear();
    /// assert!(buffer.is_empty());
    /// ```
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Sets the length. Bytes beyond the old length are stale, as with
    /// [`alloc_unsafe`](Self::alloc_unsafe): initialised, but left over from earlier use.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::with_capacity(16);
    /// buffer.spare_capacity_mut()[..3].copy_from_slice(b"abc");
    /// buffer.set_len(3);
    /// assert_eq!(buffer, b"abc");
    /// ```
    ///
    /// # Panics
    ///
    /// If `len` is above the capacity.
    #[inline]
    #[track_caller]
    pub fn set_len(&mut self, len: usize) {
        let capacity = self.capacity();
        if len > capacity {
            fail_above_capacity(len, capacity);
        }
        self.expose(len);
        self.len = len;
    }

    /// Returns the memory behind the last byte, up to the capacity. Its bytes are stale; write them
    /// before [`set_len`](Self::set_len) makes them part of the buffer.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::with_capacity(100);
    /// assert!(buffer.spare_capacity_mut().len() >= 100);
    /// ```
    #[inline]
    pub fn spare_capacity_mut(&mut self) -> &mut [u8] {
        let capacity = self.capacity();
        self.expose(capacity);
        // SAFETY: `len` is within the memory.
        let end = unsafe { self.start.add(self.len) };
        // SAFETY: from `len` up to the capacity the memory is initialised and belongs to this
        // buffer alone.
        unsafe { std::slice::from_raw_parts_mut(end.as_ptr(), capacity - self.len) }
    }

    /// Returns the part of the memory behind the last byte that was ever exposed for writing.
    #[cfg(feature = "zeroize")]
    pub(crate) fn written_mut(&mut self) -> &mut [u8] {
        let end = match self.tag.place() {
            Place::Large(large) => LargeAlloc::of(large).dirty().saturating_sub(self.offset()),
            _ => self.capacity(),
        };
        let written = end.saturating_sub(self.len);
        // SAFETY: `len` is within the memory.
        let start = unsafe { self.start.add(self.len) };
        // SAFETY: from `len` up to `end`, which is within the memory, it is initialised and belongs
        // to this buffer alone.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), written) }
    }

    /// Makes the buffer `len` bytes long: truncates it, or appends bytes of the value `byte`.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"ab");
    /// buffer.resize(4, b'-');
    /// assert_eq!(buffer, b"ab--");
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be allocated; see [`try_resize`](Self::try_resize).
    #[track_caller]
    pub fn resize(&mut self, len: usize, byte: u8) {
        or_fail(self.try_resize(len, byte));
    }

    /// Resizes as [`resize`](Self::resize), and returns an error instead of panicking.
    ///
    /// # Errors
    ///
    /// [`AllocError::LimitExceeded`], [`AllocError::OutOfMemory`] or [`AllocError::TooLarge`] if
    /// the memory cannot be allocated. The buffer is unchanged.
    pub fn try_resize(&mut self, len: usize, byte: u8) -> Result<(), AllocError> {
        if len <= self.len {
            self.truncate(len);
            return Ok(());
        }
        if byte == 0 {
            return self.try_grow(len);
        }
        let old = self.len;
        self.try_reserve(len - old)?;
        self.set_len(len);
        self.note_asked();
        self[old..].fill(byte);
        Ok(())
    }

    /// Makes the buffer `len` bytes long if it is shorter; new bytes are zero.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"ab");
    /// buffer.grow(4);
    /// assert_eq!(buffer, b"ab\0\0");
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be allocated; see [`try_grow`](Self::try_grow).
    ///
    /// # Complexity
    ///
    /// Linear in the new bytes for small buffers. Large buffers grow by `mremap(2)`, without a
    /// copy, and the system zeroes their new bytes. May make a system call.
    #[track_caller]
    pub fn grow(&mut self, len: usize) {
        or_fail(self.try_grow(len));
    }

    /// Grows as [`grow`](Self::grow), and returns an error instead of panicking.
    ///
    /// # Errors
    ///
    /// [`AllocError::LimitExceeded`], [`AllocError::OutOfMemory`] or [`AllocError::TooLarge`] if
    /// the memory cannot be allocated. The buffer is unchanged.
    pub fn try_grow(&mut self, len: usize) -> Result<(), AllocError> {
        if len <= self.len {
            return Ok(());
        }
        let old = self.len;
        self.try_reserve(len - old)?;
        let stale_end = match self.tag.place() {
            Place::Large(large) => LargeAlloc::of(large).dirty().saturating_sub(self.offset()),
            _ => len,
        };
        self.set_len(len);
        self.note_asked();
        let stale_end = stale_end.clamp(old, len);
        self[old..stale_end].fill(0);
        Ok(())
    }

    /// Counts a large buffer with its length, if that exceeds the length requested before.
    fn note_asked(&self) {
        if let Place::Large(large) = self.tag.place()
            && self.len > LargeAlloc::of(large).requested_len()
        {
            raw::ask(self.memory().inner(), large, self.len);
        }
    }

    /// Makes room for at least `additional` more bytes. It allocates more than that, so that
    /// repeated growth is cheap.
    ///
    /// A part of a memory (see [`split_to`](Self::split_to)) takes the whole memory back if no
    /// other part is left, as [`try_reclaim`](Self::try_reclaim) does, and allocates nothing. The
    /// exception is a part of more than 64 KiB that would move more than 16 bytes for each byte of
    /// room in front: it grows. While other parts are left, the part moves to new memory in the
    /// same pool; a tail gets the capacity of the whole again, at most 64 KiB.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"ab");
    /// buffer.reserve(1000);
    /// assert!(buffer.capacity() >= 1002);
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be allocated; see [`try_reserve`](Self::try_reserve).
    #[inline]
    #[track_caller]
    pub fn reserve(&mut self, additional: usize) {
        or_fail(self.try_reserve(additional));
    }

    /// Makes room as [`reserve`](Self::reserve), and returns an error instead of panicking.
    ///
    /// # Errors
    ///
    /// [`AllocError::LimitExceeded`], [`AllocError::OutOfMemory`] or [`AllocError::TooLarge`] if
    /// the memory cannot be allocated. The buffer is unchanged.
    #[inline]
    pub fn try_reserve(&mut self, additional: usize) -> Result<(), AllocError> {
        if additional <= self.capacity() - self.len {
            return Ok(());
        }
        self.make_room(additional)
    }

    /// Appends a copy of the bytes.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"ab");
    /// buffer.extend_from_slice(b"cd");
    /// assert_eq!(buffer, b"abcd");
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be allocated. To get an error instead, call
    /// [`try_reserve`](Self::try_reserve) before.
    #[inline]
    #[track_caller]
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        let old = self.len;
        self.set_len(old + bytes.len());
        self[old..].copy_from_slice(bytes);
    }
}
