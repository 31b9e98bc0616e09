//! The pieces that an outbox queues.

use crate::buffer::Buffer;
use bytes::{Buf, Bytes};
use std::fmt;
use std::ops::Deref;

/// A run of bytes in an outbox: a [`Buffer`], or [`Bytes`].
///
/// The outbox does not freeze a buffer: [`Buffer::freeze`] would allocate a box on the heap for
/// each.
///
/// ```
/// use slabuf::{Buffer, Piece};
///
/// let piece = Piece::from(Buffer::from(b"abc"));
/// assert_eq!(piece[..], b"abc"[..]);
/// assert!(matches!(piece, Piece::Buffer(_)));
/// assert!(matches!(Piece::from("abc"), Piece::Bytes(_)));
/// ```
pub enum Piece {
    /// Memory of a pool.
    Buffer(Buffer),
    /// Any other bytes, or a part of a frozen buffer.
    Bytes(Bytes),
}

const _: () = assert!(size_of::<Piece>() <= 40);

impl Piece {
    /// Removes `count` bytes from the front. The piece has more than that.
    pub(super) fn advance(&mut self, count: usize) {
        match self {
            Self::Buffer(buffer) => Buf::advance(buffer, count),
            Self::Bytes(bytes) => Buf::advance(bytes, count),
        }
    }
}

impl Deref for Piece {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Buffer(buffer) => buffer,
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Prints the length only: logs should not show the contents.
impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Buffer(_) => "Buffer",
            Self::Bytes(_) => "Bytes",
        };
        f.debug_struct(name).field("len", &self.len()).finish()
    }
}

impl From<Buffer> for Piece {
    #[inline]
    fn from(buffer: Buffer) -> Self {
        Self::Buffer(buffer)
    }
}

impl From<Bytes> for Piece {
    #[inline]
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<&'static [u8]> for Piece {
    fn from(bytes: &'static [u8]) -> Self {
        Self::Bytes(Bytes::from_static(bytes))
    }
}

impl<const N: usize> From<&'static [u8; N]> for Piece {
    fn from(bytes: &'static [u8; N]) -> Self {
        Self::Bytes(Bytes::from_static(bytes))
    }
}

impl From<&'static str> for Piece {
    fn from(text: &'static str) -> Self {
        Self::Bytes(Bytes::from_static(text.as_bytes()))
    }
}

/// Copies nothing: the vector's memory stays on the heap.
impl From<Vec<u8>> for Piece {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Bytes::from(bytes))
    }
}

/// Copies nothing: the string's memory stays on the heap.
impl From<String> for Piece {
    fn from(text: String) -> Self {
        Self::Bytes(Bytes::from(text))
    }
}

/// Copies nothing: see [`Buffer::freeze`].
impl From<Piece> for Bytes {
    fn from(piece: Piece) -> Bytes {
        match piece {
            Piece::Buffer(buffer) => buffer.freeze(),
            Piece::Bytes(bytes) => bytes,
        }
    }
}
