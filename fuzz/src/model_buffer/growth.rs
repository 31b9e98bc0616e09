//! Changes that may need more memory.

use super::{Held, ModelBuffer};
use crate::oracle::Refusal;
use crate::parts::Parts;
use crate::program::{Change, Length};
use slabuf::AllocError;
use std::io::Write;

impl ModelBuffer {
    /// Applies a change that may need memory.
    pub(super) fn lengthen(&mut self, change: Change, turn: u8) -> Result<(), Refusal> {
        let (len, capacity) = (self.len, self.buffer().capacity());
        let before = (self.buffer().as_ptr(), capacity);
        let mut bytes = Vec::new();
        // The requested bytes, the resulting length, and the new bytes.
        let (requested, new_len, outcome) = match change {
            Change::Grow(to) => {
                bytes.resize(to.0.saturating_sub(len), 0);
                let outcome = self.buffer().try_grow(to.0);
                (to.0, len.max(to.0), outcome)
            }
            Change::Resize(to, by) => {
                let by = if by == 0 { 0 } else { self.oracle.mark(by) };
                bytes.resize(to.0.saturating_sub(len), by);
                (to.0, to.0, self.buffer().try_resize(to.0, by))
            }
            Change::Reserve(more) => {
                let outcome = self.buffer().try_reserve(more.0);
                (len + more.0, len, outcome)
            }
            Change::ReserveTooMuch(which) => {
                let more = [usize::MAX, isize::MAX as usize, 1 << 60, 1 << 47];
                let more = more[usize::from(which) % more.len()];
                let outcome = self.buffer().try_reserve(more);
                assert!(outcome.is_err(), "room for {more} bytes");
                (len.saturating_add(more), len, outcome)
            }
            Change::Append(more) | Change::AppendEach(more) | Change::Print(more) => {
                bytes = self.oracle.fresh_bytes(turn, more.0);
                (len + more.0, len + more.0, self.append(change, &bytes))
            }
            edit => self.edit_at_the_end(edit, &mut bytes, turn),
        };
        if let Err(error) = outcome {
            let buffer = self.buffer();
            assert_eq!((buffer.as_ptr(), buffer.capacity()), before);
            self.verify();
            return Err(Refusal { error, requested });
        }
        if requested > capacity {
            self.note_growth(requested);
        }
        self.put(len, &bytes);
        if let Change::Insert(at) = change {
            self.known[at.of(len)..=len].rotate_right(1);
        }
        self.len = new_len;
        let by_length = matches!(change, Change::Grow(_) | Change::Resize(..));
        if by_length && new_len > len && !self.buffer().is_pooled() {
            self.asked = self.asked.max(new_len);
        }
        assert!(self.buffer().capacity() >= requested.max(new_len));
        self.locate();
        self.verify();
        Ok(())
    }

    fn append(&mut self, change: Change, bytes: &[u8]) -> Result<(), AllocError> {
        let buffer = self.buffer();
        if let Change::Print(_) = change {
            let written = buffer.write(bytes).map_err(|error| {
                let inner = error.into_inner().expect("an error with a reason");
                *inner.downcast::<AllocError>().expect("an AllocError")
            })?;
            assert_eq!(written, bytes.len());
            return Ok(());
        }
        buffer.try_reserve(bytes.len())?;
        match change {
            Change::AppendEach(_) => buffer.extend(bytes.iter().copied()),
            _ => buffer.extend_from_slice(bytes),
        }
        Ok(())
    }

    /// Records that the capacity was too small for `requested` bytes: the bytes moved to the front,
    /// or to other or longer memory. Only the contents are certain to be kept.
    fn note_growth(&mut self, requested: usize) {
        self.known.truncate(self.len);
        let end = self.extent.0 + self.offset + requested;
        if self.pooled && end <= self.extent.1 {
            // The capacity was a part of the slot and is the rest of it now, or the bytes moved to
            // the front.
            let (first, start) = (self.extent.0, self.buffer().as_ptr().addr());
            assert!(start == first || start == first + self.offset);
            self.offset = start - first;
            return;
        }
        let fits = self.offset > 0 && requested <= self.size();
        let first = self.extent.0;
        let must_slide = fits && self.offset >= self.len;
        let buffer = self.buffer();
        // Also if that moves more bytes than were read, when no other memory is available.
        let slid = must_slide || (fits && buffer.as_ptr().addr() == first);
        let (pooled, in_page) = (buffer.is_pooled(), buffer.as_ptr().addr() % 4096);
        let moved = pooled || in_page != self.offset % 4096 || self.pooled;
        if moved || slid {
            self.offset = 0;
        }
        if slid {
            assert_eq!(self.buffer().as_ptr().addr(), self.extent.0);
        } else {
            self.asked = if pooled { 0 } else { self.offset + requested };
        }
    }

    /// If one part is left, reserves more bytes than its memory has: the part is then an ordinary
    /// buffer again.
    pub(super) fn reserve_sole(&mut self, more: Length) -> Result<(), Refusal> {
        let gone = Held::Views(Vec::new());
        let Held::Parts(parts) = std::mem::replace(&mut self.held, gone) else {
            unreachable!("called only with parts");
        };
        let (buffer, bytes) = match parts.into_sole() {
            Ok(sole) => sole,
            Err(parts) => {
                self.held = Held::Parts(parts);
                return Ok(());
            }
        };
        let requested = bytes.len() + more.0;
        if requested <= self.size() {
            self.held = Held::Parts(Parts::of(buffer, &bytes, self.extent));
            return Ok(());
        }
        // A part without bytes starts at the first byte of the memory.
        self.offset = match bytes.is_empty() {
            true => 0,
            false => buffer.as_ptr().addr() - self.extent.0,
        };
        self.held = Held::Buffer(buffer);
        (self.len, self.known) = (bytes.len(), bytes);
        let outcome = self.buffer().try_reserve(more.0);
        if outcome.is_ok() {
            self.note_growth(requested);
        }
        self.locate();
        self.verify();
        outcome.map_err(|error| Refusal { error, requested })
    }
}
