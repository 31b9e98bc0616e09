//! Settings of a new pool, and their conversion into the crate's builder.

use crate::handle_table::{self, slabuf_budget};
use crate::status::{guard, slabuf_status};
use crate::versioned_struct::{self, Plain};
use slabuf_rust::{Pool, PoolBuilder};
use std::time::Duration;

/// Value of limit: no limit.
pub const SLABUF_NO_LIMIT: usize = 0xffff_ffff_ffff_ffff;
/// Value of cache_limit: 64 MiB, or the limit if it is less.
pub const SLABUF_DEFAULT_CACHE_LIMIT: usize = 0xffff_ffff_ffff_ffff;
/// Flag: huge pages for buffers of 2 MiB and more. Set by slabuf_settings_init.
pub const SLABUF_HUGE_PAGES: u64 = 1;
/// Flag: a page behind each large buffer that faults on every access.
pub const SLABUF_GUARD_PAGES: u64 = 2;
/// Flag: every allocation is zeroed, that of slabuf_pool_alloc_unsafe too.
pub const SLABUF_ZERO_FILL: u64 = 4;
/// Flag: a buffer's memory is zeroed when it is freed.
pub const SLABUF_ZERO_ON_FREE: u64 = 8;

const FLAGS: u64 = SLABUF_HUGE_PAGES | SLABUF_GUARD_PAGES | SLABUF_ZERO_FILL | SLABUF_ZERO_ON_FREE;

/// Settings of a pool. Fill them in with slabuf_settings_init, then change some.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct slabuf_settings {
    /// Bytes in a slab: a power of two from 4096 to 1 MiB. Longer requests get mappings of their
    /// own. Default: 8192.
    slab_size: usize,
    /// Most bytes that the pool may map: at least four slabs. Default: SLABUF_NO_LIMIT.
    limit: usize,
    /// Most bytes of freed memory that are kept for reuse. Default: SLABUF_DEFAULT_CACHE_LIMIT.
    cache_limit: usize,
    /// How long they are kept, in milliseconds. Default: 10,000.
    decay_ms: u64,
    /// The sum of SLABUF_HUGE_PAGES and the other flags. Default: SLABUF_HUGE_PAGES.
    flags: u64,
    /// Bytes of live buffers from which the pool is over its mark: at most limit. Default: 0, no
    /// mark.
    high_water_mark: u64,
    /// Bytes of live buffers down to which the pool must drain: below high_water_mark. 1 means that
    /// it must be empty. Default: 0, half of high_water_mark.
    low_water_mark: u64,
    /// One of this many allocations, on average, is sampled, see slabuf_pool_samples_get. Default:
    /// 0, none.
    sample_one_in: u64,
    /// The budget that the pool shares with others: at least four slabs, and at least limit.
    /// Default: null, none.
    budget: *const slabuf_budget,
}

// SAFETY: eight integers of eight bytes, and a pointer that is never followed.
unsafe impl Plain for slabuf_settings {
    const FIRST: usize = 40;
}
const _: () = assert!(size_of::<slabuf_settings>() == 72);

impl slabuf_settings {
    const DEFAULT: Self = Self {
        slab_size: 8192,
        limit: SLABUF_NO_LIMIT,
        cache_limit: SLABUF_DEFAULT_CACHE_LIMIT,
        decay_ms: 10_000,
        flags: SLABUF_HUGE_PAGES,
        high_water_mark: 0,
        low_water_mark: 0,
        sample_one_in: 0,
        budget: std::ptr::null(),
    };

