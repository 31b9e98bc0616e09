//! [`Buffer`]: an owned range of bytes outside the heap.
//!
//! # Safety
//!
//! A buffer owns its [`RawBuffer`] alone. `len` never exceeds the memory, all of which is
//! initialised, so any part of it may be read and written as bytes. A buffer without memory has
//! length 0 and a start that is not null.

mod aligned;
mod build;
mod capacity;
mod compare;
mod constructors;
mod convert;
mod drain;
mod empty;
mod fit;
mod fmt;
mod futures;
mod iter;
mod owner;
pub(crate) mod raw;
mod reclaim;
mod splice;
mod split;
mod traits;
mod vec_like;
mod waiting;

pub use drain::Drain;
pub use futures::{CopyFuture, ReserveFuture};
pub use iter::IntoIter;
pub use owner::RawOwner;
pub use splice::{ExtractIf, Splice};
pub use waiting::{AllocFuture, Drained};

use crate::buffer::raw::{RawBuffer, part};
use crate::inner::tag::{AllocTag, Place};
use crate::large::LargeAlloc;
use bytes::Bytes;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// A range of bytes outside the heap: a slot of a slab up to the slab size (8192 bytes), its own
/// mapping above that.
///
/// It dereferences to `[u8]`, grows like a `Vec<u8>`, and becomes [`Bytes`] without a copy.
/// Dropping it, on any thread, frees its memory for reuse by the pool. It is aligned to at least 16
/// bytes until [`advance`](bytes::Buf::advance) or a split moves its start.
///
/// ```
/// use slabuf::Buffer;
///
/// let mut buffer = Buffer::alloc(5);
/// buffer.copy_from_slice(b"hello");
/// buffer.extend_from_slice(b", world");
/// assert_eq!(buffer, b"hello, world");
///
/// let bytes = buffer.freeze();
/// assert_eq!(&bytes.slice(7..)[..], b"world");
/// ```
pub struct Buffer {
    start: NonNull<u8>,
    len: usize,
    tag: AllocTag,
}

const _: () = assert!(size_of::<Buffer>() == 24 && size_of::<Option<Buffer>>() == 24);

// SAFETY: a buffer owns its memory, and any thread may free it.
unsafe impl Send for Buffer {}
// SAFETY: a shared buffer can only be read.
unsafe impl Sync for Buffer {}

/// The owner behind frozen [`Bytes`]. The length is not next to the start: otherwise the compiler
/// copies both as one vector, and the load waits until the two stores before it have retired. A
/// frame of 1,000 bytes, split, frozen and dropped, took 44 ns that way and takes 33 ns.
#[repr(C)]
struct Frozen {
    start: NonNull<u8>,
    tag: AllocTag,
    len: usize,
}

// SAFETY: as for a buffer.
unsafe impl Send for Frozen {}

impl AsRef<[u8]> for Frozen {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        // SAFETY: as for a buffer: `len` initialised bytes, which belong to it alone.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Frozen {
    #[inline]
    fn drop(&mut self) {
        let (start, tag) = (self.start, self.tag);
        RawBuffer { start, tag }.free();
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        self.memory().free();
    }
}

impl Buffer {
    #[inline(always)]
    fn of_memory(memory: RawBuffer, len: usize) -> Self {
        Self {
            start: memory.start,
            len,
            tag: memory.tag,
        }
    }

    #[inline(always)]
    fn memory(&self) -> RawBuffer {
        RawBuffer {
            start: self.start,
            tag: self.tag,
        }
    }

    /// Returns how far the start is from the first byte of the slot or mapping, in bytes; 0 for a
    /// part.
    fn offset(&self) -> usize {
        self.start.addr().get() - self.memory().extent().0.addr().get()
    }

    /// Notes that the bytes below `len` may be written from now on.
    #[inline]
    fn expose(&self, len: usize) {
        if let Place::Large(large) = self.tag.place() {
            Self::expose_large(self.memory(), large, len);
        }
    }

    /// Out of line, so that reading a slot's fields needs no registers for it.
    #[cold]
    #[inline(never)]
    fn expose_large(memory: RawBuffer, large: NonNull<LargeAlloc>, len: usize) {
        let offset = memory.start.addr().get() - memory.extent().0.addr().get();
        LargeAlloc::of(large).expose(offset + len);
    }

    /// Returns the number of bytes in the buffer.
    ///
    /// ```
    /// assert_eq!(slabuf::Buffer::alloc(100).len(), 100);
    /// ```
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the buffer contains no bytes.
    ///
    /// ```
    /// assert!(slabuf::Buffer::with_capacity(100).is_empty());
    /// ```
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the number of bytes that the buffer can hold before it has to
    /// [`reserve`](Self::reserve): up to the end of its slot, or of its mapping's pages. A capacity
    /// that was requested, up to the slab size, is exact: the first `reserve` beyond it uses the
    /// rest of the slot. The capacity of a head (see [`split_to`](Self::split_to)) equals its
    /// length.
    ///
    /// ```
    /// assert_eq!(slabuf::Buffer::with_capacity(100).capacity(), 100);
    /// assert!(slabuf::Buffer::alloc(100).capacity() >= 100);
    /// ```
    #[inline]
    pub fn capacity(&self) -> usize {
        if self.tag.is_head() {
            return self.len;
        }
        let (first, size) = self.memory().extent();
        size - (self.start.addr().get() - first.addr().get())
    }

