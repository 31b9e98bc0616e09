//! `Buffer` as the standard library's citizen.

use super::Buffer;
use super::capacity::fail;
use crate::buffer::raw::Fill;
use crate::buffer::raw::alloc;
use crate::error::AllocError;
use crate::inner::tag::Place;
use std::borrow::{Borrow, BorrowMut};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};

impl Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl DerefMut for Buffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.as_mut_slice()
    }
}

impl AsRef<[u8]> for Buffer {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for Buffer {
    #[inline]
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl Borrow<[u8]> for Buffer {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl BorrowMut<[u8]> for Buffer {
    fn borrow_mut(&mut self) -> &mut [u8] {
        self
    }
}

/// Never the contents: a log is no place for them.
impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("pooled", &self.is_pooled())
            .finish()
    }
}

/// Creates an empty buffer of the global pool, as [`Buffer::new`]. Allocates nothing.
///
/// The buffer grows in the global pool. So [`std::mem::take`] on a buffer of a pool with a limit leaves a
/// buffer behind that the limit does not bound; [`Buffer::take`] leaves a buffer of the same pool.
impl Default for Buffer {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

/// A copy from the same pool.
///
/// # Panics
///
/// If the memory cannot be had; see [`Buffer::try_clone`].
impl Clone for Buffer {
    fn clone(&self) -> Self {
        self.try_clone().unwrap_or_else(|error| fail(&error))
    }
}

impl Buffer {
    /// A copy from the same pool.
    ///
    /// ```
    /// let buffer = slabuf::Buffer::from(b"abc");
    /// assert_eq!(buffer.try_clone()?, buffer);
    /// # Ok::<(), slabuf::AllocError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the memory cannot be had.
    pub fn try_clone(&self) -> Result<Self, AllocError> {
        if matches!(self.tag.place(), Place::Empty(_)) {
            return Ok(self.empty_beside());
        }
        let inner = self.memory().inner();
        let memory = alloc::take_from(inner, self.len(), Fill::Stale)
            .map_err(|refused| alloc::error_of(inner, refused, self.len()))?;
        let mut copy = Self::of_memory(memory, self.len());
        copy.copy_from_slice(self);
        Ok(copy)
    }
}

impl From<&[u8]> for Buffer {
    fn from(bytes: &[u8]) -> Self {
        Self::copy_from_slice(bytes)
    }
}

impl<const N: usize> From<&[u8; N]> for Buffer {
    fn from(bytes: &[u8; N]) -> Self {
        Self::copy_from_slice(bytes)
    }
}

impl<const N: usize> From<[u8; N]> for Buffer {
    fn from(bytes: [u8; N]) -> Self {
        Self::copy_from_slice(&bytes)
    }
}

impl From<&str> for Buffer {
    fn from(text: &str) -> Self {
        Self::copy_from_slice(text.as_bytes())
    }
}

/// A copy: the vector's memory belongs to the heap.
impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self::copy_from_slice(&bytes)
    }
}

/// A copy: the string's memory belongs to the heap.
impl From<String> for Buffer {
    fn from(text: String) -> Self {
        Self::copy_from_slice(text.as_bytes())
    }
}

impl FromIterator<u8> for Buffer {
    fn from_iter<I: IntoIterator<Item = u8>>(bytes: I) -> Self {
        let mut buffer = Self::default();
        buffer.extend(bytes);
        buffer
    }
}

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
            self.extend_from_slice(&[byte]);
        }
    }
}

impl<'a> Extend<&'a u8> for Buffer {
    fn extend<I: IntoIterator<Item = &'a u8>>(&mut self, bytes: I) {
        self.extend(bytes.into_iter().copied());
    }
}

impl Eq for Buffer {}

impl Ord for Buffer {
    fn cmp(&self, other: &Self) -> Ordering {
        self[..].cmp(&other[..])
    }
}

/// As `[u8]`, so that maps can be searched by slice.
impl Hash for Buffer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self[..].hash(state);
    }
}

macro_rules! compare_both_ways {
    ({$($generics:tt)*} $other:ty) => {
        impl<$($generics)*> PartialEq<$other> for Buffer {
            fn eq(&self, other: &$other) -> bool {
                self[..] == AsRef::<[u8]>::as_ref(other)[..]
            }
        }

        impl<$($generics)*> PartialOrd<$other> for Buffer {
            fn partial_cmp(&self, other: &$other) -> Option<Ordering> {
                self[..].partial_cmp(&AsRef::<[u8]>::as_ref(other)[..])
            }
        }

        impl<$($generics)*> PartialEq<Buffer> for $other {
            fn eq(&self, other: &Buffer) -> bool {
                AsRef::<[u8]>::as_ref(self)[..] == other[..]
            }
        }
    };
}

impl PartialEq for Buffer {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl PartialOrd for Buffer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

compare_both_ways!({}[u8]);
compare_both_ways!({} & [u8]);
compare_both_ways!({const N: usize} [u8; N]);
compare_both_ways!({const N: usize} &[u8; N]);
compare_both_ways!({} Vec<u8>);
compare_both_ways!({} str);
compare_both_ways!({} & str);
