//! Splitting a buffer in two, and putting it together again.

use super::Buffer;
use super::capacity::or_fail;
use crate::buffer::raw::alloc;
use crate::buffer::raw::{RawBuffer, part};
use crate::error::{AllocError, AllocFailure};
use crate::inner::tag::{AllocTag, Place};
use std::mem::ManuallyDrop;

impl Buffer {
    /// Takes the first `at` bytes out, into a buffer of their own, without a copy; this one has the rest, and the
    /// room behind it. As `BytesMut::split_to`.
    ///
    /// The two share the memory: it goes back to its pool with the last part, and until then a part that is
    /// dropped is room for nobody (under [`zero_on_free`](crate::PoolBuilder::zero_on_free) it is wiped at once). A part
    /// that needs more room than it has moves elsewhere, by a copy. Buffers that are never split
    /// pay nothing for it.
    ///
    /// To hand out many parts that are only read, [`freeze`](Self::freeze) once and slice the
    /// [`Bytes`](bytes::Bytes): a slice takes no allocation.
    ///
    /// ```
    /// use slabuf::Buffer;
    ///
    /// let mut rest = Buffer::from(b"head: body");
    /// let head = rest.split_to(4);
    /// assert_eq!(head, b"head");
    /// assert_eq!(rest, b": body");
    /// ```
    ///
    /// # Panics
    ///
    /// If `at` is above the length, or the heap has no memory for the parts' descriptors; see
    /// [`try_split_to`](Self::try_split_to).
    ///
    /// # Complexity
    ///
    /// Constant: one descriptor of 128 bytes on the heap, and for the first split of a memory one more and the count.
    /// Parts of up to some 4 KiB are as cheap to copy: figures are in [the guide](crate::guide::coming_from).
    #[track_caller]
    #[must_use]
    pub fn split_to(&mut self, at: usize) -> Buffer {
        or_fail(self.try_split_to(at))
    }

    /// As [`split_to`](Self::split_to).
    ///
    /// # Errors
    ///
    /// [`AllocError::OutOfMemory`] if the heap has no memory for the parts' descriptors. The buffer is as it was.
    ///
    /// # Panics
    ///
    /// If `at` is above the length.
    #[track_caller]
    pub fn try_split_to(&mut self, at: usize) -> Result<Buffer, AllocError> {
        assert!(
            at <= self.len,
            "cannot split at {at} bytes: the buffer has {}",
            self.len
        );
        let back = self.cut(at)?;
        Ok(std::mem::replace(self, back))
    }

    /// Takes the bytes from `at` on out, and the room behind them, into a buffer of their own, without a copy; this
    /// one has what is before, and no more room than that. As `BytesMut::split_off`, and otherwise as
    /// [`split_to`](Self::split_to).
    ///
    /// ```
    /// use slabuf::Buffer;
    ///
    /// let mut head = Buffer::from(b"head: body");
    /// let rest = head.split_off(4);
    /// assert_eq!((head.as_slice(), rest.as_slice()), (&b"head"[..], &b": body"[..]));
    /// assert_eq!(head.capacity(), 4);
    /// ```
    ///
    /// # Panics
    ///
    /// If `at` is above the capacity, or the heap has no memory for the parts' descriptors; see
    /// [`try_split_off`](Self::try_split_off).
    #[track_caller]
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Buffer {
        or_fail(self.try_split_off(at))
    }

    /// As [`split_off`](Self::split_off).
    ///
    /// # Errors
    ///
    /// [`AllocError::OutOfMemory`] if the heap has no memory for the parts' descriptors. The buffer is as it was.
    ///
    /// # Panics
    ///
    /// If `at` is above the capacity.
    #[track_caller]
    pub fn try_split_off(&mut self, at: usize) -> Result<Buffer, AllocError> {
        let capacity = self.capacity();
        assert!(
            at <= capacity,
            "cannot split at {at} bytes: the capacity is {capacity}"
        );
        self.cut(at)
    }

    /// Appends `other`: without a copy if the two were split from each other and nothing is missing between them,
    /// else by a copy. An empty buffer without a part to join becomes `other`, if their pools are the same. With all
    /// parts joined again the memory is whole, as if it had never been split.
    ///
    /// ```
    /// use slabuf::Buffer;
    ///
    /// let mut buffer = Buffer::from(b"head: body");
    /// let (start, rest) = (buffer.as_ptr(), buffer.split_off(4));
    /// buffer.unsplit(rest);
    /// assert_eq!(buffer, b"head: body");
    /// assert_eq!(buffer.as_ptr(), start);
    /// ```
    ///
    /// # Panics
    ///
    /// If memory for a copy cannot be had.
    #[track_caller]
    pub fn unsplit(&mut self, other: Buffer) {
        if let (Place::Large(front), Place::Large(back)) = (self.tag.place(), other.tag.place()) {
            let adjacent = self.start.addr().get() + self.len == other.start.addr().get();
            if adjacent && part::join(front, back) {
                // Its descriptor is gone, and its bytes are ours.
                self.len += ManuallyDrop::new(other).len;
                if let Some(whole) = part::unshare(front) {
                    self.become_whole(whole);
                }
                return;
            }
        }
        if self.is_empty() && self.memory().inner() == other.memory().inner() {
            *self = other;
        } else {
            self.extend_from_slice(&other);
        }
    }

    fn become_whole(&mut self, whole: RawBuffer) {
        let first = whole.extent().0;
        let tag = whole.tag.at_start();
        self.tag = if self.start == first {
            tag
        } else {
            tag.advanced()
        };
    }

    /// Ends the buffer's room after `at` bytes, and returns what is behind.
    fn cut(&mut self, at: usize) -> Result<Buffer, AllocError> {
        let inner = self.memory().inner();
        let refused = |refused| alloc::error_of(inner, refused, at);
        let border = self.offset() + at;
        let back = match self.cut_part(border) {
            Some(back) => back.map_err(refused)?,
            None => {
                self.expose(self.capacity());
                let part = part::share(self.memory()).map_err(refused)?;
                self.tag = AllocTag::large(part);
                let back = self.cut_part(border);
                back.unwrap_or_else(|| unreachable!("a part can be cut"))
                    .map_err(refused)?
            }
        };
        let len = self.len.saturating_sub(at);
        self.len = self.len.min(at);
        Ok(Buffer::new(back, len))
    }

    /// `None`: the buffer is no part.
    fn cut_part(&self, border: usize) -> Option<Result<RawBuffer, AllocFailure>> {
        let Place::Large(large) = self.tag.place() else {
            return None;
        };
        Some(part::cut(large, border)?.map(RawBuffer::of_large))
    }
}
