//! Constructors that wait for room under the pool's limit, and waiting for a pool to drain.

use super::Buffer;
use crate::buffer::raw::Fill;
use crate::buffer::raw::alloc::{self, Source};
use crate::error::{AllocError, AllocFailure};
use crate::inner::PoolInner;
use crate::pool::Pool;
use crate::pressure::wait_queue::Line;
use crate::pressure::wake::Wake;
use crate::util::attempt;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

impl Pool {
    /// Allocates `len` zeros, as [`alloc`](Self::alloc). If the pool's
    /// [`limit`](crate::PoolBuilder::limit) has no room, it blocks until there is room, at most for
    /// `timeout`.
    ///
    /// Waiters are served first in, first out, whether they block here or wait as a
    /// [future](Self::alloc_async): a large request blocks smaller ones behind it. The constructors
    /// that do not wait use free memory without regard to the queue.
    ///
    /// ```
    /// use slabuf::{AllocError, Pool};
    /// use std::time::Duration;
    ///
    /// let pool = Pool::builder().limit(1 << 20).build()?;
    /// let first = pool.alloc(700_000);
    /// let error = pool.alloc_timeout(700_000, Duration::from_millis(5)).unwrap_err();
    /// assert!(matches!(
    ///     error,
    ///     AllocError::TimedOut { requested: 700_000, limit: Some(1_048_576), .. }
    /// ));
    ///
    /// let second = std::thread::scope(|scope| {
    ///     let waiting = scope.spawn(|| pool.alloc_timeout(700_000, Duration::from_secs(60)));
    ///     drop(first);
    ///     waiting.join().unwrap()
    /// });
    /// assert_eq!(second.unwrap().len(), 700_000);
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`AllocError::TimedOut`] if there was no room within `timeout`. At once:
    /// [`AllocError::LimitExceeded`] if `len` would not fit into an empty pool, and the errors of
    /// [`try_alloc`](Self::try_alloc) that waiting cannot resolve.
    ///
    /// # Complexity
    ///
    /// That of `alloc` if there is room. Otherwise it blocks the thread, and an attempt may release
    /// the pool's caches, with system calls.
    pub fn alloc_timeout(&self, len: usize, timeout: Duration) -> Result<Buffer, AllocError> {
        wait(self, len, Fill::Zero, timeout)
    }

    /// Allocates `len` stale bytes, as [`alloc_unsafe`](Self::alloc_unsafe), and waits as
    /// [`alloc_timeout`](Self::alloc_timeout).
    ///
    /// # Errors
    ///
    /// Those of [`alloc_timeout`](Self::alloc_timeout).
    pub fn alloc_unsafe_timeout(
        &self,
        len: usize,
        timeout: Duration,
    ) -> Result<Buffer, AllocError> {
        wait(self, len, Fill::Stale, timeout)
    }

    /// Returns a future of a buffer of `len` zeros, which waits until the pool's limit has room. It
    /// works with any executor, and waits in the same queue as
    /// [`alloc_timeout`](Self::alloc_timeout), from its first poll on. Dropping it gives up its
    /// place in the queue. For a time-out, use that of the executor. A future that is first in the
    /// queue and neither polled nor dropped blocks all waiters behind it.
    ///
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use slabuf::Pool;
    ///
    /// # let context = &mut Context::from_waker(Waker::noop());
    /// let pool = Pool::builder().limit(1 << 20).build()?;
    /// let first = pool.alloc(700_000);
    /// let mut second = pin!(pool.alloc_async(700_000));
    /// assert!(second.as_mut().poll(context).is_pending());
    /// drop(first);
    /// assert!(matches!(second.poll(context), Poll::Ready(Ok(_))));
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The future fails as [`alloc_timeout`](Self::alloc_timeout), except for `TimedOut`.
    pub fn alloc_async(&self, len: usize) -> AllocFuture {
        AllocFuture::new(self, len, Fill::Zero)
    }

    /// Returns a future as [`alloc_async`](Self::alloc_async), of a buffer of stale bytes as
    /// [`alloc_unsafe`](Self::alloc_unsafe).
    ///
    /// # Errors
    ///
    /// The future fails as that of [`alloc_async`](Self::alloc_async).
    pub fn alloc_unsafe_async(&self, len: usize) -> AllocFuture {
        AllocFuture::new(self, len, Fill::Stale)
    }

    /// Returns whether the pool's live buffers have reached its
    /// [high-water mark](crate::PoolBuilder::high_water_mark) and not come down to its low-water
    /// mark since. Allocations still succeed. `false` without a mark.
    ///
    /// ```
    /// let pool = slabuf::Pool::builder().high_water_mark(100_000).build()?;
    /// let almost = pool.alloc(99_999);
    /// assert!(!pool.is_over_high_water());
    /// let more = pool.alloc(1);
    /// assert!(pool.is_over_high_water());
    /// drop(almost);
    /// assert!(!pool.is_over_high_water());
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    ///
    /// # Complexity
    ///
    /// Constant: one load. Makes no system call.
    pub fn is_over_high_water(&self) -> bool {
        let watermarks = &PoolInner::of(self.inner()).watermarks;
        watermarks
            .as_ref()
            .is_some_and(|watermarks| watermarks.is_over())
    }

    /// Blocks until the pool has drained: its live buffers have reached the high-water mark, and
    /// then come down to the [low-water mark](crate::PoolBuilder::low_water_mark). Returns `true`
    /// then, and at once if the pool is not over its mark; `false` after `timeout`. All waiters are
    /// woken, once, even if the pool fills again meanwhile.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let pool = slabuf::Pool::builder().high_water_mark(100_000).build()?;
    /// let buffer = pool.alloc(100_000);
    /// assert!(!pool.wait_drained(Duration::from_millis(1)));
    /// drop(buffer);
    /// assert!(pool.wait_drained(Duration::ZERO));
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    pub fn wait_drained(&self, timeout: Duration) -> bool {
        let until = Instant::now().checked_add(timeout);
        let watermarks = &PoolInner::of(self.inner()).watermarks;
        watermarks
            .as_ref()
            .is_none_or(|watermarks| watermarks.wait(until))
    }

    /// Returns a future that is ready when the pool has drained, as
    /// [`wait_drained`](Self::wait_drained). It works with any executor, and watches the pool from
    /// its creation on.
    ///
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// # let context = &mut Context::from_waker(Waker::noop());
    /// let pool = slabuf::Pool::builder().high_water_mark(100_000).build()?;
    /// let buffer = pool.alloc(100_000);
    /// let mut drained = pin!(pool.drained());
    /// assert!(drained.as_mut().poll(context).is_pending());
    /// drop(buffer);
    /// assert!(drained.poll(context).is_ready());
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    pub fn drained(&self) -> Drained {
        let watermarks = &PoolInner::of(self.inner()).watermarks;
        Drained {
            watch: watermarks
                .as_ref()
                .map(|watermarks| watermarks.watch().suspend()),
            pool: self.clone(),
        }
    }
}

