//! Errors of allocations and of building pools, with the counters that a log needs.

use std::fmt;
use std::time::Duration;

/// The reason why a buffer could not be allocated.
///
/// A failed call changes nothing: the pool continues to work, and a buffer that could not grow
/// keeps its bytes and its memory. All sizes are in bytes. The counters are read after the refusal,
/// when the error is made. If other threads use the pool, they may have changed by then.
/// ```
/// use slabuf::{AllocError, Pool};
///
/// let pool = Pool::builder().limit(1 << 20).build()?;
/// let kept = pool.alloc(100_000);
/// let error = pool.try_alloc(1_000_000).unwrap_err();
/// let AllocError::LimitExceeded { requested, rounded, in_use, mapped, limit, .. } = error else {
///     panic!("{error}");
/// };
/// assert_eq!((requested, in_use, limit), (1_000_000, kept.len(), Some(1 << 20)));
/// assert!(rounded >= requested && mapped >= in_use);
/// assert!(error.to_string().contains("1000000"));
/// # Ok::<(), slabuf::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AllocError {
    /// The pool would exceed its limit, even after its caches were released.
    #[non_exhaustive]
    LimitExceeded {
        /// Requested length.
        requested: usize,
        /// The requested length, rounded up to a slot or to whole pages.
        rounded: usize,
        /// Memory of the pool's live buffers: [`PoolUsage::in_use`](crate::PoolUsage::in_use).
        in_use: usize,
        /// Memory that the pool maps: [`PoolUsage::external`](crate::PoolUsage::external).
        mapped: usize,
        /// The pool's limit, if it has one.
        limit: Option<usize>,
    },
    /// The pools of the pool's [`Budget`](crate::Budget) would exceed it together, even after the
    /// caches of all of them were released.
    #[non_exhaustive]
    BudgetExceeded {
        /// Requested length.
        requested: usize,
        /// The requested length, rounded up to a slot or to whole pages.
        rounded: usize,
        /// Memory that all pools of the budget map: [`BudgetUsage::mapped`](crate::BudgetUsage).
        in_use: usize,
        /// The budget.
        limit: usize,
    },
    /// The requested length is larger than any address space.
    #[non_exhaustive]
    TooLarge {
        /// Requested length.
        requested: usize,
        /// The largest length that can be requested.
        maximum: usize,
    },
    /// The operating system refused memory, or the heap did for the pool's own structures.
    #[non_exhaustive]
    OutOfMemory {
        /// Requested length.
        requested: usize,
        /// The requested length, rounded up to a slot or to whole pages.
        rounded: usize,
        /// Memory of the pool's live buffers: [`PoolUsage::in_use`](crate::PoolUsage::in_use).
        in_use: usize,
        /// Memory that the pool maps: [`PoolUsage::external`](crate::PoolUsage::external).
        mapped: usize,
        /// The pool's limit, if it has one.
        limit: Option<usize>,
    },
    /// The pool's limit or its budget left no room within the time that the caller waited.
    #[non_exhaustive]
    TimedOut {
        /// Requested length.
        requested: usize,
        /// The requested length, rounded up to a slot or to whole pages.
        rounded: usize,
        /// Memory of the pool's live buffers: [`PoolUsage::in_use`](crate::PoolUsage::in_use).
        in_use: usize,
        /// Memory that the pool maps: [`PoolUsage::external`](crate::PoolUsage::external).
        mapped: usize,
        /// The pool's limit, if it has one.
        limit: Option<usize>,
        /// The pool's budget, if it has one.
        budget: Option<usize>,
        /// How long the caller waited.
        waited: Duration,
    },
    /// The requested alignment is not a power of two up to the page size.
    #[non_exhaustive]
    InvalidAlignment {
        /// Requested alignment.
        alignment: usize,
        /// The largest alignment: the system's page size.
        maximum: usize,
    },
}

