//! Pools: handles, building, trimming.
//!
//! # Safety
//!
//! A handle's `inner` is valid while the handle lives: all handles together hold one of its
//! references.

use crate::config::Settings;
use crate::error::ConfigError;
use crate::inner::PoolInner;
use crate::inner::registry::{self, GLOBAL};
use crate::inner::tag::Prefix;
use crate::pressure::budget::Budget;
use crate::slab::size_class::ClassTable;
use crate::util::events::{self, Event};
use std::fmt;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::time::Duration;

mod available;
mod budget;
mod builder;
mod inspect;
pub(crate) mod live_samples;
pub(crate) mod snapshot;
pub(crate) mod usage;

pub use budget::{BudgetUsage, trim_all};
pub use builder::PoolBuilder;

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
        let pool = Self::build(GLOBAL, Settings::DEFAULT, None)?;
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
        PoolBuilder::new()
    }

    fn build(
        index: usize,
        settings: Settings,
        budget: Option<Budget>,
    ) -> Result<Pool, ConfigError> {
        let config = settings.validate()?;
        let table = ClassTable::of_slab_size(config.slab_size, config.spans);
        let inner = PoolInner::create(index, config, table, budget)
            .map_err(|_| ConfigError::OutOfMemory)?;
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
        let bytes = trim(PoolInner::of(self.inner));
        events::emit();
        bytes
    }
}

/// Releases memory that no buffer uses to the system, and returns the number of bytes.
fn trim(inner: &PoolInner) -> usize {
    let before = inner.mapper.mapped();
    inner.trim();
    let unmapped = before.saturating_sub(inner.mapper.mapped());
    let bytes = unmapped + inner.purge();
    events::note(inner.index as u64, Event::Trimmed, 1, bytes);
    bytes
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
        let config = &inner.config;
        let levels = config.levels;
        f.debug_struct("Pool")
            .field("index", &inner.index)
            .field("slab_size", &config.slab_size)
            .field("limit", &config.limit)
            .field("budget", &config.budget)
            .field("high_water_mark", &levels.map(|levels| levels.high))
            .field("low_water_mark", &levels.map(|levels| levels.low))
            .field("sample", &config.sample)
            .field("zero_on_free", &config.zero_on_free)
            .field("zero_fill", &config.zero_fill)
            .field("cache_limit", &config.cache_limit)
            .field("decay", &Duration::from_millis(config.decay_ms))
            .field("huge_pages", &config.huge_pages)
            .field("guard_pages", &config.guard_pages)
            .field("usage", &self.usage())
            .finish()
    }
}
