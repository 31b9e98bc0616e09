//! Waiting for memory of a budget, and threads that compete for it.

use super::*;

#[test]
fn a_waiter_is_woken_by_a_free_in_another_pool() {
    let budget = Budget::new(MIB);
    let [a, b, c] = pools(&budget);
    let counts: [Arc<Count>; 2] = Default::default();
    let held = a.alloc(700_000);
    let mut waits = pin!(b.alloc_async(700_000));
    assert!(poll(waits.as_mut(), &counts[0]).is_pending());
    let mut waits_behind = pin!(c.alloc_async(700_000));
    assert!(poll(waits_behind.as_mut(), &counts[1]).is_pending());
    assert_eq!(
        (b.usage().waiters, c.usage().waiters, a.usage().waiters),
        (1, 1, 0)
    );
    assert_eq!(budget.usage().waiters, 2);
    drop(held);
    assert_eq!(
        counts.each_ref().map(|count| count.get() > 0),
        [true, false]
    );
    assert!(
        poll(waits_behind.as_mut(), &counts[1]).is_pending(),
        "first in, first out"
    );
    let Poll::Ready(Ok(served)) = poll(waits, &counts[0]) else {
        panic!("no memory")
    };
    drop(served);
    assert!(counts[1].get() > 0);
    assert!(matches!(poll(waits_behind, &counts[1]), Poll::Ready(Ok(_))));
    assert_eq!(budget.usage().waiters, 0);
}

#[test]
fn waiters_of_all_pools_are_served_in_the_order_of_their_arrival() {
    let budget = Budget::new(MIB);
    let pools: [Pool; 3] = pools(&budget);
    let count = Arc::default();
    let held = pools[2].alloc(700_000);
    let order = [0, 0, 1, 2, 0, 1];
    let mut waiters: Vec<_> = order
        .iter()
        .map(|of| Box::pin(pools[*of].alloc_async(700_000)))
        .collect();
    for waiter in &mut waiters {
        assert!(poll(waiter.as_mut(), &count).is_pending());
    }
    drop(held);
    let mut served = Vec::new();
    while !waiters.is_empty() {
        // From the last one to the first one: only the first one is served.
        let mut ready = Vec::new();
        for (place, waiter) in waiters.iter_mut().enumerate().rev() {
            if let Poll::Ready(buffer) = poll(waiter.as_mut(), &count) {
                ready.push((place, buffer.unwrap()));
            }
        }
        assert_eq!(
            ready.iter().map(|(place, _)| *place).collect::<Vec<_>>(),
            [0]
        );
        served.push(order[order.len() - waiters.len()]);
        drop(waiters.remove(0));
    }
    assert_eq!(served, order);
}

/// A pool at its own limit does not block the waiters of other pools.
#[test]
fn a_waiter_at_the_limit_of_its_pool_holds_up_no_other_pool() {
    let budget = Budget::new(4 * MIB);
    let limited = Pool::builder().limit(MIB).budget(&budget).build().unwrap();
    let [a, b] = pools(&budget);
    let counts: [Arc<Count>; 3] = Default::default();
    let own = limited.alloc(900_000);
    let mut at_limit = pin!(limited.alloc_async(900_000));
    assert!(poll(at_limit.as_mut(), &counts[0]).is_pending());
    // The budget has room for others, also while there is a waiter.
    let held = a.alloc_timeout(2 * MIB, LONG).unwrap();
    let mut waits = pin!(b.alloc_async(2 * MIB));
    assert!(poll(waits.as_mut(), &counts[1]).is_pending());
    assert!(poll(at_limit.as_mut(), &counts[0]).is_pending());
    assert!(poll(waits.as_mut(), &counts[1]).is_pending());
    let woken = counts[1].get();
    drop(held);
    assert!(counts[1].get() > woken);
    let Poll::Ready(Ok(served)) = poll(waits, &counts[1]) else {
        panic!("no memory")
    };
    assert!(poll(at_limit.as_mut(), &counts[0]).is_pending());
    drop(own);
    assert!(counts[0].get() > 0);
    let Poll::Ready(Ok(_)) = poll(at_limit, &counts[0]) else {
        panic!("no memory")
    };
    drop(served);
}

/// The first waiter for the budget wants more than will be free. Waiters of another pool use the
/// slots that their pool has mapped.
#[test]
fn a_waiter_uses_what_its_pool_has_mapped_behind_one_for_the_budget() {
    let budget = Budget::new(MIB);
    let [a, b] = pools(&budget);
    let counts: [Arc<Count>; 2] = Default::default();
    let mut slots: Vec<Buffer> = (0..8).map(|_| b.alloc(1000)).collect();
    let held = fill(&a, 32 * KIB);
    let mut waits = pin!(a.alloc_async(900_000));
    assert!(poll(waits.as_mut(), &counts[0]).is_pending());
    slots.extend(fill(&b, 1000));
    let mut behind = pin!(b.alloc_async(1000));
    assert!(poll(behind.as_mut(), &counts[1]).is_pending());
    drop(slots.pop());
    assert!(counts[1].get() > 0);
    assert!(poll(waits.as_mut(), &counts[0]).is_pending());
    let Poll::Ready(Ok(served)) = poll(behind.as_mut(), &counts[1]) else {
        panic!("no slot")
    };
    drop((slots, held, served));
    assert!(matches!(poll(waits, &counts[0]), Poll::Ready(Ok(_))));
}

