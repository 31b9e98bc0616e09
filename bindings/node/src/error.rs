//! Converts errors of the crate into JavaScript errors with a `code`.

use napi::{Env, Error, Status};
use slabuf::{AllocError, ConfigError};

/// The class of a JavaScript error.
enum Class {
    Error,
    RangeError,
}

/// Throws in JavaScript, and returns the error that reports a pending exception to napi.
///
/// napi would use its own status as the `code` of the errors that it throws itself.
fn throw(env: &Env, class: Class, code: &str, message: &str) -> Error {
    let thrown = match class {
        Class::Error => env.throw_error(message, Some(code)),
        Class::RangeError => env.throw_range_error(message, Some(code)),
    };
    match thrown {
        Ok(()) => Error::new(Status::PendingException, message),
        Err(error) => error,
    }
}

/// Throws a refused allocation.
pub(crate) fn of_alloc(env: &Env, error: &AllocError) -> Error {
    let (class, code) = match error {
        AllocError::LimitExceeded { .. } => (Class::Error, "ERR_SLABUF_LIMIT"),
        AllocError::BudgetExceeded { .. } => (Class::Error, "ERR_SLABUF_BUDGET"),
        AllocError::TooLarge { .. } => (Class::RangeError, "ERR_SLABUF_TOO_LARGE"),
        AllocError::OutOfMemory { .. } => (Class::Error, "ERR_SLABUF_OUT_OF_MEMORY"),
        _ => (Class::Error, "ERR_SLABUF"),
    };
    throw(env, class, code, &error.to_string())
}

/// Returns whether a pool refused because of its limit or its budget, so that memory freed later
/// may help.
pub(crate) fn is_limit(error: &AllocError) -> bool {
    matches!(
        error,
        AllocError::LimitExceeded { .. } | AllocError::BudgetExceeded { .. }
    )
}

/// Throws a refused setting.
pub(crate) fn of_config(env: &Env, error: &ConfigError) -> Error {
    let (class, code) = match error {
        ConfigError::OutOfMemory => (Class::Error, "ERR_SLABUF_OUT_OF_MEMORY"),
        ConfigError::TooManyPools { .. } => (Class::Error, "ERR_SLABUF_TOO_MANY_POOLS"),
        _ => (Class::RangeError, "ERR_SLABUF_CONFIG"),
    };
    throw(env, class, code, &error.to_string())
}

/// Throws Node's refusal to make an `ArrayBuffer`, unless Node has thrown already.
pub(crate) fn of_refusal(env: &Env, len: usize, status: Status) -> Error {
    if status == Status::PendingException {
        return Error::new(status, String::new());
    }
    let message = format!("cannot make an ArrayBuffer of {len} bytes: Node reports {status}");
    throw(env, Class::Error, "ERR_SLABUF_REFUSED", &message)
}
