//! Sequences of operations against a `Vec<u8>`.

use crate::scripted::{Answer, Scripted, poll, rest};
use proptest::prelude::*;
use slabuf::{Buffer, Outbox, Piece};
use std::io::ErrorKind;
use std::pin::pin;
use std::task::Poll;

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
