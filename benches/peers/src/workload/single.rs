//! One thread, one length: the pair and the batch.

use std::hint::black_box;
use std::time::Duration;

use super::Order;
use crate::allocator::{Allocator, touch_first};
use crate::stopwatch::nanos_per_operation;

const PAIRS: usize = 1024;
const BATCHES: usize = 16;
const BATCH: usize = 64;

pub(super) fn pair_stale<A: Allocator>(allocator: &A, len: usize, budget: Duration) -> f64 {
    nanos_per_operation(budget, PAIRS, || pairs::<A>(len, |len| allocator.take(len)))
}

pub(super) fn pair_zeroed<A: Allocator>(allocator: &A, len: usize, budget: Duration) -> f64 {
    nanos_per_operation(budget, PAIRS, || {
        pairs::<A>(len, |len| allocator.take_zeroed(len))
    })
}

#[inline(always)]
fn pairs<A: Allocator>(len: usize, take: impl Fn(usize) -> A::Block) {
    for _ in 0..PAIRS {
        let mut block = take(black_box(len));
        touch_first::<A>(&mut block);
    }
}

pub(super) fn batch<A: Allocator>(
    allocator: &A,
    len: usize,
    order: Order,
    budget: Duration,
) -> f64 {
    let mut blocks = Vec::with_capacity(BATCH);
    nanos_per_operation(budget, BATCHES * BATCH, || {
        for _ in 0..BATCHES {
            take_batch(allocator, len, &mut blocks);
            match order {
                Order::Lifo => while blocks.pop().is_some() {},
                Order::Fifo => blocks.clear(),
            }
        }
    })
}

#[inline(always)]
fn take_batch<A: Allocator>(allocator: &A, len: usize, blocks: &mut Vec<A::Block>) {
    // An exact-size iterator, so that the vector does not check its capacity for each block.
    blocks.extend((0..BATCH).map(|_| {
        let mut block = allocator.take(black_box(len));
        touch_first::<A>(&mut block);
        block
    }));
}
