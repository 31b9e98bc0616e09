//! A cache whose values are outside the heap. `quick_cache` stores the keys and chooses what to
//! evict; the values are buffers of a pool, frozen to `Bytes`. The cache has a bound in bytes and a
//! time to live. Evicted and expired values free their memory at once.
//!
//! ```text
//! cargo run --release --example cache                    # 2 GiB of values of 256 KiB
//! cargo run --release --example cache -- --bytes 512M --value 8K
//! ```

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use lexopt::prelude::*;
use quick_cache::{OptionsBuilder, Weighter, sync::Cache};
use slabuf::{AllocError, MemoryUsage, Pool, memory_usage, system};

#[path = "shared/cli.rs"]
mod cli;
#[path = "shared/size.rs"]
mod size;

const MIB: f64 = 1_048_576.0;
const MIN_VALUES: usize = 64;

const USAGE: &str = "\
Usage: cache [OPTIONS]

Fills a cache whose values are in a pool, shrinks it, limits it, lets values expire, and prints the
memory of the process at each step.

  --bytes SIZE    bound of the cache in bytes (default: 2G, less on a small machine)
  --value SIZE    bytes in one value (default: 256K); the cache must hold at least 64 values
  --ttl-ms N      time to live of a value, in milliseconds (default: 1000)
  -h, --help      prints this text

SIZE is a number of bytes, or a number with the suffix K, M, G or T (1024, 1024 x 1024, ...).";

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

// The cache

/// A lookup clones the value. The clone shares the bytes.
#[derive(Clone)]
struct Value {
    bytes: Bytes,
    expires: Instant,
}

#[derive(Clone)]
struct ByLen;

impl Weighter<u64, Value> for ByLen {
    fn weight(&self, _key: &u64, value: &Value) -> u64 {
        value.bytes.len() as u64
    }
}

struct OffHeapCache {
    pool: Pool,
    values: Cache<u64, Value, ByLen>,
    bound: u64,
    ttl: Duration,
}

impl OffHeapCache {
    /// Creates a cache of at most `bound` bytes. `value_len` is the typical length of a value in
    /// bytes.
    fn new(pool: Pool, bound: usize, value_len: usize, ttl: Duration) -> Outcome<Self> {
        let options = OptionsBuilder::new()
            .weight_capacity(bound as u64)
            .estimated_items_capacity(bound / value_len)
            .shards(1)
            .build()?;
        Ok(Self {
            pool,
            values: Cache::with_options(options, ByLen, Default::default(), Default::default()),
            bound: bound as u64,
            ttl,
        })
    }

    /// Stores a value of `len` bytes written by `fill`. If the pool is at its limit, evicts others
    /// and retries. Returns the number of evictions.
    fn put(&self, key: u64, len: usize, fill: impl FnOnce(&mut [u8])) -> Result<u64, AllocError> {
        let mut evictions = 0;
        let mut buffer = loop {
            match self.pool.try_alloc_unsafe(len) {
                Err(AllocError::LimitExceeded { .. }) if self.make_room(len) => evictions += 1,
                outcome => break outcome?,
            }
        };
        fill(&mut buffer);
        let value = Value {
            bytes: buffer.freeze(),
            expires: Instant::now() + self.ttl,
        };
        self.values.insert(key, value);
        Ok(evictions)
    }

    /// Evicts an eighth of the cache, or `len` bytes if that is more. Returns `false` if it was
    /// empty.
    fn make_room(&self, len: usize) -> bool {
        let weight = self.values.weight();
        self.values
            .set_capacity(weight.saturating_sub((weight / 8).max(len as u64)));
        self.values.set_capacity(self.bound);
        weight > 0
    }

    /// Returns the value, or removes it and returns `None` if it has expired.
    fn get(&self, key: u64) -> Option<Bytes> {
        let value = self.values.get(&key)?;
        if value.expires > Instant::now() {
            return Some(value.bytes);
        }
        drop(value);
        let now = Instant::now();
        self.values.remove_if(&key, |value| value.expires <= now);
        None
    }

