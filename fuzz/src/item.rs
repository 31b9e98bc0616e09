//! One live buffer beside the bytes it must hold.

use crate::facts::{PoolFacts, Refusal, repeated, thirds};
use crate::parts::Parts;
use crate::program::{Change, Cut, Length, Make, Part};
use bytes::{Buf, Bytes};
use slabuf::{AllocError, Buffer, Pool};
use std::io::Write;
use std::time::Duration;

mod edits;

enum Held {
    Buffer(Buffer),
    /// Each begins so many bytes behind the buffer's start.
    Views(Vec<(Bytes, usize)>),
    /// Of one memory; what is known is in them.
    Parts(Parts),
}

/// A live buffer, or views of one.
pub struct Item {
    /// Of its pool.
    pub facts: PoolFacts,
    held: Held,
    /// What is known of the memory from the start on; the buffer's bytes first.
    known: Vec<u8>,
    len: usize,
    /// How far the start has moved away from the first byte of the memory.
    offset: usize,
    /// Address of the first byte of its memory, and the byte behind the last.
    pub extent: (usize, usize),
    /// The length it is counted with if it is large.
    pub asked: usize,
    /// Whether its memory is a slot.
    pub pooled: bool,
}

impl Item {
    /// Takes a buffer of `n` bytes and checks what it is given.
    pub fn take(
        pool: &Pool,
        facts: PoolFacts,
        make: Make,
        n: usize,
        turn: u8,
    ) -> Result<Self, Refusal> {
        let given = || facts.fresh_bytes(turn, n);
        let (outcome, requested, known) = match make {
            // Some wait, as long as it takes to find that there is no use in it.
            Make::Zeroed if n % 3 == 0 => {
                let buffer = pool.alloc_timeout(n, Duration::ZERO);
                (buffer, n, Some(vec![0; n]))
            }
            Make::Zeroed => (pool.try_alloc(n), n, Some(vec![0; n])),
            Make::Filled(by) => {
                let pattern = facts.fresh_bytes(turn, usize::from(by) % 40);
                let shown = if pattern.is_empty() {
                    &[0][..]
                } else {
                    &pattern
                };
                let known = repeated(shown, n);
                (pool.try_alloc_filled(n, &pattern), n, Some(known))
            }
            Make::Stale if n % 3 == 0 => (pool.alloc_unsafe_timeout(n, Duration::ZERO), n, None),
            Make::Stale => (pool.try_alloc_unsafe(n), n, None),
            Make::StaleSlow => (pool.try_alloc_unsafe_slow(n), n, None),
            Make::Room => (pool.try_with_capacity(n), n, Some(Vec::new())),
            Make::Copied => {
                let given = given();
                (pool.try_copy_from_slice(&given), n, Some(given))
            }
            Make::Concat => {
                let given = given();
                (pool.try_concat(&thirds(&given)), n, Some(given))
            }
            Make::ConcatToLen(Length(to)) => {
                let mut given = given();
                let outcome = pool.try_concat_to_len(&thirds(&given), to);
                given.resize(to, 0);
                (outcome, to, Some(given))
            }
            Make::Aligned(shift) => {
                let outcome = pool.try_alloc_aligned(n, 1 << (shift % 13));
                (outcome, n, Some(vec![0; n]))
            }
        };
        let buffer = outcome.map_err(|error| Refusal { error, requested })?;
        let small = requested <= facts.settings.slab_size && !matches!(make, Make::StaleSlow);
        assert_eq!(buffer.is_pooled(), small, "{make:?} of {requested}");
        assert!(buffer.capacity() >= requested, "{buffer:?} for {requested}");
        assert_eq!(buffer.as_ptr().addr() % 16, 0);
        if let Make::Aligned(shift) = make {
            assert!(
                buffer.alignment() >= 1 << (shift % 13),
                "{make:?} of {requested}"
            );
        }
        let known = known.unwrap_or_else(|| {
            assert_eq!(buffer.len(), n);
            facts.check_stale(&buffer, facts.settings.hides_stale_bytes());
            buffer.to_vec()
        });
        let mut item = Self::around(buffer, facts, known);
        item.asked = if small { 0 } else { requested };
        item.verify();
        Ok(item)
    }

    fn around(buffer: Buffer, facts: PoolFacts, known: Vec<u8>) -> Self {
        let mut item = Self {
            facts,
            len: known.len(),
            held: Held::Buffer(buffer),
            known,
            offset: 0,
            extent: (0, 0),
            asked: 0,
            pooled: false,
        };
        item.locate();
        item
    }

    /// Looks at the spare capacity of a new buffer.
    pub fn peek(&mut self) {
        self.read_spare(self.facts.settings.hides_stale_bytes());
    }

