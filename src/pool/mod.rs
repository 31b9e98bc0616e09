//! Pools: handles, building, trimming.
//!
//! # Safety
//!
//! A handle's `core` is valid while the handle lives: all handles together hold one of its references.

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
/// A `Pool` is a handle: cloning it is cheap and gives another handle to the same pool. There is one
/// [global pool](Pool::global), which the constructors of [`Buffer`](crate::Buffer) use; others are
/// [built](Pool::builder). Pools never share memory.
///
/// A pool may go before its buffers: when its last handle is dropped it gives back what it can at once,
/// and the rest as its last buffers are dropped.
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
    /// Copies of what the fast path needs, so that it does not follow `core`.
    pub(crate) table: &'static ClassTable,
    pub(crate) prefix: Prefix,
}

// SAFETY: what threads share of a pool is made for it (see `core`), and the rest is per thread.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    /// The pool that the constructors of [`Buffer`](crate::Buffer) use: slabs of 8 KiB, no limit, every
    /// setting at its default. It lives as long as the process.
    ///
    /// ```
    /// let buffer = slabuf::Pool::global().alloc(100);
    /// assert_eq!(buffer, [0; 100]);
    /// ```
    ///
    /// # Panics
    ///
    /// If at its very first use there is no memory for the pool's own structures (some 10 KiB).
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
        // Threads that come here at once each build one; one of them stays, the others are dropped.
        let pool = Self::build(GLOBAL, Settings::DEFAULT)?;
        let inner = pool.inner;
        if POOL.set(pool).is_ok() {
            registry::pools().add(GLOBAL, inner.cast());
        }
        POOL.get().ok_or(ConfigError::OutOfMemory)
    }

    /// Settings for a new pool.
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

    /// A handle to the pool at `inner`, which a buffer of the caller's keeps alive.
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

    /// Releases to the system what no buffer uses, and returns how many bytes that was: the caches of all threads, idle
    /// ones too, the depot, the mapping cache and all empty slabs.
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
    /// Linear in the number of free slots, empty slabs and cached mappings. Makes system calls (`munmap`,
    /// `madvise`), with no lock held.
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
            .field("id", &inner.index)
            .field("config", &inner.config)
            .field("external", &inner.mapper.mapped())
            .finish_non_exhaustive()
    }
}

/// Settings for a new [`Pool`]. What is not set has its default.
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
    /// Bytes in a slab: a power of two from 4096 to 1 MiB; 8192 if not set. Requests up to this length
    /// are served from slabs, longer ones get mappings of their own.
    pub fn slab_size(mut self, bytes: usize) -> Self {
        self.settings.slab_size = bytes;
        self
    }

    /// Bytes the pool may map, caches and its own headers included; at least four slabs, no limit if not
    /// set. Before a request fails, the caches give up what they hold, those of other threads too. For that, threads enter
    /// and leave their local caches with two more stores; see ARCHITECTURE.md for what it costs.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.settings.limit = Some(bytes);
        self
    }

    /// From how many bytes of live buffers on the pool is [over its mark](Pool::is_over_high_water): those who
    /// fill it had better pause. Exactly the mark counts as over, as with Node's `highWaterMark`. At
    /// least 1, and at most the [`limit`](Self::limit); no mark if not set.
    ///
    /// Slots count with their size, large buffers with the length asked for (`in_use` of
    /// [`PoolUsage`](crate::PoolUsage)). In a pool with a mark each take and each drop counts in one shared figure.
    pub fn high_water_mark(mut self, bytes: usize) -> Self {
        self.settings.high_water_mark = Some(bytes);
        self
    }

    /// Down to how many bytes of live buffers a pool that was over its high-water mark has to come to be
    /// drained; half the mark if not set. Below the mark; 0 for Node's rule, by which a stream has
    /// drained when it is empty.
    pub fn low_water_mark(mut self, bytes: usize) -> Self {
        self.settings.low_water_mark = Some(bytes);
        self
    }

    /// Remembers of about one in `one_in` takes where in the program it was made, and when, until the buffer is
    /// dropped: [`Pool::live_samples`] tells who holds the pool's memory. 1 remembers every take; 0, or nothing set,
    /// none, and then costs nothing.
    ///
    /// Which takes is drawn by lot, at most `2 * one_in - 1` apart on each thread. Every take and drop of such a pool
    /// passes a slower path, as with a [`high_water_mark`](Self::high_water_mark); a take that is remembered captures its
    /// call stack, which takes microseconds, and about 1 KiB of the heap while the buffer lives.
    pub fn sample(mut self, one_in: usize) -> Self {
        self.settings.sample = one_in;
        self
    }

    /// Whether the whole of a buffer's memory is zeroed when the buffer is dropped, so that nothing of it
    /// shows up in another; `false` if not set.
    pub fn zero_on_free(mut self, on: bool) -> Self {
        self.settings.zero_on_free = on;
        self
    }

    /// Whether every constructor zeroes the whole of a buffer's memory, those named `unsafe` included, as
    /// Node's `--zero-fill-buffers` does; `false` if not set.
    pub fn zero_fill(mut self, on: bool) -> Self {
        self.settings.zero_fill = on;
        self
    }

    /// Bytes of freed mappings and empty regions that are kept for reuse; 64 MiB if not set, or the
    /// limit if that is less. In a pool without a limit, up to half of them may be mappings that threads keep
    /// to themselves.
    pub fn cache_limit(mut self, bytes: usize) -> Self {
        self.settings.cache_limit = Some(bytes);
        self
    }

    /// How long freed mappings and empty regions are kept for reuse; 10 s if not set. The pool has no
    /// thread of its own: it looks when a mapping or a slab comes back, and at [`Pool::trim`].
    /// With [`Duration::ZERO`] none is kept. Mappings that threads keep to themselves (see
    /// [`cache_limit`](Self::cache_limit)) do not age; `trim` takes them.
    pub fn decay(mut self, age: Duration) -> Self {
        self.settings.decay = age;
        self
    }

    /// Whether buffers of 2 MiB and more are aligned to, and advised for, transparent huge pages (see
    /// `madvise(2)`, `MADV_HUGEPAGE`); `true` if not set.
    pub fn huge_pages(mut self, on: bool) -> Self {
        self.settings.huge_pages = on;
        self
    }

    /// Whether a page that faults on every access follows each large buffer's mapping; `false` if not
    /// set. Such buffers grow by copying.
    pub fn guard_pages(mut self, on: bool) -> Self {
        self.settings.guard_pages = on;
        self
    }

    /// Heap-backed memory, and calls that fail by a plan, for tests.
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
    /// A [`ConfigError`] that names the value and its bounds; or that there is no memory for the pool's
    /// own structures.
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