fn wait(pool: &Pool, len: usize, fill: Fill, timeout: Duration) -> Result<Buffer, AllocError> {
    let inner = PoolInner::of(pool.inner());
    let attempt = || pool.take(len, fill);
    if !inner.can_ever_fit(len) {
        return attempt().map_or_else(
            |refused| Err(pool.error(refused, len)),
            |memory| Ok(Buffer::of_memory(memory, len)),
        );
    }
    let start = Instant::now();
    match inner.line().wait(start.checked_add(timeout), attempt) {
        Ok(memory) => Ok(Buffer::of_memory(memory, len)),
        Err(refused) if refused.is_limit() => Err(alloc::timed_out(inner, len, start.elapsed())),
        Err(refused) => Err(pool.error(refused, len)),
    }
}

/// A future of a buffer. From [`Pool::alloc_async`], [`Pool::alloc_unsafe_async`] and
/// [`Pool::with_capacity_async`].
#[must_use = "futures do nothing unless polled"]
pub struct AllocFuture {
    pool: Pool,
    /// The requested length, or capacity.
    requested: usize,
    /// The new buffer's length.
    len: usize,
    fill: Fill,
    /// The place in the queue of waiters.
    ticket: Option<u64>,
}

impl AllocFuture {
    fn new(pool: &Pool, len: usize, fill: Fill) -> Self {
        Self {
            pool: pool.clone(),
            requested: len,
            len,
            fill,
            ticket: None,
        }
    }

