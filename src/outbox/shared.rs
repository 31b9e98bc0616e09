//! The queue and the sink under one lock, and who may use the sink.

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

/// Wakes those who wait for room or for their turn.
pub(super) trait Signal {
    fn notify_all(&self);
}

#[derive(Debug)]
pub(super) struct State<W> {
    pub(super) queue: Queue,
    /// `None` while somebody's turn lasts.
    sink: Option<Sink<W>>,
    /// What went wrong in a call that does not return it.
    error: Option<io::Error>,
}

/// What both outboxes are.
pub(super) struct Shared<W, S> {
    state: Mutex<State<W>>,
    pub(super) signal: S,
}

/// What somebody finds who wants bytes to be written.
pub(super) enum Found<'a, W, S: Signal> {
    /// They are.
    Nothing,
    /// It is his turn.
    Turn(Turn<'a, W, S>),
    /// It is somebody else's turn.
    Wait,
}

impl<W> State<W> {
    /// Whether the caller may go on.
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

    /// Takes a piece. Says whether the caller may go on, and gives a turn if nothing is ahead of the piece and no cork
    /// holds it back.
    pub(super) fn push(&self, piece: Piece) -> Result<(bool, Option<Turn<'_, W, S>>), OutboxError> {
        let mut state = self.state();
        if piece.is_empty() {
            let may_go_on = state.may_go_on();
            drop(state);
            // Here, because its owner is foreign code, which may use the outbox.
            drop(piece);
            return Ok((may_go_on, None));
        }
        let first = state.queue.bytes() == 0;
        state.queue.push(piece)?;
        let send = first && !state.queue.is_corked() && state.error.is_none();
        let turn = if send { self.turn(&mut state, 0) } else { None };
        Ok((state.may_go_on(), turn))
    }

    /// Takes one cork away, and gives a turn if it was the last.
    pub(super) fn uncork(&self) -> Option<Turn<'_, W, S>> {
        let mut state = self.state();
        let send = state.queue.uncork() && state.queue.bytes() > 0 && state.error.is_none();
        if send { self.turn(&mut state, 0) } else { None }
    }

    /// Ends what a turn of `push` or `uncork` has begun: `failed` is left to the next who drains. Whether the
    /// caller may go on.
    pub(super) fn end(&self, failed: Option<io::Error>) -> bool {
        let mut state = self.state();
        let old = match failed {
            Some(failed) => state.error.replace(failed),
            None => None,
        };
        let may_go_on = state.may_go_on();
        drop(state);
        // Here, because an error can hold foreign code.
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

    /// What is to be done for `wanted`: it names up to which byte must be written, or nothing if that is done.
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

    /// The writer, and what was not written, in order.
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

const LEAKED: &str = "the writer went with a future that was leaked";

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

/// The right to use the sink. It goes back when the turn ends, in whatever way.
pub(super) struct Turn<'a, W, S: Signal> {
    shared: &'a Shared<W, S>,
    sink: Option<Sink<W>>,
    /// Up to here bytes are written corked or not.
    goal: u64,
    /// Whether the turn lasts when nothing is left to write.
    pub(super) keep: bool,
}

impl<W, S: Signal> Turn<'_, W, S> {
    pub(super) fn sink(&mut self) -> &mut Sink<W> {
        self.sink.as_mut().expect("it goes when the turn ends")
    }

    /// Notes that the writer has taken so many bytes, and takes from the queue what waits there. Whether there is more
    /// to write; if not, the turn is over.
    ///
    /// The look at the queue and the end are one step under the lock: a piece that comes later finds the sink.
    ///
    /// # Panics
    ///
    /// If the owner of a piece panics when the piece is dropped.
    pub(super) fn wrote(&mut self, bytes: usize) -> bool {
        let Some(sink) = &mut self.sink else {
            return false;
        };
        let pieces = sink.advance(bytes);
        // A panic of a piece's owner goes on when the queue knows what was written.
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
