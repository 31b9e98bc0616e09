//! The outbox over `std::io::Write`.

use super::bounds::{Bounds, OutboxBuilder};
use super::error::OutboxError;
use super::piece::Piece;
use super::queue::Queue;
use super::shared::{Found, Shared, State, Turn};
use super::sink::{MAX_SLICES, check};
use super::waiting::{Patience, Waiters};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::MutexGuard;
use std::time::Duration;

/// The first pause after `WouldBlock`. Each pause is twice the one before, up to the last.
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LAST_PAUSE: Duration = Duration::from_millis(1);

/// A bounded queue of [`Buffer`](crate::Buffer)s and [`Bytes`](bytes::Bytes) in front of a writer,
/// modelled on Node's writable streams.
///
/// [`write`](Self::write) queues a piece and returns whether the caller may continue: `false` from
/// the high-water mark on. If no other piece is ahead of it, a piece goes to the writer at once,
/// without a copy. Pieces queue while the outbox is [corked](Self::cork), while another thread is
/// writing, after the writer returned [`WouldBlock`](ErrorKind::WouldBlock), and after an error.
/// Then one [vectored write](Write::write_vectored) passes up to 1024 of them to the writer. A
/// writer without a vectored write of its own gets one piece at a time.
///
/// ```
/// use slabuf::{Buffer, Outbox};
///
/// let outbox = Outbox::new(Vec::new());
/// outbox.cork();
/// outbox.write(Buffer::from(b"content-length: 2\r\n\r\n"))?;
/// outbox.write("ok")?;
/// outbox.uncork(); // one write
/// outbox.flush()?;
/// let (written, unwritten) = outbox.into_parts();
/// assert_eq!(written, b"content-length: 2\r\n\r\nok");
/// assert!(unwritten.is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Bounds
///
/// The mark asks callers to pause, as Node's does; the piece is queued nevertheless. The
/// [limit](OutboxBuilder::limit) in bytes and that in [pieces](OutboxBuilder::max_pieces) are hard:
/// `write` returns a piece that would exceed them in an error. After such an error, or after
/// `false`, call [`drain`](Self::drain), or wait with [`drain_timeout`](Self::drain_timeout) or
/// [`write_timeout`](Self::write_timeout).
///
/// # Errors of the writer
///
/// No byte is lost, and none is written twice. Interrupted writes are retried. After any other
/// error the outbox holds exactly what was not written, and the next `drain` continues there.
/// `write` and `uncork` do not return the writer's errors: they return `false`, and the next call
/// that writes the queue out returns the error. A writer that accepts 0 bytes causes
/// [`WriteZero`](ErrorKind::WriteZero).
///
/// # Threads
///
/// All methods take `&self`: threads share an outbox by reference or `Arc`. One thread at a time
/// uses the writer, with no lock held, and writes what the other threads queue meanwhile, in the
/// order of their calls. So the outbox needs no thread of its own, and only the thread that writes
/// is blocked by the writer. A thread that waits for room writes itself, unless another thread
/// does. A thread that writes may continue for as long as other threads queue pieces.
///
/// # Writers that block, and those that do not
///
/// A blocking writer blocks `write`. The time-outs of this type are checked between two writes
/// only, so set a time-out of the writer, such as `TcpStream::set_write_timeout`. A non-blocking
/// writer returns `WouldBlock`: call `drain` when a poller reports that the writer is ready.
/// [`std::io::Write`] cannot ask for that, so a call with a time-out retries after pauses of 50 µs
/// to 1 ms.
///
/// # Dropping
///
/// What was not written is dropped with the outbox. Call [`flush`](Self::flush) first, or keep the
/// rest with [`into_parts`](Self::into_parts).
pub struct Outbox<W> {
    shared: Shared<W, Waiters>,
}

impl Outbox<()> {
    /// Returns settings for a new outbox.
    ///
    /// ```
    /// let outbox = slabuf::Outbox::builder().high_water_mark(5).build(Vec::new());
    /// outbox.cork();
    /// assert!(outbox.write("four")?);
    /// assert!(!outbox.write("x")?);
    /// # Ok::<(), slabuf::OutboxError>(())
    /// ```
    pub fn builder() -> OutboxBuilder {
        OutboxBuilder::DEFAULT
    }
}

impl<W> Outbox<W> {
    pub(super) fn of(bounds: Bounds, writer: W) -> Self {
        Self {
            shared: Shared::new(bounds, writer, Waiters::default()),
        }
    }

    /// Creates an empty outbox with the default settings: see [`OutboxBuilder`].
    pub fn new(writer: W) -> Self {
        OutboxBuilder::DEFAULT.build(writer)
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
    pub fn get_mut(&mut self) -> &mut W {
        self.shared.writer_mut()
    }

    /// Returns the writer, and the pieces that were not written, in order; the first one may be the
    /// rest of a piece.
    pub fn into_parts(self) -> (W, VecDeque<Piece>) {
        self.shared.into_parts()
    }
}

impl<W: Write> Outbox<W> {
    /// Queues a piece, and returns whether the caller may continue: `false` if the queued bytes
    /// have reached the high-water mark, or the queued pieces their limit, or if the writer failed.
    /// The piece is queued in either case.
    ///
    /// If no other piece is ahead of it, the piece goes to the writer at once. An empty piece is
    /// dropped.
    ///
    /// ```
    /// use slabuf::{Buffer, Outbox};
    ///
    /// let outbox = Outbox::new(std::io::stdout());
    /// if !outbox.write(Buffer::from("hello\n"))? {
    ///     outbox.drain()?;
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
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