    /// The contents are as they must be.
    pub fn verify(&self) {
        match &self.held {
            Held::Buffer(buffer) => {
                assert_eq!(buffer.len(), self.len);
                assert_eq!(buffer.is_empty(), self.len == 0);
                assert!(buffer[..] == self.known[..self.len], "of {buffer:?}");
            }
            Held::Views(views) => {
                for (view, at) in views {
                    assert!(view[..] == self.known[*at..at + view.len()], "at {at}");
                }
            }
            Held::Parts(parts) => parts.verify(),
        }
    }

    /// Whether nothing holds its memory any more.
    pub fn is_gone(&self) -> bool {
        match &self.held {
            Held::Buffer(_) => false,
            Held::Views(views) => views.is_empty(),
            Held::Parts(parts) => parts.is_gone(),
        }
    }

    /// Bytes of its memory.
    pub fn size(&self) -> usize {
        self.extent.1 - self.extent.0
    }

    /// A copy of it in its pool.
    pub fn try_clone(&self) -> Result<Option<Self>, Refusal> {
        let Held::Buffer(buffer) = &self.held else {
            return Ok(None);
        };
        let requested = self.len;
        let refuse = |error| Refusal { error, requested };
        let copy = buffer.try_clone().map_err(refuse)?;
        assert_eq!(copy, *buffer);
        let mut item = Self::around(copy, self.facts, self.known[..self.len].to_vec());
        item.asked = if item.pooled { 0 } else { requested };
        item.verify();
        Ok(Some(item))
    }

    /// Carries a change out on the buffer and on the bytes it must hold.
    pub fn change(&mut self, change: Change, turn: u8) -> Result<(), Refusal> {
        match change {
            Change::Freeze => self.freeze(),
            Change::Slice(from, to) => self.slice(from, to),
            Change::DropView => {
                if let Held::Views(views) = &mut self.held {
                    views.pop();
                }
            }
            Change::Cut(which, cut) => self.cut(which, cut, turn),
            Change::Reserve(more) if matches!(self.held, Held::Parts(_)) => {
                return self.reserve_sole(more);
            }
            _ if !matches!(self.held, Held::Buffer(_)) => {}
            Change::Grow(_)
            | Change::Resize(..)
            | Change::Reserve(_)
            | Change::ReserveTooMuch(_)
            | Change::Append(_)
            | Change::AppendEach(_)
            | Change::Print(_)
            | Change::Push
            | Change::Insert(_)
            | Change::ExtendFromWithin(..)
            | Change::ReserveExact(_) => return self.lengthen(change, turn),
            Change::Pop
            | Change::Remove(_)
            | Change::SwapRemove(_)
            | Change::Drain(..)
            | Change::Retain(_)
            | Change::Dedup => self.edit_in_place(change),
            Change::ShrinkTo(least) => self.shrink_to(least),
            _ => self.change_in_place(change, turn),
        }
        Ok(())
    }

    fn buffer(&mut self) -> &mut Buffer {
        match &mut self.held {
            Held::Buffer(buffer) => buffer,
            _ => unreachable!("frozen and split items are not changed"),
        }
    }

    /// Notes where the memory is.
    fn locate(&mut self) {
        let offset = self.offset;
        let buffer = self.buffer();
        let start = buffer.as_ptr().addr() - offset;
        let end = buffer.as_ptr().addr() + buffer.capacity();
        self.pooled = buffer.is_pooled();
        self.extent = (start, end);
    }

    /// What is known from `from` on is `bytes` now.
    fn put(&mut self, from: usize, bytes: &[u8]) {
        let end = from + bytes.len();
        if self.known.len() < end {
            self.known.resize(end, 0);
        }
        self.known[from..end].copy_from_slice(bytes);
    }

    /// Bytes up to `end` have come into view.
    fn show(&mut self, end: usize, zero: bool) {
        let from = self.known.len();
        if end > from {
            let shown = self.buffer()[from..end].to_vec();
            self.facts.check_stale(&shown, zero);
            self.known.extend_from_slice(&shown);
        }
    }

    fn read_spare(&mut self, zero: bool) {
        let (len, known) = (self.len, self.known.len());
        let spare = self.buffer().spare_capacity_mut().to_vec();
        assert!(spare[..known - len] == self.known[len..], "spare capacity");
        self.facts.check_stale(&spare[known - len..], zero);
        self.put(len, &spare);
    }

