//! Several pools and their buffers, and what must hold between any two operations.

use crate::facts::{PoolFacts, Refusal};
use crate::item::Item;
use crate::settings::Settings;
use slabuf::fake_os::FakeOs;
use slabuf::{AllocError, Pool, PoolUsage};
use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

/// Pools in a program, at most.
const POOLS: usize = 3;
/// Numbers that the pools of one program take: a multiple of seven, because of eight numbers in a row
/// one is never used. So the places in the table that threads find pools by are the same in each run.
const NUMBERS: usize = 14;

/// The fake systems, one for each pool. They are used again by the next program, so that what one leaves
/// behind is found at once.
pub fn fakes() -> [&'static FakeOs; POOLS] {
    static FAKES: OnceLock<[&'static FakeOs; POOLS]> = OnceLock::new();
    *FAKES.get_or_init(|| std::array::from_fn(|_| FakeOs::leaked()))
}

/// One pool of a program.
pub struct PoolUnderTest {
    /// How it was built.
    pub facts: PoolFacts,
    /// Its handles: none if it is closed.
    pub handles: Vec<Pool>,
    /// The system it lives on, unless that is the real one.
    pub fake: Option<&'static FakeOs>,
    /// Whether calls were refused since all was in order last.
    pub faulty: bool,
}

/// What a set of buffers adds up to, for one pool.
#[derive(Debug, Default)]
pub struct Sums {
    /// Bytes of slots with live buffers, and lengths asked for.
    pub in_use: u64,
    /// Lengths asked for of large buffers.
    pub large_live: u64,
    /// Bytes of their mappings.
    pub large_mapped: u64,
    /// Slabs with live buffers.
    pub slabs: BTreeSet<usize>,
}

impl Sums {
    /// Adds the buffers of one pool.
    pub fn add<'a>(&mut self, facts: &PoolFacts, items: impl IntoIterator<Item = &'a Item>) {
        for item in items {
            if item.facts.number != facts.number {
                continue;
            }
            if item.pooled {
                self.in_use += item.size() as u64;
                // A slot may lie in two slabs.
                let (start, end) = item.extent;
                let slab_size = facts.settings.slab_size;
                self.slabs.extend(start / slab_size..=(end - 1) / slab_size);
            } else {
                self.in_use += item.asked as u64;
                self.large_live += item.asked as u64;
                self.large_mapped += facts.settings.footprint(item.size()) as u64;
            }
        }
    }
}

/// No two buffers share a byte.
pub fn check_apart(mut extents: Vec<(usize, usize)>) {
    extents.sort_unstable();
    for pair in extents.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "{pair:x?} overlap");
    }
}

/// Builds the pools; a second one whose number meets the first one's in the threads' tables if wanted.
pub fn build_pools(settings: &[Settings], collide: bool) -> Vec<PoolUnderTest> {
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
            // For its number alone.
            drop(Pool::builder().build());
            continue;
        };
        let fake = fakes()[number];
        fake.set_fault(None);
        assert_eq!(fake.mapped(), 0, "left behind by the program before");
        pools.push(PoolUnderTest {
            facts: PoolFacts { number, settings },
            handles: vec![settings.build(fake).expect("valid settings")],
            fake: (!settings.real).then_some(fake),
            faulty: false,
        });
    }
    pools
}

impl PoolUnderTest {
    /// A handle, unless the pool is closed.
    pub fn handle(&self) -> Option<&Pool> {
        self.handles.first()
    }

    /// What holds whatever buffers there are, also while other threads are at work.
    pub fn check_bounds(&self) {
        let limit = self.facts.settings.limit.unwrap_or(usize::MAX);
        if let Some(fake) = self.fake {
            assert!(fake.mapped() <= limit, "{} mapped", fake.mapped());
        }
        if let Some(pool) = self.handle() {
            let usage = pool.usage();
            assert!(usage.external <= limit as u64, "{usage:?}");
            assert!(usage.array_buffers <= usage.external, "{usage:?}");
        }
    }

    /// The figures are those of a recount. No other thread may be at work.
    pub fn check(&self, sums: &Sums) {
        self.check_bounds();
        let settings = &self.facts.settings;
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

    /// Over from the high mark on, and not at the low mark. Between them it depends on what was before.
    fn check_marks(&self, pool: &Pool, usage: &PoolUsage) {
        let settings = &self.facts.settings;
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

    /// Trims the pool; what is left is what its buffers need. No other thread may hold slots.
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
        let settings = &self.facts.settings;
        assert_eq!(usage.large_cached, 0, "{usage:?}");
        let slabs = sums.slabs.len() as u64;
        assert_eq!(usage.slabs_partial + usage.slabs_full, slabs, "{usage:?}");
        let in_regions = usage.external - sums.large_mapped;
        let region = (2 << 20).max(16 * settings.slab_size as u64);
        // Every region has a live buffer.
        assert!(in_regions <= slabs * region, "{usage:?}");
        assert!(in_regions == 0 || slabs > 0, "{usage:?}");
    }

    /// A request may be refused where there is a limit and the request does not fit, or where the system
    /// was told to refuse.
    pub fn judge(&self, refusal: &Refusal, alone: bool) {
        let settings = &self.facts.settings;
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
                    self.check_does_not_fit(requested, limit);
                }
            }
            // Who waits for what fits into the empty pool.
            AllocError::TimedOut {
                requested,
                limit: Some(limit),
                ..
            } => {
                assert_eq!(requested, refusal.requested);
                assert_eq!(Some(limit), settings.limit);
                assert!(requested <= limit.max(settings.slab_size), "{refusal:?}");
                if alone && !self.faulty {
                    self.check_does_not_fit(requested, limit);
                }
            }
            AllocError::OutOfMemory { requested, .. } => {
                assert!(self.faulty || settings.real, "{refusal:?}, {settings:?}");
                assert_eq!(requested, refusal.requested);
            }
            ref other => panic!("an error that is not documented: {other:?}"),
        }
    }

    /// Before a request fails the caches give up what they hold.
    fn check_does_not_fit(&self, requested: usize, limit: usize) {
        let Some(pool) = self.handle() else { return };
        let usage = pool.usage();
        assert_eq!(usage.large_cached, 0, "{requested} refused with {usage:?}");
        let settings = &self.facts.settings;
        let needed = if requested > settings.slab_size {
            settings.footprint(requested)
        } else {
            (limit / 16).max(4 * settings.slab_size)
        };
        let sum = (usage.external as usize).saturating_add(needed);
        assert!(sum > limit, "{requested} refused with {usage:?}");
    }

    /// From here on nothing is refused any more, and all is in order again.
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

    /// Ends the pool, whose buffers are gone: everything comes home.
    pub fn end(mut self) {
        let nothing = Sums::default();
        self.heal(&nothing);
        if let Some(pool) = self.handle() {
            assert_eq!(pool.usage(), PoolUsage::default());
        }
        self.handles.clear();
        if let Some(fake) = self.fake {
            assert_eq!(fake.mapped(), 0, "left behind by {:?}", self.facts);
        }
    }
}
