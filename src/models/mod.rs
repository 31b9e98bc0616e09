//! Models of the interleavings of threads.
//!
//! # Safety
//!
//! See each model.

#[cfg(loom)]
mod loom;
#[cfg(shuttle)]
mod shuttle;
