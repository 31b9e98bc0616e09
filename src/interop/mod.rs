//! How a buffer meets the traits that other code is written against, one file for each.
//!
//! These files use what [`Buffer`](crate::Buffer) and [`Pool`](crate::Pool) offer; but for the counters in
//! `metrics` they know nothing of where memory comes from.

#[cfg(feature = "arbitrary")]
mod arbitrary;
// `BufMut` is an unsafe trait: the one `unsafe impl` stands in this file.
#[allow(unsafe_code)]
mod bytes;
mod io;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "serde")]
mod serde;
#[cfg(feature = "zeroize")]
mod zeroize;
