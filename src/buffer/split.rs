//! Splitting a buffer in two, and joining parts again.

use super::Buffer;
use super::capacity::or_fail;
use crate::buffer::raw::alloc;
use crate::buffer::raw::{Fill, RawBuffer, part};
use crate::error::AllocError;
use crate::inner::PoolInner;
use crate::inner::tag::{AllocTag, End, Place};
use bytes::Buf;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

impl Buffer {
    /// Splits the buffer in two without a copy: returns the first `at` bytes, and keeps the rest
    /// and the capacity behind it. As `BytesMut::split_to`.
    ///
    /// Both parts share the memory, which returns to its pool when the last part is dropped. The
    /// returned part is a *head*: its capacity equals its length, so shortening it gives capacity
    /// up. Of the parts of one memory one is the *tail*, which extends to the end of the memory.
    ///
    /// - A part that needs more capacity moves elsewhere, by a copy. A tail then gets the capacity
    ///   of the whole memory again (at most 64 KiB), so that a read loop keeps its buffer size.
    /// - When no other part is left, [`reserve`](Self::reserve) and
    ///   [`try_reclaim`](Self::try_reclaim) take the whole memory back and allocate nothing.
    /// - [`unsplit`](Self::unsplit) joins neighbours again.
    /// - In a pool with [`zero_on_free`](crate::PoolBuilder::zero_on_free) there are no parts: the
    ///   split moves the returned bytes to memory of their own, by a copy, and wipes them here. So
    ///   all that a buffer held is wiped when it is dropped. The split may fail at the pool's
    ///   limit, capacities may be larger than described, and what an aligned buffer returns is
    ///   aligned to 16 bytes only.
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
    /// If `at` is above the length, or memory is refused; see [`try_split_to`](Self::try_split_to).
    ///
    /// # Complexity
    ///
    /// Constant. The first split of a memory allocates a block of 64 bytes on the heap. Further
    /// splits of the tail execute no atomic operation, those of a head one. Makes no system call.
    /// In a pool with `zero_on_free` linear in the moved length, and as an allocation.
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

    /// Returns the first `at` bytes, at most the length, as a head that is counted already.
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

    /// Splits the buffer as [`split_to`](Self::split_to), and returns an error instead of panicking
    /// if memory is refused.
    ///
    /// # Errors
    ///
    /// Returns [`AllocError::OutOfMemory`] if the heap has no memory for the block that the parts
    /// share. In a pool with `zero_on_free`, returns the errors of
    /// [`Pool::try_alloc`](crate::Pool::try_alloc). The buffer is unchanged after an error.
    ///
    /// # Panics
    ///
    /// If `at` is above the length.
    #[track_caller]
    pub fn try_split_to(&mut self, at: usize) -> Result<Buffer, AllocError> {
        assert!(
            at <= self.len,
            "split_to out of bounds: cannot split at {at} bytes, the buffer has {}",
            self.len
        );
        // The part of an empty buffer shares the memory: it can take it back later.
        if at == 0 && (self.len > 0 || self.capacity() == 0 || self.is_wiped_on_free()) {
            return Ok(self.empty_beside());
        }
        if self.is_wiped_on_free() {
            return self.move_front(at);
        }
        let shared = self.share(at)?;
        Ok(self.cut_front(shared, at))
    }

    /// Splits the buffer in two without a copy: keeps the first `at` bytes, and returns the rest
    /// with the capacity behind it. As `BytesMut::split_off`; see [`split_to`](Self::split_to) for
    /// what parts are.
    ///
    /// If `at` is above the length, there are no bytes to return: the returned buffer has memory of
    /// its own, and this one keeps its memory and a capacity of at least `at`.
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
    /// If `at` is above the capacity, or memory is refused; see
    /// [`try_split_off`](Self::try_split_off).
    ///
    /// # Complexity
    ///
    /// As [`split_to`](Self::split_to).
    #[track_caller]
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Buffer {
        or_fail(self.try_split_off(at))
    }

