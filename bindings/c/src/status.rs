//! The status that functions return, and the conversion of the crate's errors into it.

use slabuf_rust::{AllocError, ConfigError};
use std::ffi::{CStr, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The outcome of a call. Names and values do not change; new ones are added at the end.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum slabuf_status {
    /// Success.
    Ok = 0,
    /// An argument is null, or not aligned for its type.
    BadPointer = 1,
    /// The given size of a struct is the size of none of its versions.
    BadSize = 2,
    /// The buffer was freed before or never allocated, or the program changed its fields.
    NotABuffer = 3,
    /// The pool was destroyed before or never created.
    NotAPool = 4,
    /// The buffer belongs to another pool.
    ForeignPool = 5,
    /// The global pool cannot be destroyed.
    GlobalPool = 6,
    /// The length exceeds every address space.
    TooLarge = 7,
    /// The pool would map more than its limit.
    LimitExceeded = 8,
    /// The operating system refused, or there is no memory for the library's own structures.
    OutOfMemory = 9,
    /// The length is above the buffer's capacity.
    BadLength = 10,
    /// The slab size is not a power of two from 4096 to 1 MiB.
    BadSlabSize = 11,
    /// The limit is below four slabs.
    BadLimit = 12,
    /// The cache limit is above the limit, or above the budget of a pool without a limit.
    BadCacheLimit = 13,
    /// A flag is set that this version does not know.
    BadFlags = 14,
    /// 65,536 pools exist at once, or 4,294,967,295 were created in this process.
    TooManyPools = 15,
    /// A defect of this library. Please report it.
    Internal = 16,
    /// The time ended before the pool or its budget had room, or before it had drained.
    TimedOut = 17,
    /// The high-water mark is above the limit, or above the budget of a pool without a limit; or
    /// the low-water mark is not below the high-water mark.
    BadWatermark = 18,
    /// The pools of the pool's budget would map more than it.
    BudgetExceeded = 19,
    /// The budget is below four slabs, or below the limit.
    BadBudget = 20,
    /// The budget was destroyed before or never created.
    NotABudget = 21,
    /// 65,536 budgets exist at once.
    TooManyBudgets = 22,
}

impl slabuf_status {
    pub(crate) fn of<T>(result: Result<T, Self>) -> Self {
        result.err().unwrap_or(Self::Ok)
    }
}

impl From<AllocError> for slabuf_status {
    fn from(error: AllocError) -> Self {
        match error {
            AllocError::LimitExceeded { .. } => Self::LimitExceeded,
            AllocError::BudgetExceeded { .. } => Self::BudgetExceeded,
            AllocError::TooLarge { .. } => Self::TooLarge,
            AllocError::OutOfMemory { .. } => Self::OutOfMemory,
            AllocError::TimedOut { .. } => Self::TimedOut,
            _ => Self::Internal,
        }
    }
}

impl From<ConfigError> for slabuf_status {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::SlabSize { .. } => Self::BadSlabSize,
            ConfigError::Limit { .. } => Self::BadLimit,
            ConfigError::Budget { .. } | ConfigError::LimitAboveBudget { .. } => Self::BadBudget,
            ConfigError::CacheLimit { .. } => Self::BadCacheLimit,
            ConfigError::HighWaterMark { .. } | ConfigError::LowWaterMark { .. } => {
                Self::BadWatermark
            }
            ConfigError::OutOfMemory => Self::OutOfMemory,
            ConfigError::TooManyPools { .. } => Self::TooManyPools,
            _ => Self::Internal,
        }
    }
}

const MESSAGES: [&CStr; 23] = [
    c"success",
    c"an argument is null, or not aligned for its type",
    c"the given size of a struct is the size of none of its versions",
    c"not a buffer: freed before, never allocated, or changed by the program",
    c"not a pool: destroyed before, or never created",
    c"the buffer belongs to another pool",
    c"the global pool cannot be destroyed",
    c"the length exceeds every address space",
    c"the pool's limit has no room for the request",
    c"out of memory: the operating system refused",
    c"the length is above the buffer's capacity",
    c"the slab size is not a power of two from 4096 to 1048576 bytes",
    c"the limit is below four slabs",
    c"the cache limit is above the limit or the budget",
    c"a flag is set that this version does not know",
    c"too many pools",
    c"internal error: a defect of slabuf, please report it",
    c"timed out",
    c"the high-water mark is above the limit or the budget, or the low-water mark not below it",
    c"the budget of the pool has no room for the request",
    c"the budget is below four slabs, or below the limit",
    c"not a budget: destroyed before, or never created",
    c"too many budgets",
];

const _: () = assert!(MESSAGES.len() == slabuf_status::TooManyBudgets as usize + 1);

/// Describes a status in English, in one line without an end of line.
///
/// The text lives as long as the process. A number that is not a status has a text too.
#[unsafe(no_mangle)]
pub extern "C" fn slabuf_status_message(status: c_int) -> *const c_char {
    let message = usize::try_from(status).ok().and_then(|n| MESSAGES.get(n));
    message.unwrap_or(&c"not a status of slabuf").as_ptr()
}

/// Calls, and converts a panic into a status. A panic that crossed the border to C would abort the
/// process.
#[inline(always)]
pub(crate) fn guard<T>(
    call: impl FnOnce() -> Result<T, slabuf_status>,
) -> Result<T, slabuf_status> {
    // A panic leaks at most a buffer or a pool, which no call can reach any more.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(Err(slabuf_status::Internal))
}

/// Checks that a pointer from C is neither null nor misaligned.
#[inline(always)]
pub(crate) fn check<T>(pointer: *const T) -> Result<(), slabuf_status> {
    match !pointer.is_null() && pointer.is_aligned() {
        true => Ok(()),
        false => Err(slabuf_status::BadPointer),
    }
}
