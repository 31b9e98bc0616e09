//! Implementations of traits of the standard library.

use super::Buffer;
use super::capacity::or_fail;
use crate::buffer::raw::Fill;
use crate::buffer::raw::alloc;
use crate::error::AllocError;
use crate::inner::tag::Place;
use std::borrow::{Borrow, BorrowMut};
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};

// A panic may leave a buffer with other bytes or another length than intended; safe code can do the
// same. Without these implementations, the cells of a large buffer's descriptor would prevent them.
impl UnwindSafe for Buffer {}
impl RefUnwindSafe for Buffer {}

const _: () = {
    const fn check<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + 'static>() {}
    check::<Buffer>();
};

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

/// Creates an empty buffer of the global pool, as [`Buffer::new`]. Allocates nothing.
///
/// The buffer grows in the global pool. So [`std::mem::take`] on a buffer of a pool with a limit
/// leaves a buffer behind that the limit does not bound; [`Buffer::take`] leaves a buffer of the
/// same pool.
impl Default for Buffer {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

/// Copies the buffer within its pool.
///
/// # Panics
///
/// If the memory cannot be allocated; see [`Buffer::try_clone`].
impl Clone for Buffer {
    #[track_caller]
    fn clone(&self) -> Self {
        or_fail(self.try_clone())
    }
}

impl Buffer {
    /// Copies the buffer within its pool, and returns an error instead of panicking.
    ///
    /// ```
    /// let buffer = slabuf::Buffer::from(b"abc");
    /// assert_eq!(buffer.try_clone()?, buffer);
    /// # Ok::<(), slabuf::AllocError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`AllocError::LimitExceeded`], [`AllocError::OutOfMemory`] or [`AllocError::TooLarge`] if
    /// the memory cannot be allocated.
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
