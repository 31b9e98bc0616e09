//! How a buffer meets the traits that other code is written against, one file for each.
//!
//! These files use what [`Buffer`](crate::Buffer) offers and know nothing of where its memory comes from.

// `BufMut` is an unsafe trait: the one `unsafe impl` stands in this file.
#[allow(unsafe_code)]
mod bytes;
mod io;
