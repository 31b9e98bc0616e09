//! Buffers that have no memory yet, and the pool a buffer belongs to.
//!
//! # Safety
//!
//! A buffer without memory has length and capacity 0, so its start is never read. If it belongs to
//! a pool other than the global one, it holds a reference to that pool, which its drop releases.

use super::Buffer;
use crate::buffer::raw::RawBuffer;
use crate::inner::PoolInner;
use crate::inner::registry::GLOBAL;
use crate::inner::tag::{AllocTag, Place};
use crate::large::LargeAlloc;
use crate::pool::Pool;
use std::ptr::NonNull;

/// The start of buffers that never had memory. Aligned as other buffers are.
const NOWHERE: NonNull<u8> = NonNull::<LargeAlloc>::dangling().cast();

impl Buffer {
    /// Creates an empty buffer of the global pool. It allocates when the first bytes are added, as
    /// `Vec::new`.
    ///
    /// ```
    /// use slabuf::Buffer;
    ///
    /// static EMPTY: Buffer = Buffer::new();
    /// assert_eq!((EMPTY.len(), EMPTY.capacity()), (0, 0));
    ///
    /// let mut buffer = Buffer::new();
    /// buffer.extend_from_slice(b"abc");
    /// assert_eq!(buffer, b"abc");
    /// ```
    ///
    /// # Complexity
    ///
    /// Constant. Allocates nothing and makes no system call.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            start: NOWHERE,
            len: 0,
            tag: AllocTag::EMPTY_GLOBAL,
        }
    }

    /// Returns the buffer and leaves an empty one of the same pool behind, as created by
    /// [`Pool::buffer`]. [`std::mem::take`] leaves a buffer of the global pool behind, which the
    /// pool's limit does not bound.
    ///
    /// The traits `bytes::Buf` and `std::io::Read` have methods of this name. If one of them is in
    /// scope, call `Buffer::take(&mut buffer)`.
    ///
    /// ```
    /// use slabuf::{Buffer, Pool};
    ///
    /// let pool = Pool::builder().limit(1 << 20).build()?;
    /// let mut buffer = pool.copy_from_slice(b"abc");
    /// let taken = buffer.take();
    /// assert_eq!((taken.as_slice(), buffer.capacity()), (&b"abc"[..], 0));
    /// assert!(buffer.try_reserve(2 << 20).is_err(), "the limit still holds");
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    ///
    /// # Complexity
    ///
    /// Constant: one atomic addition. Allocates nothing and makes no system call.
    #[must_use = "the returned buffer holds the bytes; `clear` discards them"]
    pub fn take(&mut self) -> Buffer {
        let mut empty = self.empty_beside();
        empty.start = NOWHERE;
        std::mem::replace(self, empty)
    }

    /// Returns a handle to the buffer's pool, in which the buffer grows and is cloned.
    ///
    /// If all handles of the pool were dropped before, the pool is closed and stays closed: the new
    /// handle allocates within the pool's limit and settings, but threads cache nothing of a closed
    /// pool, so every allocation takes the slow path. The pool is freed with its last buffer and
    /// handle.
    ///
    /// ```
    /// use slabuf::Pool;
    ///
    /// let pool = Pool::builder().build()?;
    /// let buffer = pool.alloc(100_000);
    /// assert_eq!(buffer.pool().usage().large_live, 100_000);
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If the buffer was created by [`Buffer::new`], the global pool was never used before, and
    /// there is no memory for its structures; see [`Pool::global`].
    ///
    /// # Complexity
    ///
    /// Constant: one atomic addition. Makes no system call.
    #[must_use]
    pub fn pool(&self) -> Pool {
        Pool::of_inner(self.memory().inner())
    }

    /// Creates an empty buffer of the same pool, without memory, at the same start.
    pub(super) fn empty_beside(&self) -> Buffer {
        let tag = match self.tag.place() {
            Place::Empty(None) => AllocTag::EMPTY_GLOBAL,
            _ => empty_tag(self.memory().inner()),
        };
        let start = self.start;
        Buffer::of_memory(RawBuffer { start, tag }, 0)
    }
}

impl Pool {
    /// Returns whether the buffer's memory belongs to this pool.
    ///
    /// ```
    /// use slabuf::{Buffer, Pool};
    ///
    /// let pool = Pool::builder().build()?;
    /// assert!(pool.owns(&pool.alloc(100)) && !pool.owns(&Buffer::alloc(100)));
    /// assert!(pool.clone().owns(&pool.alloc(100_000)));
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    ///
    /// # Complexity
    ///
    /// Constant. Makes no system call.
    pub fn owns(&self, buffer: &Buffer) -> bool {
        buffer.memory().inner() == self.inner()
    }

    /// Creates an empty buffer of this pool. It allocates when the first bytes are added, in this
    /// pool.
    ///
    /// The buffer keeps the pool's structures alive, but not the pool open: when the last handle is
    /// dropped, the pool closes and releases all memory that no buffer uses. The buffer can grow
    /// after that, as any buffer of a closed pool.
    ///
    /// ```
    /// use slabuf::Pool;
    ///
    /// let pool = Pool::builder().build()?;
    /// let mut buffer = pool.buffer();
    /// assert_eq!(pool.usage().external, 0);
    /// buffer.extend_from_slice(b"abc");
    /// assert!(pool.usage().external > 0);
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    ///
    /// # Complexity
    ///
    /// Constant: one atomic addition, none for the global pool. Allocates nothing and makes no
    /// system call.
    #[must_use]
    pub fn buffer(&self) -> Buffer {
        let tag = empty_tag(self.inner());
        Buffer::of_memory(
            RawBuffer {
                start: NOWHERE,
                tag,
            },
            0,
        )
    }
}

/// Returns the tag of a buffer of this pool that has no memory. The caller keeps the pool alive
/// meanwhile.
fn empty_tag(inner: NonNull<PoolInner>) -> AllocTag {
    if PoolInner::of(inner).index == GLOBAL {
        return AllocTag::EMPTY_GLOBAL;
    }
    PoolInner::of(inner).retain();
    AllocTag::empty(inner)
}
