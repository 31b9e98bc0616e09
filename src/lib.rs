//! Byte buffers outside the heap, for programs that move data: an allocator and a [`Buffer`] type
//! modelled on the memory system of Node.js's `Buffer`.
//!
//! - [`Buffer`] is an owned, growable byte buffer. Small buffers are slots of 8 KiB slabs behind
//!   thread-local magazines; large ones have their own memory mapping and grow without a copy.
//!   [`Buffer::freeze`] makes it a `bytes::Bytes` of the same memory.
//! - [`Pool`] is an allocator with its own memory, counters and settings, such as a
//!   [limit](PoolBuilder::limit) in bytes. At the limit a request fails, or it
//!   [waits](Pool::alloc_timeout), blocking or [`async`](Pool::alloc_async), first in, first out.
//! - [`memory_usage`] and [`Pool::usage`] report live, cached and mapped bytes; [`Pool::snapshot`]
//!   every slab; [`Pool::live_samples`] the call sites that hold the memory.
//! - [`Outbox`] is a bounded queue of buffers in front of a writer.
//!
//! Filling fifteen buffers of 200 MiB does not grow the heap:
//!
#![doc = include_str!("../docs/memory_usage.svg")]
//!
//! # Examples
//!
//! ```
//! use slabuf::{AllocError, Buffer, Pool};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut message = Buffer::with_capacity(64);
//! message.extend_from_slice(b"hello, ");
//! message.extend_from_slice(b"world");
//! assert_eq!(message.freeze().slice(7..), "world");
//!
//! let pool = Pool::builder().limit(1 << 20).build()?;
//! let busy = pool.alloc(800_000);
//! assert!(matches!(pool.try_alloc(400_000), Err(AllocError::LimitExceeded { .. })));
//! drop(busy);
//! assert_eq!(pool.try_alloc(400_000)?.len(), 400_000);
//! # Ok(())
//! # }
//! ```
//!
//! # The risk of `alloc_unsafe`
//!
//! [`Buffer::alloc_unsafe`] does not zero. It is safe, because all memory is initialised, but the
//! bytes may be those of an earlier buffer of the same pool. Write every byte before another party
//! sees the buffer, or use [`Buffer::alloc`], or a pool with
//! [`zero_on_free`](PoolBuilder::zero_on_free) or [`zero_fill`](PoolBuilder::zero_fill).
//!
//! # Guide
//!
//! [Constructors](guide::constructors) · [coming from `BytesMut`, Node.js or
//! Netty](guide::coming_from) · [settings](guide::settings) · [sizing a limit](guide::sizing) ·
//! [errors](guide::errors) · [observability](guide::observability) · [features](guide::features) ·
//! [platforms](guide::platforms) · [benchmarks](guide::benchmarks)
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_code)]
#![cfg_attr(
    all(test, any(loom, shuttle)),
    allow(dead_code, unused_imports, unreachable_pub)
)]

#[cfg(not(any(unix, miri)))]
compile_error!(
    "slabuf needs `mmap`, which Unix systems have: see docs/platforms.md for what works where"
);

#[cfg(not(target_pointer_width = "64"))]
compile_error!("slabuf needs pointers of 64 bits: a buffer's owner is packed into one word");

// Modules from the highest layer to the lowest; each imports only from the layers below its own.
// `unsafe` is allowed in the modules that need it; each of them has a section on safety.
pub mod guide;
mod interop;
#[cfg(not(all(test, any(loom, shuttle))))]
mod outbox;

#[allow(unsafe_code)]
mod buffer;
#[allow(unsafe_code)]
mod depot;
#[allow(unsafe_code)]
mod inner;
#[allow(unsafe_code)]
mod large;
#[allow(unsafe_code)]
mod os;
#[allow(unsafe_code)]
mod pool;
mod pressure;
#[allow(unsafe_code)]
mod slab;
#[allow(unsafe_code)]
mod thread;

mod config;
mod error;
mod sync;
#[allow(unsafe_code)]
pub mod system;
mod util;

#[cfg(all(test, not(any(loom, shuttle))))]
mod faults;
#[cfg(all(test, any(loom, shuttle)))]
#[allow(unsafe_code)]
mod models;

#[cfg(all(feature = "metrics", not(all(test, any(loom, shuttle)))))]
pub use interop::metrics;

pub use error::{AllocError, ConfigError};
#[cfg(not(all(test, any(loom, shuttle))))]
pub use outbox::{Outbox, OutboxBuilder, OutboxError, Piece};
pub use {
    buffer::{
        AllocFuture, Buffer, CopyFuture, Drain, Drained, ExtractIf, IntoIter, RawOwner,
        ReserveFuture, Splice,
    },
    pool::live_samples::LiveSample,
    pool::snapshot::{
        ClassSnapshot, MappingSnapshot, RegionSnapshot, SlabSnapshot, SlabState, Snapshot,
    },
    pool::usage::{MemoryUsage, PoolUsage, memory_usage},
    pool::{BudgetUsage, Pool, PoolBuilder, trim_all},
    pressure::budget::Budget,
};

#[cfg(all(feature = "tokio", not(all(test, any(loom, shuttle)))))]
pub use outbox::AsyncOutbox;

/// The code of the README, as doctests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

/// A fake system that fails on demand, for tests and fuzz targets. Not part of the public
/// interface.
#[cfg(any(test, feature = "fake-os"))]
#[doc(hidden)]
pub mod fake_os {
    pub use crate::os::fake::{Call, FakeOs, Fault};
}
