//! What the fuzz targets share: programs of operations, and an oracle that knows what each must do.
//!
//! Modules in reading order:
//!
//! - [`settings`]: generated settings of a pool, valid ones and any.
//! - [`program`]: the operations and how they are read from the fuzzer's bytes.
//! - [`facts`]: what a program knows of a pool, and the bytes that it writes there.
//! - [`parts`]: one memory in parts, beside the bytes that each must hold.
//! - [`item`]: one live buffer beside the bytes it must hold.
//! - [`world`]: several pools and their buffers, and what must hold between any two operations.
//! - [`execute`]: runs a program on one thread.
//! - [`lanes`]: runs a program on several threads.
//! - [`wire`]: a buffer against a `BytesMut`.
//! - [`outbox`]: an outbox against a queue of `Vec<u8>`.
//!
//! Everything panics where the crate breaks a promise; the fuzzer takes that for a finding.

pub mod execute;
pub mod facts;
pub mod item;
pub mod lanes;
pub mod outbox;
pub mod parts;
pub mod program;
pub mod settings;
pub mod wire;
pub mod world;
