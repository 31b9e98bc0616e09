//! Operations that have the same name on a `Vec<u8>`.

use super::ModelBuffer;
use crate::program::{Change, Length, Part};
use slabuf::AllocError;

/// Returns the range between the two positions.
fn between(from: Part, to: Part, len: usize) -> std::ops::Range<usize> {
    let (from, to) = (from.of(len), to.of(len));
    from.min(to)..from.max(to)
}

impl ModelBuffer {
    /// Applies an edit that needs no memory to the buffer and to a vector with the same bytes.
    pub(super) fn edit_in_place(&mut self, change: Change) {
        let mut vec = self.known[..self.len].to_vec();
        let len = vec.len();
        let buffer = self.buffer();
        match change {
            Change::Pop => assert_eq!(buffer.pop(), vec.pop()),
            Change::Remove(at) if len > 0 => {
                let at = at.of(len - 1);
                assert_eq!(buffer.remove(at), vec.remove(at));
            }
            Change::SwapRemove(at) if len > 0 => {
                let at = at.of(len - 1);
                assert_eq!(buffer.swap_remove(at), vec.swap_remove(at));
            }
            Change::Remove(_) | Change::SwapRemove(_) => {}
            Change::Drain(from, to) => {
                let range = between(from, to, len);
                assert!(buffer.drain(range.clone()).eq(vec.drain(range)));
            }
            Change::Retain(which) => {
                buffer.retain(|byte| byte % 8 != which % 8);
                vec.retain(|byte| byte % 8 != which % 8);
            }
            Change::Dedup => {
                buffer.dedup();
                vec.dedup();
            }
            other => unreachable!("not an edit in place: {other:?}"),
        }
        self.len = vec.len();
        // The bytes behind the new end are not checked: they may be any of the earlier contents.
        self.known = vec;
        self.locate();
        self.verify();
    }

    /// Shrinks the buffer, if there is a smaller slot or mapping and memory for it.
    pub(super) fn shrink_to(&mut self, Length(least): Length) {
        let (len, before) = (self.len, self.buffer().capacity());
        let start = self.buffer().as_ptr();
        self.buffer().shrink_to(least);
        let capacity = self.buffer().capacity();
        assert!(capacity <= before && capacity >= before.min(least.max(len)));
        assert_eq!(self.buffer().as_ptr() == start, capacity == before);
        if capacity < before {
            self.offset = 0;
            self.known.truncate(len);
            self.locate();
            self.asked = if self.pooled { 0 } else { least.max(len) };
        }
        self.verify();
    }

    /// Applies an edit that may need memory and puts the appended bytes into `bytes`. Returns the
    /// requested bytes, the resulting length, and whether there was memory.
    pub(super) fn edit_at_the_end(
        &mut self,
        change: Change,
        bytes: &mut Vec<u8>,
        turn: u8,
    ) -> (usize, usize, Result<(), AllocError>) {
        let len = self.len;
        let byte = self.oracle.mark(turn);
        match change {
            Change::Push => bytes.push(byte),
            Change::Insert(_) => bytes.push(byte),
            Change::ExtendFromWithin(from, to) => {
                bytes.extend_from_slice(&self.known[between(from, to, len)]);
            }
            Change::ReserveExact(more) => {
                let outcome = self.buffer().try_reserve_exact(more.0);
                return (len + more.0, len, outcome);
            }
            other => unreachable!("not an edit at the end: {other:?}"),
        }
        let buffer = self.buffer();
        let outcome = buffer.try_reserve(bytes.len()).map(|()| match change {
            Change::Insert(at) => buffer.insert(at.of(len), byte),
            Change::ExtendFromWithin(from, to) => {
                buffer.extend_from_within(between(from, to, len));
            }
            _ => buffer.push(byte),
        });
        let new_len = len + bytes.len();
        (new_len, new_len, outcome)
    }
}
