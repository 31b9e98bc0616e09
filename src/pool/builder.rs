//! Building pools.

use super::Pool;
use crate::config::Settings;
use crate::error::ConfigError;
use crate::inner::registry::{self, MAX_POOLS};
use crate::pressure::budget::{Budget, BudgetId};
use std::time::Duration;

/// Settings for a new [`Pool`]. Each setting has a default.
///
/// ```
/// use slabuf::Pool;
/// use std::time::Duration;
///
/// let pool = Pool::builder()
///     .limit(256 << 20)
///     .cache_limit(16 << 20)
///     .decay(Duration::from_secs(1))
///     .zero_on_free(true)
///     .build()?;
/// # Ok::<(), slabuf::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "settings do nothing until `build`"]
pub struct PoolBuilder {
    settings: Settings,
    /// A copy of the settings does not keep the budget alive.
    budget: Option<BudgetId>,
}

impl PoolBuilder {
    pub(super) fn new() -> Self {
        Self {
            settings: Settings::DEFAULT,
            budget: None,
        }
    }

    /// Sets the bytes in a slab: a power of two from 4096 to 1 MiB; 8192 by default. Slabs serve
    /// requests up to this length. Each longer request gets its own mapping.
    pub fn slab_size(mut self, bytes: usize) -> Self {
        self.settings.slab_size = bytes;
        self
    }

