//! Compares an outbox with a queue of `Vec<u8>`: whatever its writer does, each byte is written
//! once, in order.

mod program;
mod writer;

use bytes::Bytes;
pub use program::{Kind, Program, Step};
use slabuf::{AsyncOutbox, Buffer, Outbox, OutboxError, Piece, Pool};
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use writer::Writer;

/// Total bytes that a program may queue.
const MAX_WORK: usize = 96 << 10;
/// Maximum number of one-byte pieces queued at once.
const MAX_MANY: u16 = 1_100;

enum Outboxes {
    Blocking(Outbox<Writer>),
    Asynchronous(AsyncOutbox<Writer>),
}

macro_rules! both {
    ($outboxes:expr, $outbox:ident => $call:expr) => {
        match $outboxes {
            Outboxes::Blocking($outbox) => $call,
            Outboxes::Asynchronous($outbox) => $call,
        }
    };
}

struct Pair {
    ours: Outboxes,
    writer: Writer,
    program: Program,
    corks: usize,
    /// An error of the writer that no call has returned yet.
    error: bool,
    work_left: usize,
    many_left: u16,
    turn: u8,
}

fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(|| Pool::builder().build().expect("the defaults are valid"))
}

/// Runs a program to its end.
pub fn run(program: &Program) {
    let writer = Writer::new(program.vectored);
    let builder = Outbox::builder()
        .high_water_mark(program.high_water_mark)
        .limit(program.limit)
        .max_pieces(program.max_pieces);
    let ours = if program.asynchronous {
        Outboxes::Asynchronous(builder.build_async(writer.clone()))
    } else {
        Outboxes::Blocking(builder.build(writer.clone()))
    };
    let mut pair = Pair {
        ours,
        writer,
        program: program.clone(),
        corks: 0,
        error: false,
        work_left: MAX_WORK,
        many_left: MAX_MANY,
        turn: 0,
    };
    for step in &program.steps {
        pair.step(step);
        pair.check();
    }
    pair.end();
    assert_eq!(pool().usage().in_use, 0);
}