#[test]
fn the_other_waiting_functions_wait_for_the_budget() {
    let budget = Budget::new(MIB);
    let [a, b] = pools(&budget);
    let count = Arc::default();
    let held = a.alloc(700_000);
    let mut growing = b.copy_from_slice(b"abc");
    {
        let mut grows = pin!(growing.reserve_async(700_000));
        let mut copies = pin!(b.copy_from_slice_async(&[7; 400_000]));
        assert!(poll(grows.as_mut(), &count).is_pending());
        assert!(poll(copies.as_mut(), &count).is_pending());
        assert_eq!(b.usage().waiters, 2);
        drop(held);
        assert_eq!(poll(grows, &count), Poll::Ready(Ok(())));
        assert!(poll(copies.as_mut(), &count).is_pending());
    }
    assert_eq!(growing, b"abc");
    assert_eq!(
        budget.usage().refused,
        0,
        "a request that waits is not refused"
    );
    let never = b.buffer().try_reserve(2 * MIB).unwrap_err();
    assert!(is_exceeded(&never));
    let error = a
        .alloc_timeout(900_000, Duration::from_millis(5))
        .unwrap_err();
    let AllocError::TimedOut {
        limit,
        budget: bytes,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!((limit, bytes), (None, Some(MIB)));
    assert!(
        error
            .to_string()
            .contains("budget of 1048576 bytes left no room"),
        "{error}"
    );
    assert_eq!((a.usage().timed_out, budget.usage().timed_out), (1, 1));
    assert_eq!(budget.usage().refused, 1);
}

#[test]
fn a_pool_that_closes_wakes_the_waiters_of_the_budget() {
    let budget = Budget::new(2 * MIB);
    let [a, b] = pools(&budget);
    let waits = {
        let b = b.clone();
        let held = a.alloc(MIB);
        let waits = thread::spawn(move || b.alloc_timeout(2 * MIB - 100 * KIB, LONG));
        while budget.usage().waiters == 0 {
            thread::yield_now();
        }
        drop(a);
        drop(held);
        waits
    };
    assert!(waits.join().unwrap().is_ok());
}

#[test]
fn a_pool_built_while_others_wait_returns_its_memory_to_them() {
    let budget = Budget::new(MIB);
    let [a, b] = pools(&budget);
    let count = Arc::default();
    let held = a.alloc(400_000);
    let mut waits = pin!(b.alloc_async(900_000));
    assert!(poll(waits.as_mut(), &count).is_pending());
    let late = pool(&budget);
    let others = [late.alloc(400_000), late.alloc(100)];
    drop(held);
    assert!(poll(waits.as_mut(), &count).is_pending());
    let woken = count.get();
    drop(others);
    assert!(
        count.get() > woken,
        "no pool keeps memory that a waiter needs"
    );
    assert!(matches!(poll(waits, &count), Poll::Ready(Ok(_))));
}

/// Threads allocate in several pools of one budget, some wait, and pools are dropped meanwhile.
#[test]
fn threads_wait_while_pools_come_and_go() {
    let budget = Budget::new(4 * MIB);
    let lasting: [Pool; 3] = pools(&budget);
    let served = AtomicUsize::new(0);
    let work = |seed: u64| {
        let mut rng = Rng::new(seed);
        let mut own = pool(&budget);
        let mut held: Vec<Buffer> = Vec::new();
        for round in 0..1_500 {
            let len = rng.log_uniform(1, 1_200_000);
            let from = match rng.below(3) {
                0 => &own,
                other => &lasting[(other + round) % 3],
            };
            // A thread that waits holds nothing, so that another one can go on.
            if rng.below(4) == 0 {
                held.clear();
                let buffer = from.alloc_timeout(len, LONG).unwrap();
                served.fetch_add(1, Relaxed);
                held.push(buffer);
            } else if let Ok(buffer) = from.try_alloc_unsafe(len) {
                held.push(buffer);
            }
            if rng.below(3) == 0 && !held.is_empty() {
                held.swap_remove(rng.below(held.len()));
            }
            if rng.below(50) == 0 {
                own = pool(&budget);
            }
            let usage = budget.usage();
            assert!(
                usage.mapped <= usage.limit && usage.peak <= usage.limit,
                "{usage:?}"
            );
        }
    };
    thread::scope(|scope| {
        for seed in 1..=4 {
            scope.spawn(move || work(seed));
        }
    });
    assert!(served.load(Relaxed) > 1_000);
    lasting.iter().for_each(assert_all_home);
    let usage = budget.usage();
    assert_eq!((usage.mapped, usage.pools, usage.waiters), (0, 3, 0));
    assert!(usage.peak > 2 * MIB as u64);
    let whole = lasting[0].try_alloc(4 * MIB);
    assert!(whole.is_ok(), "the whole budget is free: {whole:?}");
}

/// All threads hold at most three quarters of the budget. Then no request is refused, whichever
/// pools cache the rest.
#[test]
fn no_request_below_the_budget_is_refused() {
    let budget = Budget::new(8 * MIB);
    let pools: [Pool; 8] = pools(&budget);
    let pools = &pools;
    thread::scope(|scope| {
        for seed in 1..=4 {
            scope.spawn(move || {
                let mut rng = Rng::new(seed);
                for _ in 0..3_000 {
                    let buffer = pools[rng.below(8)].try_alloc_unsafe(3 * MIB / 2);
                    assert!(buffer.is_ok(), "{:?}", buffer.unwrap_err());
                }
            });
        }
    });
    let usage = budget.usage();
    assert!(
        usage.peak <= 8 * MIB as u64 && usage.refused == 0,
        "{usage:?}"
    );
}
