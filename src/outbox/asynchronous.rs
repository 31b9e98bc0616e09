//! The outbox over `tokio::io::AsyncWrite`.

use super::bounds::{Bounds, OutboxBuilder};
use super::error::{OutboxError, drain_timed_out};
use super::piece::Piece;
use super::queue::Queue;
use super::shared::{Found, Shared, Signal, Turn};
use super::sink::{MAX_SLICES, check};
use event_listener::Event;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::AsyncWrite;
use tokio::time::{Instant, timeout};

/// [`Outbox`](crate::Outbox) over tokio's `AsyncWrite`: the same queue, bounds and corks, with
/// futures in place of blocking calls.
///
/// [`write`](Self::write), [`cork`](Self::cork) and [`uncork`](Self::uncork) are not futures: they
/// pass to the writer what it accepts at once, and leave the rest in the queue. **Nothing is
/// written between calls**: to write the queue out, await [`drain`](Self::drain) or
/// [`flush`](Self::flush), or spawn a task that does.
///
/// ```
/// use slabuf::{AsyncOutbox, Buffer};
/// use tokio::io::AsyncReadExt;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let (near, mut far) = tokio::io::duplex(64);
/// let outbox = AsyncOutbox::new(near);
/// outbox.cork();
/// outbox.write(Buffer::from(b"content-length: 2\r\n\r\n"))?;
/// outbox.write("ok")?;
/// outbox.uncork();
/// outbox.flush().await?;
/// let mut read = [0; 23];
/// far.read_exact(&mut read).await?;
/// assert_eq!(&read, b"content-length: 2\r\n\r\nok");
/// # Ok::<(), std::io::Error>(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Cancellation
///
/// A future that is dropped loses no byte and duplicates none: bytes that the writer accepted are
/// out of the queue, the others are in it, and the next `drain` continues there. If a future of
/// [`write_timeout`](Self::write_timeout) is dropped while it waits, its piece is dropped with it,
/// whole.
///
/// # Tasks
///
/// All methods take `&self`: tasks share an outbox by reference or `Arc`. One task at a time uses
/// the writer, and writes what the other tasks queue meanwhile, in the order of their calls. While
/// the future of a `drain` is neither polled nor dropped, no other task can use the writer: do not
/// keep such a future beside a `select!` without polling it.
///
/// # Errors of the writer, dropping
///
/// As for [`Outbox`](crate::Outbox). An error of kind [`WouldBlock`](ErrorKind::WouldBlock), which
/// an asynchronous writer should not return, is treated as any other error.
pub struct AsyncOutbox<W> {
    shared: Shared<W, Event>,
}

impl Signal for Event {
    fn notify_all(&self) {
        self.notify(usize::MAX);
    }
}

impl<W> AsyncOutbox<W> {
    pub(super) fn of(bounds: Bounds, writer: W) -> Self {
        Self {
            shared: Shared::new(bounds, writer, Event::new()),
        }
    }

    /// Creates an empty outbox with the default settings; for others see
    /// [`Outbox::builder`](crate::Outbox::builder) and [`OutboxBuilder::build_async`].
    pub fn new(writer: W) -> Self {
        OutboxBuilder::DEFAULT.build_async(writer)
    }

    /// Returns the number of bytes that are queued and not written yet.
    pub fn queued(&self) -> usize {
        self.shared.state().queue.bytes()
    }

    /// Returns the number of pieces that are queued and not completely written yet.
    pub fn queued_pieces(&self) -> usize {
        self.shared.state().queue.pieces()
    }

    /// Returns whether callers should pause: the queued bytes have reached the high-water mark, or
    /// the queued pieces their limit.
    pub fn is_over_high_water(&self) -> bool {
        self.shared.state().queue.is_over()
    }

    /// Gathers pieces from now on, until [`uncork`](Self::uncork) has been called as many times as
    /// `cork`.
    ///
    /// The bounds still apply. `drain`, `flush` and a caller that waits for room write out what is
    /// queued, corked or not.
    pub fn cork(&self) {
        self.shared.state().queue.cork();
    }

