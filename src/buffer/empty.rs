//! Buffers that have no memory yet, and the pool a buffer belongs to.
//!
//! # Safety
//!
//! A buffer without memory has a start that is never read: its length and capacity are 0. Where it belongs to
//! a pool other than the global one it holds a reference of that pool, which its drop gives back.

use super::Buffer;
use crate::buffer::raw::RawBuffer;
use crate::inner::PoolInner;
use crate::inner::tag::{AllocTag, Place};
use crate::large::LargeAlloc;
use crate::pool::Pool;
use crate::thread::GLOBAL_ID;
use std::ptr::NonNull;

/// Where buffers start that never had memory: aligned as any.
const NOWHERE: NonNull<u8> = NonNull::<LargeAlloc>::dangling().cast();

impl Buffer {
    /// Creates an empty buffer of the global pool, without memory: it allocates with the first bytes, as
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

    /// Takes the buffer out, and leaves an empty one of the same pool behind, without memory, as
    /// [`Pool::buffer`] creates it. [`std::mem::take`] would leave one of the global pool, which no limit bounds.
    ///
    /// `bytes::Buf` and `std::io::Read` have methods of this name. Where one of them is in scope, call
    /// `Buffer::take(&mut buffer)`.
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
    #[must_use = "the bytes are dropped"]
    pub fn take(&mut self) -> Buffer {
        let mut empty = self.empty_beside();
        empty.start = NOWHERE;
        std::mem::replace(self, empty)
    }

    /// Returns a handle to the pool that the buffer belongs to, in which it grows and is cloned.
    ///
    /// If all the pool's handles were dropped before, the pool is closed: it serves through the new handle,
    /// but its limit and settings hold as ever, threads keep nothing of it in caches any more, and every allocation
    /// takes the slow path. It ends with its last buffer and handle.
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
    /// If the buffer is one of [`Buffer::new`], the global pool was never used before, and there is no memory for
    /// its structures; see [`Pool::global`].
    ///
    /// # Complexity
    ///
    /// Constant: one atomic addition. Makes no system call.
    #[must_use]
    pub fn pool(&self) -> Pool {
        Pool::of_inner(self.memory().inner())
    }

    /// An empty buffer of the same pool, without memory, which starts where this one does.
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
    /// Creates an empty buffer that belongs to this pool, without memory: it allocates with the first bytes, here.
    ///
    /// Until then it keeps the pool's structures alive, but not the pool open: when the last handle is
    /// dropped, the pool gives back all that no buffer uses. The buffer can still grow, as any other buffer of a
    /// closed pool.
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
    /// Constant: one atomic addition, none for the global pool. Allocates nothing and makes no system call.
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

/// The tag of a buffer of this pool that has no memory. The caller knows the pool to be alive.
fn empty_tag(inner: NonNull<PoolInner>) -> AllocTag {
    if PoolInner::of(inner).id == GLOBAL_ID {
        return AllocTag::EMPTY_GLOBAL;
    }
    PoolInner::of(inner).retain();
    AllocTag::empty(inner)
}
