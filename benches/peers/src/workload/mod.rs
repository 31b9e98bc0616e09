//! The rows of the tables, and the loops behind them.
//!
//! Every loop is generic over the allocator and reads random values from precomputed arrays.
//! Lengths are known at run time only, never constants.

mod eight_threads;
pub mod fresh;
mod growth;
mod handover;
mod large;
mod live;
mod single;

use std::fmt;
use std::time::Duration;

use crate::allocator::Allocator;
use crate::group::Group;

/// The order in which a batch is freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The most recent allocation first.
    Lifo,
    /// The oldest allocation first.
    Fifo,
}

/// The work of one row.
#[expect(
    missing_docs,
    reason = "`len` is always the requested length, `live` the number of live blocks"
)]
#[derive(Clone, Copy, Debug)]
pub enum Workload {
    /// Allocate, write one byte, free.
    Pair { len: usize, zeroed: bool },
    /// Allocate 64, write to each, free all.
    Batch { len: usize, order: Order },
    /// Replace the oldest of `live` blocks of random lengths.
    Window { live: usize },
    /// Replace any of `live` blocks of random lengths.
    Replacement { live: usize },
    /// Allocate on one thread, free on another.
    Handover { len: usize },
    /// Replace at random on eight threads, with exchange.
    EightThreads,
    /// Allocate zeroed, write every cache line, free.
    LargeZeroed { len: usize },
    /// Allocate and keep memory that is new to the process.
    FirstTouch { len: usize },
    /// Double one block, filling it or touching one byte each time.
    Growth { filled: bool },
}

/// One line of a table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its group.
    pub group: Group,
    /// Its work.
    pub workload: Workload,
}

const PAIR_LENGTHS: [usize; 7] = [16, 64, 200, 1000, 1500, 4000, 8000];
const BATCH_LENGTHS: [usize; 5] = [64, 200, 1400, 4000, 8000];
const HANDOVER_LENGTHS: [usize; 3] = [64, 1400, 8000];
const LARGE_LENGTHS: [usize; 4] = [12 << 10, 64 << 10, 1 << 20, 24 << 20];
const FRESH_LENGTHS: [usize; 3] = [64 << 10, 4 << 20, 64 << 20];
const WINDOWS: [usize; 2] = [1 << 10, 16 << 10];
const TABLES: [usize; 2] = [2_000, 50_000];

impl Workload {
    fn has_random_lengths(self) -> bool {
        matches!(
            self,
            Self::Window { .. } | Self::Replacement { .. } | Self::EightThreads
        )
    }
}

impl Row {
    /// Returns the rows of `group`.
    #[must_use]
    pub fn of(group: Group) -> Vec<Row> {
        workloads(group)
            .into_iter()
            .map(|workload| Row { group, workload })
            .collect()
    }
}

fn workloads(group: Group) -> Vec<Workload> {
    let each = |lengths: &[usize], workload: fn(usize) -> Workload| -> Vec<Workload> {
        lengths.iter().map(|&len| workload(len)).collect()
    };
    match group {
        Group::PairStale => each(&PAIR_LENGTHS, |len| Workload::Pair { len, zeroed: false }),
        Group::PairZeroed => each(&PAIR_LENGTHS, |len| Workload::Pair { len, zeroed: true }),
        Group::Batch => {
            let mut rows = each(&BATCH_LENGTHS, |len| Workload::Batch {
                len,
                order: Order::Lifo,
            });
            rows.extend(each(&BATCH_LENGTHS, |len| Workload::Batch {
                len,
                order: Order::Fifo,
            }));
            rows
        }
        Group::Window => each(&WINDOWS, |live| Workload::Window { live }),
        Group::Replacement => each(&TABLES, |live| Workload::Replacement { live }),
        Group::Handover => each(&HANDOVER_LENGTHS, |len| Workload::Handover { len }),
        Group::EightThreads => vec![Workload::EightThreads],
        Group::LargePair => each(&LARGE_LENGTHS, |len| Workload::Pair { len, zeroed: false }),
        Group::LargeZeroed => each(&LARGE_LENGTHS, |len| Workload::LargeZeroed { len }),
        Group::FirstTouch => each(&FRESH_LENGTHS, |len| Workload::FirstTouch { len }),
        Group::Growth => vec![
            Workload::Growth { filled: true },
            Workload::Growth { filled: false },
        ],
    }
}

/// Returns the nanoseconds of one operation of `workload`, measured for about `budget`, or `None`
/// if the allocator cannot run it.
pub fn sample<A: Allocator>(allocator: &A, workload: Workload, budget: Duration) -> Option<f64> {
    if workload.has_random_lengths() && !A::ANY_LENGTH {
        return None;
    }
    Some(match workload {
        Workload::Pair { len, zeroed: false } => single::pair_stale(allocator, len, budget),
        Workload::Pair { len, zeroed: true } => single::pair_zeroed(allocator, len, budget),
        Workload::Batch { len, order } => single::batch(allocator, len, order, budget),
        Workload::Window { live } => live::window(allocator, live, budget),
        Workload::Replacement { live } => live::replacement(allocator, live, budget),
        Workload::Handover { len } => handover::between_two(allocator, len, budget),
        Workload::EightThreads => eight_threads::at_random(allocator),
        Workload::LargeZeroed { len } => large::zeroed(allocator, len, budget),
        Workload::FirstTouch { len } => return fresh::in_new_process(A::NAME, len),
        Workload::Growth { filled } => return growth::by_doubling(allocator, filled, budget),
    })
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Workload::Pair { len, .. }
            | Workload::Handover { len }
            | Workload::LargeZeroed { len }
            | Workload::FirstTouch { len } => write!(f, "{}", Length(len)),
            Workload::Batch {
                len,
                order: Order::Lifo,
            } => write!(f, "LIFO {}", Length(len)),
            Workload::Batch {
                len,
                order: Order::Fifo,
            } => write!(f, "FIFO {}", Length(len)),
            Workload::Window { live } | Workload::Replacement { live } => write!(f, "{live} live"),
            Workload::EightThreads => write!(
                f,
                "{} x {} live",
                eight_threads::THREADS,
                eight_threads::LIVE
            ),
            Workload::Growth { filled: true } => f.write_str("filled"),
            Workload::Growth { filled: false } => f.write_str("one byte touched"),
        }
    }
}

/// A length with a unit.
struct Length(usize);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            len if len >= 1 << 20 && len % (1 << 20) == 0 => write!(f, "{} MiB", len >> 20),
            len if len >= 1 << 10 && len % (1 << 10) == 0 => write!(f, "{} KiB", len >> 10),
            len => write!(f, "{len} B"),
        }
    }
}
