//! A writer that follows a script.

use slabuf::Outbox;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::sync::{Arc, Mutex};

/// The action of a writer at a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Answer {
    Take(usize),
    Fail(ErrorKind),
    /// Claims that it wrote one byte more than it was given.
    Lie,
}

/// Accepts everything after the end of its script.
#[derive(Default)]
pub(crate) struct Log {
    script: VecDeque<Answer>,
    written: Vec<u8>,
    /// Number of slices per call.
    calls: Vec<usize>,
    pub(crate) flushes: usize,
}

/// A handle through which the test observes the writer.
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

    /// Returns the number of slices of each call since the last one.
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

/// Returns the unwritten bytes.
pub(crate) fn rest(outbox: Outbox<Scripted>) -> Vec<u8> {
    let (_, pieces) = outbox.into_parts();
    pieces.iter().flat_map(|piece| piece.to_vec()).collect()
}
