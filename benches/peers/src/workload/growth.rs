//! One block that doubles, as when reading data of unknown length.

use std::time::Duration;

use crate::allocator::{Allocator, fill, touch};
use crate::stopwatch::nanos_per_operation;

const FIRST: usize = 256 << 10;
const LAST: usize = 64 << 20;
const BYTE: u8 = 7;

/// Times a block that grows from 256 KiB to 64 MiB. Returns `None` if blocks cannot grow.
pub(super) fn by_doubling<A: Allocator>(
    allocator: &A,
    filled: bool,
    budget: Duration,
) -> Option<f64> {
    let mut grows = true;
    let nanos = nanos_per_operation(budget, 1, || grows &= double(allocator, filled));
    grows.then_some(nanos)
}

fn double<A: Allocator>(allocator: &A, filled: bool) -> bool {
    let mut block = allocator.take(FIRST);
    fill::<A>(&mut block, 0..FIRST, BYTE);
    let mut len = FIRST;
    while len < LAST {
        if !allocator.grow(&mut block, len, 2 * len) {
            return false;
        }
        if filled {
            fill::<A>(&mut block, len..2 * len, BYTE);
        } else {
            // SAFETY: the block has `2 * len` bytes at this point.
            unsafe { touch(A::start(&mut block), len) }
        }
        len *= 2;
    }
    true
}
