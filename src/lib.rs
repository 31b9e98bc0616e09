#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_code)]
#![cfg_attr(all(test, loom), allow(dead_code, unused_imports, unreachable_pub))]

#[cfg(not(any(unix, miri)))]
compile_error!(
    "slabuf needs `mmap`, which Unix systems have: see docs/platforms.md for what works where"
);

// The modules from the highest layer to the lowest; each imports from the layers below its own alone. `unsafe` is
// allowed in those that need it; each has a section on safety.
pub mod guide;
mod interop;
#[cfg(not(all(test, loom)))]
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

#[cfg(all(test, not(loom)))]
mod faults;
#[cfg(all(test, loom))]
#[allow(unsafe_code)]
mod models;

#[cfg(all(feature = "metrics", not(all(test, loom))))]
pub use interop::metrics;

pub use error::{AllocError, ConfigError};
#[cfg(not(all(test, loom)))]
pub use outbox::{Outbox, OutboxBuilder, OutboxError, Piece};
pub use {
    buffer::{AllocFuture, Buffer, CopyFuture, Drain, Drained, IntoIter, RawOwner, ReserveFuture},
    pool::live_samples::{LiveSample, SampleTable},
    pool::snapshot::{
        ClassSnapshot, MappingSnapshot, RegionSnapshot, SlabSnapshot, SlabState, Snapshot,
    },
    pool::usage::{MemoryUsage, PoolUsage, memory_usage},
    pool::{Pool, PoolBuilder},
};

#[cfg(all(feature = "tokio", not(all(test, loom))))]
pub use outbox::AsyncOutbox;

/// Faults on demand, for tests and fuzz targets. No part of the public interface.
#[cfg(any(test, feature = "fake-os"))]
#[doc(hidden)]
pub mod fake_os {
    pub use crate::os::fake::{Call, FakeOs, Fault};
}
