//! The methods of `Vec<u8>` that replace or extract bytes in the middle while their iterator runs.

use super::Buffer;
use super::drain::{Drain, Gap, bounds};
use std::fmt;
use std::iter::FusedIterator;
use std::ops::RangeBounds;

impl Buffer {
    /// Replaces a range of bytes by `replace_with`, which may be shorter or longer, and returns an
    /// iterator over the removed bytes. The bytes are replaced when the iterator is dropped; if it
    /// is leaked instead, the buffer keeps all of its bytes.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"one, two");
    /// let removed: Vec<u8> = buffer.splice(..3, *b"three").collect();
    /// assert_eq!(removed, b"one");
    /// assert_eq!(buffer, b"three, two");
    /// ```
    ///
    /// # Panics
    ///
    /// If the range starts behind its end, or ends behind the length. The drop of the iterator
    /// panics if the buffer has to grow and the memory cannot be allocated.
    ///
    /// # Complexity
    ///
    /// Linear in the number of new bytes and of bytes behind the range. May make a system call when
    /// the buffer grows.
    #[track_caller]
    pub fn splice<I: IntoIterator<Item = u8>>(
        &mut self,
        range: impl RangeBounds<usize>,
        replace_with: I,
    ) -> Splice<'_, I::IntoIter> {
        Splice {
            removed: self.drain(range),
            bytes: replace_with.into_iter(),
        }
    }

    /// Returns an iterator that removes and returns the bytes of a range for which `filter` returns
    /// `true`. `filter` may change the bytes. If the iterator is dropped early, the bytes that it
    /// has not visited stay; if it is leaked, the contents of the range are unspecified.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"a1b2c3");
    /// let digits: Vec<u8> = buffer.extract_if(.., |byte| byte.is_ascii_digit()).collect();
    /// assert_eq!((digits.as_slice(), buffer.as_slice()), (&b"123"[..], &b"abc"[..]));
    /// ```
    ///
    /// # Panics
    ///
    /// If the range starts behind its end, or ends behind the length.
    ///
    /// # Complexity
    ///
    /// Linear in the number of bytes from the range's start on. Makes no system call.
    #[track_caller]
    pub fn extract_if<F: FnMut(&mut u8) -> bool>(
        &mut self,
        range: impl RangeBounds<usize>,
        filter: F,
    ) -> ExtractIf<'_, F> {
        let range = bounds(range, self.len());
        ExtractIf {
            gap: Gap::new(self, range.start..range.start),
            end: range.end,
            filter,
        }
    }
}

/// An iterator over bytes that are being replaced. From [`Buffer::splice`].
#[derive(Debug)]
pub struct Splice<'a, I: Iterator<Item = u8>> {
    removed: Drain<'a>,
    bytes: I,
}

impl<I: Iterator<Item = u8>> Iterator for Splice<'_, I> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        self.removed.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.removed.size_hint()
    }
}

impl<I: Iterator<Item = u8>> DoubleEndedIterator for Splice<'_, I> {
    fn next_back(&mut self) -> Option<u8> {
        self.removed.next_back()
    }
}

impl<I: Iterator<Item = u8>> ExactSizeIterator for Splice<'_, I> {}

/// Fills the gap; its own drop removes what is left of it.
impl<I: Iterator<Item = u8>> Drop for Splice<'_, I> {
    fn drop(&mut self) {
        while self.removed.gap.len() > 0 {
            let Some(byte) = self.bytes.next() else {
                return;
            };
            self.removed.gap.fill(byte);
        }
        self.removed.gap.insert_all(&mut self.bytes);
    }
}

/// An iterator that removes bytes. From [`Buffer::extract_if`].
pub struct ExtractIf<'a, F> {
    gap: Gap<'a>,
    end: usize,
    filter: F,
}

impl<F> fmt::Debug for ExtractIf<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtractIf").finish_non_exhaustive()
    }
}

impl<F: FnMut(&mut u8) -> bool> Iterator for ExtractIf<'_, F> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        while self.gap.end() < self.end {
            let byte = self.gap.byte()?;
            let extracted = (self.filter)(byte).then_some(*byte);
            if extracted.is_some() {
                self.gap.skip();
                return extracted;
            }
            self.gap.keep();
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.end - self.gap.end()))
    }
}

impl<F: FnMut(&mut u8) -> bool> FusedIterator for ExtractIf<'_, F> {}