    /// Sets the limit: the most bytes that the pool may map, including its caches and headers; at
    /// least four slabs; no limit by default. Before a request fails, the pool releases its caches,
    /// including those of all threads. Below the limit, buffers are allocated and freed as fast as
    /// in a pool without a limit.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.settings.limit = Some(bytes);
        self
    }

    /// Sets the [budget](Budget) that the pool shares with others; no budget by default. It is at
    /// least four slabs, and at least the [`limit`](Self::limit). The pool keeps the budget alive,
    /// the settings do not: keep a handle until all pools of the budget are built. A pool that is
    /// built after the last handle is dropped gets a budget of its own, of the same size.
    ///
    /// ```
    /// use slabuf::{Budget, Pool};
    ///
    /// let budget = Budget::new(256 << 20);
    /// let tenant = || Pool::builder().limit(8 << 20).budget(&budget).build();
    /// let (first, second) = (tenant()?, tenant()?);
    /// let buffer = first.alloc(1 << 20);
    /// assert_eq!(budget.usage().mapped, first.usage().external);
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    pub fn budget(mut self, budget: &Budget) -> Self {
        self.settings.budget = Some(budget.inner().quota.limit());
        self.budget = Some(budget.id());
        self
    }

    /// Sets the high-water mark: from this many bytes of live buffers on, the pool is
    /// [over its mark](Pool::is_over_high_water), and producers should pause. Exactly the mark
    /// counts as over, as with Node's `highWaterMark`. At least 1, and at most the
    /// [`limit`](Self::limit); no mark by default.
    ///
    /// A small buffer counts with the size of its slot, a large one with its requested length, as
    /// in [`PoolUsage::in_use`](crate::PoolUsage::in_use). Far below the mark, the pool counts
    /// small buffers when blocks of slots move between a thread's magazines and the depot, so they
    /// are as fast as in a pool without a mark. When this count, which includes the magazines,
    /// reaches the mark, the pool empties the magazines and counts each slot, until its live bytes
    /// have come down to half of the mark. Meanwhile allocating and freeing are slower. Each large
    /// buffer changes a counter that all threads share.
    pub fn high_water_mark(mut self, bytes: usize) -> Self {
        self.settings.high_water_mark = Some(bytes);
        self
    }

    /// Sets the low-water mark: a pool that was over its high-water mark has drained when its live
    /// buffers have come down to this many bytes. It must be below the high-water mark; half of
    /// that by default. 0 is Node's rule: a stream has drained when it is empty.
    pub fn low_water_mark(mut self, bytes: usize) -> Self {
        self.settings.low_water_mark = Some(bytes);
        self
    }

    /// Samples about one in `one_in` allocations: the pool records where in the program and when it
    /// was made, until the buffer is dropped. [`Pool::live_samples`] lists the records. 1 samples
    /// every allocation; 0, the default, none.
    ///
    /// Each thread draws the distance to its next sample at random, from 1 to `2 * one_in - 1`
    /// allocations, and counts down. A sampled allocation captures its call stack: that takes
    /// microseconds, and about 1 KiB of heap memory while the buffer lives. The buffer is marked as
    /// sampled; drops of other buffers are as fast as in a pool that does not sample.
    pub fn sample(mut self, one_in: usize) -> Self {
        self.settings.sample = one_in;
        self
    }

    /// Sets whether the whole of a buffer's memory is zeroed when the buffer is dropped, so that no
    /// later buffer shows its bytes; `false` by default. In such a pool,
    /// [splits](crate::Buffer::split_to) move bytes to memory of their own, by a copy.
    pub fn zero_on_free(mut self, on: bool) -> Self {
        self.settings.zero_on_free = on;
        self
    }

    /// Sets whether every constructor zeroes the whole of a buffer's memory, including those named
    /// `unsafe`, as Node's `--zero-fill-buffers` does; `false` by default.
    pub fn zero_fill(mut self, on: bool) -> Self {
        self.settings.zero_fill = on;
        self
    }

    /// Sets the most bytes of freed mappings and empty regions that are kept for reuse; 64 MiB by
    /// default, or the limit if that is less. Up to half of them may be mappings that threads keep
    /// in their own caches. A request that would fail, and [`Pool::trim`], release those, too.
    pub fn cache_limit(mut self, bytes: usize) -> Self {
        self.settings.cache_limit = Some(bytes);
        self
    }

    /// Sets how long freed mappings and empty regions are kept for reuse; 10 s by default. The pool
    /// has no thread of its own: it checks their age when a mapping or a slab is freed. With
    /// [`Duration::ZERO`] none is kept. Mappings in the threads' own caches (see
    /// [`cache_limit`](Self::cache_limit)) do not age; [`Pool::trim`] releases them.
    pub fn decay(mut self, age: Duration) -> Self {
        self.settings.decay = age;
        self
    }

    /// Sets whether buffers of 2 MiB and more are aligned to, and advised for, transparent huge
    /// pages (see `madvise(2)`, `MADV_HUGEPAGE`); `true` by default.
    pub fn huge_pages(mut self, on: bool) -> Self {
        self.settings.huge_pages = on;
        self
    }

    /// Sets whether an inaccessible page follows each large buffer's mapping, on which every access
    /// faults; `false` by default. Such buffers grow by copying.
    pub fn guard_pages(mut self, on: bool) -> Self {
        self.settings.guard_pages = on;
        self
    }

    /// Uses heap-backed memory and calls that fail by a plan, for tests.
    #[cfg(any(test, feature = "fake-os"))]
    #[doc(hidden)]
    pub fn fake_os(mut self, fake: &'static crate::os::fake::FakeOs) -> Self {
        self.settings.os = Some(crate::os::Os::Fake(fake));
        self
    }

    /// Builds the pool. It maps nothing until its first buffer.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that names the wrong value and its bounds; [`ConfigError::OutOfMemory`] if
    /// there is no memory for the pool's own structures; [`ConfigError::TooManyPools`] if the
    /// process has the largest number of pools already.
    pub fn build(self) -> Result<Pool, ConfigError> {
        let maximum = MAX_POOLS as u64;
        let index = registry::reserve()
            .map_err(|_| ConfigError::OutOfMemory)?
            .ok_or(ConfigError::TooManyPools { maximum })?;
        let budget = match self.budget.map(Budget::find_or_new).transpose() {
            Ok(budget) => budget,
            Err(_) => {
                registry::pools().remove(index, None);
                return Err(ConfigError::OutOfMemory);
            }
        };
        let pool = Pool::build(index, self.settings, budget);
        match &pool {
            Ok(pool) => registry::pools().add(index, pool.inner().cast()),
            Err(_) => registry::pools().remove(index, None),
        }
        pool
    }
}