    /// Writes as [`write`](Self::write), but waits up to `timeout` for room: it writes the queue
    /// out, corked or not, or waits for the thread that does.
    ///
    /// ```
    /// use slabuf::Outbox;
    /// use std::time::Duration;
    ///
    /// let outbox = Outbox::builder().limit(10).build(Vec::new());
    /// outbox.cork();
    /// outbox.write("seven b")?;
    /// outbox.write_timeout("four", Duration::from_secs(1))?;
    /// assert_eq!(outbox.queued(), 4);
    /// # Ok::<(), slabuf::OutboxError>(())
    /// ```
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
    /// If the writer panics. The piece is then dropped, because it was not queued yet; what was
    /// queued stays.
    pub fn write_timeout(
        &self,
        piece: impl Into<Piece>,
        timeout: Duration,
    ) -> Result<bool, OutboxError> {
        let patience = Patience::new(timeout);
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
            let wanted = |queue: &Queue| (!queue.fits(len)).then(|| queue.accepted());
            match self.write_out(Some(patience), wanted) {
                Ok(()) => {}
                // The writer may return a time-out of its own.
                Err(error) if error.kind() == ErrorKind::TimedOut && patience.is_over() => {
                    return Err(self.shared.state().queue.timed_out(timeout, piece));
                }
                Err(error) => return Err(OutboxError::Io { error, piece }),
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

    /// Writes out everything that was queued before the call, corked or not. Does not flush the
    /// writer.
    ///
    /// If another thread is writing, it waits for that thread, without a time-out.
    ///
    /// # Errors
    ///
    /// The writer's error, including [`WouldBlock`](ErrorKind::WouldBlock), or an earlier one that
    /// `write` did not return. What was not written stays queued, and the next call continues
    /// there.
    pub fn drain(&self) -> io::Result<()> {
        self.drain_with(None)
    }

    /// Drains as [`drain`](Self::drain), but retries after a pause if the writer returns
    /// `WouldBlock`, and fails with [`TimedOut`](ErrorKind::TimedOut) after `timeout` in all. It
    /// calls the writer at least once, unless another thread is writing.
    ///
    /// # Errors
    ///
    /// The writer's error, or [`TimedOut`](ErrorKind::TimedOut). What was not written stays queued.
    pub fn drain_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.drain_with(Some(Patience::new(timeout)))
    }

    /// Drains as [`drain`](Self::drain), then flushes the writer.
    ///
    /// # Errors
    ///
    /// Those of `drain` and of the writer's `flush`.
    pub fn flush(&self) -> io::Result<()> {
        let Some(mut turn) = self.turn(None, |queue| Some(queue.accepted()))? else {
            return Ok(());
        };
        turn.keep = true;
        send(&mut turn)?;
        while let Err(error) = turn.sink().writer.flush() {
            if error.kind() != ErrorKind::Interrupted {
                return Err(error);
            }
        }
        // Writes what other threads have queued meanwhile.
        turn.keep = false;
        send(&mut turn)
    }

    fn drain_with(&self, patience: Option<Patience>) -> io::Result<()> {
        let goal = self.shared.state().queue.accepted();
        self.write_out(patience, |queue| (queue.written() < goal).then_some(goal))
    }

    /// Sends for `write` and `uncork`, which do not return the writer's errors.
    fn send_through(&self, mut turn: Turn<'_, W, Waiters>) -> bool {
        let failed = send(&mut turn).err();
        drop(turn);
        self.shared
            .end(failed.filter(|error| error.kind() != ErrorKind::WouldBlock))
    }

    fn write_out(
        &self,
        patience: Option<Patience>,
        wanted: impl Fn(&Queue) -> Option<u64>,
    ) -> io::Result<()> {
        let mut pause = FIRST_PAUSE;
        while let Some(mut turn) = self.turn(patience, &wanted)? {
            let sent = send(&mut turn);
            drop(turn);
            match (sent, patience) {
                (Err(error), Some(patience)) if error.kind() == ErrorKind::WouldBlock => {
                    let state = self.shared.state();
                    if wanted(&state.queue).is_none() {
                        return Ok(());
                    }
                    let left = patience.left(&state.queue)?;
                    drop(self.shared.signal.wait(state, Some(left.min(pause))));
                    pause = LAST_PAUSE.min(pause * 2);
                }
                (sent, _) => sent?,
            }
        }
        Ok(())
    }

    /// Waits for the turn to do what is `wanted`. Returns `None` if it is done.
    fn turn(
        &self,
        patience: Option<Patience>,
        wanted: impl Fn(&Queue) -> Option<u64>,
    ) -> io::Result<Option<Turn<'_, W, Waiters>>> {
        let mut state: MutexGuard<'_, State<W>> = self.shared.state();
        loop {
            match self.shared.find(&mut state, &wanted)? {
                Found::Nothing => return Ok(None),
                Found::Turn(turn) => return Ok(Some(turn)),
                Found::Wait => {}
            }
            let left = match patience {
                Some(patience) => Some(patience.left(&state.queue)?),
                None => None,
            };
            state = self.shared.signal.wait(state, left);
        }
    }
}

/// Writes until nothing is left, and ends the turn unless it is kept.
fn send<W: Write>(turn: &mut Turn<'_, W, Waiters>) -> io::Result<()> {
    let mut more = turn.wrote(0);
    while more {
        let (taken, offered) = turn
            .sink()
            .offer(MAX_SLICES, |writer, slices| match slices {
                [slice] => writer.write(slice),
                slices => writer.write_vectored(slices),
            });
        match check(taken, offered) {
            Ok(count) => more = turn.wrote(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl<W> fmt::Debug for Outbox<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}
