//! Iterators over the bytes of a buffer.

use super::Buffer;
use std::fmt;
use std::iter::FusedIterator;
use std::ops::Range;
use std::slice;

/// An iterator over the bytes of a buffer, which it owns. From `Buffer::into_iter`.
///
/// ```
/// let buffer = slabuf::Buffer::from(b"abc");
/// let mut bytes = buffer.into_iter();
/// assert_eq!((bytes.next(), bytes.next_back()), (Some(b'a'), Some(b'c')));
/// assert_eq!(bytes.as_slice(), b"b");
/// ```
pub struct IntoIter {
    buffer: Buffer,
    rest: Range<usize>,
}

impl IntoIter {
    /// Returns the bytes that the iterator has not returned yet.
    ///
    /// ```
    /// let mut bytes = slabuf::Buffer::from(b"abc").into_iter();
    /// bytes.next();
    /// assert_eq!(bytes.as_slice(), b"bc");
    /// ```
    pub fn as_slice(&self) -> &[u8] {
        &self.buffer[self.rest.clone()]
    }

    /// Returns the buffer, with the bytes that the iterator has not returned yet.
    ///
    /// ```
    /// let mut bytes = slabuf::Buffer::from(b"abc").into_iter();
    /// bytes.next();
    /// assert_eq!(bytes.into_inner(), b"bc");
    /// ```
    ///
    /// # Complexity
    ///
    /// Constant. Makes no system call.
    pub fn into_inner(mut self) -> Buffer {
        self.buffer.truncate(self.rest.end);
        self.buffer.advance_start(self.rest.start);
        self.buffer
    }
}

impl AsRef<[u8]> for IntoIter {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

/// Prints the number of bytes left, not the bytes.
impl fmt::Debug for IntoIter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIter")
            .field("len", &self.rest.len())
            .finish_non_exhaustive()
    }
}

impl Iterator for IntoIter {
    type Item = u8;

    #[inline]
    fn next(&mut self) -> Option<u8> {
        self.rest.next().map(|at| self.buffer[at])
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rest.size_hint()
    }
}

impl DoubleEndedIterator for IntoIter {
    fn next_back(&mut self) -> Option<u8> {
        self.rest.next_back().map(|at| self.buffer[at])
    }
}

impl ExactSizeIterator for IntoIter {}

impl FusedIterator for IntoIter {}

/// Returns the bytes one by one, and frees the memory at the end.
///
/// ```
/// let mut sum = 0;
/// for byte in slabuf::Buffer::from(b"\x01\x02") {
///     sum += byte;
/// }
/// assert_eq!(sum, 3);
/// ```
impl IntoIterator for Buffer {
    type Item = u8;
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter {
            rest: 0..self.len(),
            buffer: self,
        }
    }
}

impl<'a> IntoIterator for &'a Buffer {
    type Item = &'a u8;
    type IntoIter = slice::Iter<'a, u8>;

    fn into_iter(self) -> slice::Iter<'a, u8> {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut Buffer {
    type Item = &'a mut u8;
    type IntoIter = slice::IterMut<'a, u8>;

    fn into_iter(self) -> slice::IterMut<'a, u8> {
        self.iter_mut()
    }
}
