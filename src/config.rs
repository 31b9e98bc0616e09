//! Settings of a pool and their validation.

use crate::error::ConfigError;
use crate::os::Os;
use crate::slab::size_class::{DEFAULT_SLAB_SIZE, MAX_SLAB_SIZE, MIN_SLAB_SIZE};
use std::time::Duration;

/// Default of the bytes of freed memory that a pool keeps for reuse.
pub(crate) const DEFAULT_CACHE_LIMIT: usize = 64 << 20;
/// Default of the time for which a pool keeps freed memory.
pub(crate) const DEFAULT_DECAY: Duration = Duration::from_secs(10);
/// Log2 of the region size, unless a limit requires smaller regions.
pub(crate) const DEFAULT_REGION_SHIFT: u32 = 21;

/// High-water and low-water mark, in bytes of live buffers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Levels {
    pub(crate) high: usize,
    pub(crate) low: usize,
}

/// Validated settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    pub(crate) os: Os,
    pub(crate) slab_size: usize,
    pub(crate) region_shift: u32,
    /// Whether large slots are cut from spans of slabs.
    pub(crate) spans: bool,
    pub(crate) limit: Option<usize>,
    /// The limit of the budget.
    pub(crate) budget: Option<usize>,
    pub(crate) levels: Option<Levels>,
    /// The sampler records one in this many allocations; 0 disables it.
    pub(crate) sample: usize,
    pub(crate) zero_on_free: bool,
    pub(crate) zero_fill: bool,
    pub(crate) cache_limit: usize,
    /// The part of `cache_limit` that all threads together may keep in their own caches. Mappings
    /// in thread caches do not age.
    pub(crate) lease_limit: usize,
    pub(crate) decay_ms: u64,
    pub(crate) huge_pages: bool,
    pub(crate) guard_pages: bool,
}

impl Config {
    /// Returns the most bytes that the pool can map; `usize::MAX` without a limit and a budget.
    pub(crate) fn bound(&self) -> usize {
        self.limit.or(self.budget).unwrap_or(usize::MAX)
    }
}

/// Settings as the caller gave them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) os: Option<Os>,
    pub(crate) slab_size: usize,
    pub(crate) limit: Option<usize>,
    /// The limit of the budget.
    pub(crate) budget: Option<usize>,
    pub(crate) high_water_mark: Option<usize>,
    pub(crate) low_water_mark: Option<usize>,
    pub(crate) sample: usize,
    pub(crate) zero_on_free: bool,
    pub(crate) zero_fill: bool,
    pub(crate) cache_limit: Option<usize>,
    pub(crate) decay: Duration,
    pub(crate) huge_pages: bool,
    pub(crate) guard_pages: bool,
}

impl Settings {
    pub(crate) const DEFAULT: Self = Self {
        os: None,
        slab_size: DEFAULT_SLAB_SIZE,
        limit: None,
        budget: None,
        high_water_mark: None,
        low_water_mark: None,
        sample: 0,
        zero_on_free: false,
        zero_fill: false,
        cache_limit: None,
        decay: DEFAULT_DECAY,
        huge_pages: true,
        guard_pages: false,
    };

    pub(crate) fn validate(self) -> Result<Config, ConfigError> {
        let slab_size = self.slab_size;
        let in_range = (MIN_SLAB_SIZE..=MAX_SLAB_SIZE).contains(&slab_size);
        if !in_range || !slab_size.is_power_of_two() {
            return Err(ConfigError::SlabSize {
                given: slab_size,
                minimum: MIN_SLAB_SIZE,
                maximum: MAX_SLAB_SIZE,
            });
        }
        let os = self.os.unwrap_or_else(Os::native);
        let page_size = os.page_size();
        let minimum = page_size.max(4 * slab_size);
        let bound = self.bound(minimum)?;
        let limit = bound.unwrap_or(usize::MAX);
        let cache_limit = self.cache_limit.unwrap_or(DEFAULT_CACHE_LIMIT.min(limit));
        if cache_limit > limit {
            return Err(ConfigError::CacheLimit {
                given: cache_limit,
                limit,
            });
        }
        let levels = self.levels(bound)?;
        let decay_ms = u64::try_from(self.decay.as_millis()).unwrap_or(u64::MAX);
        let lease_limit = if decay_ms > 0 { cache_limit / 2 } else { 0 };
        // Spans need their own regions: a pool with a small limit cannot afford both kinds.
        let share = self.share(limit);
        let spans = share / slab_size >= 256;
        Ok(Config {
            os,
            slab_size,
            region_shift: region_shift(slab_size, share, page_size),
            spans,
            limit: self.limit,
            budget: self.budget,
            levels,
            sample: self.sample,
            zero_on_free: self.zero_on_free,
            zero_fill: self.zero_fill,
            cache_limit,
            lease_limit,
            decay_ms,
            huge_pages: self.huge_pages,
            guard_pages: self.guard_pages,
        })
    }