    /// # Safety
    ///
    /// No thread destroys the budget during the call.
    pub(crate) unsafe fn builder(&self) -> Result<PoolBuilder, slabuf_status> {
        if self.flags & !FLAGS != 0 {
            return Err(slabuf_status::BadFlags);
        }
        let has = |flag| self.flags & flag != 0;
        let mut builder = Pool::builder()
            .slab_size(self.slab_size)
            .decay(Duration::from_millis(self.decay_ms))
            .huge_pages(has(SLABUF_HUGE_PAGES))
            .guard_pages(has(SLABUF_GUARD_PAGES))
            .zero_fill(has(SLABUF_ZERO_FILL))
            .zero_on_free(has(SLABUF_ZERO_ON_FREE));
        if self.limit != SLABUF_NO_LIMIT {
            builder = builder.limit(self.limit);
        }
        if self.cache_limit != SLABUF_DEFAULT_CACHE_LIMIT {
            builder = builder.cache_limit(self.cache_limit);
        }
        // The library is for 64-bit systems, so these fit.
        if self.high_water_mark != 0 {
            builder = builder.high_water_mark(self.high_water_mark as usize);
        }
        if self.low_water_mark != 0 {
            builder = builder.low_water_mark(self.low_water_mark as usize);
        }
        if self.sample_one_in != 0 {
            builder = builder.sample(self.sample_one_in as usize);
        }
        if !self.budget.is_null() {
            // SAFETY: the caller guarantees that no thread destroys the budget.
            builder = unsafe { handle_table::with(self.budget, |it| Ok(builder.budget(it))) }?;
        }
        Ok(builder)
    }
}

/// Fills in the default settings. size is sizeof *settings.
///
/// # Safety
///
/// size bytes can be written at settings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_settings_init(
    settings: *mut slabuf_settings,
    size: usize,
) -> slabuf_status {
    // SAFETY: the caller guarantees that `size` bytes can be written.
    slabuf_status::of(guard(|| unsafe {
        versioned_struct::write(settings, size, slabuf_settings::DEFAULT)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use slabuf_rust::Budget;

    fn builder(settings: &slabuf_settings) -> PoolBuilder {
        // SAFETY: the only budget of these tests is destroyed at their end.
        unsafe { settings.builder() }.expect("fine")
    }

    #[test]
    fn the_defaults_are_the_crates() {
        let builder = builder(&slabuf_settings::DEFAULT);
        assert_eq!(format!("{builder:?}"), format!("{:?}", Pool::builder()));
    }

    #[test]
    fn each_field_is_one_setting() {
        type Case = (fn(&mut slabuf_settings), fn(PoolBuilder) -> PoolBuilder);
        let cases: [Case; 11] = [
            (|s| s.slab_size = 4096, |b| b.slab_size(4096)),
            (|s| s.limit = 1 << 20, |b| b.limit(1 << 20)),
            (|s| s.cache_limit = 5, |b| b.cache_limit(5)),
            (|s| s.decay_ms = 7, |b| b.decay(Duration::from_millis(7))),
            (|s| s.flags = 0, |b| b.huge_pages(false)),
            (|s| s.flags |= SLABUF_GUARD_PAGES, |b| b.guard_pages(true)),
            (|s| s.flags |= SLABUF_ZERO_FILL, |b| b.zero_fill(true)),
            (|s| s.flags |= SLABUF_ZERO_ON_FREE, |b| b.zero_on_free(true)),
            (|s| s.high_water_mark = 5, |b| b.high_water_mark(5)),
            (|s| s.low_water_mark = 4, |b| b.low_water_mark(4)),
            (|s| s.sample_one_in = 3, |b| b.sample(3)),
        ];
        for (change, same) in cases {
            let mut settings = slabuf_settings::DEFAULT;
            change(&mut settings);
            assert_eq!(
                format!("{:?}", builder(&settings)),
                format!("{:?}", same(Pool::builder()))
            );
        }
    }

    #[test]
    fn a_budget_is_found_by_its_handle() {
        let budget = Budget::new(1 << 20);
        let handle: *mut slabuf_budget = handle_table::insert(budget.clone()).expect("a place");
        let mut settings = slabuf_settings::DEFAULT;
        settings.budget = handle;
        assert_eq!(
            format!("{:?}", builder(&settings)),
            format!("{:?}", Pool::builder().budget(&budget))
        );
        assert!(handle_table::remove(handle).is_ok());
        // SAFETY: no thread destroys the budget, which is gone.
        let gone = unsafe { settings.builder() };
        assert_eq!(gone.err(), Some(slabuf_status::NotABudget));
    }
}
