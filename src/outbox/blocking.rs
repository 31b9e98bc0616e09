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

/// The first pause after `WouldBlock`; each is twice the one before, up to the last.
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LAST_PAUSE: Duration = Duration::from_millis(1);

/// A bounded queue of [`Buffer`](crate::Buffer)s and [`Bytes`](bytes::Bytes) in front of a writer, after Node's
/// writable streams.
///
/// [`write`](Self::write) takes a piece and says whether the caller may go on: `false` from the high-water mark on.
/// A piece goes to the writer at once, without a copy, if no other is ahead of it. Pieces queue while the outbox is
/// [corked](Self::cork), while another thread is writing, after the writer said [`WouldBlock`](ErrorKind::WouldBlock)
/// and after an error. Then up to 1024 of them go out with one [vectored write](Write::write_vectored).
/// A writer that has none of its own is given one piece at a time.
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
/// The mark asks callers to pause, as Node's does, and the piece is taken all the same. The [limit](OutboxBuilder::limit)
/// in bytes and the one in [pieces](OutboxBuilder::max_pieces) are hard: past them `write` hands the piece back with
/// an error. Then, or after `false`: [`drain`](Self::drain), or wait with [`drain_timeout`](Self::drain_timeout) or
/// [`write_timeout`](Self::write_timeout).
///
/// # Errors of the writer
///
/// No byte is lost and none written twice. Interrupted writes are tried again. After any other error the outbox
/// holds exactly what was not written, and the next `drain` goes on there. `write` and `uncork` do not return the writer's errors:
/// they say `false`, and the next call that writes the queue out returns the error. A writer that takes 0 bytes gives
/// [`WriteZero`](ErrorKind::WriteZero).
///
/// # Threads
///
/// All methods take `&self`: threads share an outbox by reference or `Arc`. One of them at a time uses the writer, with no
/// lock held, and writes what the others queue meanwhile, in the order of their calls; so no thread of its own is needed for
/// writing, and nobody waits in `write` but the one whose writer blocks. Whoever waits for room writes himself, unless
/// another does. A thread that writes may go on for as long as others queue.
///
/// # Writers that block, and those that do not
///
/// A writer that blocks has `write` wait in it, and a time-out of this type is looked at between two of its writes
/// only; give the writer one of its own, as `TcpStream::set_write_timeout`. A non-blocking one answers `WouldBlock`: call
/// `drain` when a poller says that it is ready. [`std::io::Write`] has no way to ask for that, so where a time-out is given,
/// it is tried again after pauses of 50 µs to 1 ms.
///
/// # Dropping
///
/// What was not written is dropped too; [`flush`](Self::flush) first, or keep it with [`into_parts`](Self::into_parts).
pub struct Outbox<W> {
    shared: Shared<W, Waiters>,
}

impl Outbox<()> {
    /// Settings for a new outbox.
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

    /// An empty outbox with the default settings: see [`OutboxBuilder`].
    pub fn new(writer: W) -> Self {
        OutboxBuilder::DEFAULT.build(writer)
    }

    /// Bytes that were taken and not yet written.
    pub fn queued(&self) -> usize {
        self.shared.state().queue.bytes()
    }

    /// Pieces that were taken and not yet written to their end.
    pub fn queued_pieces(&self) -> usize {
        self.shared.state().queue.pieces()
    }

    /// Whether callers are asked to pause: as many bytes are queued as the high-water mark, or as many pieces as may be.
    pub fn is_over_high_water(&self) -> bool {
        self.shared.state().queue.is_over()
    }

    /// From here on pieces are gathered, until [`uncork`](Self::uncork) was called as many times as this.
    ///
    /// The bounds hold as ever, and `drain`, `flush` and whoever waits for room write out what is queued, corked or not.
    pub fn cork(&self) {
        self.shared.state().queue.cork();
    }

    /// The writer. What is written to it directly gets ahead of what is queued.
    pub fn get_mut(&mut self) -> &mut W {
        self.shared.writer_mut()
    }

    /// The writer, and what was not written, in order; the first piece may be the rest of one.
    pub fn into_parts(self) -> (W, VecDeque<Piece>) {
        self.shared.into_parts()
    }
}

impl<W: Write> Outbox<W> {
    /// Takes a piece, and returns whether the caller may go on: `false` if as many bytes are queued as the
    /// high-water mark or more, or as many pieces as may be, or if the writer failed. The piece is taken in either case.
    ///
    /// It goes to the writer at once if nothing is ahead of it. An empty piece is dropped.
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
    /// If the piece would pass the limit in bytes or in pieces; it is in the error, whole. Never the writer's.
    ///
    /// # Complexity
    ///
    /// Constant for a piece that is queued: a lock, no copy, no system call. Else the writer's.
    pub fn write(&self, piece: impl Into<Piece>) -> Result<bool, OutboxError> {
        let (may_go_on, turn) = self.shared.push(piece.into())?;
        Ok(turn.map_or(may_go_on, |turn| self.send_through(turn)))
    }

    /// As [`write`](Self::write), but waits up to `timeout` for room: writes the queue out, corked or not, or waits for
    /// the thread that does.
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
    /// [`TimedOut`](OutboxError::TimedOut), or the writer's error; at once if the piece is above the limit by itself. The
    /// piece is in the error, whole.
    ///
    /// # Panics
    ///
    /// If the writer panics. The piece is then dropped, because it was not queued yet; what was queued stays.
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
                // A writer may have a time-out of its own.
                Err(error) if error.kind() == ErrorKind::TimedOut && patience.is_over() => {
                    return Err(self.shared.state().queue.timed_out(timeout, piece));
                }
                Err(error) => return Err(OutboxError::Io { error, piece }),
            }
        }
    }

    /// Takes one cork away; a call too many does nothing. With the last one what was gathered goes to the
    /// writer. Returns whether the caller may go on, as [`write`](Self::write) does.
    pub fn uncork(&self) -> bool {
        match self.shared.uncork() {
            Some(turn) => self.send_through(turn),
            None => self.shared.end(None),
        }
    }

    /// Writes out everything that was queued before the call, corked or not. Does not flush the writer.
    ///
    /// Waits, without a time-out, where another thread is writing.
    ///
    /// # Errors
    ///
    /// The writer's, [`WouldBlock`](ErrorKind::WouldBlock) included, or the one a `write` has met before; what was
    /// not written stays queued, and the next call goes on there.
    pub fn drain(&self) -> io::Result<()> {
        self.drain_with(None)
    }

    /// As [`drain`](Self::drain), but where the writer says `WouldBlock` it is asked again after a pause, and after
    /// `timeout` in all the error is [`TimedOut`](ErrorKind::TimedOut). The writer is asked at least once, unless another
    /// thread is writing.
    ///
    /// # Errors
    ///
    /// The writer's, or that time is up; what was not written stays queued.
    pub fn drain_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.drain_with(Some(Patience::new(timeout)))
    }

    /// [`drain`](Self::drain), and flushes the writer.
    ///
    /// # Errors
    ///
    /// As `drain`, and those of the writer's `flush`.
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
        // What others have queued meanwhile.
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

    /// Waits for the turn to do what is `wanted`; `None` if it is done.
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
