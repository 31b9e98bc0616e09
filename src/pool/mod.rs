//! Pools: handles, building, trimming.
//!
//! # Safety
//!
//! A handle's `inner` is valid while the handle lives: all handles together hold one of its
//! references.

use crate::config::Settings;
use crate::error::ConfigError;
use crate::inner::PoolInner;
use crate::inner::registry::{self, GLOBAL, MAX_POOLS};
use crate::inner::tag::Prefix;
use crate::slab::size_class::ClassTable;
use crate::util::events::{self, Event};
use std::fmt;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::time::Duration;

mod inspect;
pub(crate) mod live_samples;
pub(crate) mod snapshot;
pub(crate) mod usage;

/// An allocator of buffers with its own memory, counters and limit.
///
/// A `Pool` is a handle: a clone is another handle to the same pool, and cheap. There is one
/// [global pool](Pool::global), which the constructors of [`Buffer`](crate::Buffer) use; other
/// pools are [built](Pool::builder). Pools never share memory.
///
/// A pool may be dropped before its buffers. When its last handle is dropped, the pool closes: it
/// releases all memory that no buffer uses, also from the caches of idle threads. The rest is
/// released as its last buffers are dropped.
///
/// ```
/// use slabuf::{AllocError, Pool};
///
/// let pool = Pool::builder().limit(4 << 20).build()?;
/// let buffer = pool.try_alloc(1 << 20).unwrap();
/// assert_eq!(pool.usage().large_live, 1 << 20);
/// assert!(matches!(
///     pool.try_alloc(4 << 20),
///     Err(AllocError::LimitExceeded { requested: 4_194_304, .. })
/// ));
/// drop(pool);
/// assert_eq!(buffer.len(), 1 << 20);
/// # Ok::<(), slabuf::ConfigError>(())
/// ```
pub struct Pool {
    inner: NonNull<PoolInner>,
    /// Copies of what the fast path needs, so that it does not follow `inner`.
    pub(crate) table: &'static ClassTable,
    pub(crate) prefix: Prefix,
}

// SAFETY: threads share `PoolInner`, whose fields are atomic, locked, or used by their owner thread
// only; the other fields are shared references and values.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    /// Returns the pool that the constructors of [`Buffer`](crate::Buffer) use: slabs of 8 KiB, no
    /// limit, all settings at their defaults. It lives as long as the process.
    ///
    /// ```
    /// let buffer = slabuf::Pool::global().alloc(100);
    /// assert_eq!(buffer, [0; 100]);
    /// ```
    ///
    /// # Panics
    ///
    /// If there is no memory for the pool's own structures (about 10 KiB) at its first use.
    ///
    /// # Complexity
    ///
    /// Constant. Makes no system call.
    pub fn global() -> &'static Pool {
        match Self::try_global() {
            Ok(pool) => pool,
            Err(_) => panic!("no memory for the global pool's own structures"),
        }
    }

    pub(crate) fn try_global() -> Result<&'static Pool, ConfigError> {
        static POOL: OnceLock<Pool> = OnceLock::new();
        if let Some(pool) = POOL.get() {
            return Ok(pool);
        }
        // Threads that get here at the same time build one pool each. One pool stays, the others
        // are dropped.
        let pool = Self::build(GLOBAL, Settings::DEFAULT)?;
        let inner = pool.inner;
        if POOL.set(pool).is_ok() {
            registry::pools().add(GLOBAL, inner.cast());
        }
        POOL.get().ok_or(ConfigError::OutOfMemory)
    }

    /// Returns settings for a new pool.
    ///
    /// ```
    /// let pool = slabuf::Pool::builder().slab_size(64 << 10).build()?;
    /// assert!(pool.alloc(40_000).is_pooled());
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    pub fn builder() -> PoolBuilder {
        PoolBuilder {
            settings: Settings::DEFAULT,
        }
    }

    fn build(index: usize, settings: Settings) -> Result<Pool, ConfigError> {
        let config = settings.validate()?;
        let table = ClassTable::of_slab_size(config.slab_size, config.spans);
        let inner =
            PoolInner::create(index, config, table).map_err(|_| ConfigError::OutOfMemory)?;
        Ok(Pool {
            inner,
            table,
            prefix: PoolInner::of(inner).prefix,
        })
    }

    /// Returns a handle to the pool at `inner`, which a buffer of the caller keeps alive.
    pub(crate) fn of_inner(inner: NonNull<PoolInner>) -> Pool {
        let this = PoolInner::of(inner);
        this.add_handle_from_buffer();
        Pool {
            inner,
            table: this.table,
            prefix: this.prefix,
        }
    }

    #[inline(always)]
    pub(crate) fn inner(&self) -> NonNull<PoolInner> {
        self.inner
    }

    /// Releases memory that no buffer uses to the system, and returns the number of bytes. It
    /// empties the caches of all threads, including idle ones, the depot and the mapping cache, and
    /// releases all empty slabs.
    ///
    /// ```
    /// let pool = slabuf::Pool::builder().build()?;
    /// drop(pool.alloc(100));
    /// assert!(pool.trim() > 0);
    /// assert_eq!(pool.usage().external, 0);
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    ///
    /// # Complexity
    ///
    /// Linear in the number of free slots, empty slabs and cached mappings, and of threads that use
    /// the pool. Makes system calls (`membarrier`, `munmap`, `madvise`).
    pub fn trim(&self) -> usize {
        let inner = PoolInner::of(self.inner);
        let before = inner.mapper.mapped();
        inner.trim();
        let unmapped = before.saturating_sub(inner.mapper.mapped());
        let bytes = unmapped + inner.purge();
        events::note(inner.index as u64, Event::Trimmed, 1, bytes);
        events::emit();
        bytes
    }
}

impl Clone for Pool {
    fn clone(&self) -> Self {
        PoolInner::of(self.inner).add_handle();
        Self {
            inner: self.inner,
            table: self.table,
            prefix: self.prefix,
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if PoolInner::of(self.inner).remove_handle() {
            PoolInner::of(self.inner).close();
            PoolInner::release(self.inner);
            events::emit();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = PoolInner::of(self.inner);
        f.debug_struct("Pool")
            .field("index", &inner.index)
            .field("config", &inner.config)
            .field("external", &inner.mapper.mapped())
            .finish_non_exhaustive()
    }
}

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
}

impl PoolBuilder {
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
        let pool = Pool::build(index, self.settings);
        match &pool {
            Ok(pool) => registry::pools().add(index, pool.inner.cast()),
            Err(_) => registry::pools().remove(index, None),
        }
        pool
    }
}