    /// Splits the buffer as [`split_off`](Self::split_off), and returns an error instead of
    /// panicking if memory is refused.
    ///
    /// # Errors
    ///
    /// Returns [`AllocError::OutOfMemory`] if the heap has no memory for the block that the parts
    /// share. If `at` is above the length, and in a pool with `zero_on_free`, returns the errors of
    /// [`Pool::try_alloc`](crate::Pool::try_alloc). The buffer is unchanged after an error.
    ///
    /// # Panics
    ///
    /// If `at` is above the capacity.
    #[track_caller]
    pub fn try_split_off(&mut self, at: usize) -> Result<Buffer, AllocError> {
        let capacity = self.capacity();
        assert!(
            at <= capacity,
            "split_off out of bounds: cannot split at {at} bytes, the capacity is {capacity}"
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
        if at > self.len || self.is_wiped_on_free() {
            return self.move_back(at);
        }
        let shared = self.share(at)?;
        let memory = RawBuffer {
            start,
            tag: self.tag,
        };
        let back = Buffer::of_memory(memory, self.len - at);
        self.tag = AllocTag::part(shared, End::Head);
        self.len = at;
        Ok(back)
    }

    /// Returns all bytes as a buffer of their own without a copy, and keeps the capacity behind
    /// them. As `BytesMut::split`: equals `split_to(self.len())`.
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
    /// If memory is refused; see [`try_split_to`](Self::try_split_to).
    ///
    /// # Complexity
    ///
    /// As [`split_to`](Self::split_to).
    #[must_use = "the returned buffer holds the bytes; `clear` discards them"]
    #[track_caller]
    pub fn split(&mut self) -> Buffer {
        self.split_to(self.len)
    }

    /// Appends `other`: without a copy if [`try_unsplit`](Self::try_unsplit) can join the two,
    /// otherwise by a copy. An empty buffer that cannot be joined becomes `other` if their pools
    /// are the same.
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

    /// Joins `other` behind this buffer without a copy, if both are parts of one memory and `other`
    /// starts where this buffer ends. As `BytesMut::try_unsplit`.
    ///
    /// It also succeeds if `other` has no capacity, which it then drops, and if this buffer has no
    /// memory and both belong to the same pool: then this buffer becomes `other`.
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
    /// Returns `other` if the two are not neighbours in one memory. Both are unchanged.
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
                // Its bytes and its room belong to this buffer now.
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

    /// Returns whether the pool wipes what is freed. Its buffers have no parts: each half of a
    /// split has a memory of its own, so that it is wiped when it is dropped.
    fn is_wiped_on_free(&self) -> bool {
        match self.tag.place() {
            Place::Empty(None) => false,
            _ => PoolInner::of(self.memory().inner()).config.zero_on_free,
        }
    }

    /// Moves the first `at` bytes to a buffer of their own, and wipes them here.
    fn move_front(&mut self, at: usize) -> Result<Buffer, AllocError> {
        let mut head = self.with_room_beside(at)?;
        head.set_len(at);
        head.copy_from_slice(&self[..at]);
        self[..at].fill(0);
        self.advance(at);
        Ok(head)
    }

    /// Moves the bytes from `at` on, if there are any, to a buffer of their own with as much room,
    /// and wipes them here.
    fn move_back(&mut self, at: usize) -> Result<Buffer, AllocError> {
        let moved = self.len.saturating_sub(at);
        let mut back = self.with_room_beside(self.capacity() - at)?;
        back.set_len(moved);
        back.copy_from_slice(&self[self.len - moved..]);
        let front = self.len - moved;
        self[front..].fill(0);
        self.len = front;
        // The drop wipes the capacity only, and there may be stale bytes behind `at`.
        if self.tag.is_slot() && !self.tag.is_scrubbed() {
            self.tag = self.tag.with_capacity(self.offset() + at);
        }
        Ok(back)
    }

    /// Allocates a buffer without bytes from the same pool, counted with all of its capacity.
    fn with_room_beside(&self, capacity: usize) -> Result<Buffer, AllocError> {
        let inner = self.memory().inner();
        let memory = alloc::take_from(inner, capacity, Fill::Reserve)
            .map_err(|failure| alloc::error_of(inner, failure, capacity))?;
        Ok(Buffer::of_memory(memory, 0))
    }

    /// Counts one more part of the memory. At the first split this buffer becomes the tail.
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
        // Parts do not track which bytes were written.
        self.expose(self.capacity());
        let shared = part::share(self.memory())
            .map_err(|refused| alloc::error_of(self.memory().inner(), refused, at))?;
        self.tag = AllocTag::part(shared, End::Tail);
        Ok(shared)
    }
}
