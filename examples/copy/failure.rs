//! The error of a copy that failed.

use std::fmt;
use std::io;
use std::path::Path;

#[derive(Debug)]
pub(crate) enum Failure {
    /// Interrupted by this signal.
    Interrupted(usize),
    /// Any other error, as text.
    Other(String),
}

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self::Other(text.into())
    }

    /// Returns a function for `map_err` that adds the action and the path to an error.
    pub(crate) fn at(action: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Other(format!("cannot {action} {}: {error}", path.display()))
    }

    /// Returns 128 plus the number of the signal, as shells do, or 1 for other errors.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Interrupted(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
            Self::Other(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted(signal) => write!(f, "interrupted by signal {signal}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}
