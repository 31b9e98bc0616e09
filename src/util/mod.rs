//! Helpers without state of their own: fallible boxes, event tallies, formatting of byte counts.

pub(crate) mod events;
pub(crate) mod format;
pub(crate) mod heap;
