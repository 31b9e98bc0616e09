//! Models of the interleavings of threads.
//!
//! # Safety
//!
//! See each model.

mod loom;
