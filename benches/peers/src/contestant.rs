//! An allocator with every loop compiled for it: the one place where calls are dynamic, outside all timed loops.

use std::time::Duration;

use crate::allocator::{Allocator, Role};
use crate::footprint::{self, Footprint, Scenario};
use crate::workload::{self, Workload, fresh};

/// Any [`Allocator`].
pub trait Contestant {
    /// The name in the tables.
    fn name(&self) -> &'static str;

    /// What it is in this comparison.
    fn role(&self) -> Role;

    /// Whether blocks of any length may be taken at any time.
    fn takes_any_length(&self) -> bool;

    /// Nanoseconds for one operation of `workload`, or nothing where the allocator cannot do it.
    fn sample(&self, workload: Workload, budget: Duration) -> Option<f64>;

    /// Nanoseconds for one block of memory new to this process; to be called once in a process.
    fn first_touch(&self, len: usize) -> f64;

    /// Resident memory in `scenario`; to be called once in a process.
    ///
    /// # Errors
    ///
    /// Where the system does not tell a process its resident memory.
    fn footprint(&self, scenario: Scenario, scale: u32) -> std::io::Result<Footprint>;
}

impl<A: Allocator> Contestant for A {
    fn name(&self) -> &'static str {
        A::NAME
    }

    fn role(&self) -> Role {
        A::ROLE
    }

    fn takes_any_length(&self) -> bool {
        A::ANY_LENGTH
    }

    fn sample(&self, workload: Workload, budget: Duration) -> Option<f64> {
        workload::sample(self, workload, budget)
    }

    fn first_touch(&self, len: usize) -> f64 {
        fresh::nanos_for_each_block(self, len)
    }

    fn footprint(&self, scenario: Scenario, scale: u32) -> std::io::Result<Footprint> {
        footprint::measure(self, scenario, scale)
    }
}