    /// Removes all expired values.
    fn sweep(&self) {
        let now = Instant::now();
        self.values.retain(|_, value| value.expires > now);
    }
}

// The demonstration

struct Options {
    bytes: usize,
    value: usize,
    ttl: Duration,
}

fn main() -> ExitCode {
    cli::main(USAGE, parse, |options| {
        run(&mut io::stdout().lock(), &options)
    })
}

/// Returns `None` if the user asks for help.
fn parse(arguments: Vec<OsString>) -> Result<Option<Options>, String> {
    let text = |error: lexopt::Error| error.to_string();
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut bytes, mut value, mut ttl_ms) = (None, 256 << 10, 1000);
    while let Some(argument) = parser.next().map_err(text)? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("bytes") => bytes = Some(size::parse("--bytes", &parser.value().map_err(text)?)?),
            Long("value") => value = size::parse("--value", &parser.value().map_err(text)?)?,
            Long("ttl-ms") => {
                let given = parser.value().map_err(text)?;
                ttl_ms = given
                    .parse()
                    .map_err(|error| format!("--ttl-ms {}: {error}", given.display()))?;
            }
            unknown => return Err(text(unknown.unexpected())),
        }
    }
    // The default is at most half of the available memory.
    let half = system::available_memory().map_or(2 << 30, |bytes| {
        usize::try_from(bytes / 2).unwrap_or(usize::MAX)
    });
    let bytes = bytes.unwrap_or_else(|| half.min(2 << 30));
    if value == 0 || bytes / value < MIN_VALUES {
        return Err(format!(
            "--value {value}: it must be 1 to {} bytes, so that a cache of {bytes} bytes holds {MIN_VALUES} values",
            bytes / MIN_VALUES
        ));
    }
    Ok(Some(Options {
        bytes,
        value,
        ttl: Duration::from_millis(ttl_ms),
    }))
}

fn run(out: &mut impl Write, options: &Options) -> Outcome<ExitCode> {
    let start = memory_usage();
    fill_and_shrink(out, options)?;
    limit_below_bound(out, options)?;
    expire(out, options)?;

    let end = memory_usage();
    section(out, "4. After the caches and their pools are dropped")?;
    row(out, "at the start", start)?;
    row(out, "at the end", end)?;
    if end.external != start.external || end.array_buffers != start.array_buffers {
        return Err(format!("{} bytes are left in the pools", end.external).into());
    }
    Ok(ExitCode::SUCCESS)
}

/// Fills a value with its key.
fn stamp(key: u64) -> impl FnOnce(&mut [u8]) {
    move |bytes| bytes.fill(key as u8)
}

fn is_stamped(key: u64, bytes: &[u8]) -> bool {
    bytes.first() == Some(&(key as u8)) && bytes.last() == Some(&(key as u8))
}

fn fill_and_shrink(out: &mut impl Write, options: &Options) -> Outcome {
    let Options { bytes, value, .. } = *options;
    section(
        out,
        "1. Filled, overfilled, then shrunk: heapUsed stays nearly constant",
    )?;
    // Memory that evictions free beyond this bound returns to the system at once.
    let pool = Pool::builder().cache_limit(16 << 20).build()?;
    let day = Duration::from_secs(86_400);
    let cache = OffHeapCache::new(pool, bytes, value, day)?;
    let start = memory_usage();
    row(out, "empty", start)?;
    let count = bytes / value;
    for number in 0..count {
        cache.put(number as u64, value, stamp(number as u64))?;
        if (number + 1) % (count / 4) == 0 {
            row(out, &format!("{} values", number + 1), memory_usage())?;
        }
    }
    let full = memory_usage();
    for key in count..count + count / 2 {
        cache.put(key as u64, value, stamp(key as u64))?;
    }
    row(out, &format!("{} more stored", count / 2), memory_usage())?;

    let keys = 0..(count + count / 2) as u64;
    let hits: Vec<_> = keys
        .filter_map(|key| Some((key, cache.get(key)?)))
        .collect();
    let whole = hits.iter().filter(|(key, bytes)| is_stamped(*key, bytes));
    let (whole, found) = (whole.count(), hits.len());
    drop(hits);
    cache.values.set_capacity(bytes as u64 / 4);
    row(out, "bound quartered", memory_usage())?;
    cache.pool.trim();
    row(out, "trim()", memory_usage())?;

    let grown = full.heap_used.saturating_sub(start.heap_used);
    let gib = cached(full, start) / 1024.0;
    writeln!(out, "\n  {found} values found, {whole} of them intact")?;
    writeln!(
        out,
        "  heap growth per cached GiB: {:.3} MiB",
        grown as f64 / MIB / gib
    )?;
    if found != whole || found == 0 {
        return Err("a value differs from what was stored".into());
    }
    Ok(())
}

