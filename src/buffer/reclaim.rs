//! Sources of more capacity: the rest of the memory, a longer mapping, or new memory.
//!
//! # Safety
//!
//! Bytes move only within [`Buffer::reach`], memory of which no other buffer has a part.

use super::Buffer;
use crate::buffer::raw::alloc::{self, Global, Source};
use crate::buffer::raw::{self, RawBuffer, part};
use crate::error::{AllocError, AllocFailure, MAX_LEN};
use crate::inner::tag::{AllocTag, End, Place};
use crate::large::LargeAlloc;
use std::ptr::NonNull;

/// The largest original capacity that a remainder keeps.
const ORIGINAL_MAX: usize = 64 << 10;
/// Moving up to this many bytes is cheaper than a short read.
const CHEAP_MOVE: usize = 4 << 10;
/// A part moves up to this many bytes for each byte of room that it gains.
const MOVES_PER_BYTE: usize = 16;

impl Buffer {
    /// Makes room for `additional` more bytes without an allocation, if that is possible. Returns
    /// whether there is that much room now. As `BytesMut::try_reclaim`.
    ///
    /// Uses the memory in front of the buffer, whose bytes were read, and the memory of other parts
    /// if all of them are dropped. If necessary, it moves the bytes to the front of the memory. If
    /// it returns `false`, the buffer is unchanged.
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
    /// Linear in the length if the bytes move, otherwise constant. Makes no system call.
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

    /// Returns whether other parts of the memory are left.
    pub(super) fn is_one_of_parts(&self) -> bool {
        matches!(self.tag.place(), Place::Part(shared, end) if !part::is_unique(shared, end))
    }

    /// Returns the memory that this buffer alone may use: its start and size.
    fn reach(&self) -> (NonNull<u8>, usize) {
        match self.tag.place() {
            Place::Part(shared, end) if part::is_unique(shared, end) => part::whole(shared),
            Place::Part(..) => (self.start, self.capacity()),
            _ => self.memory().extent(),
        }
    }

    /// Moves the buffer's start to the first byte of its memory, of which no other part is left.
    /// The caller has moved the bytes.
    pub(super) fn take_back(&mut self) {
        self.start = self.reach().0;
        self.tag = self.tag.at_start();
        self.extend_to_end();
    }

    /// Makes the only part of a memory its tail.
    fn extend_to_end(&mut self) {
        if let Place::Part(shared, end) = self.tag.place() {
            part::extend_to_end(shared, end);
            self.tag = AllocTag::part(shared, End::Tail);
        }
    }

    /// Makes the capacity at least `need` bytes, which fit into the memory that this buffer alone
    /// may use.
    fn slide(&mut self, need: usize) {
        let (first, size) = self.reach();
        let offset = self.start.addr().get() - first.addr().get();
        if self.is_part() && offset + need <= size {
            return self.extend_to_end();
        }
        // SAFETY: both places hold at least `len` bytes, within memory that belongs to this buffer
        // alone.
        unsafe { self.start.copy_to(first, self.len) };
        self.take_back();
    }

