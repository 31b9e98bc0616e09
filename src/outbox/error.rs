//! Errors of queuing a piece, and of draining in time.

use super::piece::Piece;
use std::fmt;
use std::io;
use std::time::Duration;

/// The reason why an outbox did not queue a piece. The error contains the whole piece: see
/// [`into_piece`](Self::into_piece).
///
/// ```
/// use slabuf::{Outbox, OutboxError};
///
/// let outbox = Outbox::builder().limit(10).build(std::io::sink());
/// outbox.cork();
/// outbox.write("seven b")?;
/// let error = outbox.write("four").unwrap_err();
/// assert!(matches!(error, OutboxError::TooManyBytes { queued: 7, limit: 10, .. }));
/// assert_eq!(
///     error.to_string(),
///     "cannot queue a piece of 4 bytes: 7 bytes are queued, and the limit is 10 bytes"
/// );
/// assert_eq!(error.into_piece()[..], b"four"[..]);
/// # Ok::<(), OutboxError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum OutboxError {
    /// The piece would exceed the queue's limit in bytes.
    TooManyBytes {
        /// Queued bytes.
        queued: usize,
        /// The limit in bytes.
        limit: usize,
        /// The piece that was not queued.
        piece: Piece,
    },
    /// The queue's limit in pieces is reached.
    TooManyPieces {
        /// The limit in pieces.
        limit: usize,
        /// The piece that was not queued.
        piece: Piece,
    },
    /// There was no room within the time-out.
    TimedOut {
        /// The time-out.
        waited: Duration,
        /// Queued bytes.
        queued: usize,
        /// The limit in bytes.
        limit: usize,
        /// Queued pieces.
        pieces: usize,
        /// The limit in pieces.
        max_pieces: usize,
        /// The piece that was not queued.
        piece: Piece,
    },
    /// The writer failed while the outbox made room.
    Io {
        /// The writer's error.
        error: io::Error,
        /// The piece that was not queued.
        piece: Piece,
    },
}

impl OutboxError {
    /// Returns the piece that was not queued.
    ///
    /// ```
    /// let outbox = slabuf::Outbox::builder().max_pieces(0).build(std::io::sink());
    /// let piece = outbox.write("kept").unwrap_err().into_piece();
    /// assert_eq!(piece[..], b"kept"[..]);
    /// ```
    pub fn into_piece(self) -> Piece {
        match self {
            Self::TooManyBytes { piece, .. }
            | Self::TooManyPieces { piece, .. }
            | Self::TimedOut { piece, .. }
            | Self::Io { piece, .. } => piece,
        }
    }
}

impl fmt::Display for OutboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyBytes {
                queued,
                limit,
                piece,
            } => write!(
                f,
                "cannot queue a piece of {} bytes: {queued} bytes are queued, and the limit is {limit} bytes",
                piece.len()
            ),
            Self::TooManyPieces { limit, piece } => write!(
                f,
                "cannot queue a piece of {} bytes: the limit of {limit} pieces is reached",
                piece.len()
            ),
            Self::TimedOut {
                waited,
                queued,
                limit,
                pieces,
                max_pieces,
                piece,
            } => write!(
                f,
                "cannot queue a piece of {} bytes: after {waited:?}, {queued} of at most {limit} bytes and \
                 {pieces} of at most {max_pieces} pieces are queued",
                piece.len()
            ),
            Self::Io { error, piece } => write!(
                f,
                "cannot queue a piece of {} bytes: the writer failed: {error}",
                piece.len()
            ),
        }
    }
}

impl std::error::Error for OutboxError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Wraps the [`OutboxError`], with the piece in it. The kind is
/// [`QuotaExceeded`](io::ErrorKind::QuotaExceeded), [`TimedOut`](io::ErrorKind::TimedOut), or that
/// of the writer's error.
impl From<OutboxError> for io::Error {
    fn from(error: OutboxError) -> io::Error {
        let kind = match &error {
            OutboxError::TooManyBytes { .. } | OutboxError::TooManyPieces { .. } => {
                io::ErrorKind::QuotaExceeded
            }
            OutboxError::TimedOut { .. } => io::ErrorKind::TimedOut,
            OutboxError::Io { error, .. } => error.kind(),
        };
        io::Error::new(kind, error)
    }
}

/// Creates the error of a queue that could not be written out in time.
pub(super) fn drain_timed_out(queued: usize, waited: Duration) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("{queued} bytes are still queued after {waited:?}"),
    )
}
