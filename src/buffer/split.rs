//! Splitting a buffer in two, and putting it together again.

use super::Buffer;
use super::capacity::or_fail;
use crate::buffer::raw::alloc;
use crate::buffer::raw::{RawBuffer, part};
use crate::error::AllocError;
use crate::inner::tag::{AllocTag, End, Place};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

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
    #[inline]
    #[track_caller]
    #[must_use]
    pub fn split_to(&mut self, at: usize) -> Buffer {
        match self.tag.tail_of() {
            Some(shared) if at <= self.len => {
                part::split(shared, End::Tail);
                self.cut_front(shared, at)
            }
            _ => self.split_to_slow(at),
        }
    }

    #[inline(never)]
    #[track_caller]
    fn split_to_slow(&mut self, at: usize) -> Buffer {
        or_fail(self.try_split_to(at))
    }

    /// The first `at` bytes, at most the length, as a head that is counted already.
    #[inline(always)]
    fn cut_front(&mut self, shared: NonNull<()>, at: usize) -> Buffer {
        let memory = RawBuffer {
            start: self.start,
            tag: AllocTag::part(shared, End::Head),
        };
        // SAFETY: `at` bytes are within the memory.
        self.start = unsafe { self.start.add(at) };
        self.len -= at;
        Buffer::of_memory(memory, at)
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
        if at == 0 {
            return Ok(self.empty_beside());
        }
        let shared = self.share(at)?;
        Ok(self.cut_front(shared, at))
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
        // SAFETY: `at` is at most the capacity, so the address is within the memory or at its end.
        let start = unsafe { self.start.add(at) };
        if at == capacity {
            let mut back = self.empty_beside();
            back.start = start;
            return Ok(back);
        }
        if at == 0 {
            let empty = self.empty_beside();
            return Ok(std::mem::replace(self, empty));
        }
        let shared = self.share(at)?;
        let memory = RawBuffer {
            start,
            tag: self.tag,
        };
        let back = Buffer::of_memory(memory, self.len.saturating_sub(at));
        self.tag = AllocTag::part(shared, End::Head);
        self.len = self.len.min(at);
        Ok(back)
    }

    /// Takes all bytes out, into a buffer of their own, without a copy; this one has the room behind them. As
    /// `BytesMut::split`: the same as `split_to(self.len())`.
    ///
    /// ```
    /// use slabuf::Buffer;
    ///
    /// let mut buffer = Buffer::with_capacity(64);
    /// buffer.extend_from_slice(b"frame");
    /// let frame = buffer.split();
    /// assert_eq!((frame.as_slice(), buffer.len(), buffer.capacity()), (&b"frame"[..], 0, 59));
    /// ```
    ///
    /// # Panics
    ///
    /// If the heap has no memory for the parts' block.
    ///
    /// # Complexity
    ///
    /// As [`split_to`](Self::split_to).
    #[must_use = "the bytes are dropped; `clear` does that alone"]
    #[track_caller]
    pub fn split(&mut self) -> Buffer {
        self.split_to(self.len)
    }

    /// Appends `other`: without a copy if [`try_unsplit`](Self::try_unsplit) can, else by a copy. An empty buffer
    /// without a part to join becomes `other`, if their pools are the same.
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
    /// If memory for a copy is needed and refused.
    ///
    /// # Complexity
    ///
    /// Constant, or linear in the length of `other` for a copy.
    #[track_caller]
    pub fn unsplit(&mut self, other: Buffer) {
        let Err(other) = self.try_unsplit(other) else {
            return;
        };
        if self.is_empty() && self.memory().inner() == other.memory().inner() {
            *self = other;
        } else {
            self.extend_from_slice(&other);
        }
    }

    /// Joins `other` behind this buffer without a copy, if the two were split from each other and nothing is
    /// missing between them. As `BytesMut::try_unsplit`.
    ///
    /// With its last part joined, the buffer has the whole memory again, as if it had never been split. A buffer without
    /// memory becomes `other`, if their pools are the same; an `other` without capacity has nothing to join.
    ///
    /// ```
    /// use slabuf::Buffer;
    ///
    /// let mut buffer = Buffer::from(b"head: body");
    /// let rest = buffer.split_off(4);
    /// assert!(buffer.try_unsplit(rest).is_ok());
    /// assert_eq!(buffer, b"head: body");
    ///
    /// let other = buffer.try_unsplit(Buffer::from(b"!")).unwrap_err();
    /// assert_eq!(other, b"!");
    /// ```
    ///
    /// # Errors
    ///
    /// Returns `other` if the two are not neighbours in one memory. Both are as they were.
    ///
    /// # Complexity
    ///
    /// Constant. Makes no system call.
    pub fn try_unsplit(&mut self, other: Buffer) -> Result<(), Buffer> {
        let adjacent = self.start.addr().get() + self.len == other.start.addr().get();
        match (self.tag.place(), other.tag.place()) {
            (Place::Part(shared, front), Place::Part(others, back))
                if shared == others && adjacent =>
            {
                // Its bytes and its room are this buffer's now.
                let other = ManuallyDrop::new(other);
                self.tag = AllocTag::part(shared, part::join(shared, front, back));
                self.len += other.len;
                Ok(())
            }
            _ if other.capacity() == 0 => Ok(()),
            (Place::Empty(_), _) if self.memory().inner() == other.memory().inner() => {
                *self = other;
                Ok(())
            }
            _ => Err(other),
        }
    }

    /// Counts one more part of the memory, of which this buffer becomes a part at the first split.
    #[inline]
    fn share(&mut self, at: usize) -> Result<NonNull<()>, AllocError> {
        if let Place::Part(shared, end) = self.tag.place() {
            part::split(shared, end);
            return Ok(shared);
        }
        self.share_first(at)
    }

    #[inline(never)]
    fn share_first(&mut self, at: usize) -> Result<NonNull<()>, AllocError> {
        // Parts do not note what they expose.
        self.expose(self.capacity());
        let shared = part::share(self.memory())
            .map_err(|refused| alloc::error_of(self.memory().inner(), refused, at))?;
        self.tag = AllocTag::part(shared, End::Tail);
        Ok(shared)
    }
}
