//! The native half of slabuf's Node module: pools whose buffers are Node's `Buffer`s, and figures.
//!
//! `index.js` is the interface; it checks arguments, and splits small buffers from shared slabs.

#![deny(unsafe_code)]

#[allow(unsafe_code)]
mod buffer;
#[allow(unsafe_code)]
pub mod error;
pub mod pool;
mod pressure;
pub mod usage;
