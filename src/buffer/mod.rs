//! [`Buffer`]: an owned range of bytes outside the heap.
//!
//! # Safety
//!
//! A buffer owns its [`RawBuffer`] alone. `len` never passes the end of the memory, all of which is
//! initialised, so any part of it may be read and written as bytes.

mod build;
mod capacity;
mod constructors;
mod on_pool;
pub(crate) mod raw;
mod split;
mod traits;
mod waiting;

pub use waiting::{AllocFuture, Drained};

use crate::buffer::raw::{RawBuffer, part};
use crate::inner::tag::{AllocTag, Place};
use crate::large::LargeAlloc;
use bytes::Bytes;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// A range of bytes outside the heap: a slot of a slab up to the slab size (8192 bytes), a mapping of its
/// own above.
///
/// It dereferences to `[u8]`, grows like a `Vec<u8>`, and becomes [`Bytes`] without a copy. Dropping it, on
/// any thread, gives its memory back for reuse. It is aligned to 16 bytes at least, until
/// [`advance`](bytes::Buf::advance) moves its start.
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

// SAFETY: a buffer owns its memory, and giving memory back works on every thread.
unsafe impl Send for Buffer {}
// SAFETY: a shared buffer can only be read.
unsafe impl Sync for Buffer {}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        self.memory().give();
    }
}

impl Buffer {
    #[inline(always)]
    fn new(memory: RawBuffer, len: usize) -> Self {
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

    /// How far the start has moved away from the first byte of the slot or mapping, in bytes.
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

    /// Out of line, so that taking a slot apart needs no registers for it.
    #[cold]
    #[inline(never)]
    fn expose_large(memory: RawBuffer, large: NonNull<LargeAlloc>, len: usize) {
        let offset = memory.start.addr().get() - memory.extent().0.addr().get();
        LargeAlloc::of(large).expose(offset + len);
    }

    /// Number of bytes.
    ///
    /// ```
    /// assert_eq!(slabuf::Buffer::alloc(100).len(), 100);
    /// ```
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    ///
    /// ```
    /// assert!(slabuf::Buffer::with_capacity(100).is_empty());
    /// ```
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes the buffer can hold without new memory: the rest of its slot, or of its mapping's pages.
    ///
    /// ```
    /// assert!(slabuf::Buffer::with_capacity(100).capacity() >= 100);
    /// ```
    #[inline]
    pub fn capacity(&self) -> usize {
        let (first, size) = self.memory().extent();
        size - (self.start.addr().get() - first.addr().get())
    }

    /// Whether the memory is a slot of a slab, or a part of one; if not it is a mapping of its own.
    ///
    /// ```
    /// use slabuf::Buffer;
    ///
    /// assert!(Buffer::alloc(8192).is_pooled());
    /// assert!(!Buffer::alloc(8193).is_pooled());
    /// assert!(!Buffer::alloc_unsafe_slow(100).is_pooled());
    /// ```
    #[inline]
    pub fn is_pooled(&self) -> bool {
        match self.tag.place() {
            Place::Slot => true,
            Place::Large(large) => part::is_of_slot(large),
        }
    }

    /// The bytes.
    ///
    /// ```
    /// assert_eq!(slabuf::Buffer::from(b"abc").as_slice(), b"abc");
    /// ```
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `len` bytes from the start are within the memory, initialised, and shared as `self` is.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// The bytes, to be changed.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::alloc(3);
    /// buffer.as_mut_slice().fill(7);
    /// assert_eq!(buffer, [7, 7, 7]);
    /// ```
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: `len` bytes from the start are within the memory, initialised, and owned as `self` is.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }

    /// Turns the buffer into [`Bytes`], without a copy. The memory goes back to its pool with the last
    /// slice of them, on whatever thread that is.
    ///
    /// ```
    /// let bytes = slabuf::Buffer::from(b"abc").freeze();
    /// assert_eq!(&bytes[..], b"abc");
    /// ```
    ///
    /// One owner serves any number of slices, which are counted and take no allocation: the way to hand out many parts of
    /// one buffer.
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
    /// Constant: one allocation of `Bytes::from_owner` on the heap, which an empty buffer does without. It is the same for any
    /// length; `BytesMut::freeze` takes one too unless it is full, and then at the first clone.
    pub fn freeze(self) -> Bytes {
        if self.is_empty() {
            return Bytes::new();
        }
        Bytes::from_owner(self)
    }

    /// Takes the buffer apart, for foreign code: the address of the first byte, the length in bytes, and an
    /// opaque word that names the memory's owner (it is not the capacity).
    ///
    /// Memory that is not put together again by [`from_raw_parts`](Self::from_raw_parts) is leaked.
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
    pub fn into_raw_parts(self) -> (*mut u8, usize, usize) {
        let this = ManuallyDrop::new(self);
        // Foreign code may write up to the capacity.
        this.expose(this.capacity());
        (this.start.as_ptr(), this.len, this.tag.expose())
    }

    /// Puts a buffer together again.
    ///
    /// # Safety
    ///
    /// `start` and `owner` came from one call of [`into_raw_parts`](Self::into_raw_parts), were not used
    /// for this before, and nothing else uses the memory any more. `len` is at most the capacity that the
    /// buffer had.
    #[inline]
    pub unsafe fn from_raw_parts(start: *mut u8, len: usize, owner: usize) -> Self {
        let tag = AllocTag::from_exposed(owner);
        // SAFETY: the start of a buffer is not null.
        let start = unsafe { NonNull::new_unchecked(start) };
        Self { start, len, tag }
    }

    /// Moves the start by `count` bytes; they are no longer part of the buffer. When nothing is left, the
    /// start goes back to where the memory begins.
    ///
    /// # Panics
    ///
    /// If `count` is above the length.
    pub(crate) fn advance_start(&mut self, count: usize) {
        assert!(
            count <= self.len,
            "cannot advance by {count} bytes: the buffer has {}",
            self.len
        );
        self.len -= count;
        if self.len == 0 {
            self.start = self.memory().extent().0;
            self.tag = self.tag.at_start();
        } else if count > 0 {
            // SAFETY: fewer bytes than the buffer has, so still within the memory.
            self.start = unsafe { self.start.add(count) };
            self.tag = self.tag.advanced();
        }
    }
}
