//! Sixteen parts of one memory, allocated, split and dropped.

use std::array::from_fn;
use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use slabuf::Buffer;

use crate::{KIB, cpu_time, median};

const PARTS: usize = 16;
/// Repetitions of one figure.
const COUNT: u32 = 20_000;

fn stale(len: usize) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(len);
    // SAFETY: for the length's sake alone: these bytes are not read.
    unsafe { bytes.set_len(len) };
    bytes
}

fn split_ours(len: usize) {
    let mut rest = Buffer::alloc_unsafe(len);
    let parts: [Buffer; PARTS] = from_fn(|_| rest.split_to(len / PARTS));
    black_box(&parts);
}

fn split_theirs(len: usize) {
    let mut rest = stale(len);
    let parts: [BytesMut; PARTS] = from_fn(|_| rest.split_to(len / PARTS));
    black_box(&parts);
}

fn split_and_freeze_ours(len: usize) {
    let mut rest = Buffer::alloc_unsafe(len);
    let parts: [Bytes; PARTS] = from_fn(|_| rest.split_to(len / PARTS).freeze());
    black_box(&parts);
}

fn split_and_freeze_theirs(len: usize) {
    let mut rest = stale(len);
    let parts: [Bytes; PARTS] = from_fn(|_| rest.split_to(len / PARTS).freeze());
    black_box(&parts);
}

fn freeze_and_slice_ours(len: usize) {
    let mut rest = Buffer::alloc_unsafe(len).freeze();
    let parts: [Bytes; PARTS] = from_fn(|_| rest.split_to(len / PARTS));
    black_box(&parts);
}

fn freeze_and_slice_theirs(len: usize) {
    let mut rest = stale(len).freeze();
    let parts: [Bytes; PARTS] = from_fn(|_| rest.split_to(len / PARTS));
    black_box(&parts);
}

type Run = fn(usize);

/// What is done, with a `Buffer`, and what it is measured against.
const ROWS: [(&str, Run, Run); 4] = [
    ("`split_to`", split_ours, split_theirs),
    (
        "`split_to`, then `freeze` each",
        split_and_freeze_ours,
        split_and_freeze_theirs,
    ),
    (
        "`freeze`, then `Bytes::split_to`, beside `BytesMut` split and frozen",
        freeze_and_slice_ours,
        split_and_freeze_theirs,
    ),
    (
        "`freeze`, then `Bytes::split_to`, both",
        freeze_and_slice_ours,
        freeze_and_slice_theirs,
    ),
];

pub(crate) fn table(rounds: usize) {
    println!("| bytes | into {PARTS} parts by | `Buffer`, ns | `BytesMut`, ns | ratio |");
    println!("|--:|---|--:|--:|--:|");
    for len in [4 * KIB, 16 * KIB, 64 * KIB] {
        for (name, ours, theirs) in ROWS {
            let figures: Vec<_> = (0..=2 * rounds)
                .map(|round| match round % 2 {
                    0 => (nanoseconds(ours, len), nanoseconds(theirs, len)),
                    _ => {
                        let theirs = nanoseconds(theirs, len);
                        (nanoseconds(ours, len), theirs)
                    }
                })
                .skip(1)
                .collect();
            println!(
                "| {} KiB | {name} | {:.0} | {:.0} | {:.2} |",
                len / KIB,
                median(figures.iter().map(|(ours, _)| *ours)),
                median(figures.iter().map(|(_, theirs)| *theirs)),
                median(figures.iter().map(|(ours, theirs)| ours / theirs)),
            );
        }
    }
}

fn nanoseconds(run: Run, len: usize) -> f64 {
    let start = cpu_time::now();
    for _ in 0..COUNT {
        run(black_box(len));
    }
    (cpu_time::now() - start).as_nanos() as f64 / f64::from(COUNT)
}
