//! Counters of the memory of a pool, and of the process.

use crate::inner::PoolInner;
use crate::inner::registry;
use crate::slab::size_class::SPAN;
use crate::sync::Ordering::Relaxed;
use crate::system;
use crate::util::format::Binary;
use std::fmt;

/// Counters of one pool's memory. From [`Pool::usage`](crate::Pool::usage).
///
/// The counters are computed from the pool's structures on request. Each is exact if no other
/// thread uses the pool meanwhile. `Display` prints them in binary units, one to a line.
///
/// ```
/// let pool = slabuf::Pool::builder().build()?;
/// let buffer = pool.alloc(3 << 20);
/// assert!(pool.usage().to_string().starts_with("external          3.0 MiB\n"));
/// # Ok::<(), slabuf::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolUsage {
    /// Mapped bytes, including caches and the pool's own headers.
    pub external: u64,
    /// Bytes of slabs that are not empty, plus the requested lengths of live large buffers. A slab
    /// counts whole and once. A slab with slots in a thread's magazine is not empty.
    pub array_buffers: u64,
    /// Bytes of the slots of live buffers, plus the requested lengths of live large buffers.
    pub in_use: u64,
    /// Resident bytes kept for reuse: slabs without the slots of live buffers, plus
    /// `large_cached`. An empty slab that was never used, or purged since its last use, takes no
    /// memory and does not count. Any other slab counts whole, as if all of it had been written.
    pub cached: u64,
    /// Slabs whose slots are all free: none is in a buffer or in a magazine.
    pub slabs_empty: u64,
    /// Slabs of which some slots are in buffers or in magazines.
    pub slabs_partial: u64,
    /// Slabs of which all slots are in buffers or in magazines.
    pub slabs_full: u64,
    /// Requested lengths of live large buffers, in bytes.
    pub large_live: u64,
    /// Resident bytes of freed mappings that are kept for reuse: the pages that a buffer could
    /// write to since the mapping was made or last purged, as if all of them had been written.
    /// Guard pages do not count.
    pub large_cached: u64,
    /// The most bytes that were mapped at a time: the peak of `external`.
    pub external_peak: u64,
    /// Number of requests that wait for memory now.
    pub waiters: u64,
    /// Number of requests that failed because the limit, the budget or the system refused them,
    /// since the pool was built. Requests that timed out are not among them.
    pub refused: u64,
    /// Number of requests that waited and timed out, since the pool was built.
    pub timed_out: u64,
}

impl fmt::Display for PoolUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, bytes) in [
            ("external", self.external),
            ("array_buffers", self.array_buffers),
            ("in_use", self.in_use),
            ("cached", self.cached),
            ("large_live", self.large_live),
            ("large_cached", self.large_cached),
        ] {
            writeln!(f, "{name:<14}{:>11}", Binary(bytes))?;
        }
        writeln!(f, "slabs_empty   {:>7}", self.slabs_empty)?;
        writeln!(f, "slabs_partial {:>7}", self.slabs_partial)?;
        writeln!(f, "slabs_full    {:>7}", self.slabs_full)?;
        writeln!(f, "external_peak {:>11}", Binary(self.external_peak))?;
        writeln!(f, "waiters       {:>7}", self.waiters)?;
        writeln!(f, "refused       {:>7}", self.refused)?;
        write!(f, "timed_out     {:>7}", self.timed_out)
    }
}

/// Returns the number of live buffers' slots of a class.
pub(super) fn live_slots(inner: &PoolInner, class: usize) -> u64 {
    let caches = inner.caches();
    let in_magazines: u64 = caches
        .iter()
        .map(|cache| u64::from(cache.magazine(class).slots()))
        .sum();
    let counts = inner.depot.counts(class);
    counts
        .slots_out
        .saturating_sub(counts.slots_in_depot + in_magazines)
}

pub(crate) fn of_pool(inner: &PoolInner) -> PoolUsage {
    let mut usage = without_mappings(inner);
    let resident = inner.large_list.sum(|view| match view.requested_len {
        Some(_) => 0,
        None => inner.resident_bytes(&view),
    });
    usage.large_cached = resident as u64;
    usage.cached += usage.large_cached;
    usage
}

/// Returns the mapped bytes of freed mappings that are kept for reuse.
pub(super) fn kept_mappings(inner: &PoolInner) -> usize {
    let caches = inner.caches();
    let kept = caches.iter().map(|cache| cache.large_kept.get());
    let kept = kept.fold(0, usize::wrapping_add);
    drop(caches);
    usize::try_from(kept as isize).unwrap_or(0) + inner.mappings.footprint()
}

