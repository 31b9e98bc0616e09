//! Counters for a recorder of the [`metrics`] crate, under stable names.
//!
//! Call [`describe`] once, after the recorder is installed. Then call [`record_pool`] for each pool
//! and [`record_process`] as often as the counters are needed. The crate records nothing by itself:
//! a pool has no thread of its own, and its fast paths count nothing.
//!
//! ```
//! use slabuf::{Pool, metrics};
//!
//! let uploads = Pool::builder().limit(64 << 20).build()?;
//! metrics::describe();
//! // Once in a while:
//! metrics::record_pool(&uploads, "uploads");
//! metrics::record_pool(Pool::global(), "global");
//! metrics::record_process();
//! # Ok::<(), slabuf::ConfigError>(())
//! ```
//!
//! | name | kind | labels | from |
//! |---|---|---|---|
//! | `slabuf_external_bytes` | gauge | `pool` | [`PoolUsage::external`] |
//! | `slabuf_array_buffers_bytes` | gauge | `pool` | [`PoolUsage::array_buffers`] |
//! | `slabuf_in_use_bytes` | gauge | `pool` | [`PoolUsage::in_use`] |
//! | `slabuf_cached_bytes` | gauge | `pool` | [`PoolUsage::cached`] |
//! | `slabuf_large_live_bytes` | gauge | `pool` | [`PoolUsage::large_live`] |
//! | `slabuf_large_cached_bytes` | gauge | `pool` | [`PoolUsage::large_cached`] |
//! | `slabuf_slabs` | gauge | `pool`, `state` (`empty`, `partial`, `full`) | [`PoolUsage::slabs_empty`] and so on |
//! | `slabuf_mapped_bytes_total` | counter | `pool` | bytes mapped since the pool was built |
//! | `slabuf_unmapped_bytes_total` | counter | `pool` | bytes of those returned to the system |
//! | `slabuf_process_rss_bytes` | gauge | | [`MemoryUsage::rss`] |
//! | `slabuf_process_heap_total_bytes` | gauge | | [`MemoryUsage::heap_total`] |
//! | `slabuf_process_heap_used_bytes` | gauge | | [`MemoryUsage::heap_used`] |
//! | `slabuf_process_external_bytes` | gauge | | [`MemoryUsage::external`] |
//! | `slabuf_process_array_buffers_bytes` | gauge | | [`MemoryUsage::array_buffers`] |
//!
//! Names and label values change only with a new major version. A recorder's gauge is a
//! floating-point number: counters are exact up to 2^53 bytes.

use ::metrics::{SharedString, Unit, counter, describe_counter, describe_gauge, gauge};

use crate::inner::PoolInner;
use crate::pool::Pool;
use crate::pool::usage::{MemoryUsage, PoolUsage, memory_usage};

/// A gauge: its name, its description, and the field that it records.
type Gauge<T> = (&'static str, &'static str, fn(&T) -> u64);

const OF_POOL: [Gauge<PoolUsage>; 6] = [
    (
        "slabuf_external_bytes",
        "bytes the pool has mapped, caches and headers included",
        |usage| usage.external,
    ),
    (
        "slabuf_array_buffers_bytes",
        "bytes of slabs that are not empty, and lengths of live large buffers",
        |usage| usage.array_buffers,
    ),
    (
        "slabuf_in_use_bytes",
        "bytes of live buffers' slots, and lengths of live large buffers",
        |usage| usage.in_use,
    ),
    (
        "slabuf_cached_bytes",
        "bytes the pool keeps for reuse",
        |usage| usage.cached,
    ),
    (
        "slabuf_large_live_bytes",
        "lengths of live large buffers",
        |usage| usage.large_live,
    ),
    (
        "slabuf_large_cached_bytes",
        "bytes of freed mappings kept for reuse",
        |usage| usage.large_cached,
    ),
];

const OF_PROCESS: [Gauge<MemoryUsage>; 5] = [
    (
        "slabuf_process_rss_bytes",
        "resident memory of the process",
        |usage| usage.rss,
    ),
    (
        "slabuf_process_heap_total_bytes",
        "bytes the malloc heap holds",
        |usage| usage.heap_total,
    ),
    (
        "slabuf_process_heap_used_bytes",
        "bytes in use in the malloc heap",
        |usage| usage.heap_used,
    ),
    (
        "slabuf_process_external_bytes",
        "bytes all pools have mapped",
        |usage| usage.external,
    ),
    (
        "slabuf_process_array_buffers_bytes",
        "bytes of all pools' slabs that are not empty, and lengths of live large buffers",
        |usage| usage.array_buffers,
    ),
];

const SLABS: &str = "slabuf_slabs";
const MAPPED: &str = "slabuf_mapped_bytes_total";
const UNMAPPED: &str = "slabuf_unmapped_bytes_total";

/// Registers the units and descriptions of all names with the recorder.
///
/// ```
/// slabuf::metrics::describe();
/// ```
pub fn describe() {
    for (name, text, _) in OF_POOL {
        describe_gauge!(name, Unit::Bytes, text);
    }
    for (name, text, _) in OF_PROCESS {
        describe_gauge!(name, Unit::Bytes, text);
    }
    describe_gauge!(SLABS, Unit::Count, "slabs by state");
    describe_counter!(MAPPED, Unit::Bytes, "bytes the pool ever mapped");
    describe_counter!(UNMAPPED, Unit::Bytes, "bytes the pool ever unmapped");
}

/// Records the counters of one pool under the label `pool` = `name`. Use a different name for each
/// pool, and few of them: most recorders keep a series for each name.
///
/// ```
/// let pool = slabuf::Pool::builder().build()?;
/// slabuf::metrics::record_pool(&pool, "uploads");
/// # Ok::<(), slabuf::ConfigError>(())
/// ```
///
/// # Complexity
///
/// That of [`Pool::usage`], and eleven calls of the recorder, which run without any lock of the
/// pool. Makes no system call. Without a recorder it has no effect.
pub fn record_pool(pool: &Pool, name: impl Into<SharedString>) {
    let name = name.into();
    let usage = pool.usage();
    for (gauge_name, _, value) in OF_POOL {
        gauge!(gauge_name, "pool" => name.clone()).set(value(&usage) as f64);
    }
    for (state, slabs) in [
        ("empty", usage.slabs_empty),
        ("partial", usage.slabs_partial),
        ("full", usage.slabs_full),
    ] {
        gauge!(SLABS, "pool" => name.clone(), "state" => state).set(slabs as f64);
    }
    let (mapped, unmapped) = PoolInner::of(pool.inner()).mapper.totals();
    counter!(MAPPED, "pool" => name.clone()).absolute(mapped);
    counter!(UNMAPPED, "pool" => name).absolute(unmapped);
}

/// Records the counters of the process and all its pools.
///
/// ```
/// slabuf::metrics::record_process();
/// ```
///
/// # Complexity
///
/// That of [`memory_usage`], which makes system calls (reads `/proc`), and five calls of the
/// recorder.
pub fn record_process() {
    let usage = memory_usage();
    for (name, _, value) in OF_PROCESS {
        gauge!(name).set(value(&usage) as f64);
    }
}
