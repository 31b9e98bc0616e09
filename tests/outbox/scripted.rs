//! A writer that takes what a script says.

use slabuf::Outbox;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::sync::{Arc, Mutex};

/// What a writer does when it is called.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Answer {
    Take(usize),
    Fail(ErrorKind),
    /// Says that it has written one byte more than there were.
    Lie,
}

/// Takes everything when its script is at the end.
#[derive(Default)]
pub(crate) struct Log {
    script: VecDeque<Answer>,
    written: Vec<u8>,
    /// Slices in each call.
    calls: Vec<usize>,
    pub(crate) flushes: usize,
}

/// A handle, so that the test sees what the outbox writes to.
#[derive(Clone, Default)]
pub(crate) struct Scripted(pub(crate) Arc<Mutex<Log>>);

impl Scripted {
    pub(crate) fn new(script: &[Answer]) -> Self {
        let this = Self::default();
        this.0.lock().unwrap().script.extend(script);
        this
    }

    pub(crate) fn then(&self, answers: &[Answer]) {
        self.0.lock().unwrap().script.extend(answers);
    }

    pub(crate) fn written(&self) -> Vec<u8> {
        self.0.lock().unwrap().written.clone()
    }

    /// How many slices each call since the last look had.
    pub(crate) fn calls(&self) -> Vec<usize> {
        std::mem::take(&mut self.0.lock().unwrap().calls)
    }
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut log = self.0.lock().unwrap();
        log.calls.push(slices.len());
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        assert!(slices.iter().all(|slice| !slice.is_empty()));
        let count = match log.script.pop_front().unwrap_or(Answer::Take(usize::MAX)) {
            Answer::Take(count) => count.min(all.len()),
            Answer::Fail(kind) => return Err(kind.into()),
            Answer::Lie => return Ok(all.len() + 1),
        };
        log.written.extend(&all[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap().flushes += 1;
        Ok(())
    }
}

/// What was not written.
pub(crate) fn rest(outbox: Outbox<Scripted>) -> Vec<u8> {
    let (_, pieces) = outbox.into_parts();
    pieces.iter().flat_map(|piece| piece.to_vec()).collect()
}