    /// Returns the writer. Bytes that are written to it directly overtake the queued ones.
    ///
    /// # Panics
    ///
    /// If a future of this outbox was leaked (`std::mem::forget`) while it was writing.
    pub fn get_mut(&mut self) -> &mut W {
        self.shared.writer_mut()
    }

    /// Returns the writer, and the pieces that were not written, in order; the first one may be the
    /// rest of a piece.
    ///
    /// # Panics
    ///
    /// If a future of this outbox was leaked (`std::mem::forget`) while it was writing.
    pub fn into_parts(self) -> (W, VecDeque<Piece>) {
        self.shared.into_parts()
    }
}

impl<W: AsyncWrite + Unpin> AsyncOutbox<W> {
    /// Queues a piece, and returns whether the caller may continue: `false` if the queued bytes
    /// have reached the high-water mark, or the queued pieces their limit, or if the writer failed.
    /// The piece is queued in either case.
    ///
    /// If no other piece is ahead of it, the piece goes to the writer at once; what the writer does
    /// not accept stays queued. An empty piece is dropped.
    ///
    /// # Errors
    ///
    /// [`TooManyBytes`](OutboxError::TooManyBytes) or [`TooManyPieces`](OutboxError::TooManyPieces)
    /// if the piece would exceed a limit. The error contains the whole piece. This method never
    /// returns the writer's errors.
    ///
    /// # Complexity
    ///
    /// Constant for a piece that is queued: one lock, no copy, no system call. Otherwise that of
    /// the writer.
    pub fn write(&self, piece: impl Into<Piece>) -> Result<bool, OutboxError> {
        let (may_go_on, turn) = self.shared.push(piece.into())?;
        Ok(turn.map_or(may_go_on, |turn| self.send_through(turn)))
    }

    /// Writes as [`write`](Self::write), but waits up to `longest` for room: it writes the queue
    /// out, corked or not, or waits for the task that does.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](OutboxError::TimedOut) if there is no room in time; [`Io`](OutboxError::Io)
    /// with the writer's error; at once [`TooManyBytes`](OutboxError::TooManyBytes) or
    /// [`TooManyPieces`](OutboxError::TooManyPieces) if the piece would not fit into an empty
    /// queue. The error contains the whole piece.
    ///
    /// # Panics
    ///
    /// If it is polled outside of a tokio runtime with time enabled, or if the writer panics. In
    /// both cases the piece is dropped, because it was not queued yet; what was queued stays.
    pub async fn write_timeout(
        &self,
        piece: impl Into<Piece>,
        longest: Duration,
    ) -> Result<bool, OutboxError> {
        let start = Instant::now();
        let mut piece = piece.into();
        loop {
            let error = match self.write(piece) {
                Ok(may_go_on) => return Ok(may_go_on),
                Err(error) => error,
            };
            piece = error.into_piece();
            let len = piece.len();
            if !self.shared.state().queue.can_ever_fit(len) {
                return self.write(piece);
            }
            let wanted = move |queue: &Queue| (!queue.fits(len)).then(|| queue.accepted());
            let left = longest.saturating_sub(start.elapsed());
            match timeout(left, self.write_out(wanted)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(OutboxError::Io { error, piece }),
                Err(_) => return Err(self.shared.state().queue.timed_out(longest, piece)),
            }
        }
    }

    /// Removes one cork; does nothing if there is none. Removing the last cork passes the gathered
    /// pieces to the writer. Returns whether the caller may continue, as [`write`](Self::write)
    /// does.
    pub fn uncork(&self) -> bool {
        match self.shared.uncork() {
            Some(turn) => self.send_through(turn),
            None => self.shared.end(None),
        }
    }

    /// Writes out everything that was queued before its first poll, corked or not. Does not flush
    /// the writer.
    ///
    /// # Errors
    ///
    /// The writer's error, or an earlier one that `write` did not return. What was not written
    /// stays queued, and the next call continues there.
    pub async fn drain(&self) -> io::Result<()> {
        let goal = self.shared.state().queue.accepted();
        self.write_out(move |queue| (queue.written() < goal).then_some(goal))
            .await
    }