/// Returns the growth of the live buffers since `start`, in MiB.
fn cached(now: MemoryUsage, start: MemoryUsage) -> f64 {
    (now.array_buffers - start.array_buffers) as f64 / MIB
}

fn limit_below_bound(out: &mut impl Write, options: &Options) -> Outcome {
    let Options { bytes, value, ttl } = *options;
    let limit = bytes / 2;
    section(
        out,
        "2. A pool limit of half the cache's bound: a refused put evicts and retries",
    )?;
    let pool = Pool::builder().limit(limit).build()?;
    let cache = OffHeapCache::new(pool, bytes, value, ttl)?;
    let (mut evictions, mut peak) = (0, 0);
    let count = bytes / value;
    for key in 0..count {
        evictions += cache.put(key as u64, value, stamp(key as u64))?;
        peak = cache.pool.usage().external.max(peak);
    }
    row(out, &format!("{count} stored"), memory_usage())?;
    writeln!(
        out,
        "\n  refused, then evicted: {evictions} times; all values were stored, {} remain",
        cache.values.len()
    )?;
    writeln!(out, "  limit: {limit} bytes; peak external: {peak} bytes")?;
    Ok(())
}

fn expire(out: &mut impl Write, options: &Options) -> Outcome {
    let Options { bytes, value, ttl } = *options;
    section(out, &format!("3. Values that expire after {ttl:?}"))?;
    let cache = OffHeapCache::new(Pool::builder().build()?, bytes, value, ttl)?;
    let count = (bytes / value) as u64;
    for key in 0..count {
        cache.put(key, value, stamp(key))?;
    }
    row(out, &format!("{count} stored"), memory_usage())?;
    let view = cache.get(count - 1);
    thread::sleep(ttl);
    let expired = (0..count).filter(|key| cache.get(*key).is_some()).count();
    row(out, "all looked up", memory_usage())?;
    cache.sweep();
    cache.pool.trim();
    row(out, "sweep(), trim()", memory_usage())?;
    writeln!(
        out,
        "\n  {expired} values found after expiry, {} left",
        cache.values.len()
    )?;
    if let Some(view) = view {
        writeln!(
            out,
            "  one view of {} bytes is still live and keeps its mapping (or the region of its slab): external {}",
            view.len(),
            cache.pool.usage().external
        )?;
    }
    if expired > 0 {
        return Err("a value was found after its expiry".into());
    }
    Ok(())
}

fn section(out: &mut impl Write, title: &str) -> io::Result<()> {
    writeln!(
        out,
        "\n{title}\n\n  {:<18}{:>10}{:>11}{:>10}{:>10}{:>14}   (MiB)",
        "", "rss", "heapTotal", "heapUsed", "external", "arrayBuffers"
    )
}

fn row(out: &mut impl Write, step: &str, usage: MemoryUsage) -> io::Result<()> {
    let mib = |bytes: u64| bytes as f64 / MIB;
    writeln!(
        out,
        "  {step:<18}{:>10.1}{:>11.1}{:>10.1}{:>10.1}{:>14.1}",
        mib(usage.rss),
        mib(usage.heap_total),
        mib(usage.heap_used),
        mib(usage.external),
        mib(usage.array_buffers)
    )
}
