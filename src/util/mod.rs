//! Helpers without pool state: fallible boxes, event tallies, calls of foreign code, formatting of
//! byte counts.

pub(crate) mod events;
pub(crate) mod foreign;
pub(crate) mod format;
pub(crate) mod heap;
