//! The native half of slabuf's Node module: pools whose buffers are JavaScript `ArrayBuffer`s.
//!
//! `index.js` is the public interface. It checks arguments, wraps each `ArrayBuffer` in a `Buffer`,
//! and splits the small buffers of `allocUnsafe` from shared slabs.

#![deny(unsafe_code)]

#[allow(unsafe_code)]
mod array_buffer;
pub mod budget;
pub mod error;
mod gc_pressure;
pub mod pool;
#[allow(unsafe_code)]
pub mod store;
#[allow(unsafe_code)]
mod take;
pub mod usage;
mod waiting;