impl fmt::Display for AllocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::LimitExceeded {
                requested,
                rounded,
                in_use,
                mapped,
                limit,
            } => {
                write!(
                    f,
                    "cannot allocate a buffer of {requested} bytes: the pool's limit"
                )?;
                write_bytes(f, " is ", limit)?;
                write_counters(f, rounded, in_use, mapped)
            }
            Self::BudgetExceeded {
                requested,
                rounded,
                in_use,
                limit,
            } => write!(
                f,
                "cannot allocate a buffer of {requested} bytes: the budget of the pool is {limit} bytes \
                 ({rounded} bytes needed, {in_use} in use by its pools)"
            ),
            Self::TooLarge { requested, maximum } => write!(
                f,
                "cannot allocate a buffer of {requested} bytes: at most {maximum} bytes can be requested"
            ),
            Self::OutOfMemory {
                requested,
                rounded,
                in_use,
                mapped,
                limit,
            } => {
                write!(
                    f,
                    "cannot allocate a buffer of {requested} bytes: the operating system refused"
                )?;
                write_bytes(f, ", the pool's limit is ", limit)?;
                write_counters(f, rounded, in_use, mapped)
            }
            Self::TimedOut {
                requested,
                rounded,
                in_use,
                mapped,
                limit,
                budget,
                waited,
            } => {
                write!(
                    f,
                    "cannot allocate a buffer of {requested} bytes: the pool's "
                )?;
                write_bytes(f, "limit of ", limit)?;
                if limit.is_some() && budget.is_some() {
                    f.write_str(" or its ")?;
                }
                write_bytes(f, "budget of ", budget)?;
                write!(f, " left no room for {waited:?}")?;
                write_counters(f, rounded, in_use, mapped)
            }
            Self::InvalidAlignment { alignment, maximum } => write!(
                f,
                "cannot align a buffer to {alignment} bytes: an alignment is a power of two from 1 to {maximum}"
            ),
        }
    }
}

/// Writes `before` and a number of bytes, or nothing if there is no number.
fn write_bytes(f: &mut fmt::Formatter<'_>, before: &str, bytes: Option<usize>) -> fmt::Result {
    bytes.map_or(Ok(()), |bytes| write!(f, "{before}{bytes} bytes"))
}

fn write_counters(
    f: &mut fmt::Formatter<'_>,
    rounded: usize,
    in_use: usize,
    mapped: usize,
) -> fmt::Result {
    write!(
        f,
        " ({rounded} bytes needed, {in_use} in use, {mapped} mapped)"
    )
}

impl std::error::Error for AllocError {}

