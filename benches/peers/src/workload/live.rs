//! One thread, many live blocks of random lengths; each step is a free and an allocation.

use std::time::Duration;

use crate::allocator::{Allocator, touch_first};
use crate::sizes::{lengths, steps};
use crate::stopwatch::nanos_per_operation;

const SEED: u64 = 0x51ab;
/// Number of precomputed lengths or replacements, used cyclically.
const PREPARED: usize = 1 << 17;
/// Steps between two reads of the clock.
const CHUNK: usize = 1 << 12;

#[inline(always)]
fn take_touched<A: Allocator>(allocator: &A, len: u32) -> A::Block {
    let mut block = allocator.take(len as usize);
    touch_first::<A>(&mut block);
    block
}

fn take_all<A: Allocator>(allocator: &A, lengths: &[u32]) -> Vec<A::Block> {
    lengths
        .iter()
        .map(|&len| take_touched(allocator, len))
        .collect()
}

/// Times replacing the oldest block. `live` divides the number of precomputed lengths.
pub(super) fn window<A: Allocator>(allocator: &A, live: usize, budget: Duration) -> f64 {
    let lengths = lengths(SEED, PREPARED);
    let mut ring = take_all(allocator, &lengths[..live]);
    let mut laps = lengths.chunks_exact(live).cycle();
    let mut lap = move || {
        let lengths = laps.next().expect("a cycle has no end");
        for (oldest, &len) in ring.iter_mut().zip(lengths) {
            *oldest = take_touched(allocator, len);
        }
    };
    // The first rounds after the fill would free blocks in the order of the fill.
    (0..PREPARED / live).for_each(|_| lap());
    nanos_per_operation(budget, live, lap)
}

/// Times replacing any block.
pub(super) fn replacement<A: Allocator>(allocator: &A, live: usize, budget: Duration) -> f64 {
    let mut table = take_all(allocator, &lengths(SEED, live));
    let steps = steps(SEED, PREPARED, live);
    let mut chunks = steps.chunks_exact(CHUNK).cycle();
    let mut chunk = move || {
        let steps = chunks.next().expect("a cycle has no end");
        for step in steps {
            table[step.place as usize] = take_touched(allocator, step.len);
        }
    };
    // As above: mixes the order of the fill.
    (0..2 * PREPARED / CHUNK).for_each(|_| chunk());
    nanos_per_operation(budget, CHUNK, chunk)
}
