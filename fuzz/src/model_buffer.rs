//! One live buffer and its expected bytes.

use crate::oracle::{PoolOracle, Refusal, repeated, thirds};
use crate::parts::Parts;
use crate::program::{Change, Cut, Length, Make, Part};
use bytes::{Buf, Bytes};
use slabuf::{Buffer, Pool};
use std::time::Duration;

mod edits;
mod growth;

enum Held {
    Buffer(Buffer),
    /// Each view with its offset from the start of the buffer.
    Views(Vec<(Bytes, usize)>),
    /// Parts of one memory, which hold their own expected bytes.
    Parts(Parts),
}

/// A live buffer, or views or parts of one.
pub struct ModelBuffer {
    /// The oracle of its pool.
    pub oracle: PoolOracle,
    held: Held,
    /// The known bytes from the start on: the contents first, then known spare capacity.
    known: Vec<u8>,
    len: usize,
    /// Distance of the start from the first byte of the memory.
    offset: usize,
    /// Addresses of the first byte of its memory and of the end.
    pub extent: (usize, usize),
    /// The length with which it is counted if it is large.
    pub asked: usize,
    /// Whether its memory is a slot.
    pub pooled: bool,
}

impl ModelBuffer {
    /// Allocates a buffer of `n` bytes and checks its contents.
    pub fn take(
        pool: &Pool,
        oracle: PoolOracle,
        make: Make,
        n: usize,
        turn: u8,
    ) -> Result<Self, Refusal> {
        let given = || oracle.fresh_bytes(turn, n);
        let (outcome, requested, known) = match make {
            // Some requests wait, with a timeout of zero.
            Make::Zeroed if n % 3 == 0 => {
                let buffer = pool.alloc_timeout(n, Duration::ZERO);
                (buffer, n, Some(vec![0; n]))
            }
            Make::Zeroed => (pool.try_alloc(n), n, Some(vec![0; n])),
            Make::Filled(by) => {
                let pattern = oracle.fresh_bytes(turn, usize::from(by) % 40);
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
        let small = requested <= oracle.settings.slab_size && !matches!(make, Make::StaleSlow);
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
            oracle.check_stale(&buffer, oracle.settings.hides_stale_bytes());
            buffer.to_vec()
        });
        let mut model = Self::around(buffer, oracle, known);
        model.asked = if small { 0 } else { requested };
        model.verify();
        Ok(model)
    }

    fn around(buffer: Buffer, oracle: PoolOracle, known: Vec<u8>) -> Self {
        let mut model = Self {
            oracle,
            len: known.len(),
            held: Held::Buffer(buffer),
            known,
            offset: 0,
            extent: (0, 0),
            asked: 0,
            pooled: false,
        };
        model.locate();
        model
    }

    /// Checks the spare capacity of a new buffer.
    pub fn peek(&mut self) {
        self.read_spare(self.oracle.settings.hides_stale_bytes());
    }

    /// Checks the contents.
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

    /// Returns whether its memory is free.
    pub fn is_gone(&self) -> bool {
        match &self.held {
            Held::Buffer(_) => false,
            Held::Views(views) => views.is_empty(),
            Held::Parts(parts) => parts.is_gone(),
        }
    }

    /// Returns the bytes of its memory.
    pub fn size(&self) -> usize {
        self.extent.1 - self.extent.0
    }

    /// Clones it in its pool.
    pub fn try_clone(&self) -> Result<Option<Self>, Refusal> {
        let Held::Buffer(buffer) = &self.held else {
            return Ok(None);
        };
        let requested = self.len;
        let refuse = |error| Refusal { error, requested };
        let copy = buffer.try_clone().map_err(refuse)?;
        assert_eq!(copy, *buffer);
        let mut model = Self::around(copy, self.oracle, self.known[..self.len].to_vec());
        model.asked = if model.pooled { 0 } else { requested };
        model.verify();
        Ok(Some(model))
    }

