//! Conversions from and to other types of bytes.

use super::Buffer;
use bytes::{Bytes, BytesMut};
use std::borrow::Cow;

/// Implements `From` by a copy into the global pool, for types that dereference to bytes.
macro_rules! from_copy {
    ($($(#[$doc:meta])* $source:ty;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Panics
            ///
            /// If the memory cannot be allocated; [`Buffer::try_copy_from_slice`] and
            /// [`Pool::try_copy_from_slice`](crate::Pool::try_copy_from_slice) return the error
            /// instead.
            ///
            /// # Complexity
            ///
            /// Linear in the length. May make a system call.
            impl From<$source> for Buffer {
                #[track_caller]
                fn from(bytes: $source) -> Self {
                    Self::copy_from_slice(AsRef::<[u8]>::as_ref(&bytes))
                }
            }
        )*
    };
}

from_copy! {
    /// Copies the bytes into the global pool.
    ///
    /// ```
    /// use slabuf::Buffer;
    ///
    /// assert_eq!(Buffer::from(&b"abc"[..]), b"abc");
    /// ```
    &[u8];
    /// Copies the text into the global pool.
    ///
    /// ```
    /// use slabuf::Buffer;
    ///
    /// assert_eq!(Buffer::from("abc"), b"abc");
    /// ```
    &str;
    /// Copies the bytes into the global pool: the vector's memory belongs to the heap.
    ///
    /// ```
    /// use slabuf::Buffer;
    ///
    /// assert_eq!(Buffer::from(vec![1, 2]), [1, 2]);
    /// ```
    Vec<u8>;
    /// Copies the bytes into the global pool.
    ///
    /// ```
    /// use slabuf::Buffer;
    ///
    /// assert_eq!(Buffer::from(&vec![1, 2]), [1, 2]);
    /// ```
    &Vec<u8>;
    /// Copies the text into the global pool: the string's memory belongs to the heap.
    ///
    /// ```
    /// use slabuf::Buffer;
    ///
    /// assert_eq!(Buffer::from("abc".to_string()), b"abc");
    /// ```
    String;
    /// Copies the text into the global pool.
    ///
    /// ```
    /// use slabuf::Buffer;
    ///
    /// assert_eq!(Buffer::from(&"abc".to_string()), b"abc");
    /// ```
    &String;
    /// Copies the bytes into the global pool: the box's memory belongs to the heap.
    ///
    /// ```
    /// use slabuf::Buffer;
    ///
    /// assert_eq!(Buffer::from(Box::<[u8]>::from([1, 2])), [1, 2]);
    /// ```
    Box<[u8]>;
    /// Copies the bytes into the global pool, borrowed or owned.
    ///
    /// ```
    /// use slabuf::Buffer;
    /// use std::borrow::Cow;
    ///
    /// assert_eq!(Buffer::from(Cow::Borrowed(&b"abc"[..])), b"abc");
    /// ```
    Cow<'_, [u8]>;
    /// Copies the bytes into the global pool, also those of a buffer that was frozen.
    ///
    /// ```
    /// use slabuf::Buffer;
    ///
    /// assert_eq!(Buffer::from(bytes::Bytes::from_static(b"abc")), b"abc");
    /// ```
    Bytes;
    /// Copies the bytes into the global pool: their memory belongs to the heap.
    ///
    /// ```
    /// use slabuf::Buffer;
    ///
    /// assert_eq!(Buffer::from(bytes::BytesMut::from("abc")), b"abc");
    /// ```
    BytesMut;
}

impl<const N: usize> From<&[u8; N]> for Buffer {
    #[track_caller]
    fn from(bytes: &[u8; N]) -> Self {
        Self::copy_from_slice(bytes)
    }
}

impl<const N: usize> From<[u8; N]> for Buffer {
    #[track_caller]
    fn from(bytes: [u8; N]) -> Self {
        Self::copy_from_slice(&bytes)
    }
}

impl Buffer {
    /// Copies the bytes to a boxed slice on the heap, and frees the buffer, as
    /// `Vec::into_boxed_slice`.
    ///
    /// ```
    /// let boxed: Box<[u8]> = slabuf::Buffer::from(b"abc").into_boxed_slice();
    /// assert_eq!(*boxed, *b"abc");
    /// ```
    ///
    /// # Panics
    ///
    /// If the heap has no memory for the copy.
    ///
    /// # Complexity
    ///
    /// Linear in the length. May make a system call.
    #[must_use]
    #[track_caller]
    pub fn into_boxed_slice(self) -> Box<[u8]> {
        Vec::from(self).into_boxed_slice()
    }
}

/// Copies the bytes to the heap, and frees the buffer.
///
/// ```
/// let bytes = Vec::from(slabuf::Buffer::from(b"abc"));
/// assert_eq!(bytes, b"abc");
/// ```
///
/// # Panics
///
/// If the heap has no memory for the copy.
///
/// # Complexity
///
/// Linear in the length. May make a system call.
impl From<Buffer> for Vec<u8> {
    #[track_caller]
    fn from(buffer: Buffer) -> Self {
        let mut copy = Vec::new();
        // `to_vec` would abort the process if the heap had no memory.
        if let Err(error) = copy.try_reserve_exact(buffer.len()) {
            panic!("cannot copy {} bytes to the heap: {error}", buffer.len());
        }
        copy.extend_from_slice(&buffer);
        copy
    }
}

/// Copies the bytes to the heap, and frees the buffer.
///
/// ```
/// let boxed = Box::<[u8]>::from(slabuf::Buffer::from(b"abc"));
/// assert_eq!(*boxed, *b"abc");
/// ```
///
/// # Panics
///
/// If the heap has no memory for the copy.
///
/// # Complexity
///
/// Linear in the length. May make a system call.
impl From<Buffer> for Box<[u8]> {
    #[track_caller]
    fn from(buffer: Buffer) -> Self {
        buffer.into_boxed_slice()
    }
}

/// Collects bytes into a buffer of the global pool.
///
/// ```
/// let buffer: slabuf::Buffer = (1..4).collect();
/// assert_eq!(buffer, [1, 2, 3]);
/// ```
impl FromIterator<u8> for Buffer {
    fn from_iter<I: IntoIterator<Item = u8>>(bytes: I) -> Self {
        let mut buffer = Self::default();
        buffer.extend(bytes);
        buffer
    }
}

/// Collects bytes into a buffer of the global pool.
///
/// ```
/// let buffer: slabuf::Buffer = b"a-b".iter().filter(|byte| **byte != b'-').collect();
/// assert_eq!(buffer, b"ab");
/// ```
impl<'a> FromIterator<&'a u8> for Buffer {
    fn from_iter<I: IntoIterator<Item = &'a u8>>(bytes: I) -> Self {
        bytes.into_iter().copied().collect()
    }
}

