//! Several pools and their buffers, and the invariants between operations.

use crate::model_buffer::ModelBuffer;
use crate::oracle::{PoolOracle, Refusal};
use crate::settings::{PAGE_SIZES, Settings};
use slabuf::fake_os::FakeOs;
use slabuf::{AllocError, Budget, Pool, PoolUsage};
use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

/// Maximum number of pools in a program.
const POOLS: usize = 3;
/// Pool numbers that one program uses: a multiple of seven, because one of eight consecutive
/// numbers is never used. So each run uses the same indices in the threads' tables of pools.
const NUMBERS: usize = 14;

/// The fake system of a pool: there is one of each page size for each pool. They are used again by
/// the next program, so that what one leaves behind is found at once.
pub fn fake(number: usize, settings: &Settings) -> &'static FakeOs {
    static FAKES: OnceLock<[[&'static FakeOs; PAGE_SIZES.len()]; POOLS]> = OnceLock::new();
    let all = || [(); POOLS].map(|()| PAGE_SIZES.map(FakeOs::leaked_with_pages));
    FAKES.get_or_init(all)[number][settings.pages]
}

/// One pool of a program.
pub struct PoolUnderTest {
    /// How it was built.
    pub oracle: PoolOracle,
    /// Its handles: none if it is closed.
    pub handles: Vec<Pool>,
    /// Its fake system, or `None` for the real one.
    pub fake: Option<&'static FakeOs>,
    /// Its budget, which other pools of the program may share.
    pub budget: Option<Budget>,
    /// Whether calls were refused since the last check without refusals.
    pub faulty: bool,
}

/// Sums over a set of buffers of one pool.
#[derive(Debug, Default)]
pub struct Sums {
    /// Bytes of slots with live buffers, and requested lengths of large ones.
    pub in_use: u64,
    /// Requested lengths of large buffers.
    pub large_live: u64,
    /// Bytes of their mappings.
    pub large_mapped: u64,
    /// Slabs with live buffers.
    pub slabs: BTreeSet<usize>,
}

impl Sums {
    /// Adds the buffers of one pool.
    pub fn add<'a>(
        &mut self,
        oracle: &PoolOracle,
        buffers: impl IntoIterator<Item = &'a ModelBuffer>,
    ) {
        for buffer in buffers {
            if buffer.oracle.number != oracle.number {
                continue;
            }
            if buffer.pooled {
                self.in_use += buffer.size() as u64;
                // A slot may extend over two slabs.
                let (start, end) = buffer.extent;
                let slab_size = oracle.settings.slab_size;
                self.slabs.extend(start / slab_size..=(end - 1) / slab_size);
            } else {
                self.in_use += buffer.asked as u64;
                self.large_live += buffer.asked as u64;
                self.large_mapped += oracle.settings.footprint(buffer.size()) as u64;
            }
        }
    }
}

/// Asserts that no two buffers share a byte.
pub fn check_apart(mut extents: Vec<(usize, usize)>) {
    extents.sort_unstable();
    for pair in extents.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "{pair:x?} overlap");
    }
}

/// Builds the pools. If `collide`, the second pool has the same index as the first in the threads'
/// tables.
pub fn build_pools(settings: &[Settings], collide: bool) -> Vec<PoolUnderTest> {
    let budget = settings.iter().find_map(|settings| settings.budget);
    let budget = budget.map(|bytes| (bytes, Budget::new(bytes)));
    let settings: Vec<_> = settings.iter().map(|own| own.in_budget(&budget)).collect();
    let mut pools = Vec::new();
    for number in 0..NUMBERS {
        let wanted = match number {
            0 => Some(0),
            1 if !collide => Some(1),
            7 if collide => Some(1),
            8 => Some(2),
            _ => None,
        };
        let Some((number, settings)) = wanted.and_then(|n| Some((n, *settings.get(n)?))) else {
            // Created only to use up a number.
            drop(Pool::builder().build());
            continue;
        };
        let fake = fake(number, &settings);
        fake.set_fault(None);
        assert_eq!(fake.mapped(), 0, "left behind by the program before");
        let budget = budget.as_ref().filter(|_| settings.budget.is_some());
        let budget = budget.map(|(_, budget)| budget.clone());
        let pool = settings
            .build(fake, budget.as_ref())
            .expect("valid settings");
        pools.push(PoolUnderTest {
            oracle: PoolOracle { number, settings },
            handles: vec![pool],
            fake: (!settings.real).then_some(fake),
            budget,
            faulty: false,
        });
    }
    pools
}