    /// Returns `true` if the memory is a slot of a slab, or a part of one; `false` if it is a
    /// mapping, or if the buffer has no memory yet.
    ///
    /// ```
    /// use slabuf::Buffer;
    ///
    /// assert!(!Buffer::new().is_pooled());
    /// assert!(Buffer::alloc(8192).is_pooled());
    /// assert!(!Buffer::alloc(8193).is_pooled());
    /// assert!(!Buffer::alloc_unsafe_slow(100).is_pooled());
    /// ```
    #[inline]
    pub fn is_pooled(&self) -> bool {
        match self.tag.place() {
            Place::Slot => true,
            Place::Part(shared, _) => part::is_of_slot(shared),
            Place::Large(_) | Place::Empty(_) => false,
        }
    }

    /// Returns the bytes as a slice.
    ///
    /// ```
    /// assert_eq!(slabuf::Buffer::from(b"abc").as_slice(), b"abc");
    /// ```
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `len` bytes from the start are within the memory and initialised, and the slice
        // borrows `self`, so they are not written meanwhile.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// Returns the bytes as a mutable slice.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::alloc(3);
    /// buffer.as_mut_slice().fill(7);
    /// assert_eq!(buffer, [7, 7, 7]);
    /// ```
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: `len` bytes from the start are within the memory and initialised, and the slice
        // borrows `self` mutably, so no other access exists meanwhile.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }

    /// Turns the buffer into [`Bytes`], without a copy. The memory returns to its pool when the
    /// last slice of them is dropped, on any thread.
    ///
    /// ```
    /// let bytes = slabuf::Buffer::from(b"abc").freeze();
    /// assert_eq!(&bytes[..], b"abc");
    /// ```
    ///
    /// All slices of the same `Bytes` share one owner; slicing counts references and allocates
    /// nothing. Use it to share many parts of one buffer.
    ///
    /// ```
    /// let mut rest = slabuf::Buffer::from(b"GET / HTTP/1.1").freeze();
    /// let method = rest.split_to(3);
    /// let path = rest.slice(1..2);
    /// assert_eq!((&method[..], &path[..]), (&b"GET"[..], &b"/"[..]));
    /// ```
    ///
    /// # Complexity
    ///
    /// Constant: one allocation of `Bytes::from_owner` on the heap, also for a part; none for an
    /// empty buffer. Makes no system call.
    #[must_use]
    pub fn freeze(self) -> Bytes {
        if self.is_empty() {
            return Bytes::new();
        }
        let this = ManuallyDrop::new(self);
        Bytes::from_owner(Frozen {
            start: this.start,
            tag: this.tag,
            len: this.len,
        })
    }

    /// Splits the buffer into its raw parts, for foreign code: the address of the first byte, the
    /// length in bytes, and the owner of the memory.
    ///
    /// The memory is leaked unless [`from_raw_parts`](Self::from_raw_parts) makes a buffer of the
    /// parts again.
    ///
    /// ```
    /// use slabuf::Buffer;
    ///
    /// let (start, len, owner) = Buffer::from(b"abc").into_raw_parts();
    /// // SAFETY: the parts are those of one buffer, used once.
    /// let buffer = unsafe { Buffer::from_raw_parts(start, len, owner) };
    /// assert_eq!(buffer, b"abc");
    /// ```
    #[inline]
    #[must_use = "the memory is leaked unless the parts are put together again"]
    pub fn into_raw_parts(self) -> (*mut u8, usize, RawOwner) {
        let this = ManuallyDrop::new(self);
        // Foreign code may write up to the capacity.
        this.expose(this.capacity());
        (this.start.as_ptr(), this.len, RawOwner::of_tag(this.tag))
    }

    /// Makes a buffer of its raw parts.
    ///
    /// # Safety
    ///
    /// `start` and `owner` are from one call of [`into_raw_parts`](Self::into_raw_parts) and were
    /// not used for this before, and the memory has no other user. `len` is at most the capacity
    /// that the buffer had.
    #[inline]
    pub unsafe fn from_raw_parts(start: *mut u8, len: usize, owner: RawOwner) -> Self {
        let tag = owner.tag();
        // SAFETY: the start of a buffer is not null.
        let start = unsafe { NonNull::new_unchecked(start) };
        Self { start, len, tag }
    }

    /// Moves the start by `count` bytes, which are no longer part of the buffer. If no byte is
    /// left, the start returns to the beginning of the memory, unless other parts of the memory are
    /// left.
    ///
    /// # Panics
    ///
    /// If `count` is above the length.
    #[track_caller]
    pub(crate) fn advance_start(&mut self, count: usize) {
        assert!(
            count <= self.len,
            "cannot advance by {count} bytes: the buffer has {}",
            self.len
        );
        if self.len == count && !self.is_one_of_parts() {
            self.take_back();
            self.len = 0;
        } else if count > 0 {
            // SAFETY: `count` is at most the length, so the address is within the memory or at its
            // end.
            self.start = unsafe { self.start.add(count) };
            self.tag = self.tag.advanced();
            self.len -= count;
        }
    }
}
