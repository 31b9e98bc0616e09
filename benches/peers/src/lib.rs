//! The code that the two programs of this package share.
//!
//! `peers` times every allocator at the same work, in alternating rounds; `footprint` measures how
//! much memory each keeps resident for its live blocks. Reading order:
//!
//! - [`allocator`]: the trait an allocator is measured through
//! - [`allocators`]: the crate's two kinds of pool and its peers behind that trait
//! - [`group`]: the groups of rows, with the ratio each must reach
//! - [`workload`]: the rows, and the loops that are timed
//! - [`contestant`]: an allocator with its compiled loops
//! - [`rounds`]: the order of runs, and the medians
//! - [`report`]: tables, JSON and the plot
//! - [`footprint`]: the scenarios of the second program

pub mod allocator;
pub mod allocators;
pub mod arguments;
pub mod contestant;
pub mod footprint;
pub mod group;
pub mod report;
pub mod resident;
pub mod rounds;
pub mod sizes;
pub mod stopwatch;
pub mod workload;
