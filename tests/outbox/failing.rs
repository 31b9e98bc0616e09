//! Interrupted writes, errors of the writer, and timeouts.

use crate::scripted::{Answer, Scripted, rest};
use bytes::Bytes;
use slabuf::{Buffer, Outbox, OutboxError};
use std::io::ErrorKind;
use std::time::Duration;

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
        // The call that meets the error returns "stop", and so do all calls until one has returned
        // the error.
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
fn unwritten_pieces_are_returned() {
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
    // A partial write makes room: two bytes are written, the writer blocks, and the piece is
    // queued.
    writer.then(&[Answer::Fail(ErrorKind::WouldBlock), Answer::Take(2)]);
    writer.then(&[Answer::Fail(ErrorKind::WouldBlock)]);
    outbox.write("efgh").unwrap();
    outbox.write_timeout("ij", Duration::MAX).unwrap();
    assert_eq!(outbox.queued(), 4);
    outbox.drain().unwrap();
    assert_eq!(writer.written(), b"abcdefghij");
}

#[test]
fn a_writer_error_reaches_the_waiter_for_room() {
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
