//! Futures that wait for memory and then copy or grow.

use super::Buffer;
use super::waiting::{AllocFuture, poll_in_turn};
use crate::buffer::raw::{alloc, part};
use crate::error::{AllocError, MAX_LEN};
use crate::inner::PoolInner;
use crate::inner::tag::Place;
use crate::large::LargeAlloc;
use crate::pool::Pool;
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

impl Pool {
    /// Returns a future of an empty buffer with room for at least `capacity` bytes, which waits as
    /// [`alloc_async`](Self::alloc_async) does.
    ///
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// # let context = &mut Context::from_waker(Waker::noop());
    /// let pool = slabuf::Pool::builder().limit(1 << 20).build()?;
    /// let first = pool.alloc(700_000);
    /// let mut second = pin!(pool.with_capacity_async(700_000));
    /// assert!(second.as_mut().poll(context).is_pending());
    /// drop(first);
    /// let Poll::Ready(Ok(buffer)) = second.poll(context) else { panic!("no memory") };
    /// assert!(buffer.is_empty() && buffer.capacity() >= 700_000);
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The future fails as that of [`alloc_async`](Self::alloc_async).
    pub fn with_capacity_async(&self, capacity: usize) -> AllocFuture {
        AllocFuture::with_capacity(self, capacity)
    }

    /// Returns a future of a buffer with a copy of `bytes`, which waits as
    /// [`alloc_async`](Self::alloc_async) does.
    ///
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// # let context = &mut Context::from_waker(Waker::noop());
    /// let pool = slabuf::Pool::builder().limit(1 << 20).build()?;
    /// let copied = pin!(pool.copy_from_slice_async(b"abc"));
    /// let Poll::Ready(Ok(buffer)) = copied.poll(context) else { panic!("no memory") };
    /// assert_eq!(buffer, b"abc");
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The future fails as that of [`alloc_async`](Self::alloc_async).
    pub fn copy_from_slice_async<'a>(&self, bytes: &'a [u8]) -> CopyFuture<'a> {
        CopyFuture {
            alloc: self.alloc_unsafe_async(bytes.len()),
            bytes,
        }
    }
}

impl Buffer {
    /// Returns a future that makes room for `additional` more bytes, as [`reserve`](Self::reserve),
    /// and waits while the limit of the buffer's pool has no room. It waits in the same queue as
    /// [`Pool::alloc_async`](crate::Pool::alloc_async), from its first poll on. Dropping it gives
    /// up its place in the queue and leaves the buffer unchanged.
    ///
    /// A buffer that cannot grow in place needs its old and its new memory at once. If the limit
    /// does not hold both, the future fails instead of waiting for its own buffer.
    ///
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// # let context = &mut Context::from_waker(Waker::noop());
    /// let pool = slabuf::Pool::builder().limit(1 << 20).build()?;
    /// let first = pool.alloc(700_000);
    /// let mut buffer = pool.copy_from_slice(b"abc");
    /// {
    ///     let mut grown = pin!(buffer.reserve_async(700_000));
    ///     assert!(grown.as_mut().poll(context).is_pending());
    ///     drop(first);
    ///     assert_eq!(grown.poll(context), Poll::Ready(Ok(())));
    /// }
    /// assert!(buffer == b"abc" && buffer.capacity() >= 700_003);
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The future fails with [`AllocError::LimitExceeded`] if the room would not fit into a pool
    /// without other buffers, [`AllocError::OutOfMemory`] if the system refuses, and
    /// [`AllocError::TooLarge`] if no address space is that large. The buffer is then unchanged.
    pub fn reserve_async(&mut self, additional: usize) -> ReserveFuture<'_> {
        ReserveFuture {
            buffer: self,
            additional,
            ticket: None,
        }
    }

    /// Returns whether this buffer could hold `need` bytes if the pool had no other buffers.
    fn can_ever_hold(&self, need: usize) -> bool {
        let inner = PoolInner::of(self.memory().inner());
        if inner.table.class_of(need).is_some() {
            return true;
        }
        // The bytes that stay mapped beside the new memory.
        let beside = match self.tag.place() {
            Place::Slot => 1 << inner.config.region_shift,
            Place::Large(large) if inner.config.guard_pages => LargeAlloc::of(large).capacity(),
            Place::Part(shared, _) if part::is_of_slot(shared) => 1 << inner.config.region_shift,
            Place::Part(shared, _) => part::whole(shared).1,
            Place::Large(_) | Place::Empty(_) => 0,
        };
        inner.can_ever_fit(need.saturating_add(beside))
    }
}

/// A future of a buffer with a copy of some bytes. From [`Pool::copy_from_slice_async`].
#[must_use = "futures do nothing unless polled"]
pub struct CopyFuture<'a> {
    alloc: AllocFuture,
    bytes: &'a [u8],
}

impl Future for CopyFuture<'_> {
    type Output = Result<Buffer, AllocError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let bytes = self.bytes;
        Pin::new(&mut self.alloc).poll(context).map_ok(|mut copy| {
            copy.copy_from_slice(bytes);
            copy
        })
    }
}

impl fmt::Debug for CopyFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyFuture")
            .field("alloc", &self.alloc)
            .finish_non_exhaustive()
    }
}

/// A future of more room in a buffer. From [`Buffer::reserve_async`].
#[must_use = "futures do nothing unless polled"]
pub struct ReserveFuture<'a> {
    buffer: &'a mut Buffer,
    additional: usize,
    /// The place in the queue of waiters.
    ticket: Option<u64>,
}

impl Future for ReserveFuture<'_> {
    type Output = Result<(), AllocError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self {
            buffer,
            additional,
            ticket,
        } = &mut *self;
        if *additional <= buffer.capacity() - buffer.len() {
            return Poll::Ready(Ok(()));
        }
        // The buffer keeps its pool alive, and stays in the pool when it moves.
        let Ok(inner) = buffer.memory().try_inner() else {
            return Poll::Ready(buffer.try_reserve(*additional));
        };
        let need = buffer.len().saturating_add(*additional);
        if need > MAX_LEN {
            return Poll::Ready(buffer.try_reserve(*additional));
        }
        let buffer = RefCell::new(buffer);
        let attempt = || buffer.borrow_mut().make_room_for(need);
        let can_ever_hold = || buffer.borrow().can_ever_hold(need);
        let line = PoolInner::of(inner).line();
        let result = poll_in_turn(line, ticket, context, attempt, can_ever_hold);
        result.map_err(|refused| alloc::error_of(inner, refused, need))
    }
}

impl Drop for ReserveFuture<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let inner = PoolInner::of(self.buffer.memory().inner());
            drop(inner.line().resume(ticket));
        }
    }
}

impl fmt::Debug for ReserveFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReserveFuture")
            .field("additional", &self.additional)
            .field("waits", &self.ticket.is_some())
            .finish_non_exhaustive()
    }
}
