//! Making buffers longer and shorter.
//!
//! # Safety
//!
//! What moves stays within [`Buffer::reach`]: memory that no other buffer has a part of.

use super::Buffer;
use crate::buffer::raw::alloc::{self, Global, Source};
use crate::buffer::raw::{self, RawBuffer, part};
use crate::error::{AllocError, AllocFailure, MAX_LEN};
use crate::inner::tag::{AllocTag, End, Place};
use crate::large::LargeAlloc;
use std::ptr::NonNull;

/// The most capacity that a part's successor gets because the whole memory had it.
const ORIGINAL_MAX: usize = 64 << 10;
/// Moving as many bytes costs less than one more read that is short.
const CHEAP_MOVE: usize = 4 << 10;

/// Panics with the error of a function that has a `try_` twin, at the caller's line.
#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn fail(error: &AllocError) -> ! {
    panic!("{error}")
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
    /// Drops the bytes from `len` on. Does nothing if there are no more than that. The memory stays.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"abcdef");
    /// buffer.truncate(3);
    /// assert_eq!(buffer, b"abc");
    /// ```
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Drops all bytes. The memory stays.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"abcdef");
    /// buffer.clear();
    /// assert!(buffer.is_empty());
    /// ```
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Sets the length. Bytes that come into view are stale, as with
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
    #[track_caller]
    pub fn set_len(&mut self, len: usize) {
        let capacity = self.capacity();
        assert!(
            len <= capacity,
            "cannot set the length to {len} bytes: the capacity is {capacity}"
        );
        self.expose(len);
        self.len = len;
    }

    /// The memory behind the last byte, up to the capacity: stale bytes, to be written before
    /// [`set_len`](Self::set_len) makes them part of the buffer.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::with_capacity(100);
    /// assert!(buffer.spare_capacity_mut().len() >= 100);
    /// ```
    pub fn spare_capacity_mut(&mut self) -> &mut [u8] {
        let capacity = self.capacity();
        self.expose(capacity);
        // SAFETY: `len` is within the memory.
        let end = unsafe { self.start.add(self.len) };
        // SAFETY: from `len` up to the capacity the memory is this buffer's alone, and initialised.
        unsafe { std::slice::from_raw_parts_mut(end.as_ptr(), capacity - self.len) }
    }

    /// As much of the memory behind the last byte as was ever exposed for writing.
    #[cfg(feature = "zeroize")]
    pub(crate) fn written_mut(&mut self) -> &mut [u8] {
        let end = match self.tag.place() {
            Place::Large(large) => LargeAlloc::of(large).dirty().saturating_sub(self.offset()),
            _ => self.capacity(),
        };
        let written = end.saturating_sub(self.len);
        // SAFETY: `len` is within the memory.
        let start = unsafe { self.start.add(self.len) };
        // SAFETY: from `len` up to `end`, which is within the memory, it is this buffer's alone, and initialised.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), written) }
    }

    /// Makes the buffer `len` bytes long: cuts it, or adds bytes of the value `byte`.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"ab");
    /// buffer.resize(4, b'-');
    /// assert_eq!(buffer, b"ab--");
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be had; see [`try_resize`](Self::try_resize).
    #[track_caller]
    pub fn resize(&mut self, len: usize, byte: u8) {
        or_fail(self.try_resize(len, byte));
    }

    /// As [`resize`](Self::resize).
    ///
    /// # Errors
    ///
    /// If the memory cannot be had. The buffer is as it was.
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
    /// If the memory cannot be had; see [`try_grow`](Self::try_grow).
    ///
    /// # Complexity
    ///
    /// Linear in the new bytes for small buffers. Large ones are made longer by `mremap(2)`, without a
    /// copy, and their new bytes come zeroed from the system.
    #[track_caller]
    pub fn grow(&mut self, len: usize) {
        or_fail(self.try_grow(len));
    }

    /// As [`grow`](Self::grow).
    ///
    /// # Errors
    ///
    /// If the memory cannot be had. The buffer is as it was.
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

    /// Counts a large buffer with its length, if that is more now than was asked for before.
    fn note_asked(&self) {
        if let Place::Large(large) = self.tag.place()
            && self.len > LargeAlloc::of(large).requested_len()
        {
            raw::ask(self.memory().inner(), large, self.len);
        }
    }

    /// Makes room for `additional` more bytes, and for more than that, so that growing step by step is
    /// cheap.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"ab");
    /// buffer.reserve(1000);
    /// assert!(buffer.capacity() >= 1002);
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be had; see [`try_reserve`](Self::try_reserve).
    #[inline]
    #[track_caller]
    pub fn reserve(&mut self, additional: usize) {
        or_fail(self.try_reserve(additional));
    }

    /// As [`reserve`](Self::reserve).
    ///
    /// # Errors
    ///
    /// If the memory cannot be had. The buffer is as it was.
    #[inline]
    pub fn try_reserve(&mut self, additional: usize) -> Result<(), AllocError> {
        if additional <= self.capacity() - self.len {
            return Ok(());
        }
        self.make_room(additional)
    }

    /// Appends bytes.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"ab");
    /// buffer.extend_from_slice(b"cd");
    /// assert_eq!(buffer, b"abcd");
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be had; [`try_reserve`](Self::try_reserve) before it rules that out.
    #[inline]
    #[track_caller]
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        let old = self.len;
        self.set_len(old + bytes.len());
        self[old..].copy_from_slice(bytes);
    }

    /// Makes room for `additional` more bytes without allocating, if the memory has it: in front of the buffer's
    /// start, where bytes were read, and in other parts of the memory that are all gone. The bytes then move to
    /// the front. Returns whether there is room for `additional` more bytes now.
    ///
    /// [`reserve`](Self::reserve) does the same, where it moves no more bytes than were read or a bounded number,
    /// and allocates otherwise.
    ///
    /// ```
    /// use slabuf::Buffer;
    ///
    /// let mut buffer = Buffer::with_capacity(64);
    /// buffer.extend_from_slice(&[7; 64]);
    /// let head = buffer.split_to(60);
    /// assert!(!buffer.try_reclaim(60));
    /// drop(head);
    /// assert!(buffer.try_reclaim(60));
    /// assert_eq!((buffer.as_slice(), buffer.capacity()), (&[7; 4][..], 64));
    /// ```
    ///
    /// # Complexity
    ///
    /// Linear in the length if the bytes move, else constant. Makes no system call.
    pub fn try_reclaim(&mut self, additional: usize) -> bool {
        if additional <= self.capacity() - self.len {
            return true;
        }
        let size = self.reach().1;
        let fits = additional <= size.saturating_sub(self.len);
        if fits {
            self.slide(self.len + additional);
        }
        fits
    }

    /// Whether other parts of the memory are left.
    pub(super) fn is_one_of_parts(&self) -> bool {
        matches!(self.tag.place(), Place::Part(shared, end) if !part::is_unique(shared, end))
    }

    /// The memory that is this buffer's alone, whether or not the buffer has moved away from its start.
    fn reach(&self) -> (NonNull<u8>, usize) {
        match self.tag.place() {
            Place::Part(shared, end) if part::is_unique(shared, end) => part::whole(shared),
            Place::Part(..) => (self.start, self.capacity()),
            _ => self.memory().extent(),
        }
    }

    /// Lets the buffer begin where its memory does, with whatever bytes there are. No other part of it is left.
    pub(super) fn take_back(&mut self) {
        self.start = self.reach().0;
        self.tag = self.tag.at_start();
        self.extend_to_end();
    }

    /// Gives a part the room behind it, where no other part is left.
    fn extend_to_end(&mut self) {
        if let Place::Part(shared, end) = self.tag.place() {
            part::extend_to_end(shared, end);
            self.tag = AllocTag::part(shared, End::Tail);
        }
    }

    /// Makes the capacity at least `need` bytes, within the memory that is the buffer's alone.
    fn slide(&mut self, need: usize) {
        let (first, size) = self.reach();
        let offset = self.start.addr().get() - first.addr().get();
        if self.is_part() && offset + need <= size {
            return self.extend_to_end();
        }
        // SAFETY: `len` bytes at either place are within the memory that is this buffer's alone.
        unsafe { self.start.copy_to(first, self.len) };
        self.take_back();
    }

    /// Makes room to read into, where a buffer is a part or full: the whole memory if no other part is left and
    /// most of it is behind the reader, else at least `least` bytes.
    #[inline(never)]
    #[track_caller]
    pub(crate) fn make_chunk(&mut self, least: usize) {
        let spare = self.capacity() - self.len;
        let (first, size) = self.reach();
        let offset = self.start.addr().get() - first.addr().get();
        let worth = self.len == 0 || (offset > spare && self.len <= CHEAP_MOVE);
        if worth && offset > 0 && offset >= self.len {
            self.slide(size);
        } else if spare == 0 {
            self.reserve(least);
        }
    }

    /// Whether the buffer is a part of a memory.
    #[inline]
    pub(crate) fn is_part(&self) -> bool {
        self.tag.is_tail() || self.tag.is_head()
    }

    #[cold]
    fn make_room(&mut self, additional: usize) -> Result<(), AllocError> {
        let need = self.len.checked_add(additional).filter(|n| *n <= MAX_LEN);
        let Some(need) = need else {
            return Err(AllocError::TooLarge {
                requested: self.len.saturating_add(additional),
                maximum: MAX_LEN,
            });
        };
        let (first, size) = self.reach();
        let offset = self.start.addr().get() - first.addr().get();
        // What was read makes room for what comes, once there is as much of it as is to be moved. A part, whose
        // capacity is not to double, moves a bounded number of bytes in any case.
        let cheap = offset >= self.len || (self.is_part() && self.len <= ORIGINAL_MAX);
        if need <= size && cheap {
            self.slide(need);
            return Ok(());
        }
        let grown = self.move_or_grow(need);
        if grown.is_err() && need <= size && self.try_reclaim(additional) {
            return Ok(());
        }
        grown
    }

    /// Makes the capacity at least `need` bytes by growing, or elsewhere.
    fn move_or_grow(&mut self, need: usize) -> Result<(), AllocError> {
        let (generous, count_as) = match self.tag.place() {
            Place::Part(shared, end) => match part::dissolve(shared, end) {
                Some(whole) => {
                    self.become_whole(&whole);
                    (need.max(self.capacity().saturating_mul(2)), need)
                }
                // What is left of a read buffer is one of the same capacity again.
                None if end == End::Tail => {
                    let original = part::whole(shared).1.min(ORIGINAL_MAX);
                    (need.max(original), need.max(original))
                }
                None => (need.max(self.len.saturating_mul(2)), need),
            },
            _ => (need.max(self.capacity().saturating_mul(2)), need),
        };
        let generous = generous.min(MAX_LEN);
        let grown = self.make_capacity(generous, count_as);
        // A pool near its limit, or a system short of memory, may have what is needed and no more.
        grown.or_else(|error| match generous == need {
            true => Err(error),
            false => self.make_capacity(need, need),
        })
    }

    /// Has all of a memory that was in parts, instead of the last part.
    fn become_whole(&mut self, whole: &RawBuffer) {
        self.tag = match self.start == whole.start {
            true => whole.tag,
            false => whole.tag.advanced(),
        };
    }

    /// Makes the capacity at least `capacity` bytes, on behalf of a request for `need`.
    pub(super) fn make_capacity(&mut self, capacity: usize, need: usize) -> Result<(), AllocError> {
        let Ok(inner) = self.memory().try_inner() else {
            return Err(Global.error(AllocFailure::System, need));
        };
        if let Place::Large(large) = self.tag.place() {
            let offset = self.offset();
            if raw::grow_large(inner, large, offset + capacity, offset + need) {
                // SAFETY: the mapping starts elsewhere now, the offset within it is the same.
                self.start = unsafe { LargeAlloc::of(large).base().add(offset) };
                return Ok(());
            }
        }
        let memory = alloc::take_room(inner, capacity, need)
            .map_err(|refused| alloc::error_of(inner, refused, need))?;
        self.memory().moves_to(&memory, need);
        let mut moved = Buffer::of_memory(memory, 0);
        moved.set_len(self.len);
        moved.copy_from_slice(self);
        *self = moved;
        Ok(())
    }
}