/// Appends bytes, and reserves for as many as the iterator announces.
impl Extend<u8> for Buffer {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        let mut bytes = bytes.into_iter();
        self.reserve(bytes.size_hint().0);
        loop {
            let room = self.spare_capacity_mut();
            let mut written = 0;
            for (place, byte) in room.iter_mut().zip(&mut bytes) {
                *place = byte;
                written += 1;
            }
            let full = written == room.len();
            self.set_len(self.len() + written);
            if !full {
                return;
            }
            let Some(byte) = bytes.next() else { return };
            self.push(byte);
        }
    }
}

impl<'a> Extend<&'a u8> for Buffer {
    fn extend<I: IntoIterator<Item = &'a u8>>(&mut self, bytes: I) {
        self.extend(bytes.into_iter().copied());
    }
}

/// Appends the bytes of each part, by a copy.
///
/// ```
/// use bytes::Bytes;
///
/// let mut buffer = slabuf::Buffer::from(b"ab");
/// buffer.extend([Bytes::from("cd"), Bytes::from("e")]);
/// assert_eq!(buffer, b"abcde");
/// ```
impl Extend<Bytes> for Buffer {
    fn extend<I: IntoIterator<Item = Bytes>>(&mut self, parts: I) {
        for part in parts {
            self.extend_from_slice(&part);
        }
    }
}