    /// Applies a change to the buffer and to the expected bytes.
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
            _ => unreachable!("frozen and split buffers are not changed"),
        }
    }

    /// Records the address of the memory: a whole slot, of which the capacity may be a part.
    fn locate(&mut self) {
        let offset = self.offset;
        let buffer = self.buffer();
        let start = buffer.as_ptr().addr() - offset;
        let mut end = buffer.as_ptr().addr() + buffer.capacity();
        let pooled = buffer.is_pooled();
        if pooled {
            let snapshot = buffer.pool().snapshot();
            let slab = snapshot.slab_at(start).expect("a slot lies in a slab");
            assert_eq!((start - slab.address) % slab.slot_size, 0);
            assert!(end <= start + slab.slot_size, "a capacity passes its slot");
            end = start + slab.slot_size;
        }
        self.pooled = pooled;
        self.extent = (start, end);
    }

    /// Sets the known bytes from `from` on.
    fn put(&mut self, from: usize, bytes: &[u8]) {
        let end = from + bytes.len();
        if self.known.len() < end {
            self.known.resize(end, 0);
        }
        self.known[from..end].copy_from_slice(bytes);
    }

    /// Checks bytes up to `end` that became visible.
    fn show(&mut self, end: usize, zero: bool) {
        let from = self.known.len();
        if end > from {
            let shown = self.buffer()[from..end].to_vec();
            self.oracle.check_stale(&shown, zero);
            self.known.extend_from_slice(&shown);
        }
    }

    fn read_spare(&mut self, zero: bool) {
        let (len, known) = (self.len, self.known.len());
        let spare = self.buffer().spare_capacity_mut().to_vec();
        assert!(spare[..known - len] == self.known[len..], "spare capacity");
        self.oracle.check_stale(&spare[known - len..], zero);
        self.put(len, &spare);
    }

    fn change_in_place(&mut self, change: Change, turn: u8) {
        let (len, capacity) = (self.len, self.buffer().capacity());
        match change {
            Change::Write(from) => {
                let from = from.of(len);
                let bytes = self.oracle.fresh_bytes(turn, len - from);
                self.buffer()[from..].copy_from_slice(&bytes);
                self.put(from, &bytes);
            }
            Change::WriteSpare(part) => {
                let bytes = self.oracle.fresh_bytes(turn, part.of(capacity - len));
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
                // SAFETY: the parts are those of one buffer, used once, and `to` is at most its
                // capacity.
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
        // The offset of its start within its page shows whether a large buffer moved; see
        // `note_growth`.
        if count > 0 && count < self.len && (self.offset + count).is_multiple_of(4096) {
            count -= 1;
        }
        self.buffer().advance(count);
        self.len -= count;
        if self.len == 0 {
            // The start returns to the first byte of the memory.
            self.offset = 0;
            self.known.clear();
        } else {
            self.offset += count;
            self.known.drain(..count);
        }
    }

    fn cut(&mut self, which: u8, cut: Cut, turn: u8) {
        if self.oracle.settings.zero_on_free {
            return self.cut_by_copy(which.into());
        }
        if let Held::Buffer(buffer) = &mut self.held {
            let buffer = std::mem::take(buffer);
            // The spare capacity is not checked any more.
            self.known.truncate(self.len);
            let parts = Parts::of(buffer, &self.known, self.extent);
            self.held = Held::Parts(parts);
        }
        if let Held::Parts(parts) = &mut self.held {
            parts.apply(&self.oracle, which, cut, turn);
        }
    }

    /// Splits in a pool that wipes, which moves the bytes to memory of their own, and appends them
    /// again.
    fn cut_by_copy(&mut self, which: usize) {
        let len = self.len;
        let (Held::Buffer(buffer), true) = (&mut self.held, len > 1) else {
            return;
        };
        let at = 1 + which % (len - 1);
        // The pool may be at its limit.
        if let Ok(back) = buffer.try_split_off(at) {
            assert!(buffer[..] == self.known[..at] && back[..] == self.known[at..len]);
            assert!(
                buffer.spare_capacity_mut()[..len - at]
                    .iter()
                    .all(|byte| *byte == 0)
            );
            buffer.extend_from_slice(&back);
        }
        self.verify();
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
