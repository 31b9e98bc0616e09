//! The pieces that wait, their count, and the corks.

use super::bounds::Bounds;
use super::error::OutboxError;
use super::piece::Piece;
use std::collections::VecDeque;

/// A queue of pieces. Its counters include the pieces that the sink has taken and not written yet.
#[derive(Debug)]
pub(super) struct Queue {
    bounds: Bounds,
    /// Pieces that the sink has not taken yet. No piece is empty.
    incoming: VecDeque<Piece>,
    bytes: usize,
    pieces: usize,
    /// Bytes written so far.
    written: u64,
    /// Bytes that the sink has taken so far.
    moved: u64,
    corks: usize,
}

impl Queue {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            incoming: VecDeque::new(),
            bytes: 0,
            pieces: 0,
            written: 0,
            moved: 0,
            corks: 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn pieces(&self) -> usize {
        self.pieces
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Returns the number of bytes queued so far: when as many are written, all of these are.
    pub(super) fn accepted(&self) -> u64 {
        self.written + self.bytes as u64
    }

    /// Returns whether callers should pause. Exactly the mark counts as over, and so does the last
    /// piece.
    pub(super) fn is_over(&self) -> bool {
        self.bytes >= self.bounds.high_water_mark
            || self.bytes >= self.bounds.limit
            || self.pieces >= self.bounds.max_pieces
    }

    pub(super) fn fits(&self, len: usize) -> bool {
        len == 0 || (self.pieces < self.bounds.max_pieces && len <= self.bounds.limit - self.bytes)
    }

    /// Returns whether a piece of `len` bytes fits into an empty queue.
    pub(super) fn can_ever_fit(&self, len: usize) -> bool {
        len == 0 || (self.bounds.max_pieces > 0 && len <= self.bounds.limit)
    }

    /// Queues a piece that is not empty.
    pub(super) fn push(&mut self, piece: Piece) -> Result<(), OutboxError> {
        let len = piece.len();
        debug_assert!(len > 0);
        if !self.fits(len) {
            return Err(self.refusal(piece));
        }
        self.bytes += len;
        self.pieces += 1;
        self.incoming.push_back(piece);
        Ok(())
    }

    fn refusal(&self, piece: Piece) -> OutboxError {
        let Bounds {
            limit, max_pieces, ..
        } = self.bounds;
        if self.pieces >= max_pieces {
            return OutboxError::TooManyPieces {
                limit: max_pieces,
                piece,
            };
        }
        OutboxError::TooManyBytes {
            queued: self.bytes,
            limit,
            piece,
        }
    }

    pub(super) fn timed_out(&self, waited: std::time::Duration, piece: Piece) -> OutboxError {
        OutboxError::TimedOut {
            waited,
            queued: self.bytes,
            limit: self.bounds.limit,
            pieces: self.pieces,
            max_pieces: self.bounds.max_pieces,
            piece,
        }
    }

    /// Moves the queued pieces behind `batch`. A cork holds them back, unless bytes up to `goal`
    /// must be written.
    pub(super) fn move_into(&mut self, batch: &mut VecDeque<Piece>, goal: u64) {
        if self.is_corked() && self.moved >= goal {
            return;
        }
        self.moved = self.accepted();
        if batch.is_empty() {
            std::mem::swap(batch, &mut self.incoming);
        } else {
            batch.append(&mut self.incoming);
        }
    }

    /// Counts written bytes, and the pieces that ended with them.
    pub(super) fn note_written(&mut self, bytes: usize, pieces: usize) {
        self.bytes -= bytes;
        self.pieces -= pieces;
        self.written += bytes as u64;
    }

    pub(super) fn is_corked(&self) -> bool {
        self.corks > 0
    }

    pub(super) fn cork(&mut self) {
        self.corks = self.corks.saturating_add(1);
    }

    /// Removes one cork. Returns whether it was the last one.
    pub(super) fn uncork(&mut self) -> bool {
        let last = self.corks == 1;
        self.corks = self.corks.saturating_sub(1);
        last
    }
}
