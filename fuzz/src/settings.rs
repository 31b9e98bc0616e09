//! Settings of pools: valid ones, and arbitrary ones.

use arbitrary::{Arbitrary, Result, Unstructured};
use slabuf::fake_os::FakeOs;
use slabuf::{Budget, ConfigError, Pool};
use std::time::Duration;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// The default `cache_limit`, in bytes.
const DEFAULT_CACHE_LIMIT: usize = 64 * MIB;
/// Bytes in a page of the fake systems; of the real one the first.
pub const PAGE_SIZES: [usize; 3] = [4 * KIB, 16 * KIB, 64 * KIB];

/// Settings of one pool.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes in a slab.
    pub slab_size: usize,
    /// The limit in bytes.
    pub limit: Option<usize>,
    /// The budget in bytes. The pools of a program that have one share the first pool's, if it is
    /// valid for them.
    pub budget: Option<usize>,
    /// The limit of its caches in bytes.
    pub cache_limit: Option<usize>,
    /// The high-water mark in bytes.
    pub high_water_mark: Option<usize>,
    /// The low-water mark in bytes.
    pub low_water_mark: Option<usize>,
    /// The age limit of cached memory.
    pub decay: Duration,
    /// See `PoolBuilder`.
    pub zero_on_free: bool,
    /// See `PoolBuilder`.
    pub zero_fill: bool,
    /// See `PoolBuilder`.
    pub huge_pages: bool,
    /// See `PoolBuilder`.
    pub guard_pages: bool,
    /// Whether the memory comes from the real system rather than from a fake one.
    pub real: bool,
    /// Which of [`PAGE_SIZES`] the fake system has.
    pub pages: usize,
}

impl Settings {
    /// Generates valid settings.
    pub fn valid(u: &mut Unstructured<'_>) -> Result<Self> {
        // Large slabs and high limits have large regions, which the fake system creates slowly.
        const SHIFTS: [u32; 16] = [
            12, 12, 12, 13, 13, 13, 13, 13, 13, 13, 13, 14, 14, 15, 16, 20,
        ];
        let slab_size = 1 << *u.choose(&SHIFTS)?;
        let pages = any_pages(u)?;
        let least = PAGE_SIZES[pages].max(4 * slab_size);
        let limit = match u.int_in_range(0..=7)? {
            0 => None,
            1 => Some(least),
            2 | 3 => Some(least + u.int_in_range(0..=512 * KIB)?),
            4 | 5 => Some(MIB.max(least)),
            6 => Some(4 * MIB),
            _ => Some(16 * MIB),
        };
        let budget = match u.int_in_range(0..=7)? {
            0 => Some(limit.unwrap_or(least)),
            1 => Some(limit.unwrap_or(least) + u.int_in_range(0..=512 * KIB)?),
            2 => Some(limit.unwrap_or(MIB.max(least))),
            3 => Some(limit.unwrap_or(0).max(16 * MIB)),
            _ => None,
        };
        let most = limit.or(budget).unwrap_or(usize::MAX);
        let cache_limit = match u.int_in_range(0..=4)? {
            0 => None,
            1 => Some(0),
            2 => Some((256 * KIB).min(most)),
            3 => Some((4 * MIB).min(most)),
            _ => Some(most),
        };
        let decay = *u.choose(&[0, 1, 100, 10_000, u64::MAX])?;
        let flags = u.arbitrary()?;
        let mut settings = Self::with_flags(flags);
        settings.slab_size = slab_size;
        settings.pages = pages;
        settings.limit = limit;
        settings.budget = budget;
        settings.cache_limit = cache_limit;
        settings.decay = Duration::from_millis(decay);
        (settings.high_water_mark, settings.low_water_mark) = match flags >> 4 {
            1 => (Some(20_000.min(most)), None),
            2 => (Some((256 * KIB).min(most)), Some(0)),
            3 => (Some(2), Some(1)),
            4 => (limit.or(budget), None),
            _ => (None, None),
        };
        Ok(settings)
    }

    /// Generates any settings; most are near the bounds of valid ones.
    pub fn any(u: &mut Unstructured<'_>) -> Result<Self> {
        let slab_size = any_size(u)?;
        let limit = optional_size(u, slab_size.saturating_mul(4))?;
        let budget = match u.int_in_range(0..=3)? {
            0 => optional_size(u, limit.unwrap_or(slab_size.saturating_mul(4)))?,
            _ => None,
        };
        let most = limit.or(budget).unwrap_or(usize::MAX);
        let cache_limit = optional_size(u, most)?;
        let decay = Duration::new(u.arbitrary()?, u.int_in_range(0..=999_999_999)?);
        let high_water_mark = optional_size(u, most)?;
        let low_water_mark = optional_size(u, high_water_mark.unwrap_or(0))?;
        let mut settings = Self::with_flags(u.arbitrary()?);
        settings.slab_size = slab_size;
        settings.limit = limit;
        settings.budget = budget;
        settings.cache_limit = cache_limit;
        settings.decay = decay;
        settings.high_water_mark = high_water_mark;
        settings.low_water_mark = low_water_mark;
        settings.pages = any_pages(u)?;
        Ok(settings)
    }