    /// Makes room to read into, for a buffer that is a part or full. Takes the whole memory back if
    /// no other part is left and that enlarges the room cheaply; otherwise ensures at least `least`
    /// bytes.
    #[inline(never)]
    #[track_caller]
    pub(crate) fn make_chunk(&mut self, least: usize) {
        // The usual case of a read loop: all that was read is consumed and dropped.
        if self.len == 0
            && let Some(shared) = self.tag.tail_of()
            && part::is_unique(shared, End::Tail)
        {
            self.start = part::whole(shared).0;
            return;
        }
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

    /// Returns whether the buffer is a part of a memory.
    #[inline]
    pub(crate) fn is_part(&self) -> bool {
        self.tag.is_tail() || self.tag.is_head()
    }

    #[cold]
    pub(super) fn make_room(&mut self, additional: usize) -> Result<(), AllocError> {
        let need = self.len.checked_add(additional).filter(|n| *n <= MAX_LEN);
        let Some(need) = need else {
            return Err(AllocError::TooLarge {
                requested: self.len.saturating_add(additional),
                maximum: MAX_LEN,
            });
        };
        self.make_room_for(need)
            .map_err(|refused| self.growth_error(refused, need))
    }

    /// Converts a refusal of more capacity into the public error.
    pub(super) fn growth_error(&self, refused: AllocFailure, need: usize) -> AllocError {
        match self.memory().try_inner() {
            Ok(inner) => alloc::error_of(inner, refused, need),
            Err(_) => Global.error(refused, need),
        }
    }

    /// Makes the capacity at least `need` bytes, which is at most `MAX_LEN`.
    pub(super) fn make_room_for(&mut self, need: usize) -> Result<(), AllocFailure> {
        let (first, size) = self.reach();
        let offset = self.start.addr().get() - first.addr().get();
        // Moving the bytes to the front is cheap if no more bytes move than were read since. It
        // saves parts an allocation, so they move up to a fixed number of bytes, or of bytes per
        // byte of room. Without a bound, a loop that removes one byte and reserves one would move
        // everything.
        let bound = ORIGINAL_MAX.max(offset.saturating_mul(MOVES_PER_BYTE));
        let cheap = offset >= self.len || (self.is_part() && self.len <= bound);
        if need <= size && cheap {
            self.slide(need);
            return Ok(());
        }
        let grown = self.move_or_grow(need);
        if grown.is_err() && need <= size && self.try_reclaim(need - self.len) {
            return Ok(());
        }
        grown
    }

    /// Makes the capacity at least `need` bytes by growing the memory, or by moving to new memory.
    fn move_or_grow(&mut self, need: usize) -> Result<(), AllocFailure> {
        let (generous, count_as) = match self.tag.place() {
            Place::Part(shared, end) => match part::dissolve(shared, end) {
                Some(whole) => {
                    self.become_whole(&whole);
                    (need.max(self.capacity().saturating_mul(2)), need)
                }
                // The remainder of a read buffer keeps the original capacity.
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
        // A pool near its limit, or a system short of memory, may have just the needed bytes.
        grown.or_else(|error| match generous == need {
            true => Err(error),
            false => self.make_capacity(need, need),
        })
    }

    /// Turns the last part of a memory into a buffer that owns the whole memory. An empty part may
    /// start at the end of the memory, which is the start of the next slot; its own slot cannot be
    /// found from there.
    fn become_whole(&mut self, whole: &RawBuffer) {
        if self.len == 0 {
            self.start = whole.start;
        }
        self.tag = match self.start == whole.start {
            true => whole.tag,
            false => whole.tag.advanced(),
        };
    }

    /// Makes the capacity at least `capacity` bytes, on behalf of a request for `need`.
    pub(super) fn make_capacity(
        &mut self,
        capacity: usize,
        need: usize,
    ) -> Result<(), AllocFailure> {
        let inner = self.memory().try_inner();
        let inner = inner.map_err(|_| AllocFailure::System)?;
        if self.tag.is_slot() {
            let (mut memory, need) = (self.memory(), self.offset() + need);
            if memory.raise_capacity(need) {
                self.tag = memory.tag;
                return Ok(());
            }
        } else if let Place::Large(large) = self.tag.place() {
            let offset = self.offset();
            if raw::grow_large(inner, large, offset + capacity, offset + need) {
                // SAFETY: the mapping starts elsewhere now, the offset within it is the same.
                self.start = unsafe { LargeAlloc::of(large).base().add(offset) };
                return Ok(());
            }
        }
        let mut memory = alloc::take_room(inner, capacity, need)?;
        self.memory().moves_to(&mut memory, need);
        let mut moved = Buffer::of_memory(memory, 0);
        moved.set_len(self.len);
        moved.copy_from_slice(self);
        *self = moved;
        Ok(())
    }
}
