//! What goes wrong, as JavaScript errors with a `code`.

use napi::{Env, Error, JsRangeError};
use slabuf::{AllocError, ConfigError};

/// A JavaScript error's `code`.
#[derive(Clone, Copy)]
pub enum Code {
    /// A pool's limit.
    Limit,
    /// A length that no address space holds.
    TooLarge,
    /// The operating system, or the heap for a pool's own structures.
    OutOfMemory,
    /// A setting.
    Config,
    /// So many pools were built that their numbers ran out.
    TooManyPools,
    /// Node would not make a `Buffer` of the memory.
    Refused,
    /// The error is thrown already; the word is the one by which napi knows that.
    Thrown,
}

impl AsRef<str> for Code {
    fn as_ref(&self) -> &str {
        match self {
            Self::Limit => "ERR_SLABUF_LIMIT",
            Self::TooLarge => "ERR_SLABUF_TOO_LARGE",
            Self::OutOfMemory => "ERR_SLABUF_OUT_OF_MEMORY",
            Self::Config => "ERR_SLABUF_CONFIG",
            Self::TooManyPools => "ERR_SLABUF_TOO_MANY_POOLS",
            Self::Refused => "ERR_SLABUF_REFUSED",
            Self::Thrown => "PendingException",
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, Error<Code>>;

/// Throws a `RangeError`: a plain `Error` is what napi makes of an `Err`.
fn range_error(env: &Env, code: Code, message: String) -> Error<Code> {
    let error = JsRangeError::from(Error::new(code, message));
    // SAFETY: `env` is that of the running call.
    unsafe { error.throw_into(env.raw()) };
    Error::new(Code::Thrown, String::new())
}

pub(crate) fn of_alloc(env: &Env, error: &AllocError) -> Error<Code> {
    let message = error.to_string();
    match error {
        AllocError::TooLarge { .. } => range_error(env, Code::TooLarge, message),
        AllocError::OutOfMemory { .. } => Error::new(Code::OutOfMemory, message),
        AllocError::LimitExceeded { .. } => Error::new(Code::Limit, message),
        _ => Error::new(Code::Refused, message),
    }
}

pub(crate) fn of_config(env: &Env, error: &ConfigError) -> Error<Code> {
    let message = error.to_string();
    match error {
        ConfigError::OutOfMemory => Error::new(Code::OutOfMemory, message),
        ConfigError::TooManyPools { .. } => Error::new(Code::TooManyPools, message),
        _ => range_error(env, Code::Config, message),
    }
}
