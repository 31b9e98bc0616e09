//! The code that fuzz targets share: programs of operations, and an oracle with the expected
//! results.
//!
//! Modules in reading order:
//!
//! - [`settings`]: generated settings of a pool, valid ones and any.
//! - [`program`]: the operations and how they are read from the fuzzer's bytes.
//! - [`oracle`]: what a program knows of a pool, and the bytes that it writes.
//! - [`parts`]: one memory in parts, and the expected bytes of each part.
//! - [`model_buffer`]: one live buffer and its expected bytes.
//! - [`harness`]: several pools and their buffers, and the invariants between operations.
//! - [`ops`]: runs a program on one thread (targets `ops`, `faults` and `config`).
//! - [`threads`]: runs a program on several threads.
//! - [`mod@bytes`]: a buffer against a `BytesMut`.
//! - [`outbox`]: an outbox against a queue of `Vec<u8>`.
//!
//! Every violated property is a panic, which the fuzzer reports.

pub mod bytes;
pub mod harness;
pub mod model_buffer;
pub mod ops;
pub mod oracle;
pub mod outbox;
pub mod parts;
pub mod program;
pub mod settings;
pub mod threads;