impl Pair {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Script(answers) => self.writer.log().script.extend(answers),
            Step::Write(kind, len) => {
                let piece = self.piece(*kind, *len);
                self.write(piece, false);
            }
            Step::WriteMany(count) => {
                let count = (*count).min(self.many_left);
                self.many_left -= count;
                for _ in 0..count {
                    let piece = self.piece(Kind::Buffer, 1);
                    self.write(piece, false);
                }
            }
            Step::WriteTimeout(kind, len) => {
                let piece = self.piece(*kind, *len);
                self.write(piece, !self.program.asynchronous);
            }
            Step::Cork => {
                both!(&self.ours, outbox => outbox.cork());
                self.corks += 1;
            }
            Step::Uncork => self.uncork(),
            Step::Drain(polls) => self.drain(*polls),
            Step::Flush(polls) => self.flush(*polls),
        }
    }

    fn piece(&mut self, kind: Kind, len: usize) -> Piece {
        let len = if len > self.work_left { len % 16 } else { len };
        self.work_left -= len.min(self.work_left);
        self.turn = self.turn.wrapping_add(37);
        let turn = self.turn;
        let block: [u8; 251] = std::array::from_fn(|i| (i as u8).wrapping_mul(31) ^ turn);
        let mut bytes = block[..len.min(251)].repeat(len.div_ceil(251));
        bytes.truncate(len);
        match kind {
            Kind::Buffer => Piece::from(pool().copy_from_slice(&bytes)),
            Kind::Advanced => {
                let mut buffer = pool().copy_from_slice(&[1, 2, 3]);
                buffer.extend_from_slice(&bytes);
                bytes::Buf::advance(&mut buffer, 3);
                Piece::from(buffer)
            }
            Kind::Mapping => {
                let mut buffer: Buffer = pool().alloc_unsafe_slow(len);
                buffer.copy_from_slice(&bytes);
                Piece::from(buffer)
            }
            Kind::Frozen => {
                let all = pool().concat(&[&bytes[..], b"behind"]).freeze();
                Piece::from(all.slice(..len))
            }
            Kind::Heap => Piece::from(Bytes::from(bytes)),
        }
    }

    fn fits(&self, len: usize) -> bool {
        let log = self.writer.log();
        len == 0
            || (log.queued() + len <= self.program.limit
                && log.pieces.len() < self.program.max_pieces)
    }

    fn is_over(&self) -> bool {
        let (log, program) = (self.writer.log(), &self.program);
        log.queued() >= program.high_water_mark.min(program.limit)
            || log.pieces.len() >= program.max_pieces
    }

    fn write(&mut self, piece: Piece, wait: bool) {
        let bytes = piece.to_vec();
        let fits = self.fits(bytes.len());
        let calls = self.writer.log().calls;
        if !fits && wait {
            return self.wait_for_room(piece, &bytes);
        }
        let first = self.writer.log().pieces.is_empty() && !bytes.is_empty();
        if fits {
            self.writer.log().push(&bytes);
        }
        let result = match &self.ours {
            Outboxes::Blocking(outbox) if wait => outbox.write_timeout(piece, Duration::ZERO),
            Outboxes::Blocking(outbox) => outbox.write(piece),
            Outboxes::Asynchronous(outbox) => outbox.write(piece),
        };
        let through = fits && first && self.corks == 0 && !self.error;
        assert_eq!(self.writer.log().calls > calls, through, "writer called");
        match result {
            Ok(may_go_on) => {
                assert!(fits);
                self.see(may_go_on);
            }
            Err(error) => {
                assert!(!fits, "{error}");
                self.judge(error, &bytes);
            }
        }
    }

    /// Records an error of the writer that a call left for the next one.
    fn see(&mut self, may_go_on: bool) {
        self.error |= self.writer.log().take_failed();
        assert_eq!(may_go_on, !self.is_over() && !self.error);
    }

    fn judge(&self, error: OutboxError, bytes: &[u8]) {
        let (log, program) = (self.writer.log(), &self.program);
        match &error {
            OutboxError::TooManyPieces { limit, .. } => {
                assert_eq!((*limit, log.pieces.len()), (program.max_pieces, *limit));
            }
            OutboxError::TooManyBytes { queued, limit, .. } => {
                assert_eq!((*queued, *limit), (log.queued(), program.limit));
                assert!(queued + bytes.len() > *limit);
            }
            OutboxError::TimedOut { queued, pieces, .. } => {
                assert_eq!((*queued, *pieces), (log.queued(), log.pieces.len()));
            }
            OutboxError::Io { .. } => {}
            error => panic!("an error that is not documented: {error}"),
        }
        assert!(error.into_piece()[..] == *bytes, "the piece has changed");
    }

    /// The queue is written before the piece is queued, so the oracle gets the piece afterwards.
    fn wait_for_room(&mut self, piece: Piece, bytes: &[u8]) {
        let Outboxes::Blocking(outbox) = &self.ours else {
            return;
        };
        let never = bytes.len() > self.program.limit || self.program.max_pieces == 0;
        self.writer.log().expected = Some(bytes.to_vec());
        let result = outbox.write_timeout(piece, Duration::ZERO);
        let left = self.writer.log().expected.take();
        let failed = self.writer.log().take_failed();
        match result {
            Ok(may_go_on) => {
                // Only the direct write of the piece can have returned an error.
                assert!(!never && !self.error);
                self.error = failed;
                if let Some(left) = left {
                    self.writer.log().push(&left);
                }
                assert_eq!(may_go_on, !self.is_over() && !self.error);
            }
            Err(error) => {
                assert!(left.is_some(), "written and handed back");
                match &error {
                    OutboxError::TimedOut { .. } => assert!(!never && !failed && !self.error),
                    OutboxError::Io { .. } => {
                        assert!(!never && failed != self.error);
                        self.error = false;
                    }
                    _ => assert!(never && !failed),
                }
                self.judge(error, bytes);
            }
        }
    }

    fn uncork(&mut self) {
        let calls = self.writer.log().calls;
        let through = self.corks == 1 && !self.error && self.writer.log().queued() > 0;
        self.corks = self.corks.saturating_sub(1);
        let may_go_on = both!(&self.ours, outbox => outbox.uncork());
        assert_eq!(self.writer.log().calls > calls, through, "writer called");
        self.see(may_go_on);
    }

    fn drain(&mut self, polls: u8) {
        let calls = self.writer.log().calls;
        let drained = match &self.ours {
            Outboxes::Blocking(outbox) if polls % 2 == 0 => {
                Some(outbox.drain_timeout(Duration::ZERO))
            }
            Outboxes::Blocking(outbox) => Some(outbox.drain()),
            Outboxes::Asynchronous(outbox) => poll_times(outbox.drain(), polls),
        };
        self.see_drained(drained, calls, polls);
    }

    fn flush(&mut self, polls: u8) {
        let calls = self.writer.log().calls;
        let flushed = match &self.ours {
            Outboxes::Blocking(outbox) => Some(outbox.flush()),
            Outboxes::Asynchronous(outbox) if polls > 200 => poll_times(outbox.shutdown(), polls),
            Outboxes::Asynchronous(outbox) => poll_times(outbox.flush(), polls),
        };
        self.see_drained(flushed, calls, polls);
    }

    fn see_drained(&mut self, drained: Option<io::Result<()>>, calls: usize, polls: u8) {
        let failed = self.writer.log().take_failed();
        match drained {
            Some(Ok(())) => {
                assert_eq!(self.writer.log().queued(), 0);
                assert!(!failed && !self.error);
            }
            Some(Err(error)) if self.error => {
                assert!(self.writer.log().calls == calls && !failed, "{error}");
                self.error = false;
            }
            Some(Err(error)) => {
                let late = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                assert!(failed != late, "{error}");
            }
            None => assert!(!failed && (!self.error || polls.is_multiple_of(8))),
        }
    }

    fn check(&self) {
        let (log, program) = (self.writer.log(), &self.program);
        let (queued, pieces) =
            both!(&self.ours, outbox => (outbox.queued(), outbox.queued_pieces()));
        assert_eq!((queued, pieces), (log.queued(), log.pieces.len()));
        assert!(queued <= program.limit && pieces <= program.max_pieces);
        drop(log);
        let is_over = both!(&self.ours, outbox => outbox.is_over_high_water());
        assert_eq!(is_over, self.is_over());
    }

    /// Checks that the unwritten pieces are returned and equal the rest of the oracle.
    fn end(self) {
        let (_, pieces) = both!(self.ours, outbox => outbox.into_parts());
        let log = self.writer.log();
        assert_eq!(pieces.len(), log.pieces.len());
        for (piece, expected) in pieces.iter().zip(&log.pieces) {
            assert!(piece[..] == expected[..], "{piece:?}");
        }
    }
}

/// Polls up to seven times, then drops the future.
fn poll_times<T>(future: impl Future<Output = T>, times: u8) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..times % 8 {
        if let Poll::Ready(done) = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            return Some(done);
        }
    }
    None
}
