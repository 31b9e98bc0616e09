//! Implementations of traits from other crates and the standard library, one file for each.
//!
//! These files use the methods of [`Buffer`](crate::Buffer) and [`Pool`](crate::Pool). Apart from
//! the counters in `metrics`, they do not depend on where memory comes from.

#[cfg(feature = "arbitrary")]
mod arbitrary;
// `BufMut` is an unsafe trait: the only `unsafe impl` is in this file.
#[allow(unsafe_code)]
mod bytes;
mod io;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "serde")]
mod serde;
#[cfg(feature = "zeroize")]
mod zeroize;
