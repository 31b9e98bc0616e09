//! Models of what threads can do to each other.
//!
//! # Safety
//!
//! See each model.

mod loom;