    /// Drains as [`drain`](Self::drain), for at most `longest`.
    ///
    /// # Errors
    ///
    /// Those of `drain`, or [`TimedOut`](ErrorKind::TimedOut). What was not written stays queued.
    ///
    /// # Panics
    ///
    /// If it is polled outside of a tokio runtime with time enabled.
    pub async fn drain_timeout(&self, longest: Duration) -> io::Result<()> {
        match timeout(longest, self.drain()).await {
            Ok(drained) => drained,
            Err(_) => Err(drain_timed_out(self.queued(), longest)),
        }
    }

    /// Drains as [`drain`](Self::drain), then flushes the writer.
    ///
    /// # Errors
    ///
    /// Those of `drain` and of the writer's `flush`.
    pub async fn flush(&self) -> io::Result<()> {
        self.finish(|writer, cx| writer.poll_flush(cx)).await
    }

    /// Flushes as [`flush`](Self::flush), then shuts the writer down: the peer of a socket sees the
    /// end.
    ///
    /// # Errors
    ///
    /// Those of `flush` and of the writer's `shutdown`.
    pub async fn shutdown(&self) -> io::Result<()> {
        self.flush().await?;
        self.finish(|writer, cx| writer.poll_shutdown(cx)).await
    }

    /// Writes the queue out, and calls `last` before the turn ends.
    async fn finish(
        &self,
        mut last: impl FnMut(Pin<&mut W>, &mut Context<'_>) -> Poll<io::Result<()>>,
    ) -> io::Result<()> {
        let Some(mut turn) = self.turn(|queue| Some(queue.accepted())).await? else {
            return Ok(());
        };
        turn.keep = true;
        poll_fn(|cx| poll_send(&mut turn, cx)).await?;
        loop {
            match poll_fn(|cx| last(Pin::new(&mut turn.sink().writer), cx)).await {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => break done?,
            }
        }
        // Writes what other tasks have queued meanwhile.
        turn.keep = false;
        poll_fn(|cx| poll_send(&mut turn, cx)).await
    }

    /// Sends for `write` and `uncork`, which neither wait nor return the writer's errors. The waker
    /// does nothing: a task that waits for the writer polls it with its own waker.
    fn send_through(&self, mut turn: Turn<'_, W, Event>) -> bool {
        let sent = poll_send(&mut turn, &mut Context::from_waker(Waker::noop()));
        drop(turn);
        self.shared.end(match sent {
            Poll::Ready(sent) => sent.err(),
            Poll::Pending => None,
        })
    }

    async fn write_out(&self, wanted: impl Fn(&Queue) -> Option<u64>) -> io::Result<()> {
        while let Some(mut turn) = self.turn(&wanted).await? {
            poll_fn(|cx| poll_send(&mut turn, cx)).await?;
        }
        Ok(())
    }

    /// Waits for the turn to do what is `wanted`. Returns `None` if it is done.
    async fn turn(
        &self,
        wanted: impl Fn(&Queue) -> Option<u64>,
    ) -> io::Result<Option<Turn<'_, W, Event>>> {
        let mut changed = None;
        loop {
            // The listener was created before this check, so a change after it is not missed.
            match self.shared.find(&mut self.shared.state(), &wanted)? {
                Found::Nothing => return Ok(None),
                Found::Turn(turn) => return Ok(Some(turn)),
                Found::Wait => {}
            }
            match changed.take() {
                None => changed = Some(self.shared.signal.listen()),
                Some(listener) => listener.await,
            }
        }
    }
}

/// Writes until nothing is left, and ends the turn unless it is kept. If the writer is not ready,
/// the turn lasts.
fn poll_send<W: AsyncWrite + Unpin>(
    turn: &mut Turn<'_, W, Event>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let mut more = turn.wrote(0);
    while more {
        let sink = turn.sink();
        let most = if sink.writer.is_write_vectored() {
            MAX_SLICES
        } else {
            1
        };
        let (taken, offered) = sink.offer(most, |writer, slices| match slices {
            [slice] => Pin::new(writer).poll_write(cx, slice),
            slices => Pin::new(writer).poll_write_vectored(cx, slices),
        });
        match check(ready!(taken), offered) {
            Ok(count) => more = turn.wrote(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    Poll::Ready(Ok(()))
}

impl<W> fmt::Debug for AsyncOutbox<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}
