//! What comes back.

use slabuf_rust::{AllocError, ConfigError};
use std::ffi::{CStr, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What became of a call. Names and values do not change; new ones come at the end.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum slabuf_status {
    /// Done.
    Ok = 0,
    /// An argument is null, or not aligned as its type has to be.
    BadPointer = 1,
    /// The size given for a struct is not one that a version of it has.
    BadSize = 2,
    /// Freed already, never allocated, or changed by other than this library.
    NotABuffer = 3,
    /// Destroyed already, or never created.
    NotAPool = 4,
    /// The buffer is another pool's.
    ForeignPool = 5,
    /// The global pool lives as long as the process.
    GlobalPool = 6,
    /// No address space is that large.
    TooLarge = 7,
    /// The pool would map more than its limit.
    LimitExceeded = 8,
    /// The operating system refused, or there is no memory for the library's own structures.
    OutOfMemory = 9,
    /// The length is above the buffer's capacity.
    BadLength = 10,
    /// The slab size is no power of two from 4096 to 1 MiB.
    BadSlabSize = 11,
    /// The limit is below four slabs.
    BadLimit = 12,
    /// The cache limit is above the limit.
    BadCacheLimit = 13,
    /// A flag is set that this version does not know.
    BadFlags = 14,
    /// 65,536 pools are there at once, or 4,294,967,295 were created in this process.
    TooManyPools = 15,
    /// A defect of this library. Please report it.
    Internal = 16,
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
            AllocError::TooLarge { .. } => Self::TooLarge,
            AllocError::OutOfMemory { .. } => Self::OutOfMemory,
            // No function here can get another.
            _ => Self::Internal,
        }
    }
}

impl From<ConfigError> for slabuf_status {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::SlabSize { .. } => Self::BadSlabSize,
            ConfigError::Limit { .. } => Self::BadLimit,
            ConfigError::CacheLimit { .. } => Self::BadCacheLimit,
            ConfigError::OutOfMemory => Self::OutOfMemory,
            ConfigError::TooManyPools { .. } => Self::TooManyPools,
            _ => Self::Internal,
        }
    }
}

const MESSAGES: [&CStr; 17] = [
    c"done",
    c"an argument is null, or not aligned as its type has to be",
    c"the size given for a struct is not one that a version of it has",
    c"not a buffer: freed already, never allocated, or changed by other than the library",
    c"not a pool: destroyed already, or never created",
    c"the buffer is another pool's",
    c"the global pool lives as long as the process",
    c"too large: no address space is that large",
    c"the pool's limit has no room for the request",
    c"out of memory: the operating system refused",
    c"the length is above the buffer's capacity",
    c"the slab size is no power of two from 4096 to 1048576 bytes",
    c"the limit is below four slabs",
    c"the cache limit is above the limit",
    c"a flag is set that this version does not know",
    c"too many pools",
    c"internal error: a defect of slabuf, please report it",
];

const _: () = assert!(MESSAGES.len() == slabuf_status::Internal as usize + 1);

/// What a status means, in English, in one line without an end of line. The text lives as long as the process. A
/// number that is no status has a text too.
#[unsafe(no_mangle)]
pub extern "C" fn slabuf_status_message(status: c_int) -> *const c_char {
    let message = usize::try_from(status).ok().and_then(|n| MESSAGES.get(n));
    message.unwrap_or(&c"no status of slabuf").as_ptr()
}

/// Calls, and turns a panic into a status. None is known; one would abort the process at the border to C.
#[inline(always)]
pub(crate) fn guard<T>(
    call: impl FnOnce() -> Result<T, slabuf_status>,
) -> Result<T, slabuf_status> {
    // Who broke off in the middle has left a buffer or a pool that nobody can reach any more.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(Err(slabuf_status::Internal))
}

/// Whether a pointer from C may be followed, as far as can be seen.
#[inline(always)]
pub(crate) fn check<T>(pointer: *const T) -> Result<(), slabuf_status> {
    match !pointer.is_null() && pointer.is_aligned() {
        true => Ok(()),
        false => Err(slabuf_status::BadPointer),
    }
}
