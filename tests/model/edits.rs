//! Operations that have the same name on a `Vec<u8>`, and how they are generated.

use proptest::prelude::*;
use proptest::sample::Index;
use slabuf::{AllocError, Buffer};
use std::ops::Range;

/// One edit. An [`Index`] chooses a place in the buffer.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Push(u8),
    Pop,
    Insert(Index, u8),
    Remove(Index),
    SwapRemove(Index),
    Drain(Index, Index),
    Retain(u8),
    Dedup,
    ExtendFromWithin(Index, Index),
    ResizeZeroed(usize),
    ReserveExact(usize),
    ShrinkTo(usize),
    IntoIter(Index, Index),
    Compare(u8),
}

pub(crate) fn edits(lengths: BoxedStrategy<usize>) -> impl Strategy<Value = Edit> {
    let which = any::<Index>;
    prop_oneof![
        any::<u8>().prop_map(Edit::Push),
        Just(Edit::Pop),
        (which(), any::<u8>()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        which().prop_map(Edit::Remove),
        which().prop_map(Edit::SwapRemove),
        (which(), which()).prop_map(|(from, to)| Edit::Drain(from, to)),
        any::<u8>().prop_map(Edit::Retain),
        Just(Edit::Dedup),
        (which(), which()).prop_map(|(from, to)| Edit::ExtendFromWithin(from, to)),
        lengths.clone().prop_map(Edit::ResizeZeroed),
        lengths.clone().prop_map(Edit::ReserveExact),
        lengths.prop_map(Edit::ShrinkTo),
        (which(), which()).prop_map(|(from, to)| Edit::IntoIter(from, to)),
        any::<u8>().prop_map(Edit::Compare),
    ]
}

/// Returns the range between the two indices.
fn between(from: &Index, to: &Index, len: usize) -> Range<usize> {
    let (from, to) = (from.index(len + 1), to.index(len + 1));
    from.min(to)..from.max(to)
}

/// Applies the edit to the buffer and to its expected bytes. An error means that there was no
/// memory, and nothing may have changed.
pub(crate) fn apply(
    edit: &Edit,
    buffer: &mut Buffer,
    expected: &mut Vec<u8>,
) -> Result<(), AllocError> {
    let len = expected.len();
    match edit {
        Edit::Push(byte) => {
            buffer.try_reserve(1)?;
            buffer.push(*byte);
            expected.push(*byte);
        }
        Edit::Pop => assert_eq!(buffer.pop(), expected.pop()),
        Edit::Insert(at, byte) => {
            buffer.try_reserve(1)?;
            let at = at.index(len + 1);
            buffer.insert(at, *byte);
            expected.insert(at, *byte);
        }
        Edit::Remove(at) if len > 0 => {
            let at = at.index(len);
            assert_eq!(buffer.remove(at), expected.remove(at));
        }
        Edit::SwapRemove(at) if len > 0 => {
            let at = at.index(len);
            assert_eq!(buffer.swap_remove(at), expected.swap_remove(at));
        }
        Edit::Remove(_) | Edit::SwapRemove(_) => {}
        Edit::Drain(from, to) => {
            let range = between(from, to, len);
            assert!(buffer.drain(range.clone()).eq(expected.drain(range)));
        }
        Edit::Retain(bound) => {
            buffer.retain(|byte| byte % 8 != bound % 8);
            expected.retain(|byte| byte % 8 != bound % 8);
        }
        Edit::Dedup => {
            buffer.dedup();
            expected.dedup();
        }
        Edit::ExtendFromWithin(from, to) => {
            let range = between(from, to, len);
            buffer.try_reserve(range.len())?;
            buffer.extend_from_within(range.clone());
            expected.extend_from_within(range);
        }
        Edit::ResizeZeroed(len) => {
            buffer.try_resize_zeroed(*len)?;
            expected.resize(*len, 0);
        }
        Edit::ReserveExact(more) => {
            buffer.try_reserve_exact(*more)?;
            assert!(buffer.capacity() >= len + more);
        }
        Edit::ShrinkTo(least) => {
            let before = buffer.capacity();
            buffer.shrink_to(*least);
            assert!(
                buffer.capacity() <= before && buffer.capacity() >= before.min(*least).max(len)
            );
        }
        Edit::IntoIter(from, to) => iterate(between(from, to, len), buffer, expected),
        Edit::Compare(byte) => compare(buffer, expected, *byte),
    }
    Ok(())
}

/// Iterates over all bytes outside of the range, from both ends, and keeps the rest.
fn iterate(range: Range<usize>, buffer: &mut Buffer, expected: &mut Vec<u8>) {
    let mut bytes = std::mem::take(buffer).into_iter();
    bytes.by_ref().take(range.start).for_each(drop);
    let behind = expected.len() - range.end;
    bytes.by_ref().rev().take(behind).for_each(drop);
    assert_eq!(bytes.len(), range.len());
    *buffer = bytes.into_inner();
    expected.truncate(range.end);
    expected.drain(..range.start);
}

/// Compares the buffer with its expected bytes, and with those and one more.
fn compare(buffer: &Buffer, expected: &[u8], byte: u8) {
    let mut other = expected.to_vec();
    assert!(*buffer == other);
    assert!(other == *buffer);
    other.push(byte);
    assert!(*buffer < other);
    assert!(other > *buffer);
    assert!(*buffer != other);
}
