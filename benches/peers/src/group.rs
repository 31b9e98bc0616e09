//! The groups of rows, and the target of each: a ratio to the best peer.

/// Rows that are judged together by their worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Allocate, write one byte, free; stale bytes.
    PairStale,
    /// The same with zeroed bytes.
    PairZeroed,
    /// Allocate 64, then free 64.
    Batch,
    /// A queue of live buffers, the oldest replaced.
    Window,
    /// A table of live buffers, replaced at random.
    Replacement,
    /// One thread allocates, another frees.
    Handover,
    /// Eight threads replace at random and exchange some.
    EightThreads,
    /// Allocate, write one byte, free; larger than a slab.
    LargePair,
    /// Allocate zeroed, write every cache line, free; larger than a slab.
    LargeZeroed,
    /// Memory that the process has never touched.
    FirstTouch,
    /// One buffer, doubled repeatedly.
    Growth,
}

impl Group {
    /// All groups in the order of the tables.
    pub const ALL: [Group; 11] = [
        Group::PairStale,
        Group::PairZeroed,
        Group::Batch,
        Group::Window,
        Group::Replacement,
        Group::Handover,
        Group::EightThreads,
        Group::LargePair,
        Group::LargeZeroed,
        Group::FirstTouch,
        Group::Growth,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Group::PairStale => "pair-stale",
            Group::PairZeroed => "pair-zeroed",
            Group::Batch => "batch",
            Group::Window => "window",
            Group::Replacement => "replacement",
            Group::Handover => "handover",
            Group::EightThreads => "eight-threads",
            Group::LargePair => "large-pair",
            Group::LargeZeroed => "large-zeroed",
            Group::FirstTouch => "first-touch",
            Group::Growth => "growth",
        }
    }

    /// The name in the tables.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Group::PairStale => "pair, stale",
            Group::PairZeroed => "pair, zeroed",
            Group::Batch => "batch LIFO / FIFO",
            Group::Window => "FIFO window",
            Group::Replacement => "random replacement",
            Group::Handover => "handover between threads",
            Group::EightThreads => "eight threads",
            Group::LargePair => "large pair",
            Group::LargeZeroed => "large zeroed, all touched",
            Group::FirstTouch => "first touch",
            Group::Growth => "growth by doubling",
        }
    }

    /// Describes one operation of the group.
    #[must_use]
    pub const fn operation(self) -> &'static str {
        match self {
            Group::FirstTouch => "one allocation, and one byte written per page",
            Group::Growth => "one buffer from 256 KiB to 64 MiB, and its free",
            _ => "one allocation and one free",
        }
    }

    /// Returns the target of every row of the group.
    #[must_use]
    pub const fn target(self) -> Target {
        let (must, aim) = match self {
            Group::PairStale | Group::LargePair => (0.90, 0.50),
            Group::PairZeroed | Group::Window => (0.75, 0.60),
            Group::Batch => (0.90, 0.70),
            Group::Replacement => (0.60, 0.45),
            Group::Handover => (0.75, 0.50),
            Group::EightThreads => (0.70, 0.55),
            Group::LargeZeroed | Group::FirstTouch => (1.00, 0.90),
            Group::Growth => (0.50, 0.05),
        };
        Target { must, aim }
    }

    /// Returns whether the rows of the group compare an explicit pool with the global one.
    #[must_use]
    pub const fn is_pair(self) -> bool {
        matches!(self, Group::PairStale | Group::PairZeroed)
    }
}

/// The highest ratio of an explicit pool's pair to that of the global pool.
pub const EXPLICIT_POOL_MUST: f64 = 1.50;

/// Cost as a ratio to the best peer of the same round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// More than this is a miss.
    pub must: f64,
    /// The desired ratio.
    pub aim: f64,
}

impl Target {
    /// Compares `ratio` with the target, in a word.
    #[must_use]
    pub fn verdict(self, ratio: f64) -> &'static str {
        if ratio <= self.aim {
            "aim"
        } else if ratio <= self.must {
            "must"
        } else {
            "MISS"
        }
    }
}
