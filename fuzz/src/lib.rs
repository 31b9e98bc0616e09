//! What the fuzz targets share: programs of operations, and an oracle that knows what each must do.
//!
//! Modules in reading order:
//!
//! - [`settings`]: generated settings of a pool, valid ones and any.
//! - [`program`]: the operations and how they are read from the fuzzer's bytes.
//! - [`oracle`]: what a program knows of a pool, and the bytes that it writes there.
//! - [`model_buffer`]: one live buffer beside the bytes it must hold.
//! - [`harness`]: several pools and their buffers, and what must hold between any two operations.
//! - [`ops`]: runs a program on one thread (targets `ops`, `faults` and `config`).
//! - [`threads`]: runs a program on several threads.
//! - [`mod@bytes`]: a buffer against a `BytesMut`.
//! - [`outbox`]: an outbox against a queue of `Vec<u8>`.
//!
//! Everything panics where the crate breaks a promise; the fuzzer takes that for a finding.

pub mod bytes;
pub mod harness;
pub mod model_buffer;
pub mod ops;
pub mod oracle;
pub mod outbox;
pub mod program;
pub mod settings;
pub mod threads;
