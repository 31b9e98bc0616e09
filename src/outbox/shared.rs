//! The queue and the sink under one lock, and the turn of the caller that uses the sink.

use super::bounds::Bounds;
use super::error::OutboxError;
use super::piece::Piece;
use super::queue::Queue;
use super::sink::Sink;
use crate::sync::{Mutex, MutexGuard, lock};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::PoisonError;

/// Wakes the callers that wait for room or for their turn.
pub(super) trait Signal {
    fn notify_all(&self);
}

#[derive(Debug)]
pub(super) struct State<W> {
    pub(super) queue: Queue,
    /// `None` during a caller's turn.
    sink: Option<Sink<W>>,
    /// The error of a call that does not return it.
    error: Option<io::Error>,
}

/// The parts that both outboxes share.
pub(super) struct Shared<W, S> {
    state: Mutex<State<W>>,
    pub(super) signal: S,
}

/// The state of a request to write bytes.
pub(super) enum Found<'a, W, S: Signal> {
    /// The bytes are written.
    Nothing,
    /// The caller has the turn.
    Turn(Turn<'a, W, S>),
    /// Another caller has the turn.
    Wait,
}

impl<W> State<W> {
    /// Returns whether the caller may continue.
    fn may_go_on(&self) -> bool {
        !self.queue.is_over() && self.error.is_none()
    }
}

impl<W, S: Signal> Shared<W, S> {
    pub(super) fn new(bounds: Bounds, writer: W, signal: S) -> Self {
        let state = State {
            queue: Queue::new(bounds),
            sink: Some(Sink::new(writer)),
            error: None,
        };
        Self {
            state: Mutex::new(state),
            signal,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State<W>> {
        lock(&self.state)
    }

    /// Queues a piece. Returns whether the caller may continue, and a turn if no piece is ahead and
    /// no cork holds it back.
    pub(super) fn push(&self, piece: Piece) -> Result<(bool, Option<Turn<'_, W, S>>), OutboxError> {
        let mut state = self.state();
        if piece.is_empty() {
            let may_go_on = state.may_go_on();
            drop(state);
            // Dropped here, because its owner is foreign code, which may use the outbox.
            drop(piece);
            return Ok((may_go_on, None));
        }
        let first = state.queue.bytes() == 0;
        state.queue.push(piece)?;
        let send = first && !state.queue.is_corked() && state.error.is_none();
        let turn = if send { self.turn(&mut state, 0) } else { None };
        Ok((state.may_go_on(), turn))
    }

    /// Removes one cork. Returns a turn if it was the last one.
    pub(super) fn uncork(&self) -> Option<Turn<'_, W, S>> {
        let mut state = self.state();
        let send = state.queue.uncork() && state.queue.bytes() > 0 && state.error.is_none();
        if send { self.turn(&mut state, 0) } else { None }
    }

    /// Ends a turn of `push` or `uncork`, and stores the error `failed` for the next caller that
    /// drains. Returns whether the caller may continue.
    pub(super) fn end(&self, failed: Option<io::Error>) -> bool {
        let mut state = self.state();
        let old = match failed {
            Some(failed) => state.error.replace(failed),
            None => None,
        };
        let may_go_on = state.may_go_on();
        drop(state);
        // Dropped here, because an error can hold foreign code.
        drop(old);
        may_go_on
    }

    fn turn(&self, state: &mut State<W>, goal: u64) -> Option<Turn<'_, W, S>> {
        Some(Turn {
            shared: self,
            sink: Some(state.sink.take()?),
            goal,
            keep: false,
        })
    }

    /// Returns the state of the request `wanted`, which returns up to which byte the queue must be
    /// written, or `None` if that is done.
    pub(super) fn find(
        &self,
        state: &mut State<W>,
        wanted: impl Fn(&Queue) -> Option<u64>,
    ) -> io::Result<Found<'_, W, S>> {
        if let Some(error) = state.error.take() {
            return Err(error);
        }
        let Some(goal) = wanted(&state.queue) else {
            return Ok(Found::Nothing);
        };
        Ok(match self.turn(state, goal) {
            Some(turn) => Found::Turn(turn),
            None => Found::Wait,
        })
    }

    fn state_mut(&mut self) -> &mut State<W> {
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Panics
    ///
    /// If a turn was leaked.
    pub(super) fn writer_mut(&mut self) -> &mut W {
        &mut self.state_mut().sink.as_mut().expect(LEAKED).writer
    }

    /// Returns the writer, and the pieces that were not written, in order.
    ///
    /// # Panics
    ///
    /// If a turn was leaked.
    pub(super) fn into_parts(self) -> (W, VecDeque<Piece>) {
        let state = self.state.into_inner();
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let mut sink = state.sink.take().expect(LEAKED);
        state.queue.move_into(&mut sink.batch, u64::MAX);
        (sink.writer, sink.batch)
    }
}

const LEAKED: &str = "the writer is in a future that was leaked";

impl<W, S: Signal> fmt::Debug for Shared<W, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Outbox")
            .field("queued", &state.queue.bytes())
            .field("queued_pieces", &state.queue.pieces())
            .field("corked", &state.queue.is_corked())
            .finish_non_exhaustive()
    }
}

/// The right to use the sink. The sink returns to its place when the turn ends, in whatever way.
pub(super) struct Turn<'a, W, S: Signal> {
    shared: &'a Shared<W, S>,
    sink: Option<Sink<W>>,
    /// Bytes up to this one are written, corked or not.
    goal: u64,
    /// Whether the turn lasts when nothing is left to write.
    pub(super) keep: bool,
}

impl<W, S: Signal> Turn<'_, W, S> {
    pub(super) fn sink(&mut self) -> &mut Sink<W> {
        self.sink.as_mut().expect("present until the turn ends")
    }

    /// Counts bytes that the writer has accepted, and takes the queued pieces. Returns whether
    /// there is more to write; if not, the turn is over.
    ///
    /// Taking the pieces and ending the turn are one step under the lock: a caller that queues a
    /// piece after that finds the sink.
    ///
    /// # Panics
    ///
    /// If the owner of a piece panics when the piece is dropped.
    pub(super) fn wrote(&mut self, bytes: usize) -> bool {
        let Some(sink) = &mut self.sink else {
            return false;
        };
        let pieces = sink.advance(bytes);
        // A panic of a piece's owner continues after the queue has counted what was written.
        let dropped = catch_unwind(AssertUnwindSafe(|| sink.drop_first(pieces)));
        let mut state = self.shared.state();
        state.queue.note_written(bytes, pieces);
        state.queue.move_into(&mut sink.batch, self.goal);
        let more = !sink.batch.is_empty();
        if !more && !self.keep {
            state.sink = self.sink.take();
        }
        drop(state);
        if bytes > 0 || !more {
            self.shared.signal.notify_all();
        }
        if let Err(payload) = dropped {
            resume_unwind(payload);
        }
        more
    }
}

impl<W, S: Signal> Drop for Turn<'_, W, S> {
    fn drop(&mut self) {
        if let Some(sink) = self.sink.take() {
            self.shared.state().sink = Some(sink);
            self.shared.signal.notify_all();
        }
    }
}
