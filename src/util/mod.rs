//! Helpers without pool state: fallible boxes, event tallies, formatting of byte counts.

pub(crate) mod events;
pub(crate) mod format;
pub(crate) mod heap;