impl PoolUnderTest {
    /// Returns a handle, unless the pool is closed.
    pub fn handle(&self) -> Option<&Pool> {
        self.handles.first()
    }

    /// Checks what holds with any buffers, also while other threads use the pool.
    pub fn check_bounds(&self) {
        let limit = self.oracle.settings.bound();
        if let Some(budget) = &self.budget {
            let usage = budget.usage();
            assert_eq!(Some(usage.limit as usize), self.oracle.settings.budget);
            assert!(usage.mapped <= usage.peak, "{usage:?}");
            // What the system does not unmap counts, also above the budget.
            assert!(
                usage.peak <= usage.limit || self.fake.is_some(),
                "{usage:?}"
            );
        }
        if let Some(fake) = self.fake {
            assert!(fake.mapped() <= limit, "{} mapped", fake.mapped());
        }
        if let Some(pool) = self.handle() {
            let usage = pool.usage();
            assert!(usage.external <= limit as u64, "{usage:?}");
            assert!(usage.array_buffers <= usage.external, "{usage:?}");
        }
    }

    /// Compares the counters with a recount. No other thread may use the pool.
    pub fn check(&self, sums: &Sums) {
        self.check_bounds();
        let settings = &self.oracle.settings;
        let Some(pool) = self.handle() else {
            if let Some(fake) = self.fake
                && sums.in_use + sums.large_mapped == 0
                && !self.faulty
            {
                assert_eq!(fake.mapped(), 0, "left behind by a closed pool");
            }
            return;
        };
        let usage = pool.usage();
        if let Some(fake) = self.fake {
            assert_eq!(usage.external, fake.mapped() as u64, "{usage:?}");
        }
        assert_eq!(usage.large_live, sums.large_live, "{usage:?}");
        assert_eq!(usage.in_use, sums.in_use, "{usage:?}");
        self.check_marks(pool, &usage);
        let slabs = usage.slabs_partial + usage.slabs_full;
        assert!(slabs >= sums.slabs.len() as u64, "{usage:?}");
        let in_slabs = slabs * settings.slab_size as u64;
        assert_eq!(usage.array_buffers, in_slabs + sums.large_live, "{usage:?}");
        assert!(usage.in_use + usage.cached <= usage.external, "{usage:?}");
        let mapped = in_slabs + sums.large_mapped + usage.large_cached;
        assert!(mapped <= usage.external, "{usage:?}");
        if !self.faulty {
            let bound = settings.cache_bound() as u64;
            assert!(usage.large_cached <= bound, "{usage:?}, {settings:?}");
            let keeps_none = settings.decay.as_millis() == 0;
            assert!(!keeps_none || usage.large_cached == 0, "{usage:?}");
        }
    }

    /// Checks that the pool is over from the high mark on, and not over at the low mark. Between
    /// them it depends on the past.
    fn check_marks(&self, pool: &Pool, usage: &PoolUsage) {
        let settings = &self.oracle.settings;
        let high = settings
            .high_water_mark
            .map_or(u64::MAX, |high| high as u64);
        let over = pool.is_over_high_water();
        assert!(over || usage.in_use < high, "{usage:?}, {settings:?}");
        assert!(
            !over || usage.in_use > settings.low() as u64,
            "{usage:?}, {settings:?}"
        );
        assert_eq!(pool.wait_drained(Duration::ZERO), !over);
    }

    /// Trims the pool and checks that only memory of live buffers is left. No other thread may hold
    /// slots.
    pub fn trim(&self, sums: &Sums) {
        let Some(pool) = self.handle() else { return };
        let before = pool.usage();
        let given_back = pool.trim() as u64;
        let usage = pool.usage();
        assert!(before.external - usage.external <= given_back);
        assert!(given_back <= before.external);
        self.check(sums);
        if !self.faulty {
            self.check_trimmed(&usage, sums);
        }
    }

    fn check_trimmed(&self, usage: &PoolUsage, sums: &Sums) {
        let settings = &self.oracle.settings;
        assert_eq!(usage.large_cached, 0, "{usage:?}");
        let slabs = sums.slabs.len() as u64;
        assert_eq!(usage.slabs_partial + usage.slabs_full, slabs, "{usage:?}");
        let in_regions = usage.external - sums.large_mapped;
        let region = (2 << 20).max(16 * settings.slab_size as u64);
        // Every region has a live buffer.
        assert!(in_regions <= slabs * region, "{usage:?}");
        assert!(in_regions == 0 || slabs > 0, "{usage:?}");
    }

