//! A writer that follows a script and knows the bytes that it must get.

use super::program::Answer;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;

/// Maximum number of slices in one call.
const MAX_SLICES: usize = 1024;

/// Accepts everything after the end of its script.
#[derive(Default)]
pub struct Log {
    pub script: VecDeque<Answer>,
    /// The queued and unwritten bytes, in order: the oracle.
    pub pieces: VecDeque<Vec<u8>>,
    /// A piece that may be written after all others.
    pub expected: Option<Vec<u8>>,
    queued: usize,
    /// Number of calls, with those of `flush`.
    pub calls: usize,
    failed: bool,
}

impl Log {
    pub fn queued(&self) -> usize {
        self.queued
    }

    pub fn push(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.pieces.push_back(bytes.to_vec());
            self.queued += bytes.len();
        }
    }

    /// Whether there was an error that the outbox must return.
    pub fn take_failed(&mut self) -> bool {
        std::mem::take(&mut self.failed)
    }

    fn fail(&mut self, kind: ErrorKind) -> Poll<io::Result<usize>> {
        self.failed = !matches!(kind, ErrorKind::Interrupted | ErrorKind::WouldBlock);
        Poll::Ready(Err(kind.into()))
    }

    /// Checks that the slices are the first pieces, as many as allowed.
    fn check(&self, slices: &[IoSlice<'_>], vectored: bool) {
        let most = if vectored { MAX_SLICES } else { 1 };
        assert_eq!(slices.len(), self.pieces.len().min(most));
        for (slice, piece) in slices.iter().zip(&self.pieces) {
            assert!(
                slice[..] == piece[..],
                "{} bytes of {}",
                slice.len(),
                piece.len()
            );
        }
    }

    /// A writer without vectored writes uses the first slice only.
    fn answer(&mut self, slices: &[IoSlice<'_>], vectored: bool) -> Poll<io::Result<usize>> {
        self.calls += 1;
        let all: usize = slices.iter().map(|slice| slice.len()).sum();
        let slices = if vectored { slices } else { &slices[..1] };
        if self.pieces.is_empty()
            && let Some(bytes) = self.expected.take()
        {
            self.push(&bytes);
        }
        self.check(slices, vectored);
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        match self.script.pop_front() {
            None => self.take(offered),
            Some(Answer::Take(0)) => {
                self.failed = true;
                Poll::Ready(Ok(0))
            }
            Some(Answer::Take(count)) => self.take(count.min(offered)),
            Some(Answer::Fail(kind)) => self.fail(kind),
            Some(Answer::Wait) => Poll::Pending,
            Some(Answer::Lie) => {
                self.failed = true;
                Poll::Ready(Ok(all + 1))
            }
        }
    }

    fn take(&mut self, count: usize) -> Poll<io::Result<usize>> {
        let mut left = count;
        while left > 0 {
            let first = self.pieces.front_mut().expect("more than was offered");
            let part = left.min(first.len());
            first.drain(..part);
            if first.is_empty() {
                self.pieces.pop_front();
            }
            left -= part;
        }
        self.queued -= count;
        Poll::Ready(Ok(count))
    }

    fn flush(&mut self) -> Poll<io::Result<()>> {
        assert_eq!(self.queued, 0, "flushed too early");
        self.calls += 1;
        match self.script.pop_front() {
            Some(Answer::Fail(kind)) => self.fail(kind).map_ok(drop),
            Some(Answer::Wait) => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }
}

/// A handle to the log.
#[derive(Clone)]
pub struct Writer {
    log: Arc<Mutex<Log>>,
    vectored: bool,
}

impl Writer {
    pub fn new(vectored: bool) -> Self {
        Self {
            log: Arc::default(),
            vectored,
        }
    }

    pub fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("no panic before")
    }
}

/// A blocking writer cannot be pending: it returns `WouldBlock`.
fn block<T>(log: &mut Log, poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(done) => done,
        Poll::Pending => {
            log.failed = false;
            Err(ErrorKind::WouldBlock.into())
        }
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut log = self.log();
        let answer = log.answer(slices, self.vectored);
        block(&mut log, answer)
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut log = self.log();
        let answer = log.flush();
        block(&mut log, answer)
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.log().answer(slices, self.vectored)
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.log().flush()
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.log().flush()
    }
}
