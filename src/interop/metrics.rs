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
//! | `slabuf_external_peak_bytes` | gauge | `pool` | [`PoolUsage::external_peak`] |
//! | `slabuf_waiters` | gauge | `pool` | [`PoolUsage::waiters`] |
//! | `slabuf_refused_total` | counter | `pool` | [`PoolUsage::refused`] |
//! | `slabuf_timed_out_total` | counter | `pool` | [`PoolUsage::timed_out`] |
//! | `slabuf_slabs` | gauge | `pool`, `state` (`empty`, `partial`, `full`) | [`PoolUsage::slabs_empty`] and so on |
//! | `slabuf_mapped_bytes_total` | counter | `pool` | bytes mapped since the pool was built |
//! | `slabuf_unmapped_bytes_total` | counter | `pool` | bytes of those returned to the system |
//! | `slabuf_budget_limit_bytes` | gauge | `budget` | [`BudgetUsage::limit`] |
//! | `slabuf_budget_mapped_bytes` | gauge | `budget` | [`BudgetUsage::mapped`] |
//! | `slabuf_budget_peak_bytes` | gauge | `budget` | [`BudgetUsage::peak`] |
//! | `slabuf_budget_pools` | gauge | `budget` | [`BudgetUsage::pools`] |
//! | `slabuf_budget_waiters` | gauge | `budget` | [`BudgetUsage::waiters`] |
//! | `slabuf_budget_refused_total` | counter | `budget` | [`BudgetUsage::refused`] |
//! | `slabuf_budget_timed_out_total` | counter | `budget` | [`BudgetUsage::timed_out`] |
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
use crate::pool::usage::{MemoryUsage, PoolUsage, memory_usage};
use crate::pool::{BudgetUsage, Pool};
use crate::pressure::budget::Budget;

/// A gauge: its name, its description, and the field that it records.
type Gauge<T> = (&'static str, &'static str, fn(&T) -> u64);

const OF_POOL: [Gauge<PoolUsage>; 7] = [
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
    (
        "slabuf_external_peak_bytes",
        "the most bytes that the pool had mapped at a time",
        |usage| usage.external_peak,
    ),
];

/// Counters of requests that failed.
const FAILED: [Gauge<PoolUsage>; 2] = [
    (
        "slabuf_refused_total",
        "requests that the limit, the budget or the system refused",
        |usage| usage.refused,
    ),
    (
        "slabuf_timed_out_total",
        "requests that waited and timed out",
        |usage| usage.timed_out,
    ),
];

const OF_BUDGET: [Gauge<BudgetUsage>; 3] = [
    ("slabuf_budget_limit_bytes", "the budget", |usage| {
        usage.limit
    }),
    (
        "slabuf_budget_mapped_bytes",
        "bytes the pools of the budget have mapped",
        |usage| usage.mapped,
    ),
    (
        "slabuf_budget_peak_bytes",
        "the most bytes that the pools of the budget had mapped at a time",
        |usage| usage.peak,
    ),
];

const NUMBERS_OF_BUDGET: [Gauge<BudgetUsage>; 2] = [
    ("slabuf_budget_pools", "pools of the budget", |usage| {
        usage.pools
    }),
    (
        "slabuf_budget_waiters",
        "requests that wait for memory of the budget's pools",
        |usage| usage.waiters,
    ),
];

const FAILED_IN_BUDGET: [Gauge<BudgetUsage>; 2] = [
    (
        "slabuf_budget_refused_total",
        "requests that the budget refused",
        |usage| usage.refused,
    ),
    (
        "slabuf_budget_timed_out_total",
        "requests of the budget's pools that waited and timed out",
        |usage| usage.timed_out,
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
const WAITERS: &str = "slabuf_waiters";
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
    for (name, text, _) in OF_BUDGET {
        describe_gauge!(name, Unit::Bytes, text);
    }
    for (name, text, _) in NUMBERS_OF_BUDGET {
        describe_gauge!(name, Unit::Count, text);
    }
    for (name, text, _) in FAILED {
        describe_counter!(name, Unit::Count, text);
    }
    for (name, text, _) in FAILED_IN_BUDGET {
        describe_counter!(name, Unit::Count, text);
    }
    describe_gauge!(WAITERS, Unit::Count, "requests that wait for memory");
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
/// That of [`Pool::usage`], and fifteen calls of the recorder, which run without any lock of the
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
    gauge!(WAITERS, "pool" => name.clone()).set(usage.waiters as f64);
    for (counter_name, _, failed) in FAILED {
        counter!(counter_name, "pool" => name.clone()).absolute(failed(&usage));
    }
    let (mapped, unmapped) = PoolInner::of(pool.inner()).mapper.totals();
    counter!(MAPPED, "pool" => name.clone()).absolute(mapped);
    counter!(UNMAPPED, "pool" => name).absolute(unmapped);
}

/// Records the counters of one budget under the label `budget` = `name`, as [`record_pool`] does
/// for a pool.
///
/// ```
/// let budget = slabuf::Budget::new(256 << 20);
/// slabuf::metrics::record_budget(&budget, "tenants");
/// ```
///
/// # Complexity
///
/// That of [`Budget::usage`], and seven calls of the recorder, which run without any lock. Makes no
/// system call.
pub fn record_budget(budget: &Budget, name: impl Into<SharedString>) {
    let name = name.into();
    let usage = budget.usage();
    for (gauge_name, _, value) in OF_BUDGET.into_iter().chain(NUMBERS_OF_BUDGET) {
        gauge!(gauge_name, "budget" => name.clone()).set(value(&usage) as f64);
    }
    for (counter_name, _, failed) in FAILED_IN_BUDGET {
        counter!(counter_name, "budget" => name.clone()).absolute(failed(&usage));
    }
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
