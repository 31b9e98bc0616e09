//! The methods of `Vec<u8>` that remove bytes from the middle: the gap that closes, and the
//! iterator over the removed bytes.

use super::Buffer;
use std::fmt;
use std::iter::FusedIterator;
use std::ops::{Bound, Range, RangeBounds};

/// Returns the indices that `range` selects in a buffer of `len` bytes.
///
/// # Panics
///
/// As indexing a slice: if the range starts behind its end, or ends behind `len`.
#[track_caller]
pub(super) fn bounds(range: impl RangeBounds<usize>, len: usize) -> Range<usize> {
    let start = match range.start_bound() {
        Bound::Included(at) => *at,
        Bound::Excluded(at) => after(*at),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(at) => after(*at),
        Bound::Excluded(at) => *at,
        Bound::Unbounded => len,
    };
    assert!(
        start <= end,
        "range starts at {start} but ends at {end}, in a buffer of {len} bytes"
    );
    assert!(
        end <= len,
        "range end {end} is out of range for a buffer of {len} bytes"
    );
    start..end
}

#[track_caller]
fn after(index: usize) -> usize {
    let next = index.checked_add(1);
    next.expect("a range must not end behind usize::MAX")
}

/// A gap in a buffer: dropping it removes the bytes in `range`. Its end moves up over the bytes
/// behind it, which are kept or join the gap.
pub(super) struct Gap<'a> {
    buffer: &'a mut Buffer,
    range: Range<usize>,
}

impl<'a> Gap<'a> {
    /// Creates a gap from a range that is within the buffer.
    pub(super) fn new(buffer: &'a mut Buffer, range: Range<usize>) -> Self {
        Self { buffer, range }
    }

    /// Returns the first byte behind the gap.
    pub(super) fn byte(&mut self) -> Option<&mut u8> {
        self.buffer.get_mut(self.range.end)
    }

    /// Returns the last byte before the gap and the first one behind it.
    pub(super) fn pair(&mut self) -> Option<(&mut u8, &mut u8)> {
        let (before, behind) = self.buffer.split_at_mut(self.range.end);
        Some((
            before.get_mut(self.range.start.checked_sub(1)?)?,
            behind.first_mut()?,
        ))
    }

    /// Moves the first byte behind the gap to the front of it.
    pub(super) fn keep(&mut self) {
        self.buffer[self.range.start] = self.buffer[self.range.end];
        self.range.start += 1;
        self.range.end += 1;
    }

    /// Adds the first byte behind the gap to it.
    pub(super) fn skip(&mut self) {
        self.range.end += 1;
    }

    /// Returns the index of the first byte behind the gap.
    pub(super) fn end(&self) -> usize {
        self.range.end
    }

    /// Returns the number of bytes in the gap.
    pub(super) fn len(&self) -> usize {
        self.range.len()
    }

    /// Puts a byte at the front of the gap, which is not empty.
    pub(super) fn fill(&mut self, byte: u8) {
        self.buffer[self.range.start] = byte;
        self.range.start += 1;
    }

    /// Inserts bytes behind the gap.
    pub(super) fn insert_all(&mut self, bytes: impl Iterator<Item = u8>) {
        let len = self.buffer.len();
        self.buffer.extend(bytes);
        let added = self.buffer.len() - len;
        self.buffer[self.range.end..].rotate_right(added);
    }
}

/// Closes the gap, also after a panic in a caller's closure.
impl Drop for Gap<'_> {
    fn drop(&mut self) {
        let Range { start, end } = self.range;
        if start < end {
            self.buffer.copy_within(end.., start);
            self.buffer.truncate(self.buffer.len() - (end - start));
        }
    }
}

