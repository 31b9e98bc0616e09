//! The owner of a buffer's memory, for foreign code.

use crate::inner::tag::AllocTag;
use std::ffi::c_void;

/// The owner of a buffer's memory. [`Buffer::into_raw_parts`](crate::Buffer::into_raw_parts)
/// returns it, and [`Buffer::from_raw_parts`](crate::Buffer::from_raw_parts) consumes it. It is
/// opaque: it is not the capacity, and if it points to anything, that is not the buffer's memory.
///
/// It is one word, which C code can keep as a `void *`.
///
/// ```
/// use slabuf::{Buffer, RawOwner};
///
/// let (start, len, owner) = Buffer::from(b"abc").into_raw_parts();
/// let word: *mut std::ffi::c_void = owner.into_ptr();
/// // SAFETY: the parts are those of one buffer, used once.
/// let buffer = unsafe { Buffer::from_raw_parts(start, len, RawOwner::from_ptr(word)) };
/// assert_eq!(buffer, b"abc");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
#[must_use = "the memory is leaked unless it becomes a buffer again"]
pub struct RawOwner(*mut c_void);

const _: () = assert!(size_of::<RawOwner>() == size_of::<usize>());

// SAFETY: the word names an owner and gives no access by itself; a `Buffer`, which has access, is
// `Send`.
unsafe impl Send for RawOwner {}
// SAFETY: a shared word can only be copied.
unsafe impl Sync for RawOwner {}

impl RawOwner {
    pub(super) fn of_tag(tag: AllocTag) -> Self {
        Self(tag.into_ptr().cast())
    }

    pub(super) fn tag(self) -> AllocTag {
        AllocTag::from_ptr(self.0.cast())
    }

    /// Returns the owner as an untyped pointer, for foreign code to keep. It must not be
    /// dereferenced.
    ///
    /// ```
    /// let (start, len, owner) = slabuf::Buffer::from(b"abc").into_raw_parts();
    /// let word = owner.into_ptr();
    /// # let owner = slabuf::RawOwner::from_ptr(word);
    /// # // SAFETY: the parts are those of one buffer, used once.
    /// # drop(unsafe { slabuf::Buffer::from_raw_parts(start, len, owner) });
    /// ```
    pub fn into_ptr(self) -> *mut c_void {
        self.0
    }

    /// Returns the owner of a pointer from [`into_ptr`](Self::into_ptr).
    ///
    /// ```
    /// use slabuf::{Buffer, RawOwner};
    ///
    /// let (start, len, owner) = Buffer::from(b"abc").into_raw_parts();
    /// assert_eq!(RawOwner::from_ptr(owner.into_ptr()), owner);
    /// # // SAFETY: the parts are those of one buffer, used once.
    /// # drop(unsafe { Buffer::from_raw_parts(start, len, owner) });
    /// ```
    pub fn from_ptr(word: *mut c_void) -> Self {
        Self(word)
    }
}
