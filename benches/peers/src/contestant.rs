//! An allocator with its compiled loops: the only place with dynamic calls, outside all timed
//! loops.

use std::time::Duration;

use crate::allocator::{Allocator, Role};
use crate::footprint::{self, Footprint, Scenario};
use crate::workload::{self, Workload, fresh};

/// Any [`Allocator`].
pub trait Contestant {
    /// The name in the tables.
    fn name(&self) -> &'static str;

    /// Its role in the comparison.
    fn role(&self) -> Role;

    /// Whether blocks of any length can be allocated at any time.
    fn takes_any_length(&self) -> bool;

    /// Returns the nanoseconds of one operation of `workload`, or `None` if the allocator cannot
    /// run it.
    fn sample(&self, workload: Workload, budget: Duration) -> Option<f64>;

    /// Returns the nanoseconds of one block of memory new to this process. To be called once per
    /// process.
    fn first_touch(&self, len: usize) -> f64;

    /// Returns the resident memory in `scenario`. To be called once per process.
    ///
    /// # Errors
    ///
    /// If the system does not report the resident memory.
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