    pub(super) fn with_capacity(pool: &Pool, capacity: usize) -> Self {
        let mut future = Self::new(pool, capacity, Fill::Reserve);
        future.len = 0;
        future
    }
}

/// Polls an attempt that waits in the line of its pool: at once if the queue is empty, otherwise in
/// its turn. It waits after a refusal by the limit or the budget, if `can_ever_fit` returns `true`.
pub(super) fn poll_in_turn<T>(
    line: Line<'_>,
    ticket: &mut Option<u64>,
    context: &Context<'_>,
    mut attempt: impl FnMut() -> Result<T, AllocFailure>,
    can_ever_fit: impl Fn() -> bool,
) -> Poll<Result<T, AllocFailure>> {
    let waits = |result: &Result<T, AllocFailure>| match result {
        Err(failure) => failure.is_limit() && can_ever_fit(),
        Ok(_) => false,
    };
    let turn = match ticket.take() {
        Some(ticket) => line.resume(ticket),
        None => {
            if line.queue.len() == 0 {
                let result = attempt();
                if !waits(&result) {
                    return Poll::Ready(result);
                }
            }
            match line.join() {
                Ok(turn) => turn,
                Err(failure) => return Poll::Ready(Err(failure)),
            }
        }
    };
    if let Some(kind) = turn.may_try(Wake::Task(context.waker().clone())) {
        let result = attempt::run(kind, &mut attempt);
        match &result {
            Err(failure) if waits(&result) => turn.refused(*failure),
            _ => return Poll::Ready(result),
        }
    }
    *ticket = Some(turn.suspend());
    Poll::Pending
}

impl Future for AllocFuture {
    type Output = Result<Buffer, AllocError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self {
            pool,
            requested,
            len,
            fill,
            ticket,
        } = &mut *self;
        let pool: &Pool = pool;
        let inner = PoolInner::of(pool.inner());
        let attempt = || {
            let memory = pool.take(*requested, *fill)?;
            Ok(Buffer::of_memory(memory, *len))
        };
        let can_ever_fit = || inner.can_ever_fit(*requested);
        let result = poll_in_turn(inner.line(), ticket, context, attempt, can_ever_fit);
        result.map_err(|refused| pool.error(refused, *requested))
    }
}

impl Drop for AllocFuture {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            drop(PoolInner::of(self.pool.inner()).line().resume(ticket));
        }
    }
}

impl fmt::Debug for AllocFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllocFuture")
            .field("requested", &self.requested)
            .field("waits", &self.ticket.is_some())
            .finish_non_exhaustive()
    }
}

/// A future that is ready when a pool has drained. From [`Pool::drained`].
#[must_use = "futures do nothing unless polled"]
pub struct Drained {
    pool: Pool,
    watch: Option<(u64, u32)>,
}

impl Future for Drained {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let inner = PoolInner::of(self.pool.inner());
        let (Some(watermarks), Some(parts)) = (&inner.watermarks, self.watch.take()) else {
            return Poll::Ready(());
        };
        let watch = watermarks.resume(parts);
        match watch.is_drained(Wake::Task(context.waker().clone())) {
            Ok(true) => return Poll::Ready(()),
            Ok(false) => (),
            // Without memory to register the waker, poll again.
            Err(_) => context.waker().wake_by_ref(),
        }
        self.watch = Some(watch.suspend());
        Poll::Pending
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        let inner = PoolInner::of(self.pool.inner());
        if let (Some(watermarks), Some(parts)) = (&inner.watermarks, self.watch.take()) {
            drop(watermarks.resume(parts));
        }
    }
}

impl fmt::Debug for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drained")
            .field("waits", &self.watch.is_some())
            .finish_non_exhaustive()
    }
}
