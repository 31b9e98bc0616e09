//! An asynchronous writer that follows a script.

use slabuf::AsyncOutbox;
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tokio::io::AsyncWrite;

/// The action of a writer at a poll.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Take(usize),
    Fail(ErrorKind),
    /// Is not ready.
    Wait,
    Lie,
}

/// Accepts everything after the end of its script.
#[derive(Default)]
pub(crate) struct Log {
    script: VecDeque<Answer>,
    written: Vec<u8>,
    /// Number of slices per poll.
    polls: Vec<usize>,
    flushed: bool,
    pub(crate) shut_down: bool,
    waker: Option<Waker>,
}

#[derive(Clone, Default)]
pub(crate) struct Scripted {
    pub(crate) log: Arc<Mutex<Log>>,
    pub(crate) plain: bool,
}

impl Scripted {
    pub(crate) fn new(script: &[Answer]) -> Self {
        let this = Self::default();
        this.then(script);
        this
    }

    pub(crate) fn then(&self, answers: &[Answer]) {
        self.log.lock().unwrap().script.extend(answers);
    }

    pub(crate) fn written(&self) -> Vec<u8> {
        self.log.lock().unwrap().written.clone()
    }

    pub(crate) fn polls(&self) -> Vec<usize> {
        std::mem::take(&mut self.log.lock().unwrap().polls)
    }

    /// Wakes the task that got `Pending`.
    pub(crate) fn wake(&self) {
        let waker = self.log.lock().unwrap().waker.take();
        waker.expect("a task waits").wake();
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut log = self.log.lock().unwrap();
        log.polls.push(slices.len());
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        let count = match log.script.pop_front().unwrap_or(Answer::Take(usize::MAX)) {
            Answer::Take(count) => count.min(all.len()),
            Answer::Fail(kind) => return Poll::Ready(Err(kind.into())),
            Answer::Lie => return Poll::Ready(Ok(all.len() + 1)),
            Answer::Wait => {
                log.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
        };
        log.written.extend(&all[..count]);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        !self.plain
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.log.lock().unwrap().flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut log = self.log.lock().unwrap();
        assert!(log.flushed, "shut down before it was flushed");
        log.shut_down = true;
        Poll::Ready(Ok(()))
    }
}

/// Polls once, with a waker that does nothing.
pub(crate) fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

pub(crate) fn rest(outbox: AsyncOutbox<Scripted>) -> Vec<u8> {
    let (_, pieces) = outbox.into_parts();
    pieces.iter().flat_map(|piece| piece.to_vec()).collect()
}
