//! What goes wrong, as JavaScript errors with a `code`.

use napi::{Env, Error, Status};
use slabuf::{AllocError, ConfigError};

/// The class of a JavaScript error.
enum Class {
    Error,
    RangeError,
}

/// Throws, and returns the error that tells napi so. napi's own errors have its status as their code.
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

pub(crate) fn of_alloc(env: &Env, error: &AllocError) -> Error {
    let (class, code) = match error {
        AllocError::LimitExceeded { .. } => (Class::Error, "ERR_SLABUF_LIMIT"),
        AllocError::TooLarge { .. } => (Class::RangeError, "ERR_SLABUF_TOO_LARGE"),
        AllocError::OutOfMemory { .. } => (Class::Error, "ERR_SLABUF_OUT_OF_MEMORY"),
        _ => (Class::Error, "ERR_SLABUF"),
    };
    throw(env, class, code, &error.to_string())
}

pub(crate) fn of_config(env: &Env, error: &ConfigError) -> Error {
    let (class, code) = match error {
        ConfigError::OutOfMemory => (Class::Error, "ERR_SLABUF_OUT_OF_MEMORY"),
        ConfigError::TooManyPools { .. } => (Class::Error, "ERR_SLABUF_TOO_MANY_POOLS"),
        _ => (Class::RangeError, "ERR_SLABUF_CONFIG"),
    };
    throw(env, class, code, &error.to_string())
}

/// Node would not make a `Buffer` of the memory. It has thrown, or there is nothing but its status.
pub(crate) fn of_refusal(env: &Env, len: usize, status: Status) -> Error {
    if status == Status::PendingException {
        return Error::new(status, String::new());
    }
    let message = format!("cannot make a Buffer of {len} bytes: Node says {status}");
    throw(env, Class::Error, "ERR_SLABUF_REFUSED", &message)
}
