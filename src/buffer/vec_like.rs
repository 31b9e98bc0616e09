//! The methods of `Vec<u8>` that add or remove single bytes, or append several.

use super::Buffer;
use super::capacity::or_fail;
use super::drain::bounds;
use crate::error::AllocError;
use std::mem::ManuallyDrop;
use std::ops::RangeBounds;

impl Buffer {
    /// Allocates a buffer of `len` zeros from the global pool, as `BytesMut::zeroed`. Equals
    /// [`alloc`](Self::alloc).
    ///
    /// ```
    /// assert_eq!(slabuf::Buffer::zeroed(3), [0; 3]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be allocated; [`try_alloc`](Self::try_alloc) returns the error instead.
    ///
    /// # Complexity
    ///
    /// Linear in `len`. May make a system call.
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn zeroed(len: usize) -> Self {
        Self::alloc(len)
    }

    /// Appends a byte.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"ab");
    /// buffer.push(b'c');
    /// assert_eq!(buffer, b"abc");
    /// ```
    ///
    /// # Panics
    ///
    /// If the buffer has to grow and the memory cannot be allocated. After
    /// [`try_reserve`](Self::try_reserve) it does not panic.
    ///
    /// # Complexity
    ///
    /// Amortized constant. May make a system call when the buffer grows.
    #[inline]
    #[track_caller]
    pub fn push(&mut self, byte: u8) {
        let len = self.len();
        if len == self.capacity() {
            self.reserve(1);
        }
        self.set_len(len + 1);
        self[len] = byte;
    }

    /// Removes the last byte and returns it, or `None` if the buffer is empty.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"ab");
    /// assert_eq!(buffer.pop(), Some(b'b'));
    /// assert_eq!(buffer, b"a");
    /// ```
    ///
    /// # Complexity
    ///
    /// Constant. Makes no system call.
    #[inline]
    pub fn pop(&mut self) -> Option<u8> {
        let last = *self.last()?;
        self.truncate(self.len() - 1);
        Some(last)
    }

    /// Removes the last byte and returns it if `predicate` returns `true` for it.
    ///
    /// ```
    /// let mut line = slabuf::Buffer::from(b"line\n");
    /// assert_eq!(line.pop_if(|byte| *byte == b'\n'), Some(b'\n'));
    /// assert_eq!(line.pop_if(|byte| *byte == b'\n'), None);
    /// ```
    ///
    /// # Complexity
    ///
    /// Constant. Makes no system call.
    pub fn pop_if(&mut self, predicate: impl FnOnce(&mut u8) -> bool) -> Option<u8> {
        if predicate(self.last_mut()?) {
            self.pop()
        } else {
            None
        }
    }

    /// Inserts a byte at `index` and moves the bytes behind it up by one.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"ac");
    /// buffer.insert(1, b'b');
    /// assert_eq!(buffer, b"abc");
    /// ```
    ///
    /// # Panics
    ///
    /// If `index` is above the length, or the buffer has to grow and the memory cannot be
    /// allocated.
    ///
    /// # Complexity
    ///
    /// Linear in the number of bytes behind `index`. May make a system call when the buffer grows.
    #[track_caller]
    pub fn insert(&mut self, index: usize, byte: u8) {
        let len = self.len();
        assert!(
            index <= len,
            "insertion index (is {index}) should be <= len (is {len})"
        );
        self.push(byte);
        self.copy_within(index..len, index + 1);
        self[index] = byte;
    }

    /// Removes the byte at `index`, moves the bytes behind it down by one, and returns it.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"abc");
    /// assert_eq!(buffer.remove(1), b'b');
    /// assert_eq!(buffer, b"ac");
    /// ```
    ///
    /// # Panics
    ///
    /// If `index` is not below the length.
    ///
    /// # Complexity
    ///
    /// Linear in the number of bytes behind `index`. Makes no system call.
    #[track_caller]
    pub fn remove(&mut self, index: usize) -> u8 {
        let len = self.len();
        assert!(
            index < len,
            "removal index (is {index}) should be < len (is {len})"
        );
        let removed = self[index];
        self.copy_within(index + 1.., index);
        self.truncate(len - 1);
        removed
    }

    /// Removes the byte at `index`, puts the last byte in its place, and returns it.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"abcd");
    /// assert_eq!(buffer.swap_remove(0), b'a');
    /// assert_eq!(buffer, b"dbc");
    /// ```
    ///
    /// # Panics
    ///
    /// If `index` is not below the length.
    ///
    /// # Complexity
    ///
    /// Constant. Makes no system call.
    #[track_caller]
    pub fn swap_remove(&mut self, index: usize) -> u8 {
        let len = self.len();
        assert!(
            index < len,
            "swap_remove index (is {index}) should be < len (is {len})"
        );
        self.swap(index, len - 1);
        let removed = self[len - 1];
        self.truncate(len - 1);
        removed
    }