    /// Returns the most bytes that the pool can map: its limit or its budget, which are checked.
    fn bound(&self, minimum: usize) -> Result<Option<usize>, ConfigError> {
        if let Some(given) = self.budget.filter(|budget| *budget < minimum) {
            return Err(ConfigError::Budget { given, minimum });
        }
        if let Some(given) = self.limit.filter(|limit| *limit < minimum) {
            return Err(ConfigError::Limit { given, minimum });
        }
        match (self.limit, self.budget) {
            (Some(limit), Some(budget)) if limit > budget => {
                Err(ConfigError::LimitAboveBudget { limit, budget })
            }
            (limit, budget) => Ok(limit.or(budget)),
        }
    }

    /// Returns the bytes by which the size of regions is chosen: of a budget, several pools should
    /// have regions.
    fn share(&self, bound: usize) -> usize {
        let share = self.budget.map_or(usize::MAX, |budget| budget / 16);
        bound.min(share)
    }

    fn levels(&self, bound: Option<usize>) -> Result<Option<Levels>, ConfigError> {
        let Some(high) = self.high_water_mark else {
            return match self.low_water_mark {
                None => Ok(None),
                Some(given) => Err(ConfigError::LowWaterMark {
                    given,
                    high_water_mark: None,
                }),
            };
        };
        if high == 0 || bound.is_some_and(|bound| high > bound) {
            return Err(ConfigError::HighWaterMark {
                given: high,
                limit: bound,
            });
        }
        let low = self.low_water_mark.unwrap_or(high / 2);
        if low >= high {
            return Err(ConfigError::LowWaterMark {
                given: low,
                high_water_mark: Some(high),
            });
        }
        Ok(Some(Levels { high, low }))
    }
}

/// Returns the log2 of the region size: at least sixteen slabs and 2 MiB. Under a small limit a
/// region is at most a sixteenth of the limit, so that the pool can use nearly all of it, but never
/// less than eight slabs (one of which holds the headers) or a page. Under the smallest limits that
/// is four slabs.
fn region_shift(slab_size: usize, limit: usize, page_size: usize) -> u32 {
    let slab_shift = slab_size.trailing_zeros();
    let mut shift = DEFAULT_REGION_SHIFT.max(slab_shift + 4);
    let part = |shift: u32| if shift > slab_shift + 3 { 16 } else { 4 };
    while shift > slab_shift + 2 && (1 << shift) > limit / part(shift) && 1 << shift > page_size {
        shift -= 1;
    }
    shift
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut Settings)) -> Result<Config, ConfigError> {
        let mut settings = Settings::DEFAULT;
        change(&mut settings);
        settings.validate()
    }

    #[test]
    fn slab_sizes_are_powers_of_two_within_bounds() {
        for shift in 12..=20 {
            assert!(with(|s| s.slab_size = 1 << shift).is_ok());
        }
        for given in [
            0,
            1,
            2048,
            4095,
            4097,
            8191,
            8193,
            3 << 12,
            2 << 20,
            usize::MAX,
        ] {
            let error = with(|s| s.slab_size = given).unwrap_err();
            assert!(matches!(error, ConfigError::SlabSize { given: g, .. } if g == given));
        }
    }

    #[test]
    fn small_limits_use_small_regions() {
        assert_eq!(with(|_| ()).unwrap().region_shift, 21);
        assert_eq!(with(|s| s.limit = Some(8 << 20)).unwrap().region_shift, 19);
        assert_eq!(with(|s| s.limit = Some(32 << 10)).unwrap().region_shift, 15);
        assert_eq!(with(|s| s.budget = Some(1 << 30)).unwrap().region_shift, 21);
        let small = with(|s| s.budget = Some(64 << 20)).unwrap();
        assert_eq!((small.region_shift, small.bound()), (18, 64 << 20));
        let error = with(|s| s.limit = Some((32 << 10) - 1)).unwrap_err();
        assert_eq!(
            error,
            ConfigError::Limit {
                given: 32_767,
                minimum: 32_768
            }
        );
    }

    #[test]
    fn a_region_is_no_shorter_than_a_page() {
        for page_shift in [12, 14, 16] {
            let shift = region_shift(4096, 1 << 16, 1 << page_shift);
            assert_eq!(
                shift,
                14.max(page_shift),
                "pages of {} bytes",
                1 << page_shift
            );
        }
    }

    #[test]
    fn a_cache_within_the_limit() {
        assert_eq!(
            with(|s| s.limit = Some(1 << 20)).unwrap().cache_limit,
            1 << 20
        );
        let error = with(|s| {
            s.limit = Some(1 << 20);
            s.cache_limit = Some(2 << 20);
        });
        assert!(error.unwrap_err().to_string().contains("2097152"));
    }
}
