//! Budgets: a limit that several pools share.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/crew.rs"]
mod crew;
mod waiting;

use common::waker::{Count, poll};
use common::{KIB, LONG, MIB, Rng, assert_all_home};
use crew::Crew;
use slabuf::{AllocError, Budget, Buffer, ConfigError, Pool};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::thread;
use std::time::Duration;

fn pool(budget: &Budget) -> Pool {
    Pool::builder().budget(budget).build().unwrap()
}

fn pools<const N: usize>(budget: &Budget) -> [Pool; N] {
    [0; N].map(|_| pool(budget))
}

/// Allocates buffers of `len` bytes until the pool refuses.
fn fill(pool: &Pool, len: usize) -> Vec<Buffer> {
    std::iter::from_fn(|| pool.try_alloc_unsafe(len).ok()).collect()
}

fn is_exceeded(error: &AllocError) -> bool {
    matches!(error, AllocError::BudgetExceeded { .. })
}

/// Asserts that the budget counts what its pools have mapped.
fn assert_sums(budget: &Budget, pools: &[Pool]) {
    let sum: u64 = pools.iter().map(|pool| pool.usage().external).sum();
    let usage = budget.usage();
    assert_eq!((usage.mapped, usage.pools), (sum, pools.len() as u64));
    assert!(
        usage.mapped <= usage.peak && usage.peak <= usage.limit,
        "{usage:?}"
    );
}