    fn change_in_place(&mut self, change: Change, turn: u8) {
        let (len, capacity) = (self.len, self.buffer().capacity());
        match change {
            Change::Write(from) => {
                let from = from.of(len);
                let bytes = self.facts.fresh_bytes(turn, len - from);
                self.buffer()[from..].copy_from_slice(&bytes);
                self.put(from, &bytes);
            }
            Change::WriteSpare(part) => {
                let bytes = self.facts.fresh_bytes(turn, part.of(capacity - len));
                self.buffer().spare_capacity_mut()[..bytes.len()].copy_from_slice(&bytes);
                self.put(len, &bytes);
            }
            Change::ReadSpare => self.read_spare(false),
            Change::Truncate(to) => {
                self.len = to.of(len);
                let to = self.len;
                self.buffer().truncate(to);
            }
            Change::SetLen(to) => {
                self.len = to.of(capacity);
                let to = self.len;
                self.buffer().set_len(to);
                self.show(to, false);
            }
            Change::Advance(count) => self.advance(count),
            Change::Clear => {
                self.buffer().clear();
                self.len = 0;
            }
            Change::Parts(to) => {
                let to = to.of(capacity);
                let (start, was, owner) = std::mem::take(self.buffer()).into_raw_parts();
                assert_eq!(was, len);
                // SAFETY: the parts are those of one buffer, used once, and `to` is at most its capacity.
                *self.buffer() = unsafe { Buffer::from_raw_parts(start, to, owner) };
                self.len = to;
                self.show(to, false);
            }
            other => unreachable!("not a change in place: {other:?}"),
        }
        assert!(self.buffer().capacity() >= self.len);
        self.locate();
    }

    fn advance(&mut self, count: Part) {
        let mut count = count.of(self.len);
        // Whether a large buffer has moved is told by its start within its page; see `note_growth`.
        if count > 0 && count < self.len && (self.offset + count).is_multiple_of(4096) {
            count -= 1;
        }
        self.buffer().advance(count);
        self.len -= count;
        if self.len == 0 {
            // The start goes back to where the memory begins.
            self.offset = 0;
            self.known.clear();
        } else {
            self.offset += count;
            self.known.drain(..count);
        }
    }

    fn lengthen(&mut self, change: Change, turn: u8) -> Result<(), Refusal> {
        let (len, capacity) = (self.len, self.buffer().capacity());
        let before = (self.buffer().as_ptr(), capacity);
        let mut bytes = Vec::new();
        // How many bytes are asked for, how long the buffer is then, and what the new bytes are.
        let (requested, new_len, outcome) = match change {
            Change::Grow(to) => {
                bytes.resize(to.0.saturating_sub(len), 0);
                let outcome = self.buffer().try_grow(to.0);
                (to.0, len.max(to.0), outcome)
            }
            Change::Resize(to, by) => {
                let by = if by == 0 { 0 } else { self.facts.mark(by) };
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
                bytes = self.facts.fresh_bytes(turn, more.0);
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

    /// The capacity was too small for `requested` bytes: the bytes moved to the front, or the memory is
    /// another, or longer. Only what is in view is sure to have been kept.
    fn note_growth(&mut self, requested: usize) {
        self.known.truncate(self.len);
        let fits = self.offset > 0 && requested <= self.size();
        let first = self.extent.0;
        let must_slide = fits && self.offset >= self.len;
        let buffer = self.buffer();
        // Also where that moves more bytes than were read, if no other memory is to be had.
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

    fn cut(&mut self, which: u8, cut: Cut, turn: u8) {
        if let Held::Buffer(buffer) = &mut self.held {
            let buffer = std::mem::take(buffer);
            // What is behind its bytes is not looked at any more.
            self.known.truncate(self.len);
            let parts = Parts::of(buffer, &self.known, self.extent);
            self.held = Held::Parts(parts);
        }
        if let Held::Parts(parts) = &mut self.held {
            parts.apply(&self.facts, which, cut, turn);
        }
    }

    /// If one part is left, it asks for more than the memory has, and is an ordinary buffer then.
    fn reserve_sole(&mut self, more: Length) -> Result<(), Refusal> {
        let gone = Held::Views(Vec::new());
        let Held::Parts(parts) = std::mem::replace(&mut self.held, gone) else {
            unreachable!("asked of parts");
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
        // Without bytes it begins where the memory does.
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

    fn freeze(&mut self) {
        let Held::Buffer(buffer) = &mut self.held else {
            return;
        };
        let view = std::mem::take(buffer).freeze();
        let empty = view.is_empty();
        assert_eq!(view.len(), self.len);
        // An empty view holds no memory.
        self.held = Held::Views(if empty { Vec::new() } else { vec![(view, 0)] });
    }

    fn slice(&mut self, from: Part, to: Part) {
        let Held::Views(views) = &mut self.held else {
            return;
        };
        let Some((view, at)) = views.last() else {
            return;
        };
        let to = to.of(view.len()).max(1);
        let from = from.of(to - 1);
        if views.len() < 8 {
            let slice = (view.slice(from..to), at + from);
            views.push(slice);
        }
    }
}