/// Returns the counters without those of freed mappings.
fn without_mappings(inner: &PoolInner) -> PoolUsage {
    // Threads that attach or detach a cache wait for this lock until the sums are done, so that
    // each cache is counted once.
    let caches = inner.caches();
    let mut usage = PoolUsage::default();
    let slab_size = inner.config.slab_size as u64;
    let (mut slabs, mut slots_bytes) = (0, 0);
    for number in 0..inner.table.count() {
        let counts = inner.depot.counts(number);
        let class = inner.table.get(number);
        let in_magazines: u64 = caches
            .iter()
            .map(|cache| u64::from(cache.magazine(number).slots()))
            .sum();
        let free_out = counts.slots_in_depot + in_magazines;
        let in_buffers = counts.slots_out.saturating_sub(free_out);
        slots_bytes += in_buffers * u64::from(class.slot_size);
        usage.slabs_partial += counts.states.used - counts.states.full;
        usage.slabs_full += counts.states.full;
        slabs += counts.slabs;
    }
    let live = caches.iter().map(|cache| cache.large_live.get());
    let live = live.fold(inner.large_live(), usize::wrapping_add);
    // A drop may be counted before its allocation, on another thread; clamps negative sums to 0.
    usage.large_live = u64::try_from(live as isize).unwrap_or(0);
    drop(caches);

    usage.slabs_empty = slabs - usage.slabs_partial - usage.slabs_full;
    for (regions, slabs_in_one) in inner.regions.iter().zip([1, SPAN as u64]) {
        let counts = regions.slabs();
        usage.slabs_empty += counts.empty * slabs_in_one;
        slabs += (counts.empty - counts.clean) * slabs_in_one;
    }
    usage.in_use = slots_bytes + usage.large_live;
    usage.array_buffers = (usage.slabs_partial + usage.slabs_full) * slab_size + usage.large_live;
    usage.cached = (slabs * slab_size).saturating_sub(slots_bytes);
    usage.external = inner.mapper.mapped() as u64;
    // A thread that maps raises the counter first, and the peak a moment later.
    usage.external_peak = usage.external.max(inner.mapper.quota().peak() as u64);
    usage.waiters = inner.waiters() as u64;
    usage.refused = inner.refused.load(Relaxed);
    usage.timed_out = inner.timed_out.load(Relaxed);
    // At most equal, except for what other threads did while the sums were computed.
    usage.array_buffers = usage.array_buffers.min(usage.external);
    usage
}

/// Counters of the whole process, all pools together. From [`memory_usage`].
///
/// The five numbers of Node's `process.memoryUsage()`, in bytes; `Display` prints them in Node's
/// format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUsage {
    /// Physical memory of the process (`VmRSS`); 0 if the system does not report it.
    pub rss: u64,
    /// Bytes that the process's own malloc heap has from the system (glibc's `mallinfo2`:
    /// `arena + hblkhd`); 0 if the heap does not report it.
    pub heap_total: u64,
    /// Bytes in use in that heap (`uordblks + hblkhd`); 0 if the heap does not report it.
    pub heap_used: u64,
    /// Bytes that all pools have mapped: the sum of their [`PoolUsage::external`].
    pub external: u64,
    /// The sum of all pools' [`PoolUsage::array_buffers`]; a part of `external`.
    pub array_buffers: u64,
}

impl fmt::Display for MemoryUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{{")?;
        writeln!(f, "  rss: {},", self.rss)?;
        writeln!(f, "  heapTotal: {},", self.heap_total)?;
        writeln!(f, "  heapUsed: {},", self.heap_used)?;
        writeln!(f, "  external: {},", self.external)?;
        writeln!(f, "  arrayBuffers: {}", self.array_buffers)?;
        write!(f, "}}")
    }
}

/// Returns the counters of the process's memory, as Node's `process.memoryUsage()`.
///
/// ```
/// let buffer = slabuf::Buffer::alloc(1 << 20);
/// let usage = slabuf::memory_usage();
/// assert!(usage.array_buffers >= 1 << 20 && usage.external >= usage.array_buffers);
/// println!("{usage}");
/// ```
///
/// # Complexity
///
/// Linear in the number of pools and of threads that use them. Makes system calls (reads `/proc`).
pub fn memory_usage() -> MemoryUsage {
    let mut sum = MemoryUsage::default();
    for pool in registry::pools().iter() {
        let usage = without_mappings(PoolInner::of(pool.cast()));
        sum.external += usage.external;
        sum.array_buffers += usage.array_buffers;
    }
    let heap = system::heap();
    sum.heap_total = heap.total;
    sum.heap_used = heap.used;
    sum.rss = system::rss();
    sum
}