#[test]
fn an_error_states_the_request_and_the_budget() {
    let budget = Budget::new(MIB);
    let [a, b] = pools(&budget);
    let held = a.alloc(700_000);
    let error = b.try_alloc(700_000).unwrap_err();
    let AllocError::BudgetExceeded {
        requested,
        rounded,
        in_use,
        limit,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!((requested, limit), (700_000, MIB));
    assert!(rounded >= requested && (held.len()..=MIB).contains(&in_use));
    for number in [requested, limit, in_use] {
        assert!(error.to_string().contains(&number.to_string()), "{error}");
    }
    // Its own pool has room, and a request that no pool can serve fails as well.
    assert!(is_exceeded(&a.try_alloc(700_000).unwrap_err()));
    assert!(is_exceeded(&b.alloc_timeout(MIB + 1, LONG).unwrap_err()));
    assert_eq!(a.usage().refused + b.usage().refused, 3);
    assert_eq!(budget.usage().refused, 3);
    assert_sums(&budget, &[a, b]);
}

#[test]
fn the_limit_of_a_pool_refuses_before_the_budget() {
    let budget = Budget::new(MIB);
    let limited = Pool::builder().limit(512 * KIB).budget(&budget);
    let (limited, other) = (limited.build().unwrap(), pool(&budget));
    let error = limited.try_alloc(600_000).unwrap_err();
    assert!(matches!(
        error,
        AllocError::LimitExceeded {
            limit: Some(524_288),
            ..
        }
    ));
    assert_eq!((limited.usage().refused, budget.usage().refused), (1, 0));
    let held = other.alloc(900_000);
    assert!(is_exceeded(&limited.try_alloc(500_000).unwrap_err()));
    drop(held);
    assert_eq!(limited.alloc(500_000).len(), 500_000);
}

#[test]
fn settings_that_contradict_a_budget_are_named() {
    let minimum = 4 * 8192;
    for given in [0, 1, minimum - 1] {
        let error = Pool::builder()
            .budget(&Budget::new(given))
            .build()
            .unwrap_err();
        let ConfigError::Budget {
            given: g,
            minimum: m,
            ..
        } = error
        else {
            panic!("{error}")
        };
        assert_eq!((g, m), (given, minimum));
        let text = error.to_string();
        assert!(
            text.contains(&given.to_string()) && text.contains("32768"),
            "{text}"
        );
    }
    assert!(
        Pool::builder()
            .budget(&Budget::new(minimum))
            .build()
            .is_ok()
    );
    let small = Budget::new(minimum);
    let larger_slabs = Pool::builder().slab_size(64 * KIB).budget(&small);
    assert!(matches!(
        larger_slabs.build(),
        Err(ConfigError::Budget {
            minimum: 262_144,
            ..
        })
    ));

    let budget = Budget::new(MIB);
    let error = Pool::builder()
        .limit(MIB + 1)
        .budget(&budget)
        .build()
        .unwrap_err();
    assert!(matches!(
        error,
        ConfigError::LimitAboveBudget {
            limit: 1_048_577,
            budget: 1_048_576,
            ..
        }
    ));
    let text = error.to_string();
    assert!(
        text.contains("1048577") && text.contains("1048576"),
        "{text}"
    );
    assert!(Pool::builder().limit(MIB).budget(&budget).build().is_ok());

    let cache = Pool::builder().cache_limit(2 * MIB).budget(&budget).build();
    assert!(matches!(
        cache,
        Err(ConfigError::CacheLimit {
            limit: 1_048_576,
            ..
        })
    ));
    let mark = Pool::builder()
        .high_water_mark(2 * MIB)
        .budget(&budget)
        .build();
    assert!(matches!(
        mark,
        Err(ConfigError::HighWaterMark {
            limit: Some(1_048_576),
            ..
        })
    ));
    assert_eq!(budget.usage().pools, 0);
}

#[test]
fn the_smallest_budget_serves_small_buffers() {
    let budget = Budget::new(32 * KIB);
    let [a, b] = pools(&budget);
    let held = fill(&a, 1000);
    assert!(!held.is_empty());
    assert!(is_exceeded(&b.try_alloc(10).unwrap_err()));
    drop(held);
    assert_eq!(b.alloc(10).len(), 10);
}

#[test]
fn pools_keep_a_budget_whose_handle_was_dropped() {
    let budget = Budget::new(MIB);
    let [a, b] = pools(&budget);
    let settings = Pool::builder().budget(&budget);
    drop(budget);
    let late = settings.build().unwrap();
    let held = a.alloc(700_000);
    assert!(is_exceeded(&late.try_alloc(700_000).unwrap_err()));
    // Settings alone do not keep a budget.
    let alone = Pool::builder().budget(&Budget::new(MIB)).build().unwrap();
    assert!(is_exceeded(&alone.try_alloc(MIB + 1).unwrap_err()));
    assert_eq!(alone.alloc(700_000).len(), 700_000);
    assert!(is_exceeded(&b.try_alloc(700_000).unwrap_err()));
    drop((a, held));
    assert_eq!(b.alloc(700_000).len(), 700_000);
}

#[test]
fn a_closed_pool_counts_until_its_last_buffer_is_dropped() {
    let budget = Budget::new(MIB);
    let [a, b] = pools(&budget);
    let held = [a.alloc(100), a.alloc(600_000)];
    drop(a);
    assert_eq!(budget.usage().pools, 2);
    assert!(is_exceeded(&b.try_alloc(600_000).unwrap_err()));
    drop(held);
    let usage = budget.usage();
    assert_eq!((usage.pools, usage.mapped), (1, 0));
    assert_eq!(b.alloc(600_000).len(), 600_000);
}

/// The caches of idle threads, the mapping cache, the depot and empty regions.
#[test]
fn no_request_is_refused_while_another_pool_caches_memory() {
    let budget = Budget::new(8 * MIB);
    let crew = Crew::of(3);
    let pools: [Pool; 6] = pools(&budget);
    for round in 0..20 {
        let filled = pools.clone();
        crew.each(move |number| {
            let pool = &filled[number];
            for len in [100, 2_000, 8_000, 12_000, 300_000] {
                let held: Vec<Buffer> = (0..20).map_while(|_| pool.try_alloc(len).ok()).collect();
                drop(held);
            }
        });
        let needs = &pools[3 + round % 3];
        let large = needs.try_alloc(7 * MIB);
        assert!(large.is_ok(), "round {round}: {:?}", large.unwrap_err());
        drop(large);
        assert_sums(&budget, &pools);
    }
    for pool in &pools {
        assert_all_home(pool);
    }
    assert_eq!(budget.usage().mapped, 0);
    crew.dismiss();
}

#[test]
fn the_least_recently_used_pool_is_released_first() {
    let budget = Budget::new(8 * MIB);
    let [needs, first, second, third]: [Pool; 4] = pools(&budget);
    // Mappings of 2 MiB are kept by the thread. Each pool is used again, in another order.
    for pool in [&first, &second, &third, &second, &third, &first] {
        let held = [pool.alloc(2 * MIB - 5), pool.alloc(100)];
        drop(held);
    }
    let external = || [&second, &third, &first].map(|pool| pool.usage().external > 2 * MIB as u64);
    assert_eq!(external(), [true; 3]);
    let held = needs.alloc(2 * MIB);
    assert_eq!(external(), [false, true, true]);
    let more = needs.alloc(2 * MIB);
    assert_eq!(external(), [false, false, true]);
    let most = needs.alloc(2 * MIB);
    assert_eq!(external(), [false; 3]);
    drop((held, more, most));
}

#[test]
fn a_request_releases_its_own_pool_first() {
    let budget = Budget::new(4 * MIB);
    let [a, b] = pools(&budget);
    drop(b.alloc(MIB));
    drop(a.alloc(2 * MIB));
    let kept = b.usage().external;
    assert_eq!(a.alloc(2 * MIB + 100 * KIB).len(), 2 * MIB + 100 * KIB);
    assert_eq!(b.usage().external, kept, "the other pool keeps its cache");
}

#[test]
fn a_pool_serves_itself_from_what_it_has_mapped() {
    let budget = Budget::new(MIB);
    let [a, b] = pools(&budget);
    let small = b.alloc(100);
    let mut all = fill(&a, 64 * KIB);
    all.extend(fill(&a, 4 * KIB));
    assert!(is_exceeded(&a.try_alloc(64 * KIB).unwrap_err()));
    // Other slots of the same slab.
    let more = [b.try_alloc(100).unwrap(), b.try_alloc(100).unwrap()];
    drop((all, more, small));
}

#[test]
fn available_is_the_smaller_of_both() {
    let budget = Budget::new(4 * MIB);
    let limited = Pool::builder().limit(MIB).budget(&budget).build().unwrap();
    let other = pool(&budget);
    assert_eq!((limited.limit(), other.limit()), (Some(MIB), None));
    assert_eq!(
        (limited.available(), other.available()),
        (Some(MIB), Some(4 * MIB))
    );
    let held = other.alloc(7 * MIB / 2);
    assert_eq!(
        (limited.available(), other.available()),
        (Some(MIB / 2), Some(MIB / 2))
    );
    let slots = fill(&limited, 1000);
    assert_eq!(other.available(), Some(0));
    let left = limited.available().unwrap();
    assert!(left < 8192, "{left} bytes in slabs of a full pool");
    drop((held, slots));
    assert_eq!(
        (limited.available(), other.available()),
        (Some(MIB), Some(4 * MIB))
    );
}

#[test]
fn trim_all_empties_every_pool() {
    let budget = Budget::new(64 * MIB);
    let pools: [Pool; 8] = pools(&budget);
    let crew = Crew::of(2);
    let filled = pools.clone();
    crew.each(move |_| {
        for pool in &filled {
            drop([pool.alloc(100), pool.alloc(100_000)]);
        }
    });
    let kept = budget.usage().mapped;
    assert!(kept >= 8 * 100_000 && budget.trim() as u64 >= kept);
    assert_eq!(budget.usage().mapped, 0);
    drop([pools[0].alloc(100_000), Buffer::alloc(100_000)]);
    assert!(slabuf::trim_all() >= 200_000);
    assert_sums(&budget, &pools);
    assert_eq!(budget.usage().mapped, 0);
    crew.dismiss();
}

#[test]
fn refusals_and_time_outs_are_counted() {
    let pool = Pool::builder().limit(MIB).build().unwrap();
    let mut growing = pool.copy_from_slice(&[1; 500_000]);
    // Twice the capacity does not fit, the needed bytes do.
    growing.reserve(200_000);
    assert_eq!(pool.usage().refused, 0);
    assert!(growing.try_reserve(700_000).is_err());
    assert!(pool.try_alloc(MIB).is_err());
    assert!(pool.alloc_timeout(900_000, Duration::ZERO).is_err());
    let usage = pool.usage();
    assert_eq!((usage.refused, usage.timed_out, usage.waiters), (2, 1, 0));
    assert!(usage.external_peak >= 700_000 && usage.external_peak <= MIB as u64);
    drop(growing);
    pool.trim();
    assert_eq!(pool.usage().external_peak, usage.external_peak);
}

#[test]
fn debug_shows_settings_and_usage() {
    let budget = Budget::new(2 * MIB);
    let pool = Pool::builder().limit(MIB).budget(&budget).build().unwrap();
    let text = format!("{pool:?}");
    for part in [
        "limit: Some(1048576)",
        "budget: Some(2097152)",
        "usage: PoolUsage {",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(
        !text.contains("region_shift") && !text.contains("lease"),
        "{text}"
    );
    assert_eq!(
        format!("{budget:?}"),
        "Budget { limit: 2097152, mapped: 0, .. }"
    );
}

/// Other threads map and unmap while the sum is computed: it neither overflows nor exceeds the
/// limit.
#[test]
fn available_stays_within_the_limit() {
    let limit = |bytes: usize| Pool::builder().limit(bytes).build().expect("valid");
    let budget = Budget::new(usize::MAX);
    let in_budget = || Pool::builder().budget(&budget).build().expect("valid");
    let huge = [limit(usize::MAX), in_budget(), in_budget()];
    let small = limit(MIB);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    for pool in huge.iter().chain([&small]) {
                        drop([0; 3].map(|_| pool.try_alloc_unsafe(100_000)));
                        pool.trim();
                    }
                }
            });
        }
        let wrong = (0..10_000).find_map(|_| {
            let of = |pool: &Pool| pool.available().expect("a bound");
            let too_few = huge.iter().map(of).find(|left| *left < usize::MAX / 2);
            too_few.or_else(|| Some(of(&small)).filter(|left| *left > MIB))
        });
        assert_eq!(wrong, None);
    });
}

/// Other threads map and unmap while the counters are read.
#[test]
fn a_peak_is_never_below_what_is_mapped() {
    let budget = Budget::new(usize::MAX);
    let pools: [Pool; 2] = pools(&budget);
    thread::scope(|scope| {
        for pool in &pools {
            scope.spawn(|| {
                for kib in 1..20_000 {
                    drop(pool.try_alloc_unsafe(kib * KIB));
                    pool.trim();
                }
            });
        }
        let wrong = (0..200_000).find_map(|_| {
            let (all, own) = (budget.usage(), pools[0].usage());
            let below = all.peak < all.mapped || own.external_peak < own.external;
            below.then_some((all, own))
        });
        assert!(wrong.is_none(), "{wrong:?}");
    });
}
