//! A thread's use of one class, by which its blocks grow and shrink.

use crate::depot::block::doubled;
use crate::depot::magazine::Magazine;
use crate::sync::{Cell, const_fn};

/// Number of visits to the depot in a row, each soon after the one before, after which a thread
/// doubles its next block of the class.
const VISITS: u8 = 3;

/// What the owner of a cache remembers of its use of one class. The numbers of pops are the low
/// halves of [`Magazine::popped`], so a difference is wrong after 65,536 pops; then a block grows
/// or shrinks at the wrong time.
pub(super) struct ClassUse {
    /// Number of pops before the last visit to the depot.
    visited: Cell<u16>,
    /// Number of pops before the last time that the thread shrank its magazines.
    shrunk: Cell<u16>,
    /// Number of visits in a row that came soon after the one before.
    streak: Cell<u8>,
}

impl ClassUse {
    const_fn! {
        pub(super) fn new() -> Self {
            Self {
                visited: Cell::new(0),
                shrunk: Cell::new(0),
                streak: Cell::new(0),
            }
        }
    }

    /// Records that the thread visits the depot for the class, and returns the capacity that its
    /// next block should have: about twice as much as now if the visits are frequent, at most
    /// `most`. A visit is soon after the last one if the thread has popped no more slots since than
    /// eight blocks hold. A visit to refill is so only if the thread has popped those of one block:
    /// otherwise slabs with few free slots cause the visits, and a larger block would not help. A
    /// thread whose frees and allocations alternate at random visits after far more pops.
    pub(super) fn visit(&self, magazine: &Magazine, refills: bool, most: u32) -> u32 {
        let capacity = magazine.capacity();
        let popped = magazine.popped() as u16;
        let pops = u32::from(popped.wrapping_sub(self.visited.replace(popped)));
        let is_soon = pops <= 8 * capacity && !(refills && pops < capacity);
        let streak = if is_soon { self.streak.get() + 1 } else { 0 };
        self.streak.set(streak % VISITS);
        if streak < VISITS {
            return capacity;
        }
        doubled(capacity).min(most)
    }

    pub(super) fn pops_since_shrunk(&self, magazine: &Magazine) -> u16 {
        (magazine.popped() as u16).wrapping_sub(self.shrunk.get())
    }

    pub(super) fn count_pops_anew(&self, magazine: &Magazine) {
        self.shrunk.set(magazine.popped() as u16);
    }
}
