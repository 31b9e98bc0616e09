//! Equality, order and hash: those of the bytes, whichever type contains them.

use super::Buffer;
use bytes::{Bytes, BytesMut};
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

impl PartialEq for Buffer {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Buffer {}

impl PartialOrd for Buffer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Buffer {
    fn cmp(&self, other: &Self) -> Ordering {
        self[..].cmp(&other[..])
    }
}

/// Hashes as `[u8]`, so that maps can be searched with a slice.
impl Hash for Buffer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self[..].hash(state);
    }
}

macro_rules! equal_both_ways {
    ($({$($generics:tt)*} $other:ty;)*) => {
        $(
            impl<$($generics)*> PartialEq<$other> for Buffer {
                fn eq(&self, other: &$other) -> bool {
                    self[..] == AsRef::<[u8]>::as_ref(other)[..]
                }
            }

            impl<$($generics)*> PartialEq<Buffer> for $other {
                fn eq(&self, other: &Buffer) -> bool {
                    AsRef::<[u8]>::as_ref(self)[..] == other[..]
                }
            }
        )*
    };
}

macro_rules! ordered_both_ways {
    ($({$($generics:tt)*} $other:ty;)*) => {
        $(
            impl<$($generics)*> PartialOrd<$other> for Buffer {
                fn partial_cmp(&self, other: &$other) -> Option<Ordering> {
                    self[..].partial_cmp(&AsRef::<[u8]>::as_ref(other)[..])
                }
            }

            impl<$($generics)*> PartialOrd<Buffer> for $other {
                fn partial_cmp(&self, other: &Buffer) -> Option<Ordering> {
                    AsRef::<[u8]>::as_ref(self)[..].partial_cmp(&other[..])
                }
            }
        )*
    };
}

equal_both_ways! {
    {} [u8];
    {} str;
    {} String;
    {} Vec<u8>;
    {} BytesMut;
    {const N: usize} [u8; N];
}

ordered_both_ways! {
    {} [u8];
    {} str;
    {} String;
    {} Vec<u8>;
    {} Bytes;
    {} BytesMut;
    {const N: usize} [u8; N];
}

/// Compares with the value that a reference points to.
///
/// ```
/// let buffer = slabuf::Buffer::from(b"abc");
/// assert!(buffer == b"abc" && buffer == "abc" && buffer == &vec![97, 98, 99]);
/// assert!("abc" == buffer && &b"abc"[..] == buffer);
/// ```
impl<'a, T: ?Sized> PartialEq<&'a T> for Buffer
where
    Buffer: PartialEq<T>,
{
    fn eq(&self, other: &&'a T) -> bool {
        *self == **other
    }
}

impl<'a, T: ?Sized> PartialOrd<&'a T> for Buffer
where
    Buffer: PartialOrd<T>,
{
    fn partial_cmp(&self, other: &&'a T) -> Option<Ordering> {
        self.partial_cmp(*other)
    }
}

macro_rules! references_on_the_left {
    ($({$($generics:tt)*} $other:ty;)*) => {
        $(
            impl<$($generics)*> PartialEq<Buffer> for &$other {
                fn eq(&self, other: &Buffer) -> bool {
                    **self == *other
                }
            }

            impl<$($generics)*> PartialOrd<Buffer> for &$other {
                fn partial_cmp(&self, other: &Buffer) -> Option<Ordering> {
                    (**self).partial_cmp(other)
                }
            }
        )*
    };
}

references_on_the_left! {
    {} [u8];
    {} str;
    {const N: usize} [u8; N];
}
