//! Helpers without pool state: fallible boxes, counted pointers, attempts of waiters, tallies of
//! events, calls of foreign code, formatting of byte counts.

pub(crate) mod attempt;
#[allow(unsafe_code)]
pub(crate) mod counted;
pub(crate) mod events;
pub(crate) mod foreign;
pub(crate) mod format;
pub(crate) mod heap;
