//! `AsyncOutbox` in front of writers that follow a script or are not ready, and of a socket; and
//! futures that are dropped before they complete.

mod scripted;
mod sequences;
mod waiting;

use scripted::{Answer, Scripted, poll, rest};
use slabuf::{AsyncOutbox, Buffer, Outbox, OutboxError};
use std::io::ErrorKind;
use std::pin::pin;
use tokio::io::{AsyncReadExt, duplex};

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

/// The writer was offered one piece: a second piece behind it does not hide the wrong count.
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
        // Dropped at the end of the statement.
        assert!(poll(pin!(outbox.drain())).is_pending());
    }
    assert_eq!((writer.written(), outbox.queued()), (b"abcd".to_vec(), 2));
    // A future that was never polled has no effect.
    drop(outbox.drain());
    assert!(poll(pin!(outbox.drain())).is_ready());
    assert_eq!(writer.written(), b"abcdef");
}

#[test]
fn when_a_drain_is_dropped_the_next_takes_over() {
    let writer = Scripted::new(&[Answer::Wait, Answer::Wait]);
    let outbox = AsyncOutbox::new(writer.clone());
    outbox.write("ab").unwrap();
    let mut second = Box::pin(outbox.drain());
    {
        let mut first = pin!(outbox.drain());
        assert!(poll(first.as_mut()).is_pending());
        assert!(poll(second.as_mut()).is_pending());
        assert_eq!(writer.polls().len(), 2, "two use the writer");
        // Other tasks queue at the same time.
        outbox.write("cd").unwrap();
        assert!(writer.polls().is_empty());
    }
    assert!(poll(second.as_mut()).is_ready());
    assert_eq!(writer.written(), b"abcd");
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
        // Polled this number of times, then dropped.
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

#[test]
fn a_cork_holds_back_what_comes_while_another_drains() {
    let writer = Scripted::new(&[Answer::Wait, Answer::Wait]);
    let outbox = AsyncOutbox::new(writer.clone());
    outbox.write("ab").unwrap();
    let mut drain = pin!(outbox.drain());
    assert!(poll(drain.as_mut()).is_pending());
    outbox.cork();
    outbox.write("cd").unwrap();
    assert!(poll(drain.as_mut()).is_ready());
    assert_eq!((writer.written(), outbox.queued()), (b"ab".to_vec(), 2));
    outbox.uncork();
    assert_eq!(writer.written(), b"abcd");
}
