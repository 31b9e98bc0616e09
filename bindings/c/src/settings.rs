//! Settings of a new pool.

use crate::sized::{self, Plain};
use crate::status::{guard, slabuf_status};
use slabuf_rust::{Pool, PoolBuilder};
use std::time::Duration;

/// For limit: as much as the system has.
pub const SLABUF_NO_LIMIT: usize = 0xffff_ffff_ffff_ffff;
/// For cache_limit: 64 MiB, or the limit if that is less.
pub const SLABUF_DEFAULT_CACHE_LIMIT: usize = 0xffff_ffff_ffff_ffff;
/// Huge pages for buffers of 2 MiB and more. Set unless you clear it.
pub const SLABUF_HUGE_PAGES: u64 = 1;
/// A page that faults on every access behind each large buffer.
pub const SLABUF_GUARD_PAGES: u64 = 2;
/// Zeros from every allocation, slabuf_alloc_unsafe's too.
pub const SLABUF_ZERO_FILL: u64 = 4;
/// A buffer's memory is zeroed when it is freed.
pub const SLABUF_ZERO_ON_FREE: u64 = 8;

const FLAGS: u64 = SLABUF_HUGE_PAGES | SLABUF_GUARD_PAGES | SLABUF_ZERO_FILL | SLABUF_ZERO_ON_FREE;

/// Settings of a pool. Let slabuf_settings_init fill them in, and change what you want otherwise.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct slabuf_settings {
    /// Bytes in a slab: a power of two from 4096 to 1 MiB. Longer requests get mappings of their own. 8192.
    slab_size: usize,
    /// Bytes the pool may map: at least four slabs, or SLABUF_NO_LIMIT. SLABUF_NO_LIMIT.
    limit: usize,
    /// Bytes of freed memory kept for reuse. SLABUF_DEFAULT_CACHE_LIMIT.
    cache_limit: usize,
    /// How long they are kept, in milliseconds. 10,000.
    decay_ms: u64,
    /// SLABUF_HUGE_PAGES and the others, added up. SLABUF_HUGE_PAGES.
    flags: u64,
}

// SAFETY: five integers of eight bytes.
unsafe impl Plain for slabuf_settings {
    const FIRST: usize = 40;
}
const _: () = assert!(size_of::<slabuf_settings>() == 40);

impl slabuf_settings {
    const DEFAULT: Self = Self {
        slab_size: 8192,
        limit: SLABUF_NO_LIMIT,
        cache_limit: SLABUF_DEFAULT_CACHE_LIMIT,
        decay_ms: 10_000,
        flags: SLABUF_HUGE_PAGES,
    };

    pub(crate) fn builder(&self) -> Result<PoolBuilder, slabuf_status> {
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
        Ok(builder)
    }
}

/// Fills in the settings a pool has unless told otherwise. size is sizeof *settings.
///
/// # Safety
///
/// settings leads to size bytes that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_settings_init(
    settings: *mut slabuf_settings,
    size: usize,
) -> slabuf_status {
    // SAFETY: as above.
    slabuf_status::of(guard(|| unsafe {
        sized::write(settings, size, slabuf_settings::DEFAULT)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_crates() {
        let builder = slabuf_settings::DEFAULT.builder().expect("fine");
        assert_eq!(format!("{builder:?}"), format!("{:?}", Pool::builder()));
    }

    #[test]
    fn each_field_is_one_setting() {
        type Case = (fn(&mut slabuf_settings), fn(PoolBuilder) -> PoolBuilder);
        let cases: [Case; 8] = [
            (|s| s.slab_size = 4096, |b| b.slab_size(4096)),
            (|s| s.limit = 1 << 20, |b| b.limit(1 << 20)),
            (|s| s.cache_limit = 5, |b| b.cache_limit(5)),
            (|s| s.decay_ms = 7, |b| b.decay(Duration::from_millis(7))),
            (|s| s.flags = 0, |b| b.huge_pages(false)),
            (|s| s.flags |= SLABUF_GUARD_PAGES, |b| b.guard_pages(true)),
            (|s| s.flags |= SLABUF_ZERO_FILL, |b| b.zero_fill(true)),
            (|s| s.flags |= SLABUF_ZERO_ON_FREE, |b| b.zero_on_free(true)),
        ];
        for (change, same) in cases {
            let mut settings = slabuf_settings::DEFAULT;
            change(&mut settings);
            let builder = settings.builder().expect("fine");
            assert_eq!(
                format!("{builder:?}"),
                format!("{:?}", same(Pool::builder()))
            );
        }
    }
}