/// The reason why a pool could not be built.
/// ```
/// use slabuf::Pool;
///
/// let error = Pool::builder().slab_size(3000).build().unwrap_err();
/// assert!(error.to_string().contains("3000"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// `slab_size` is not a power of two from 4096 bytes to 1 MiB.
    #[non_exhaustive]
    SlabSize {
        /// The configured size in bytes.
        given: usize,
        /// The smallest size in bytes.
        minimum: usize,
        /// The largest size in bytes.
        maximum: usize,
    },
    /// `limit` is too small for a single region.
    #[non_exhaustive]
    Limit {
        /// The configured limit in bytes.
        given: usize,
        /// The smallest limit in bytes for this slab size.
        minimum: usize,
    },
    /// The budget is too small for a single region.
    #[non_exhaustive]
    Budget {
        /// The budget in bytes.
        given: usize,
        /// The smallest budget in bytes for this slab size.
        minimum: usize,
    },
    /// `limit` is above the pool's budget.
    #[non_exhaustive]
    LimitAboveBudget {
        /// The configured limit in bytes.
        limit: usize,
        /// The budget in bytes.
        budget: usize,
    },
    /// `cache_limit` is above `limit`, or above the budget of a pool without one: a cache cannot
    /// hold more than the pool may map.
    #[non_exhaustive]
    CacheLimit {
        /// The configured cache limit in bytes.
        given: usize,
        /// The pool's limit in bytes, or its budget.
        limit: usize,
    },
    /// `high_water_mark` is 0, or above `limit` or the budget of a pool without a limit: the pool
    /// would be over it always or never.
    #[non_exhaustive]
    HighWaterMark {
        /// The configured high-water mark in bytes.
        given: usize,
        /// The pool's limit in bytes, or its budget, if it has one of them.
        limit: Option<usize>,
    },
    /// `low_water_mark` is not below `high_water_mark`.
    #[non_exhaustive]
    LowWaterMark {
        /// The configured low-water mark in bytes.
        given: usize,
        /// The high-water mark in bytes, if one was set.
        high_water_mark: Option<usize>,
    },
    /// There is no memory for the pool's own structures.
    OutOfMemory,
    /// The process has the largest number of pools already. A pool counts until its last handle and
    /// its last buffer are dropped.
    #[non_exhaustive]
    TooManyPools {
        /// The largest number of pools that one process can have at a time.
        maximum: u64,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SlabSize {
                given,
                minimum,
                maximum,
            } => write!(
                f,
                "slab_size must be a power of two from {minimum} to {maximum} bytes, not {given}"
            ),
            Self::Limit { given, minimum } => {
                write!(f, "limit must be at least {minimum} bytes, not {given}")
            }
            Self::Budget { given, minimum } => {
                write!(
                    f,
                    "the budget must be at least {minimum} bytes, not {given}"
                )
            }
            Self::LimitAboveBudget { limit, budget } => write!(
                f,
                "limit must not be above the budget of {budget} bytes: it is {limit}"
            ),
            Self::CacheLimit { given, limit } => write!(
                f,
                "cache_limit must not be above the limit of {limit} bytes: it is {given}"
            ),
            Self::HighWaterMark { given, limit: None } => {
                write!(f, "high_water_mark must be at least 1 byte, not {given}")
            }
            Self::HighWaterMark {
                given,
                limit: Some(limit),
            } => write!(
                f,
                "high_water_mark must be from 1 byte to the limit of {limit} bytes, not {given}"
            ),
            Self::LowWaterMark {
                given,
                high_water_mark: Some(high),
            } => write!(
                f,
                "low_water_mark must be below the high_water_mark of {high} bytes, not {given}"
            ),
            Self::LowWaterMark { given, .. } => write!(
                f,
                "low_water_mark of {given} bytes needs a high_water_mark above it"
            ),
            Self::OutOfMemory => f.write_str("there is no memory for the pool's own structures"),
            Self::TooManyPools { maximum } => {
                write!(f, "one process can have at most {maximum} pools at a time")
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// The largest length that can be requested, in bytes. The address space ends there.
pub(crate) const MAX_LEN: usize = (1 << 47) - (1 << 21);

/// The internal reason of a refusal. The pool converts it into an [`AllocError`] that states the
/// length. Until then it is one byte, so that slow paths return in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AllocFailure {
    /// The pool's limit has no room.
    Limit,
    /// The budget that the pool shares with others has no room.
    Budget,
    /// The operating system refused, or the heap did for the pool's own structures.
    System,
    /// The requested length is too large.
    Length,
}

/// The pool's counters that an [`AllocError`] states.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PoolState {
    pub(crate) rounded: usize,
    pub(crate) in_use: usize,
    pub(crate) mapped: usize,
    pub(crate) limit: Option<usize>,
    /// The limit and the mapped bytes of the pool's budget.
    pub(crate) budget: Option<(usize, usize)>,
}

impl AllocFailure {
    /// Returns whether the limit or the budget refused, so that a request can wait for room.
    pub(crate) fn is_limit(self) -> bool {
        matches!(self, Self::Limit | Self::Budget)
    }

    pub(crate) fn into_error(self, requested: usize, state: PoolState) -> AllocError {
        let PoolState {
            rounded,
            in_use,
            mapped,
            limit,
            budget,
        } = state;
        let (budget, in_all_pools) = budget.unwrap_or_default();
        match self {
            Self::Limit => AllocError::LimitExceeded {
                requested,
                rounded,
                in_use,
                mapped,
                limit,
            },
            Self::Budget => AllocError::BudgetExceeded {
                requested,
                rounded,
                in_use: in_all_pools,
                limit: budget,
            },
            Self::System => AllocError::OutOfMemory {
                requested,
                rounded,
                in_use,
                mapped,
                limit,
            },
            Self::Length => AllocError::TooLarge {
                requested,
                maximum: MAX_LEN,
            },
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
