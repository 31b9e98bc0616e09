//! `Outbox` in front of writers that follow a script.

#[path = "../common/mod.rs"]
mod common;
mod failing;
mod owners;
mod scripted;
mod sequences;
mod threads;

use common::{assert_all_home, fresh_pool};
use scripted::{Answer, Scripted};
use slabuf::{Buffer, Outbox, OutboxError, Piece};
use std::io::{self, ErrorKind, Write};
use std::time::Duration;

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
        // The mark is a request to pause, not a bound.
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
    // Exactly the limit fits.
    assert!(!outbox.write(Buffer::alloc(40)).unwrap());
    assert!(!outbox.write("").unwrap());
    let error = outbox.write("y").unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot queue a piece of 1 bytes: 100 bytes are queued, and the limit is 100 bytes"
    );
    assert_eq!(io::Error::from(error).kind(), ErrorKind::QuotaExceeded);
    assert!(writer.calls().is_empty());
    // A piece above the limit: waiting cannot help, and nothing is written for it.
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
    // A surplus `uncork` is ignored and has no later effect.
    assert!(outbox.uncork());
    outbox.cork();
    outbox.write("d").unwrap();
    assert!(writer.calls().is_empty());
    outbox.uncork();
    assert_eq!(writer.written(), b"abcd");
}

#[test]
fn a_drain_writes_corked_pieces_too() {
    let writer = Scripted::default();
    let outbox = Outbox::new(writer.clone());
    outbox.cork();
    outbox.write("a").unwrap();
    outbox.write("b").unwrap();
    outbox.drain().unwrap();
    assert_eq!(writer.calls(), [2]);
    // The outbox is still corked.
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

/// The default `write_vectored` of `Write` writes only the first slice.
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
