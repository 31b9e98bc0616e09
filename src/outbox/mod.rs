//! A bounded queue of pieces in front of a writer, modelled on Node's writable streams.
//!
//! - `piece`: what is queued, a buffer or `Bytes`.
//! - `bounds`: the settings and the builder.
//! - `error`: why a piece was not queued.
//! - `queue`: the pieces that wait, their count and the corks. Knows of no writer.
//! - `sink`: the writer, and the pieces that it is to write next.
//! - `shared`: both under one lock, and which caller may use the writer.
//! - `waiting`: threads that wait.
//! - `blocking`, `asynchronous`: the two outboxes; they differ in how they write and wait.
//!
//! The lock is not held while the writer works: the caller that writes takes the sink out, and puts
//! it back when nothing is left to write. Other callers queue meanwhile, and the caller with the
//! sink writes what they queue.

#[cfg(feature = "tokio")]
mod asynchronous;
mod blocking;
mod bounds;
mod error;
mod piece;
mod queue;
mod shared;
mod sink;
mod waiting;

#[cfg(feature = "tokio")]
pub use asynchronous::AsyncOutbox;
pub use blocking::Outbox;
pub use bounds::OutboxBuilder;
pub use error::OutboxError;
pub use piece::Piece;
