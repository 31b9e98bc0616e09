//! `AsyncOutbox` in front of writers that take what a script says, are not ready, or are cancelled; and a socket.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;
use slabuf::{AsyncOutbox, Buffer, Outbox, OutboxError, Piece};
use tokio::io::{AsyncReadExt, AsyncWrite, duplex};
use tokio::net::{TcpListener, TcpStream};

/// What a writer does when it is polled.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Take(usize),
    Fail(ErrorKind),
    /// Is not ready.
    Wait,
    Lie,
}

/// Takes everything when its script is at the end.
#[derive(Default)]
struct Log {
    script: VecDeque<Answer>,
    written: Vec<u8>,
    /// Slices in each poll.
    polls: Vec<usize>,
    flushed: bool,
    shut_down: bool,
    waker: Option<Waker>,
}

#[derive(Clone, Default)]
struct Scripted {
    log: Arc<Mutex<Log>>,
    plain: bool,
}

impl Scripted {
    fn new(script: &[Answer]) -> Self {
        let this = Self::default();
        this.then(script);
        this
    }

    fn then(&self, answers: &[Answer]) {
        self.log.lock().unwrap().script.extend(answers);
    }

    fn written(&self) -> Vec<u8> {
        self.log.lock().unwrap().written.clone()
    }

    fn polls(&self) -> Vec<usize> {
        std::mem::take(&mut self.log.lock().unwrap().polls)
    }

