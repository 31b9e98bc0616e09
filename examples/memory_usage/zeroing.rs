//! Part 4: the cost of zeroing, `alloc` against `alloc_unsafe`.

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use slabuf::Buffer;

use crate::{Outcome, section};

pub(crate) fn cost_of_zeroing(out: &mut impl Write) -> Outcome {
    section(
        out,
        "4. `alloc` (zeroed) against `alloc_unsafe` (stale bytes)",
        "Allocates a buffer, writes its first byte, drops it; ns each, best of nine rounds.\n\
         The memory was used before, so `alloc` must zero it. Its cost grows with the length.",
    )?;
    writeln!(
        out,
        "\n  {:>10}{:>16}{:>20}{:>10}",
        "length", "alloc, ns", "alloc_unsafe, ns", "ratio"
    )?;
    for power in 0..10 {
        let len = 64 << (2 * power);
        let (zeroed, stale) = compare_constructors(len);
        writeln!(
            out,
            "  {:>10}{zeroed:>16.1}{stale:>20.1}{:>10.1}",
            length_text(len),
            zeroed / stale
        )?;
    }
    Ok(())
}

/// Returns the time of one `alloc` and one `alloc_unsafe` of this length in ns. The rounds
/// alternate, so that other load on the machine affects both.
fn compare_constructors(len: usize) -> (f64, f64) {
    let zeroed_count = iterations_for(len, Buffer::alloc);
    let stale_count = iterations_for(len, Buffer::alloc_unsafe);
    let mut best = (f64::INFINITY, f64::INFINITY);
    for _ in 0..9 {
        best.0 = best.0.min(nanoseconds(len, zeroed_count, Buffer::alloc));
        best.1 = best
            .1
            .min(nanoseconds(len, stale_count, Buffer::alloc_unsafe));
    }
    best
}

/// Returns the number of iterations that take about four milliseconds.
fn iterations_for(len: usize, alloc: impl Fn(usize) -> Buffer + Copy) -> u32 {
    let mut count = 4;
    while nanoseconds(len, count, alloc) * f64::from(count) < 4e6 && count < 1 << 24 {
        count *= 2;
    }
    count
}

/// Returns the mean time of `count` iterations in ns.
fn nanoseconds(len: usize, count: u32, alloc: impl Fn(usize) -> Buffer) -> f64 {
    let start = Instant::now();
    for _ in 0..count {
        let mut buffer = alloc(black_box(len));
        buffer[0] = 1;
        black_box(&mut buffer);
    }
    start.elapsed().as_nanos() as f64 / f64::from(count)
}

fn length_text(len: usize) -> String {
    match len {
        0..1024 => format!("{len} B"),
        1024..0x10_0000 => format!("{} KiB", len / 1024),
        _ => format!("{} MiB", len / 0x10_0000),
    }
}
