//! One thread, one block larger than a slab, zeroed and written from end to end.

use std::hint::black_box;
use std::time::Duration;

use crate::allocator::{Allocator, touch_every};
use crate::stopwatch::nanos_per_operation;

const CACHE_LINE: usize = 64;

pub(super) fn zeroed<A: Allocator>(allocator: &A, len: usize, budget: Duration) -> f64 {
    nanos_per_operation(budget, 1, || {
        let mut block = allocator.take_zeroed(black_box(len));
        touch_every::<A>(&mut block, len, CACHE_LINE);
    })
}
