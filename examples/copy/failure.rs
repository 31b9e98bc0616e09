//! Why there is no copy.

use std::fmt;
use std::io;
use std::path::Path;

#[derive(Debug)]
pub(crate) enum Failure {
    /// By this signal.
    Interrupted(usize),
    /// Anything else, in words.
    Other(String),
}

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self::Other(text.into())
    }

    /// For `map_err`: what could not be done, to which file, and why.
    pub(crate) fn at(action: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Other(format!("cannot {action} {}: {error}", path.display()))
    }

    /// A shell's rule for signals; 1 for everything else.
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