    fn with_flags(flags: u8) -> Self {
        let on = |bit: u32| flags & 1 << bit != 0;
        Self {
            slab_size: 8192,
            limit: None,
            budget: None,
            cache_limit: None,
            high_water_mark: None,
            low_water_mark: None,
            decay: Duration::from_secs(10),
            zero_on_free: on(0),
            zero_fill: on(1),
            huge_pages: on(2),
            guard_pages: on(3),
            // Rarely, because the fake system detects more.
            real: flags >> 4 == 15,
            pages: 0,
        }
    }

    /// Returns the documented error of `build`, or `None` if it must succeed.
    pub fn expected_error(&self) -> Option<&'static str> {
        let slab_is_valid =
            (4096..=MIB).contains(&self.slab_size) && self.slab_size.is_power_of_two();
        let bound = self.bound();
        // Evaluated for valid slab sizes only.
        let is_small = |bytes: usize| bytes < self.page_size().max(4 * self.slab_size);
        if !slab_is_valid {
            Some("slab_size")
        } else if self.budget.is_some_and(is_small) {
            Some("budget")
        } else if self.limit.is_some_and(is_small) {
            Some("limit")
        } else if self
            .limit
            .is_some_and(|limit| limit > self.budget.unwrap_or(limit))
        {
            Some("limit and budget")
        } else if self.cache_limit.is_some_and(|cache| cache > bound) {
            Some("cache_limit")
        } else if self
            .high_water_mark
            .is_some_and(|high| high == 0 || high > bound)
        {
            Some("high_water_mark")
        } else if self.low_water_mark >= self.high_water_mark.or(Some(0))
            && self.low_water_mark.is_some()
        {
            Some("low_water_mark")
        } else {
            None
        }
    }

    /// Returns the effective low-water mark.
    pub fn low(&self) -> usize {
        let half = self.high_water_mark.unwrap_or(0) / 2;
        self.low_water_mark.unwrap_or(half)
    }

    /// Returns the most bytes that the pool can map.
    pub fn bound(&self) -> usize {
        self.limit.or(self.budget).unwrap_or(usize::MAX)
    }

    /// Returns these settings in the budget that the program's pools share: with its bytes, or
    /// without a budget if they are too few.
    pub fn in_budget(mut self, shared: &Option<(usize, Budget)>) -> Self {
        let bytes = shared.as_ref().map(|(bytes, _)| *bytes);
        self.budget = self.budget.and(bytes);
        if self.expected_error().is_some() {
            self.budget = None;
        }
        self
    }

    /// Builds the pool, on a fake system unless the settings require the real one.
    pub fn build(
        &self,
        fake: &'static FakeOs,
        budget: Option<&Budget>,
    ) -> std::result::Result<Pool, ConfigError> {
        let mut builder = Pool::builder()
            .slab_size(self.slab_size)
            .decay(self.decay)
            .zero_on_free(self.zero_on_free)
            .zero_fill(self.zero_fill)
            .huge_pages(self.huge_pages)
            .guard_pages(self.guard_pages);
        if let Some(limit) = self.limit {
            builder = builder.limit(limit);
        }
        if let Some(budget) = budget {
            builder = builder.budget(budget);
        }
        if let Some(bytes) = self.cache_limit {
            builder = builder.cache_limit(bytes);
        }
        if let Some(bytes) = self.high_water_mark {
            builder = builder.high_water_mark(bytes);
        }
        if let Some(bytes) = self.low_water_mark {
            builder = builder.low_water_mark(bytes);
        }
        if !self.real {
            builder = builder.fake_os(fake);
        }
        builder.build()
    }

    /// Returns the bytes that the pool may keep for reuse.
    pub fn cache_bound(&self) -> usize {
        let default = DEFAULT_CACHE_LIMIT.min(self.bound());
        self.cache_limit.unwrap_or(default)
    }

    /// Returns whether stale bytes are never visible.
    pub fn hides_stale_bytes(&self) -> bool {
        self.zero_fill || self.zero_on_free
    }

    /// Returns the bytes that a large buffer of `len` bytes maps.
    pub fn footprint(&self, len: usize) -> usize {
        let page = self.page_size();
        len.max(1).next_multiple_of(page) + if self.guard_pages { page } else { 0 }
    }

    /// Bytes in a page.
    pub fn page_size(&self) -> usize {
        PAGE_SIZES[if self.real { 0 } else { self.pages }]
    }
}

/// Pages of 4 KiB half the time.
fn any_pages(u: &mut Unstructured<'_>) -> Result<usize> {
    Ok(*u.choose(&[0, 0, 1, 2])?)
}

fn any_size(u: &mut Unstructured<'_>) -> Result<usize> {
    let power = 1usize << u.int_in_range(0..=63)?;
    Ok(match u.int_in_range(0..=7)? {
        0 => u.arbitrary()?,
        1 => power - 1,
        2 => power + 1,
        3 => 3 * (power >> 2),
        4 => power,
        // A valid slab size.
        _ => 1 << u.int_in_range(12..=16)?,
    })
}

/// Returns `None`, a value near `edge`, or any value.
fn optional_size(u: &mut Unstructured<'_>, edge: usize) -> Result<Option<usize>> {
    Ok(match u.int_in_range(0..=6)? {
        0 | 1 => None,
        2 => Some(edge),
        3 => Some(edge.saturating_sub(1)),
        4 => Some(edge.saturating_add(1)),
        5 => Some(edge.saturating_mul(u.int_in_range(0..=64)?)),
        _ => Some(any_size(u)?),
    })
}

/// Valid settings, for targets that have one pool.
impl<'a> Arbitrary<'a> for Settings {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Self::valid(u)
    }
}