    /// Wakes whoever was told to wait.
    fn wake(&self) {
        let waker = self.log.lock().unwrap().waker.take();
        waker.expect("somebody waits").wake();
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

/// Polls once, with nobody to be woken.
fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn rest(outbox: AsyncOutbox<Scripted>) -> Vec<u8> {
    let (_, pieces) = outbox.into_parts();
    pieces.iter().flat_map(|piece| piece.to_vec()).collect()
}

#[test]
fn a_piece_goes_to_a_writer_that_is_ready_at_once() {
    let writer = Scripted::new(&[Answer::Take(2), Answer::Take(1), Answer::Wait]);
    let outbox = AsyncOutbox::new(writer.clone());
    assert!(outbox.write("abc").unwrap());
    assert_eq!((writer.written(), outbox.queued()), (b"abc".to_vec(), 0));
    assert!(outbox.write("de").unwrap());
    assert!(outbox.write("fg").unwrap());
    assert_eq!((outbox.queued(), outbox.queued_pieces()), (4, 2));
    assert_eq!(writer.polls(), [1, 1, 1]);
    assert!(poll(pin!(outbox.drain())).is_ready());
    assert_eq!(
        (writer.written(), writer.polls()),
        (b"abcdefg".to_vec(), vec![2])
    );
}

#[test]
fn corks_nest_and_gather() {
    let writer = Scripted::default();
    let outbox = AsyncOutbox::new(writer.clone());
    outbox.cork();
    outbox.cork();
    for _ in 0..1500 {
        outbox.write("ab").unwrap();
    }
    outbox.uncork();
    assert!(writer.polls().is_empty());
    assert!(outbox.uncork());
    assert_eq!(writer.polls(), [1024, 476]);
    assert_eq!(writer.written(), b"ab".repeat(1500));
}

#[test]
fn a_writer_without_vectored_writes_is_given_one_piece_at_a_time() {
    let writer = Scripted {
        plain: true,
        ..Scripted::default()
    };
    let outbox = AsyncOutbox::new(writer.clone());
    outbox.cork();
    for piece in ["ab", "c", "def"] {
        outbox.write(piece).unwrap();
    }
    outbox.uncork();
    assert_eq!(
        (writer.polls(), writer.written()),
        (vec![1, 1, 1], b"abcdef".to_vec())
    );
}

/// What it was offered is one piece: a second one behind it does not hide the lie.
#[test]
fn a_writer_without_vectored_writes_that_lies_loses_nothing() {
    let writer = Scripted {
        plain: true,
        ..Scripted::default()
    };
    writer.then(&[Answer::Lie]);
    let outbox = AsyncOutbox::new(writer);
    outbox.cork();
    outbox.write("ab").unwrap();
    outbox.write("cd").unwrap();
    assert!(!outbox.uncork());
    assert_eq!(rest(outbox), b"abcd");
}

#[test]
fn bounds_are_those_of_the_other_outbox() {
    let outbox = Outbox::builder()
        .high_water_mark(3)
        .limit(5)
        .max_pieces(2)
        .build_async(Scripted::default());
    outbox.cork();
    assert!(outbox.write("ab").unwrap());
    let error = outbox.write("cdef").unwrap_err();
    assert!(matches!(
        error,
        OutboxError::TooManyBytes {
            queued: 2,
            limit: 5,
            ..
        }
    ));
    assert!(!outbox.write("c").unwrap());
    let error = outbox.write("d").unwrap_err();
    assert!(matches!(error, OutboxError::TooManyPieces { limit: 2, .. }));
    assert_eq!(error.into_piece()[..], b"d"[..]);
    assert!(outbox.is_over_high_water());
}

#[tokio::test]
async fn after_an_error_the_rest_is_queued_and_drain_goes_on_there() {
    for (bad, kind) in [
        (Answer::Fail(ErrorKind::StorageFull), ErrorKind::StorageFull),
        (Answer::Take(0), ErrorKind::WriteZero),
        (Answer::Lie, ErrorKind::Other),
    ] {
        let interrupted = Answer::Fail(ErrorKind::Interrupted);
        let writer = Scripted::new(&[Answer::Take(4), interrupted, bad]);
        let outbox = AsyncOutbox::new(writer.clone());
        outbox.cork();
        outbox.write("abc").unwrap();
        outbox.write("def").unwrap();
        assert!(!outbox.uncork());
        assert_eq!(outbox.queued(), 2);
        assert!(!outbox.write("ghi").unwrap());
        assert_eq!(outbox.drain().await.unwrap_err().kind(), kind);
        writer.then(&[bad]);
        assert_eq!(outbox.drain().await.unwrap_err().kind(), kind);
        assert_eq!(outbox.queued(), 5);
        outbox.shutdown().await.unwrap();
        assert_eq!(writer.written(), b"abcdefghi");
        assert!(writer.log.lock().unwrap().shut_down);
    }
}

#[test]
fn a_drain_that_is_dropped_leaves_what_is_not_written() {
    let writer = Scripted::new(&[Answer::Take(1), Answer::Wait]);
    let outbox = AsyncOutbox::new(writer.clone());
    outbox.write("abcdef").unwrap();
    for taken in [1, 2] {
        writer.then(&[Answer::Take(taken), Answer::Wait]);
        // Dropped at the end of the line.
        assert!(poll(pin!(outbox.drain())).is_pending());
    }
    assert_eq!((writer.written(), outbox.queued()), (b"abcd".to_vec(), 2));
    // One that was never polled has done nothing.
    drop(outbox.drain());
    assert!(poll(pin!(outbox.drain())).is_ready());
    assert_eq!(writer.written(), b"abcdef");
}

#[test]
fn when_the_one_who_drains_is_dropped_the_next_takes_over() {
    let writer = Scripted::new(&[Answer::Wait, Answer::Wait]);
    let outbox = AsyncOutbox::new(writer.clone());
    outbox.write("ab").unwrap();
    let mut second = Box::pin(outbox.drain());
    {
        let mut first = pin!(outbox.drain());
        assert!(poll(first.as_mut()).is_pending());
        assert!(poll(second.as_mut()).is_pending());
        assert_eq!(writer.polls().len(), 2, "two use the writer");
        // Meanwhile others queue.
        outbox.write("cd").unwrap();
        assert!(writer.polls().is_empty());
    }
    assert!(poll(second.as_mut()).is_ready());
    assert_eq!(writer.written(), b"abcd");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_woken_when_there_is_room() {
    let writer = Scripted::new(&[Answer::Wait, Answer::Wait]);
    let outbox = Arc::new(Outbox::builder().limit(4).build_async(writer.clone()));
    outbox.write("abc").unwrap();
    let spawn = |piece: &'static str| {
        let outbox = outbox.clone();
        tokio::spawn(async move { outbox.write_timeout(piece, Duration::from_secs(60)).await })
    };
    let tasks = [spawn("def"), spawn("ghi"), spawn("jkl")];
    tokio::task::yield_now().await;
    assert_eq!(outbox.queued(), 3);
    writer.wake();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    outbox.drain().await.unwrap();
    let mut written = writer.written();
    assert_eq!(written.drain(..3).as_slice(), b"abc");
    let mut pieces: Vec<_> = written.chunks(3).collect();
    pieces.sort();
    assert_eq!(pieces, [b"def", b"ghi", b"jkl"]);
}

#[tokio::test(start_paused = true)]
async fn time_outs_hand_the_piece_back() {
    let never = Scripted::new(&[Answer::Wait; 10]);
    let outbox = Outbox::builder().limit(4).build_async(never);
    outbox.write("abc").unwrap();
    let error = outbox.write_timeout("de", Duration::from_secs(1)).await;
    let error = error.unwrap_err();
    assert!(matches!(
        error,
        OutboxError::TimedOut {
            queued: 3,
            limit: 4,
            pieces: 1,
            ..
        }
    ));
    assert!(error.to_string().contains("after 1s"), "{error}");
    assert_eq!(error.into_piece()[..], b"de"[..]);
    let error = outbox.drain_timeout(Duration::from_secs(2)).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(error.to_string(), "3 bytes are still queued after 2s");
    let error = outbox.write_timeout("above", Duration::MAX).await;
    assert!(matches!(error, Err(OutboxError::TooManyBytes { .. })));
    assert_eq!(rest(outbox), b"abc");
}

#[tokio::test]
async fn whoever_waits_for_room_learns_of_the_writers_error() {
    let writer = Scripted::new(&[Answer::Wait, Answer::Fail(ErrorKind::ConnectionReset)]);
    let outbox = Outbox::builder().max_pieces(1).build_async(writer);
    outbox.write("ab").unwrap();
    match outbox.write_timeout("cd", Duration::MAX).await {
        Err(OutboxError::Io { error, piece }) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            assert_eq!(piece[..], b"cd"[..]);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn drains_that_are_cancelled_over_and_over_send_each_byte_once() {
    let (near, mut far) = duplex(7);
    let outbox = AsyncOutbox::new(near);
    let expected: Vec<u8> = (0..5000).map(|number| (number % 251) as u8).collect();
    let reader = tokio::spawn(async move {
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.unwrap();
        read
    });
    for (number, part) in expected.chunks(13).enumerate() {
        outbox.write(Buffer::from(part)).unwrap();
        // Polled so many times, then dropped.
        let mut drain = Box::pin(outbox.drain());
        for _ in 0..number % 4 {
            if poll(drain.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    outbox.shutdown().await.unwrap();
    assert_eq!(outbox.queued(), 0);
    assert!(reader.await.unwrap() == expected);
}

#[tokio::test]
async fn tasks_share_a_socket_and_each_keeps_its_order() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let near = TcpStream::connect(address).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    let outbox = Outbox::builder()
        .limit(100_000)
        .max_pieces(50)
        .build_async(near);
    let outbox = Arc::new(outbox);
    let mut tasks = Vec::new();
    for task in 0..5_u8 {
        let outbox = outbox.clone();
        tasks.push(tokio::spawn(async move {
            for number in 0..200_u8 {
                let mut piece = Buffer::alloc_filled(20_000, [number]);
                piece[0] = task;
                outbox.write_timeout(piece, Duration::MAX).await.unwrap();
            }
            outbox.drain().await.unwrap();
        }));
    }
    let mut next = [0_u8; 5];
    let mut piece = vec![0; 20_000];
    for _ in 0..5 * 200 {
        far.read_exact(&mut piece).await.unwrap();
        let next = &mut next[usize::from(piece[0])];
        assert!(piece[1..].iter().all(|byte| *byte == *next));
        *next += 1;
    }
    for task in tasks {
        task.await.unwrap();
    }
    outbox.shutdown().await.unwrap();
    assert_eq!(far.read(&mut piece).await.unwrap(), 0);
    assert_eq!((next, outbox.queued()), ([200; 5], 0));
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        6 => (0..60_usize).prop_map(Answer::Take),
        3 => Just(Answer::Wait),
        2 => Just(Answer::Fail(ErrorKind::Interrupted)),
        1 => Just(Answer::Fail(ErrorKind::BrokenPipe)),
        1 => Just(Answer::Lie),
    ]
}

proptest! {
    /// One byte a step: what it does, and how long the piece is or how often the drain is polled.
    #[test]
    fn what_is_written_and_what_is_queued_is_what_was_taken(
        limit in 0..300_usize,
        script in prop::collection::vec(answer(), 0..60),
        steps in prop::collection::vec((0..8_u8, 0..50_usize), 1..60),
    ) {
        let writer = Scripted::new(&script);
        let outbox = Outbox::builder().limit(limit).max_pieces(20).build_async(writer.clone());
        let mut taken = Vec::new();
        for (number, (kind, argument)) in steps.into_iter().enumerate() {
            match kind {
                0..4 => {
                    let bytes = vec![number as u8; argument];
                    match outbox.write(Piece::from(Buffer::from(&bytes[..]))) {
                        Ok(_) => taken.extend(bytes),
                        Err(error) => prop_assert_eq!(&error.into_piece()[..], &bytes[..]),
                    }
                }
                4 => outbox.cork(),
                5 => drop(outbox.uncork()),
                _ => {
                    let mut drain = pin!(outbox.drain());
                    for _ in 0..argument % 3 {
                        if let Poll::Ready(drained) = poll(drain.as_mut()) {
                            prop_assert!(drained.is_err() || outbox.queued() == 0);
                            break;
                        }
                    }
                }
            }
            let written = writer.written();
            prop_assert!(taken.starts_with(&written));
            prop_assert_eq!(outbox.queued(), taken.len() - written.len());
            prop_assert!(outbox.queued() <= limit && outbox.queued_pieces() <= 20);
        }
        let mut all = writer.written();
        all.extend(rest(outbox));
        prop_assert!(all == taken);
    }
}
