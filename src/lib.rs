#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_code)]
#![cfg_attr(all(test, loom), allow(dead_code, unused_imports, unreachable_pub))]

#[cfg(not(any(unix, miri)))]
compile_error!(
    "slabuf needs `mmap`, which Unix systems have: see docs/platforms.md for what works where"
);

// The modules in reading order, lowest layer first. Each imports from layers below its own alone.
// `unsafe` is allowed in those that need it; each has a section on Safety.

// @mods
#[allow(unsafe_code)]
mod buffer;
#[allow(unsafe_code)]
mod inner;
mod interop;
#[cfg(not(all(test, loom)))]
mod outbox;
#[allow(unsafe_code)]
mod pool;
mod pressure;
#[allow(unsafe_code)]
mod thread;
mod util;
// Layer 0: no state.
mod error;
mod sync;

// Layer 1: the system, and settings.
mod config;
#[allow(unsafe_code)]
mod os;
#[allow(unsafe_code)]
pub mod system;

// Layer 2: who may touch a thread's magazines, marks on the way to full, and who took what.

// Layer 3: a mapping, a slab, a magazine.
#[allow(unsafe_code)]
mod slab;

// Layer 4: regions of slabs, and large buffers.
#[allow(unsafe_code)]
mod large;

// Layer 5: what threads exchange.
#[allow(unsafe_code)]
mod depot;

// Layer 6: what the threads of one pool share.

// Layer 7: what a thread has for itself.

// Layer 8: pools, their figures, and the memory of one buffer.

// Layer 9: buffers.

// Layer 10: writing them out.

// Pages to read.
pub mod guide;

#[cfg(all(test, loom))]
#[allow(unsafe_code)]
mod loom_models;

#[cfg(all(feature = "metrics", not(all(test, loom))))]
pub use interop::metrics;

pub use error::{AllocError, ConfigError};
#[cfg(not(all(test, loom)))]
#[cfg(not(all(test, loom)))]
pub use outbox::{Outbox, OutboxBuilder, OutboxError, Piece};
pub use {
    buffer::{AllocFuture, Buffer, Drained},
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

#[cfg(all(test, not(loom)))]
mod fault_tests;