    /// Appends a copy of the bytes in `range`.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"abc");
    /// buffer.extend_from_within(1..);
    /// assert_eq!(buffer, b"abcbc");
    /// ```
    ///
    /// # Panics
    ///
    /// If the range starts behind its end or ends behind the length, or the buffer has to grow and
    /// the memory cannot be allocated.
    ///
    /// # Complexity
    ///
    /// Linear in the length of the range. May make a system call when the buffer grows.
    #[track_caller]
    pub fn extend_from_within(&mut self, range: impl RangeBounds<usize>) {
        let len = self.len();
        let range = bounds(range, len);
        self.reserve(range.len());
        self.set_len(len + range.len());
        self.copy_within(range, len);
    }

    /// Moves the bytes of `other` to the end of this buffer, by a copy, and leaves `other` empty.
    /// To join buffers that were split from each other, without a copy, use
    /// [`unsplit`](Self::unsplit).
    ///
    /// ```
    /// use slabuf::Buffer;
    ///
    /// let (mut buffer, mut other) = (Buffer::from(b"ab"), Buffer::from(b"cd"));
    /// buffer.append(&mut other);
    /// assert_eq!(buffer, b"abcd");
    /// assert!(other.is_empty());
    /// ```
    ///
    /// # Panics
    ///
    /// If the buffer has to grow and the memory cannot be allocated.
    ///
    /// # Complexity
    ///
    /// Linear in the length of `other`. May make a system call when the buffer grows.
    #[track_caller]
    pub fn append(&mut self, other: &mut Buffer) {
        self.extend_from_slice(other);
        other.clear();
    }

    /// Makes the buffer `len` bytes long: truncates it, or appends bytes that `byte` returns.
    ///
    /// ```
    /// let mut next = 0;
    /// let mut buffer = slabuf::Buffer::from(b"ab");
    /// buffer.resize_with(4, || { next += 1; next });
    /// assert_eq!(buffer, b"ab\x01\x02");
    /// ```
    ///
    /// # Panics
    ///
    /// If the buffer has to grow and the memory cannot be allocated.
    ///
    /// # Complexity
    ///
    /// Linear in the number of new bytes. May make a system call when the buffer grows.
    #[track_caller]
    pub fn resize_with(&mut self, len: usize, mut byte: impl FnMut() -> u8) {
        if len <= self.len() {
            return self.truncate(len);
        }
        self.reserve(len - self.len());
        while self.len() < len {
            self.push(byte());
        }
    }

    /// Makes the buffer `len` bytes long: truncates it, or appends zeros. Equals `resize(len, 0)`;
    /// [`grow`](Self::grow) does the same and never truncates.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"abc");
    /// buffer.resize_zeroed(4);
    /// assert_eq!(buffer, b"abc\0");
    /// buffer.resize_zeroed(1);
    /// assert_eq!(buffer, b"a");
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be allocated; see [`try_resize_zeroed`](Self::try_resize_zeroed).
    ///
    /// # Complexity
    ///
    /// As [`grow`](Self::grow), which includes when it makes a system call.
    #[track_caller]
    pub fn resize_zeroed(&mut self, len: usize) {
        or_fail(self.try_resize_zeroed(len));
    }

    /// Resizes as [`resize_zeroed`](Self::resize_zeroed), and returns an error instead of
    /// panicking.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"abc");
    /// assert!(buffer.try_resize_zeroed(usize::MAX).is_err());
    /// assert_eq!(buffer, b"abc");
    /// ```
    ///
    /// # Errors
    ///
    /// [`AllocError::LimitExceeded`], [`AllocError::OutOfMemory`] or [`AllocError::TooLarge`] if
    /// the memory cannot be allocated. The buffer is unchanged.
    pub fn try_resize_zeroed(&mut self, len: usize) -> Result<(), AllocError> {
        self.try_resize(len, 0)
    }

    /// Turns the buffer into a slice that is never freed. Its memory stays mapped, and counted in
    /// its pool, until the process ends.
    ///
    /// ```
    /// let bytes: &'static mut [u8] = slabuf::Buffer::from(b"abc").leak();
    /// bytes[0] = b'A';
    /// assert_eq!(bytes, b"Abc");
    /// ```
    ///
    /// # Complexity
    ///
    /// Constant. Makes no system call.
    #[must_use = "the memory is leaked; use `drop` to free it"]
    pub fn leak<'a>(self) -> &'a mut [u8] {
        let mut this = ManuallyDrop::new(self);
        let (start, len) = (this.as_mut_ptr(), this.len());
        // SAFETY: the buffer is never dropped, so its `len` initialised bytes stay valid, and the
        // returned slice is the only access to them.
        unsafe { std::slice::from_raw_parts_mut(start, len) }
    }
}
