//! Sequences of operations against a `Vec<u8>`.

use crate::common::{assert_all_home, fresh_pool, stamp};
use crate::scripted::{Answer, Scripted, rest};
use proptest::prelude::*;
use slabuf::{Outbox, Piece};
use std::io::ErrorKind;
use std::time::Duration;

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
