//! `Outbox` in front of writers that take what a script says.

mod common;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use common::{assert_all_home, fresh_pool, stamp};
use proptest::prelude::*;
use slabuf::{Buffer, Outbox, OutboxError, Piece};

/// What a writer does when it is called.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Take(usize),
    Fail(ErrorKind),
    /// Says that it has written one byte more than there were.
    Lie,
}

/// Takes everything when its script is at the end.
#[derive(Default)]
struct Log {
    script: VecDeque<Answer>,
    written: Vec<u8>,
    /// Slices in each call.
    calls: Vec<usize>,
    flushes: usize,
}

/// A handle, so that the test sees what the outbox writes to.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Log>>);

impl Scripted {
    fn new(script: &[Answer]) -> Self {
        let this = Self::default();
        this.0.lock().unwrap().script.extend(script);
        this
    }

    fn then(&self, answers: &[Answer]) {
        self.0.lock().unwrap().script.extend(answers);
    }

    fn written(&self) -> Vec<u8> {
        self.0.lock().unwrap().written.clone()
    }

    /// How many slices each call since the last look had.
    fn calls(&self) -> Vec<usize> {
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

fn rest(outbox: Outbox<Scripted>) -> Vec<u8> {
    let (_, pieces) = outbox.into_parts();
    pieces.iter().flat_map(|piece| piece.to_vec()).collect()
}

#[test]
fn a_piece_goes_to_the_writer_at_once() {
    let writer = Scripted::default();
    let outbox = Outbox::new(writer.clone());
    assert!(outbox.write("abc").unwrap());
    assert_eq!(writer.written(), b"abc");
    assert_eq!((outbox.queued(), outbox.queued_pieces()), (0, 0));
    assert!(outbox.write("").unwrap());
    assert_eq!(writer.calls(), [1]);
}

#[test]
fn pieces_behind_a_writer_that_would_block_are_queued() {
    let writer = Scripted::new(&[Answer::Take(1), Answer::Fail(ErrorKind::WouldBlock)]);
    let outbox = Outbox::new(writer.clone());
    assert!(outbox.write("abc").unwrap());
    assert!(outbox.write("de").unwrap());
    assert_eq!(writer.calls(), [1, 1]);
    assert_eq!((outbox.queued(), outbox.queued_pieces()), (4, 2));
    writer.then(&[Answer::Fail(ErrorKind::WouldBlock)]);
    assert_eq!(outbox.drain().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(outbox.queued(), 4);
    outbox.drain().unwrap();
    assert_eq!(writer.written(), b"abcde");
    assert_eq!(writer.calls(), [2, 2]);
}

#[test]
fn exactly_the_mark_counts_as_over() {
    for (len, may_go_on) in [(4, true), (5, false), (6, false)] {
        let outbox = Outbox::builder()
            .high_water_mark(5)
            .build(Scripted::default());
        outbox.cork();
        assert_eq!(
            outbox.write(Buffer::alloc(len)).unwrap(),
            may_go_on,
            "{len}"
        );
        assert_eq!(outbox.is_over_high_water(), !may_go_on);
        // It is a request, not a bound.
        assert_eq!(outbox.write("x").unwrap(), len + 1 < 5);
        outbox.drain().unwrap();
        assert!(!outbox.is_over_high_water());
    }
    let outbox = Outbox::builder()
        .high_water_mark(0)
        .build(Scripted::default());
    assert!(!outbox.write("x").unwrap());
    assert_eq!(outbox.queued(), 0);
}

#[test]
fn the_bound_in_bytes_hands_the_piece_back() {
    let writer = Scripted::default();
    let outbox = Outbox::builder().limit(100).build(writer.clone());
    outbox.cork();
    outbox.write(Buffer::alloc(60)).unwrap();
    match outbox.write(Buffer::alloc_filled(41, "x")) {
        Err(OutboxError::TooManyBytes {
            queued,
            limit,
            piece,
        }) => {
            assert_eq!((queued, limit), (60, 100));
            assert_eq!(piece[..], [b'x'; 41]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(outbox.queued(), 60);
    // Exactly the limit fits, and nothing more is asked for.
    assert!(!outbox.write(Buffer::alloc(40)).unwrap());
    assert!(!outbox.write("").unwrap());
    let error = outbox.write("y").unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot queue a piece of 1 bytes: 100 bytes are queued, and the limit is 100 bytes"
    );
    assert_eq!(io::Error::from(error).kind(), ErrorKind::QuotaExceeded);
    assert!(writer.calls().is_empty());
    // Larger than the limit by itself: waiting does not help, and nothing is written for it.
    let error = outbox.write_timeout(Buffer::alloc(101), Duration::MAX);
    assert!(matches!(error, Err(OutboxError::TooManyBytes { .. })));
    assert!(writer.calls().is_empty());
}

#[test]
fn the_bound_in_pieces_hands_the_piece_back() {
    let outbox = Outbox::builder().max_pieces(2).build(Scripted::default());
    outbox.cork();
    assert!(outbox.write("a").unwrap());
    assert!(!outbox.write("b").unwrap());
    match outbox.write("c") {
        Err(OutboxError::TooManyPieces { limit, piece }) => {
            assert_eq!((limit, &piece[..]), (2, &b"c"[..]));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(outbox.queued_pieces(), 2);
    let none = Outbox::builder().max_pieces(0).build(Scripted::default());
    let error = none.write_timeout("c", Duration::MAX).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot queue a piece of 1 bytes: the limit of 0 pieces is reached"
    );
}

#[test]
fn corks_nest_as_in_node() {
    let writer = Scripted::default();
    let outbox = Outbox::new(writer.clone());
    outbox.cork();
    outbox.write("a").unwrap();
    outbox.cork();
    outbox.write("b").unwrap();
    assert!(outbox.uncork());
    outbox.write("c").unwrap();
    assert!(writer.calls().is_empty());
    assert!(outbox.uncork());
    assert_eq!(writer.calls(), [3]);
    // One too many is ignored, and leaves no debt.
    assert!(outbox.uncork());
    outbox.cork();
    outbox.write("d").unwrap();
    assert!(writer.calls().is_empty());
    outbox.uncork();
    assert_eq!(writer.written(), b"abcd");
}

#[test]
fn whoever_drains_writes_corked_pieces_too() {
    let writer = Scripted::default();
    let outbox = Outbox::new(writer.clone());
    outbox.cork();
    outbox.write("a").unwrap();
    outbox.write("b").unwrap();
    outbox.drain().unwrap();
    assert_eq!(writer.calls(), [2]);
    // The cork is still in.
    outbox.write("c").unwrap();
    assert!(writer.calls().is_empty());
    outbox.flush().unwrap();
    assert_eq!(writer.written(), b"abc");
    assert_eq!(writer.0.lock().unwrap().flushes, 1);
}

#[test]
fn a_vectored_write_has_at_most_1024_slices() {
    for (pieces, calls) in [
        (1, vec![1]),
        (64, vec![64]),
        (65, vec![65]),
        (1024, vec![1024]),
        (1025, vec![1024, 1]),
        (2500, vec![1024, 1024, 452]),
    ] {
        let writer = Scripted::default();
        let outbox = Outbox::new(writer.clone());
        outbox.cork();
        for number in 0..pieces {
            outbox.write(Buffer::from([number as u8])).unwrap();
        }
        outbox.uncork();
        assert_eq!(writer.calls(), calls);
        let expected: Vec<u8> = (0..pieces).map(|number| number as u8).collect();
        assert_eq!(writer.written(), expected);
    }
}

/// `Write`'s own `write_vectored` writes the first slice alone.
struct Plain(Vec<u8>, usize);

impl Write for Plain {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1 += 1;
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_without_vectored_writes_is_given_one_piece_at_a_time() {
    let mut outbox = Outbox::new(Plain(Vec::new(), 0));
    outbox.cork();
    for piece in ["ab", "c", "def"] {
        outbox.write(piece).unwrap();
    }
    outbox.uncork();
    assert_eq!(outbox.get_mut().0, b"abcdef");
    assert_eq!(outbox.get_mut().1, 3);
}

#[test]
fn interrupted_writes_are_tried_again() {
    let interrupted = Answer::Fail(ErrorKind::Interrupted);
    let writer = Scripted::new(&[interrupted, Answer::Take(2), interrupted, interrupted]);
    let outbox = Outbox::new(writer.clone());
    assert!(outbox.write("abcd").unwrap());
    assert_eq!(writer.written(), b"abcd");
    assert_eq!(writer.calls().len(), 5);
}

#[test]
fn after_an_error_the_rest_is_queued_and_drain_goes_on_there() {
    for (bad, kind) in [
        (Answer::Fail(ErrorKind::StorageFull), ErrorKind::StorageFull),
        (Answer::Take(0), ErrorKind::WriteZero),
        (Answer::Lie, ErrorKind::Other),
    ] {
        let writer = Scripted::new(&[Answer::Take(4), bad]);
        let outbox = Outbox::new(writer.clone());
        outbox.cork();
        for piece in ["abc", "def", "ghi"] {
            outbox.write(piece).unwrap();
        }
        // The call that meets the error says stop; so do all until somebody has seen it.
        assert!(!outbox.uncork());
        assert_eq!((outbox.queued(), outbox.queued_pieces()), (5, 2));
        assert!(!outbox.write("jkl").unwrap());
        writer.calls();
        assert_eq!(outbox.drain().unwrap_err().kind(), kind);
        assert!(writer.calls().is_empty(), "the writer was asked again");
        assert!(outbox.write("mno").unwrap());
        outbox.drain().unwrap();
        assert_eq!(writer.written(), b"abcdefghijklmno");
    }
}

#[test]
fn what_is_not_written_can_be_had_back() {
    let writer = Scripted::new(&[Answer::Take(4), Answer::Fail(ErrorKind::BrokenPipe)]);
    let outbox = Outbox::new(writer.clone());
    outbox.cork();
    outbox.write(Buffer::from(b"abc")).unwrap();
    outbox.write(Bytes::from_static(b"def")).unwrap();
    assert_eq!(outbox.drain().unwrap_err().kind(), ErrorKind::BrokenPipe);
    outbox.write("ghi").unwrap();
    assert_eq!(writer.written(), b"abcd");
    assert_eq!(rest(outbox), b"efghi");
}

#[test]
fn time_outs_name_what_is_queued() {
    let would_block = [Answer::Fail(ErrorKind::WouldBlock); 3];
    let writer = Scripted::new(&would_block);
    let outbox = Outbox::builder().limit(5).build(writer.clone());
    outbox.write("abcd").unwrap();
    let error = outbox.drain_timeout(Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(error.to_string(), "4 bytes are still queued after 0ns");
    let error = outbox.write_timeout("ef", Duration::ZERO).unwrap_err();
    assert!(matches!(
        error,
        OutboxError::TimedOut {
            waited: Duration::ZERO,
            queued: 4,
            limit: 5,
            pieces: 1,
            ..
        }
    ));
    assert_eq!(
        error.to_string(),
        "cannot queue a piece of 2 bytes: after 0ns, 4 of at most 5 bytes and 1 of at most 65536 pieces are queued"
    );
    assert_eq!(error.into_piece()[..], b"ef"[..]);
    assert_eq!(outbox.queued(), 4);
}

#[test]
fn a_writer_that_would_block_is_asked_again_until_it_is_ready() {
    let writer = Scripted::new(&[Answer::Fail(ErrorKind::WouldBlock); 12]);
    let outbox = Outbox::builder().limit(5).build(writer.clone());
    outbox.write("abcd").unwrap();
    outbox.drain_timeout(Duration::MAX).unwrap();
    assert_eq!(writer.written(), b"abcd");
    // For room a part is enough: two bytes go, the writer blocks, and the piece is queued.
    writer.then(&[Answer::Fail(ErrorKind::WouldBlock), Answer::Take(2)]);
    writer.then(&[Answer::Fail(ErrorKind::WouldBlock)]);
    outbox.write("efgh").unwrap();
    outbox.write_timeout("ij", Duration::MAX).unwrap();
    assert_eq!(outbox.queued(), 4);
    outbox.drain().unwrap();
    assert_eq!(writer.written(), b"abcdefghij");
}

#[test]
fn whoever_waits_for_room_learns_of_the_writers_error() {
    let writer = Scripted::new(&[Answer::Fail(ErrorKind::WouldBlock)]);
    let outbox = Outbox::builder().max_pieces(1).build(writer.clone());
    outbox.write("ab").unwrap();
    writer.then(&[Answer::Fail(ErrorKind::ConnectionReset)]);
    match outbox.write_timeout("cd", Duration::MAX) {
        Err(OutboxError::Io { error, piece }) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            assert_eq!(piece[..], b"cd"[..]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(outbox.queued(), 2);
}

#[test]
fn every_kind_of_piece_keeps_its_bytes() {
    let pool = fresh_pool();
    let writer = Scripted::new(&[Answer::Take(3); 1000]);
    let outbox = Outbox::new(writer.clone());
    let frozen = pool.copy_from_slice(b"frozen").freeze();
    let pieces = [
        Piece::from(pool.copy_from_slice(b"small")),
        Piece::from(pool.alloc_filled(10_000, "large")),
        Piece::from(frozen.slice(1..4)),
        Piece::from(frozen),
        Piece::from(&b"array"[..]),
        Piece::from(b"array"),
        Piece::from("text"),
        Piece::from(b"vec".to_vec()),
        Piece::from("string".to_owned()),
    ];
    let mut expected = Vec::new();
    outbox.cork();
    for piece in pieces {
        expected.extend_from_slice(&piece);
        outbox.write(piece).unwrap();
    }
    outbox.uncork();
    assert_eq!(writer.written(), expected);
    assert_all_home(&pool);
}

#[test]
fn neither_pieces_nor_outboxes_print_contents() {
    let outbox = Outbox::new(Scripted::default());
    outbox.cork();
    outbox.write("secret").unwrap();
    let text = format!("{outbox:?} {:?}", Piece::from("secret"));
    assert!(!text.contains("secret"), "{text}");
    assert!(
        text.contains("queued: 6") && text.contains("len: 6"),
        "{text}"
    );
}

/// Blocks its caller until the test opens it.
#[derive(Clone)]
struct Gate {
    open: Arc<(Mutex<bool>, Condvar)>,
    entered: Arc<AtomicBool>,
    writer: Scripted,
}

impl Gate {
    fn closed() -> Self {
        Self {
            open: Arc::default(),
            entered: Arc::default(),
            writer: Scripted::default(),
        }
    }

    fn wait_entered(&self) {
        while !self.entered.load(SeqCst) {
            thread::yield_now();
        }
    }

    fn open(&self) {
        *self.open.0.lock().unwrap() = true;
        self.open.1.notify_all();
    }

    fn pass(&self) {
        self.entered.store(true, SeqCst);
        let open = self.open.0.lock().unwrap();
        drop(self.open.1.wait_while(open, |open| !*open).unwrap());
    }
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pass();
        self.writer.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.pass();
        self.writer.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_thread_that_writes_writes_what_others_queue() {
    let gate = Gate::closed();
    let outbox = Outbox::builder().max_pieces(3).build(gate.clone());
    thread::scope(|scope| {
        let first = scope.spawn(|| outbox.write("a"));
        gate.wait_entered();
        // The writer is busy, and nobody waits for it.
        assert!(outbox.write("b").unwrap());
        assert!(!outbox.write("c").unwrap());
        assert!(outbox.write("d").is_err());
        let error = outbox.write_timeout("d", Duration::from_millis(1));
        assert!(matches!(
            error,
            Err(OutboxError::TimedOut {
                pieces: 3,
                max_pieces: 3,
                ..
            })
        ));
        let error = outbox.drain_timeout(Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let waiting = scope.spawn(|| outbox.write_timeout("d", Duration::MAX));
        let draining = scope.spawn(|| outbox.drain());
        gate.open();
        assert!(first.join().unwrap().unwrap());
        waiting.join().unwrap().unwrap();
        draining.join().unwrap().unwrap();
    });
    assert_eq!(outbox.queued(), 0);
    assert_eq!(gate.writer.written(), b"abcd");
}

#[test]
fn a_writer_that_panics_goes_back_with_what_it_had() {
    struct Panics(bool);
    impl Write for Panics {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            assert!(!std::mem::replace(&mut self.0, false), "as it was told");
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let outbox = Outbox::new(Panics(true));
    let write = std::panic::AssertUnwindSafe(|| outbox.write("abc"));
    assert!(std::panic::catch_unwind(write).is_err());
    assert_eq!(outbox.queued(), 3);
    outbox.drain().unwrap();
    assert_eq!(outbox.queued(), 0);
}

/// Each piece is a thread's number, its own number, and as many bytes as the second says.
#[test]
fn threads_lose_no_piece_and_each_keeps_its_order() {
    const THREADS: u8 = 4;
    const PIECES: u8 = 250;
    let writer = Scripted::default();
    let outbox = Outbox::builder()
        .limit(600)
        .max_pieces(5)
        .build(writer.clone());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let outbox = &outbox;
            scope.spawn(move || {
                for number in 0..PIECES {
                    let mut piece = Buffer::alloc_filled(2 + usize::from(number), [number]);
                    piece[0] = thread;
                    if number % 7 == 0 {
                        outbox.cork();
                    }
                    outbox.write_timeout(piece, Duration::MAX).unwrap();
                    if number % 7 == 0 {
                        outbox.uncork();
                    }
                }
                outbox.drain().unwrap();
            });
        }
    });
    let written = writer.written();
    let mut next = [0; THREADS as usize];
    let mut left = &written[..];
    while let [thread, number, ..] = *left {
        assert_eq!(number, next[usize::from(thread)]);
        let (piece, behind) = left.split_at(2 + usize::from(number));
        assert!(piece[1..].iter().all(|byte| *byte == number));
        next[usize::from(thread)] = number + 1;
        left = behind;
    }
    assert_eq!(next, [PIECES; THREADS as usize]);
    assert_eq!(outbox.queued(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Write(usize, bool),
    WriteTimeout(usize),
    Cork,
    Uncork,
    Drain,
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    let len = || prop_oneof![1 => Just(0), 6 => 1..40_usize, 1 => 0..9_000_usize];
    prop_oneof![
        8 => (len(), any::<bool>()).prop_map(|(len, shared)| Step::Write(len, shared)),
        2 => len().prop_map(Step::WriteTimeout),
        2 => Just(Step::Cork),
        2 => Just(Step::Uncork),
        1 => Just(Step::Drain),
        1 => Just(Step::Flush),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        6 => (0..60_usize).prop_map(Answer::Take),
        2 => Just(Answer::Take(usize::MAX)),
        2 => Just(Answer::Fail(ErrorKind::Interrupted)),
        2 => Just(Answer::Fail(ErrorKind::WouldBlock)),
        1 => Just(Answer::Fail(ErrorKind::BrokenPipe)),
        1 => Just(Answer::Lie),
    ]
}

proptest! {
    #[test]
    fn what_is_written_and_what_is_queued_is_what_was_taken(
        mark in 0..300_usize,
        limit in 0..10_000_usize,
        max_pieces in 0..30_usize,
        script in prop::collection::vec(answer(), 0..60),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let pool = fresh_pool();
        let writer = Scripted::new(&script);
        let outbox = Outbox::builder()
            .high_water_mark(mark)
            .limit(limit)
            .max_pieces(max_pieces)
            .build(writer.clone());
        let mut taken = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            match *step {
                Step::Write(len, _) | Step::WriteTimeout(len) => {
                    let mut buffer = pool.alloc(len);
                    stamp(&mut buffer, number as u64);
                    let bytes = buffer.to_vec();
                    let piece = match step {
                        Step::Write(_, true) => Piece::from(buffer.freeze()),
                        _ => Piece::from(buffer),
                    };
                    let (queued, pieces) = (outbox.queued(), outbox.queued_pieces());
                    let full = len > 0 && (queued + len > limit || pieces == max_pieces);
                    let result = match step {
                        Step::WriteTimeout(_) => outbox.write_timeout(piece, Duration::ZERO),
                        _ => outbox.write(piece),
                    };
                    match result {
                        Ok(may_go_on) => {
                            prop_assert!(!full || matches!(step, Step::WriteTimeout(_)));
                            prop_assert!(!may_go_on || !outbox.is_over_high_water());
                            taken.extend(bytes);
                        }
                        Err(error) => {
                            prop_assert!(full, "{error}");
                            prop_assert_eq!(&error.into_piece()[..], &bytes[..]);
                        }
                    }
                }
                Step::Cork => outbox.cork(),
                Step::Uncork => drop(outbox.uncork()),
                Step::Drain => if outbox.drain().is_ok() {
                    prop_assert_eq!(outbox.queued(), 0);
                },
                Step::Flush => if outbox.flush().is_ok() {
                    prop_assert_eq!(outbox.queued(), 0);
                },
            }
            let written = writer.written();
            prop_assert!(taken.starts_with(&written));
            prop_assert_eq!(outbox.queued(), taken.len() - written.len());
            prop_assert!(outbox.queued() <= limit && outbox.queued_pieces() <= max_pieces);
            prop_assert_eq!(outbox.queued() == 0, outbox.queued_pieces() == 0);
            prop_assert!(outbox.is_over_high_water() >= (outbox.queued() >= mark));
        }
        let mut all = writer.written();
        all.extend(rest(outbox));
        prop_assert!(all == taken);
        drop(pool.alloc(1));
        assert_all_home(&pool);
    }
}