impl Buffer {
    /// Removes a range of bytes and returns an iterator over them. The bytes behind the range move
    /// down when the iterator is dropped; if it is leaked instead, the buffer keeps all of its
    /// bytes.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"head: body");
    /// let head: Vec<u8> = buffer.drain(..6).collect();
    /// assert_eq!(head, b"head: ");
    /// assert_eq!(buffer, b"body");
    /// ```
    ///
    /// To take bytes from the front without moving the others, use
    /// [`split_to`](Self::split_to) or [`advance`](bytes::Buf::advance).
    ///
    /// # Panics
    ///
    /// If the range starts behind its end, or ends behind the length.
    ///
    /// # Complexity
    ///
    /// Linear in the number of bytes behind the range. Makes no system call.
    #[track_caller]
    pub fn drain(&mut self, range: impl RangeBounds<usize>) -> Drain<'_> {
        let range = bounds(range, self.len());
        Drain::new(self, range)
    }

    /// Keeps the bytes for which `keep` returns `true`, in their order, and removes the others.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"a b c");
    /// buffer.retain(|byte| *byte != b' ');
    /// assert_eq!(buffer, b"abc");
    /// ```
    ///
    /// # Complexity
    ///
    /// Linear in the length. Makes no system call.
    pub fn retain(&mut self, mut keep: impl FnMut(&u8) -> bool) {
        self.retain_mut(|byte| keep(byte));
    }

    /// Keeps the bytes for which `keep` returns `true`, as [`retain`](Self::retain). `keep` may
    /// change the bytes.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"a b c");
    /// buffer.retain_mut(|byte| {
    ///     byte.make_ascii_uppercase();
    ///     *byte != b' '
    /// });
    /// assert_eq!(buffer, b"ABC");
    /// ```
    ///
    /// # Complexity
    ///
    /// Linear in the length. Makes no system call.
    pub fn retain_mut(&mut self, mut keep: impl FnMut(&mut u8) -> bool) {
        let mut gap = Gap::new(self, 0..0);
        while let Some(byte) = gap.byte() {
            if keep(byte) {
                gap.keep();
            } else {
                gap.skip();
            }
        }
    }

    /// Removes all but the first of consecutive equal bytes.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"a  b   c");
    /// buffer.dedup();
    /// assert_eq!(buffer, b"a b c");
    /// ```
    ///
    /// # Complexity
    ///
    /// Linear in the length. Makes no system call.
    pub fn dedup(&mut self) {
        self.dedup_by(|byte, previous| byte == previous);
    }

    /// Removes all but the first of consecutive bytes with the same key.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"aAbB");
    /// buffer.dedup_by_key(|byte| byte.to_ascii_lowercase());
    /// assert_eq!(buffer, b"ab");
    /// ```
    ///
    /// # Complexity
    ///
    /// Linear in the length. Makes no system call.
    pub fn dedup_by_key<K: PartialEq>(&mut self, mut key: impl FnMut(&mut u8) -> K) {
        self.dedup_by(|byte, previous| key(byte) == key(previous));
    }

    /// Removes each byte for which `same(byte, previous)` returns `true`, where `previous` is the
    /// last byte that was kept.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"aAbB");
    /// buffer.dedup_by(|byte, previous| byte.eq_ignore_ascii_case(previous));
    /// assert_eq!(buffer, b"ab");
    /// ```
    ///
    /// # Complexity
    ///
    /// Linear in the length. Makes no system call.
    pub fn dedup_by(&mut self, mut same: impl FnMut(&mut u8, &mut u8) -> bool) {
        if self.is_empty() {
            return;
        }
        let mut gap = Gap::new(self, 1..1);
        while let Some((previous, byte)) = gap.pair() {
            if same(byte, previous) {
                gap.skip();
            } else {
                gap.keep();
            }
        }
    }
}

/// An iterator over bytes that are being removed. From [`Buffer::drain`].
///
/// ```
/// let mut buffer = slabuf::Buffer::from(b"abcdef");
/// let mut drain = buffer.drain(1..5);
/// assert_eq!((drain.next(), drain.next_back()), (Some(b'b'), Some(b'e')));
/// assert_eq!(drain.as_slice(), b"cd");
/// drop(drain);
/// assert_eq!(buffer, b"af");
/// ```
pub struct Drain<'a> {
    pub(super) gap: Gap<'a>,
    rest: Range<usize>,
}

impl<'a> Drain<'a> {
    pub(super) fn new(buffer: &'a mut Buffer, range: Range<usize>) -> Self {
        Self {
            rest: range.clone(),
            gap: Gap::new(buffer, range),
        }
    }

    /// Returns the bytes that the iterator has not returned yet.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"abc");
    /// assert_eq!(buffer.drain(1..).as_slice(), b"bc");
    /// ```
    pub fn as_slice(&self) -> &[u8] {
        &self.gap.buffer[self.rest.clone()]
    }
}

impl AsRef<[u8]> for Drain<'_> {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

/// Prints the number of bytes left, not the bytes.
impl fmt::Debug for Drain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain")
            .field("len", &self.rest.len())
            .finish_non_exhaustive()
    }
}

impl Iterator for Drain<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        self.rest.next().map(|at| self.gap.buffer[at])
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rest.size_hint()
    }
}

impl DoubleEndedIterator for Drain<'_> {
    fn next_back(&mut self) -> Option<u8> {
        self.rest.next_back().map(|at| self.gap.buffer[at])
    }
}

impl ExactSizeIterator for Drain<'_> {}

impl FusedIterator for Drain<'_> {}
