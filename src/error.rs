//! What can go wrong, with the figures a reader of a log needs.

use std::fmt;
use std::time::Duration;

/// Why a buffer could not be had.
///
/// Nothing is lost when one of these comes back: the pool works on, and a buffer that was to grow is
/// as it was.
///
/// ```
/// use slabuf::{AllocError, Pool};
///
/// let pool = Pool::builder().limit(1 << 20).build()?;
/// let error = pool.try_alloc(2 << 20).unwrap_err();
/// assert_eq!(error, AllocError::LimitExceeded { requested: 2 << 20, limit: 1 << 20 });
/// assert!(error.to_string().contains("2097152"));
/// # Ok::<(), slabuf::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AllocError {
    /// The pool would map more than its limit, also after its caches gave up what they held.
    LimitExceeded {
        /// Bytes asked for.
        requested: usize,
        /// The pool's limit in bytes.
        limit: usize,
    },
    /// No address space is that large.
    TooLarge {
        /// Bytes asked for.
        requested: usize,
        /// The largest length in bytes that can be asked for.
        maximum: usize,
    },
    /// The operating system refused.
    OutOfMemory {
        /// Bytes asked for.
        requested: usize,
    },
    /// The pool's limit left no room within the time the caller would wait.
    TimedOut {
        /// Bytes asked for.
        requested: usize,
        /// The pool's limit in bytes.
        limit: usize,
        /// How long the caller waited.
        waited: Duration,
    },
}

impl fmt::Display for AllocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LimitExceeded { requested, limit } => write!(
                f,
                "cannot allocate a buffer of {requested} bytes: the pool's limit is {limit} bytes"
            ),
            Self::TooLarge { requested, maximum } => write!(
                f,
                "cannot allocate a buffer of {requested} bytes: at most {maximum} bytes can be asked for"
            ),
            Self::OutOfMemory { requested } => write!(
                f,
                "cannot allocate a buffer of {requested} bytes: the operating system refused"
            ),
            Self::TimedOut {
                requested,
                limit,
                waited,
            } => write!(
                f,
                "cannot allocate a buffer of {requested} bytes: the pool's limit of {limit} bytes left no room for {waited:?}"
            ),
        }
    }
}

impl std::error::Error for AllocError {}

/// Why a pool could not be built.
///
/// ```
/// use slabuf::Pool;
///
/// let error = Pool::builder().slab_size(3000).build().unwrap_err();
/// assert!(error.to_string().contains("3000"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// `slab_size` is no power of two from one page (4096) to 1 MiB.
    SlabSize {
        /// Bytes asked for.
        given: usize,
        /// The least size in bytes.
        minimum: usize,
        /// The largest size in bytes.
        maximum: usize,
    },
    /// `limit` leaves no room for a single region.
    Limit {
        /// Bytes asked for.
        given: usize,
        /// The least limit in bytes for this slab size.
        minimum: usize,
    },
    /// `cache_limit` is above `limit`: a cache cannot hold more than the pool may map.
    CacheLimit {
        /// Bytes asked for.
        given: usize,
        /// The pool's limit in bytes.
        limit: usize,
    },
    /// `high_water_mark` is 0, or above `limit`: it would always or never be reached.
    HighWaterMark {
        /// Bytes asked for.
        given: usize,
        /// The pool's limit in bytes.
        limit: usize,
    },
    /// `low_water_mark` is not below `high_water_mark`.
    LowWaterMark {
        /// Bytes asked for.
        given: usize,
        /// The high-water mark in bytes, if one was set.
        high_water_mark: Option<usize>,
    },
    /// There is no memory for the pool's own structures.
    OutOfMemory,
    /// So many pools were built in this process that their numbers ran out.
    TooManyPools {
        /// How many pools one process can build.
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
            Self::CacheLimit { given, limit } => write!(
                f,
                "cache_limit must not be above the limit of {limit} bytes: it is {given}"
            ),
            Self::HighWaterMark {
                given,
                limit: usize::MAX,
            } => {
                write!(f, "high_water_mark must be at least 1 byte, not {given}")
            }
            Self::HighWaterMark { given, limit } => write!(
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
                write!(f, "one process can build at most {maximum} pools")
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// The largest length that can be asked for, in bytes: nothing larger has an address.
pub(crate) const MAX_LEN: usize = (1 << 47) - (1 << 21);

/// Why the layers below said no. The pool turns it into an [`AllocError`] that names the length; until then
/// it is one byte, so that slow paths return in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AllocFailure {
    /// The pool's limit.
    Limit,
    /// The operating system, or the heap that holds the pool's own structures.
    System,
    /// The length itself.
    Length,
}

impl AllocFailure {
    pub(crate) fn into_error(self, requested: usize, limit: usize) -> AllocError {
        match self {
            Self::Limit => AllocError::LimitExceeded { requested, limit },
            Self::System => AllocError::OutOfMemory { requested },
            Self::Length => AllocError::TooLarge {
                requested,
                maximum: MAX_LEN,
            },
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_value_and_the_limit() {
        let error = AllocFailure::Limit.into_error(70_000, 65_536);
        assert!(error.to_string().contains("70000"));
        assert!(error.to_string().contains("65536"));
        let error = AllocFailure::System.into_error(70_000, 65_536);
        assert!(error.to_string().contains("70000"));
        let error = ConfigError::Limit {
            given: 5,
            minimum: 32_768,
        };
        assert!(error.to_string().contains("32768"));
    }
}
