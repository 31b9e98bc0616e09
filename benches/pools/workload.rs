//! The loops of one thread.
//!
//! Each loop is generic over the constructor, so that it is compiled for each kind of pool by
//! itself. Lengths pass through `black_box`: the constructor learns them at run time.

use std::hint::black_box;
use std::time::Duration;

use slabuf::{Buffer, Pool};

use crate::cpu_time;
use crate::lengths::{lengths, steps};

const PAIRS: usize = 8192;
const BATCHES: usize = 64;
const BATCH: usize = 64;
/// Live buffers of the window and of random replacement.
const LIVE: usize = 2048;
/// How many lengths or replacements are prepared; the loops repeat them.
const PREPARED: usize = 1 << 16;
const CHUNK: usize = 1 << 12;
const SEED: u64 = 0x51ab;

/// Runs `chunk` once unmeasured, then until `budget` is spent; returns nanoseconds for each of its
/// `operations`.
pub(crate) fn nanos_per_operation(
    budget: Duration,
    operations: usize,
    mut chunk: impl FnMut(),
) -> f64 {
    chunk();
    let mut chunks = 0_u32;
    let start = cpu_time::now();
    loop {
        chunk();
        chunks += 1;
        let elapsed = cpu_time::now() - start;
        if elapsed >= budget {
            return elapsed.as_nanos() as f64 / (operations as f64 * f64::from(chunks));
        }
    }
}

/// Writes the first byte of a buffer of at least one byte, in a way the compiler keeps.
#[inline(always)]
pub(crate) fn touch(buffer: &mut Buffer) {
    // SAFETY: every row asks for at least one byte, so the first byte is within the buffer, which
    // is borrowed for this call alone; a `u8` is aligned anywhere.
    unsafe { buffer.as_mut_ptr().write_volatile(1) }
}

#[inline(always)]
fn pairs(budget: Duration, len: usize, alloc: impl Fn(usize) -> Buffer) -> f64 {
    nanos_per_operation(budget, PAIRS, || {
        for _ in 0..PAIRS {
            touch(&mut alloc(black_box(len)));
        }
    })
}

/// Allocates, touches and drops one buffer of the global pool.
#[inline(never)]
pub(crate) fn pair_global(budget: Duration, len: usize) -> f64 {
    pairs(budget, len, Buffer::alloc_unsafe)
}

/// The same in `pool`.
#[inline(never)]
pub(crate) fn pair(budget: Duration, pool: &Pool, len: usize) -> f64 {
    pairs(budget, len, |len| pool.alloc_unsafe(len))
}

/// The same, zeroed.
#[inline(never)]
pub(crate) fn pair_zeroed(budget: Duration, pool: &Pool, len: usize) -> f64 {
    pairs(budget, len, |len| pool.alloc(len))
}

#[inline(always)]
fn batches(budget: Duration, len: usize, alloc: impl Fn(usize) -> Buffer) -> f64 {
    let mut held = Vec::with_capacity(BATCH);
    nanos_per_operation(budget, BATCHES * BATCH, || {
        for _ in 0..BATCHES {
            // An exact-size iterator: the vector does not look at its capacity for each buffer.
            held.extend((0..BATCH).map(|_| {
                let mut buffer = alloc(black_box(len));
                touch(&mut buffer);
                buffer
            }));
            held.clear();
        }
    })
}

/// Allocates 64 buffers of the global pool, touches each, and drops all.
#[inline(never)]
pub(crate) fn batch_global(budget: Duration, len: usize) -> f64 {
    batches(budget, len, Buffer::alloc_unsafe)
}

/// The same in `pool`.
#[inline(never)]
pub(crate) fn batch(budget: Duration, pool: &Pool, len: usize) -> f64 {
    batches(budget, len, |len| pool.alloc_unsafe(len))
}

/// The same, zeroed.
#[inline(never)]
pub(crate) fn batch_zeroed(budget: Duration, pool: &Pool, len: usize) -> f64 {
    batches(budget, len, |len| pool.alloc(len))
}

/// One pair in each of `pools`, one pool after the other.
#[inline(never)]
pub(crate) fn round_robin(budget: Duration, pools: &[Pool], len: usize) -> f64 {
    let laps = PAIRS.div_ceil(pools.len());
    nanos_per_operation(budget, laps * pools.len(), || {
        for _ in 0..laps {
            for pool in pools {
                touch(&mut pool.alloc_unsafe(black_box(len)));
            }
        }
    })
}

#[inline(always)]
fn alloc_touched(len: usize) -> Buffer {
    let mut buffer = Buffer::alloc_unsafe(len);
    touch(&mut buffer);
    buffer
}

/// Replaces the oldest of 2,048 live buffers of the global pool, of random lengths.
#[inline(never)]
pub(crate) fn window_global(budget: Duration) -> f64 {
    let lengths = lengths(SEED, PREPARED);
    let mut ring: Vec<Buffer> = lengths[..LIVE]
        .iter()
        .map(|len| alloc_touched(*len))
        .collect();
    let mut laps = lengths.chunks_exact(LIVE).cycle();
    let mut lap = move || {
        let lengths = laps.next().expect("a cycle has no end");
        for (oldest, len) in ring.iter_mut().zip(lengths) {
            *oldest = alloc_touched(*len);
        }
    };
    // The first laps meet buffers in the order of the fill.
    (0..PREPARED / LIVE).for_each(|_| lap());
    nanos_per_operation(budget, LIVE, lap)
}

/// Replaces any of 2,048 live buffers of the global pool, of random lengths.
#[inline(never)]
pub(crate) fn random_global(budget: Duration) -> f64 {
    let steps = steps(SEED, PREPARED, LIVE);
    let mut table: Vec<Buffer> = lengths(SEED, LIVE).into_iter().map(alloc_touched).collect();
    let mut chunks = steps.chunks_exact(CHUNK).cycle();
    let mut chunk = move || {
        for step in chunks.next().expect("a cycle has no end") {
            table[step.place] = alloc_touched(step.len);
        }
    };
    // As above: the order of the fill is gone by the time the clock runs.
    (0..2 * PREPARED / CHUNK).for_each(|_| chunk());
    nanos_per_operation(budget, CHUNK, chunk)
}