    /// Asserts that a refusal is allowed: the request does not fit into the limit, or the fault
    /// plan of the system refuses a call.
    pub fn judge(&self, refusal: &Refusal, alone: bool) {
        let settings = &self.oracle.settings;
        match refusal.error {
            AllocError::TooLarge {
                requested, maximum, ..
            } => {
                assert_eq!(requested, refusal.requested);
                assert!(requested > maximum, "{refusal:?}");
            }
            AllocError::LimitExceeded {
                requested,
                limit: Some(limit),
                ..
            } => {
                assert_eq!(requested, refusal.requested);
                assert_eq!(Some(limit), settings.limit);
                if alone && !self.faulty {
                    self.check_does_not_fit(requested, limit, None);
                }
            }
            AllocError::BudgetExceeded {
                requested,
                in_use,
                limit,
                ..
            } => {
                assert_eq!(requested, refusal.requested);
                assert_eq!(Some(limit), settings.budget);
                assert!(in_use <= limit, "{refusal:?}");
                if alone && !self.faulty {
                    self.check_does_not_fit(requested, limit, self.budget.as_ref());
                }
            }
            // A wait for a request that fits into the empty pool.
            AllocError::TimedOut {
                requested,
                limit,
                budget,
                ..
            } if limit.is_some() || budget.is_some() => {
                assert_eq!(requested, refusal.requested);
                assert_eq!((limit, budget), (settings.limit, settings.budget));
                let bound = settings.bound();
                assert!(requested <= bound.max(settings.slab_size), "{refusal:?}");
                // With both, either of them may have refused the request.
                if alone && !self.faulty && (limit.is_none() || budget.is_none()) {
                    self.check_does_not_fit(requested, bound, self.budget.as_ref());
                }
            }
            AllocError::OutOfMemory { requested, .. } => {
                assert!(self.faulty || settings.real, "{refusal:?}, {settings:?}");
                assert_eq!(requested, refusal.requested);
            }
            ref other => panic!("an error that is not documented: {other:?}"),
        }
    }

    /// Checks that the caches were emptied before the request failed at the limit or at the budget.
    fn check_does_not_fit(&self, requested: usize, limit: usize, budget: Option<&Budget>) {
        let Some(pool) = self.handle() else { return };
        if self.oracle.settings.footprint(requested) > limit {
            // No release of caches would help.
            return;
        }
        let usage = pool.usage();
        assert_eq!(usage.large_cached, 0, "{requested} refused with {usage:?}");
        let settings = &self.oracle.settings;
        // A mapping of its own, which a short length may have requested too; or a region.
        let mapping = settings.footprint(requested);
        let needed = if requested > settings.slab_size {
            mapping
        } else {
            let share = settings
                .budget
                .map_or(limit, |budget| limit.min(budget / 16));
            // Eight slabs, unless that is more than a quarter.
            let slabs = if 32 * settings.slab_size <= share {
                8
            } else {
                4
            };
            let least = settings.page_size().max(slabs * settings.slab_size);
            (share / 16).max(least).max(mapping)
        };
        let mapped = match budget {
            Some(budget) => budget.usage().mapped,
            None => usage.external,
        };
        let sum = (mapped as usize).saturating_add(needed);
        assert!(
            sum > limit,
            "{requested} refused with {usage:?}, {settings:?}"
        );
    }

    /// Ends the refusals and checks that the pool recovers.
    pub fn heal(&mut self, sums: &Sums) {
        if let Some(fake) = self.fake {
            fake.set_fault(None);
        }
        if let Some(pool) = self.handle() {
            pool.trim();
        }
        self.faulty = false;
        self.trim(sums);
    }

    /// Closes the pool, whose buffers are dropped, and checks that it leaks nothing.
    pub fn end(mut self) {
        let nothing = Sums::default();
        self.heal(&nothing);
        if let Some(pool) = self.handle() {
            let mut usage = pool.usage();
            // These do not fall.
            (usage.external_peak, usage.refused, usage.timed_out) = (0, 0, 0);
            assert_eq!(usage, PoolUsage::default());
        }
        self.handles.clear();
        if let Some(budget) = &self.budget {
            let usage = budget.usage();
            // Pools that end later may have kept some bytes, at most all that are mapped.
            assert!(usage.pools > 0 || usage.mapped == 0, "{usage:?}");
        }
        if let Some(fake) = self.fake {
            assert_eq!(fake.mapped(), 0, "left behind by {:?}", self.oracle);
        }
    }
}
