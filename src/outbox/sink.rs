//! The writer, and the pieces it is being given.

use super::piece::Piece;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};

/// Slices in one vectored write: Linux's and the BSDs' `IOV_MAX`. The standard library cuts where a system takes fewer.
pub(super) const MAX_SLICES: usize = 1024;
/// Up to so many pieces the slices are gathered in a small array, which costs less to set up.
const FEW_SLICES: usize = 64;

/// What one caller at a time has in hand.
#[derive(Debug)]
pub(super) struct Sink<W> {
    pub(super) writer: W,
    /// Ahead of all that the queue holds. The first piece may be written in part already: it begins where the writer
    /// goes on.
    pub(super) batch: VecDeque<Piece>,
}

impl<W> Sink<W> {
    pub(super) fn new(writer: W) -> Self {
        Self {
            writer,
            batch: VecDeque::new(),
        }
    }

    /// Offers as many pieces as one write can take, but at most `most`. Returns with what `write` gave how many bytes
    /// it was offered. The batch stays as it is.
    pub(super) fn offer<R>(
        &mut self,
        most: usize,
        write: impl FnOnce(&mut W, &[IoSlice<'_>]) -> R,
    ) -> (R, usize) {
        let count = self.batch.len().min(most);
        if count <= FEW_SLICES {
            self.gather::<FEW_SLICES, R>(count, write)
        } else {
            self.gather::<MAX_SLICES, R>(count, write)
        }
    }

    fn gather<const N: usize, R>(
        &mut self,
        most: usize,
        write: impl FnOnce(&mut W, &[IoSlice<'_>]) -> R,
    ) -> (R, usize) {
        let mut slices = [IoSlice::new(&[]); N];
        let (mut count, mut offered) = (0, 0usize);
        for (slice, piece) in slices.iter_mut().zip(self.batch.iter().take(most)) {
            *slice = IoSlice::new(piece);
            count += 1;
            // One `Bytes` may stand in the queue many times, so there may be more bytes than memory.
            offered = offered.saturating_add(piece.len());
        }
        (write(&mut self.writer, &slices[..count]), offered)
    }

    /// Takes `count` written bytes off the pieces, and returns how many pieces at the front of the batch ended with
    /// them; [`drop_first`](Self::drop_first) takes those off.
    pub(super) fn advance(&mut self, mut count: usize) -> usize {
        let mut ended = 0;
        for piece in &mut self.batch {
            if count < piece.len() {
                if count > 0 {
                    piece.advance(count);
                }
                break;
            }
            count -= piece.len();
            ended += 1;
        }
        ended
    }

    /// Drops the first `count` pieces. All are gone and the batch is in order, also where one of them panics: its owner
    /// is foreign code.
    pub(super) fn drop_first(&mut self, count: usize) {
        drop(self.batch.drain(..count));
    }
}

/// What to make of the writer's answer when it was offered so many bytes.
pub(super) fn check(taken: io::Result<usize>, offered: usize) -> io::Result<usize> {
    match taken {
        Ok(0) => Err(io::Error::new(
            ErrorKind::WriteZero,
            "the writer takes no more bytes",
        )),
        Ok(count) if count > offered => Err(io::Error::other(format!(
            "the writer says that it wrote {count} of {offered} bytes"
        ))),
        taken => taken,
    }
}
