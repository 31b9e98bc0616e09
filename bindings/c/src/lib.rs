//! The C interface of `slabuf`. cbindgen writes `include/slabuf.h` from these sources.
//!
//! # Safety
//!
//! C calls the functions. A pointer that is neither null nor misaligned must point to what its type
//! says; the caller guarantees it. The contents of the pointee are checked as far as possible: a
//! buffer by its seal (see `buffer`), a pool or budget by its number (see `handle_table`), a
//! versioned struct by its size (see `versioned_struct`). No panic crosses the border (see
//! `status::guard`).
//!
//! `status` converts the crate's errors, `buffer` converts its buffers, `settings` its settings;
//! the other modules use these.

#![allow(non_camel_case_types)]

pub mod budget;
pub mod buffer;
pub mod handle_table;
pub mod pool;
pub mod samples;
pub mod settings;
pub mod snapshot;
pub mod status;
pub mod usage;
pub mod version;
mod versioned_struct;
pub mod waiting;
pub mod watermarks;
