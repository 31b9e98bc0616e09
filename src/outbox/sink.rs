//! The writer, and the pieces that it is to write next.

use super::piece::Piece;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};

/// Slices in one vectored write: `IOV_MAX` of Linux and the BSDs. On systems that accept fewer, the
/// standard library passes fewer.
pub(super) const MAX_SLICES: usize = 1024;
/// Up to this many pieces, the slices are gathered in a small array, which is cheaper to
/// initialise.
const FEW_SLICES: usize = 64;

/// The writer and its next pieces, which one caller at a time uses.
#[derive(Debug)]
pub(super) struct Sink<W> {
    pub(super) writer: W,
    /// Pieces ahead of all that the queue holds. The first one may be written in part already: it
    /// begins at the next byte to write.
    pub(super) batch: VecDeque<Piece>,
}

impl<W> Sink<W> {
    pub(super) fn new(writer: W) -> Self {
        Self {
            writer,
            batch: VecDeque::new(),
        }
    }

    /// Offers as many pieces as one write accepts, but at most `most`. Returns the result of
    /// `write`, and the number of bytes offered. The batch is unchanged.
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
            // One `Bytes` may be queued many times, so there may be more bytes than memory.
            offered = offered.saturating_add(piece.len());
        }
        (write(&mut self.writer, &slices[..count]), offered)
    }

    /// Removes `count` written bytes from the pieces. Returns how many pieces at the front of the
    /// batch ended with them, which [`drop_first`](Self::drop_first) removes.
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

    /// Drops the first `count` pieces. If one of them panics, because its owner is foreign code,
    /// all are removed nevertheless, and the batch is consistent.
    pub(super) fn drop_first(&mut self, count: usize) {
        drop(self.batch.drain(..count));
    }
}

/// Checks the writer's result of a call that offered this many bytes.
pub(super) fn check(taken: io::Result<usize>, offered: usize) -> io::Result<usize> {
    match taken {
        Ok(0) => Err(io::Error::new(
            ErrorKind::WriteZero,
            "the writer accepts no more bytes",
        )),
        Ok(count) if count > offered => Err(io::Error::other(format!(
            "the writer says that it wrote {count} of {offered} bytes"
        ))),
        taken => taken,
    }
}
