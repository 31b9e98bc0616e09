//! Models of waiters for memory.

use super::*;

/// A limit that serves each request alone, beside the slot that stays in use.
fn narrow(builder: PoolBuilder) -> PoolBuilder {
    builder.limit(64 * KIB)
}

/// Allocates, and drops what it allocated, in any order; waits only while it holds nothing.
fn come_and_go(rig: &Rig, rounds: usize) {
    for _ in 0..rounds {
        let first = rig.pool.alloc_unsafe_timeout(any(&LENGTHS), LONG).unwrap();
        let more = rig.pool.try_alloc_unsafe(any(&LENGTHS)).ok();
        match any(&[0, 1, 2]) {
            0 => drop((first, more)),
            1 => drop((more, first)),
            _ => {
                drop(first);
                rig.pool.trim();
            }
        }
    }
}

#[test]
fn shuttle_waiters_are_served_while_threads_come_and_go() {
    model(|| {
        let rig = Rig::new(narrow);
        let kept = rig.pool.alloc_unsafe(40);
        let threads = [2, 2, 1].map(|rounds| rig.spawn(move |rig| come_and_go(rig, rounds)));
        for thread in threads {
            thread.join().unwrap();
        }
        drop(kept);
        rig.finish();
    });
}

#[test]
fn shuttle_waiters_are_served_in_a_pool_with_watermarks() {
    model(|| {
        let rig = Rig::new(|builder| narrow(builder).high_water_mark(16 * KIB));
        let threads = [2, 2, 1].map(|rounds| rig.spawn(move |rig| come_and_go(rig, rounds)));
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(!rig.pool.is_over_high_water());
        rig.finish();
    });
}

/// Tasks with wakers that use the pool; some give up.
#[test]
fn shuttle_wakers_use_the_pool() {
    model(|| {
        let rig = Rig::new(narrow);
        let held = rig.pool.alloc_unsafe(40 * KIB);
        let tasks = [usize::MAX, usize::MAX, 1].map(|polls| {
            rig.spawn(move |rig| drop(wait_as_task(rig, any(&[20 * KIB, 30 * KIB]), polls)))
        });
        drop(held);
        for task in tasks {
            task.join().unwrap();
        }
        rig.finish();
    });
}

/// A full pool refuses requests of other threads while one waits. The waiter's memory comes from
/// slots, which the other threads may cache.
#[test]
fn shuttle_a_waiter_beside_requests_that_are_refused() {
    model(|| {
        let rig = Rig::new(narrow);
        let len = any(&[1000, 4000]);
        let mut slots: Vec<_> =
            std::iter::from_fn(|| rig.pool.try_alloc_unsafe(len).ok()).collect();
        let half = slots.split_off(slots.len() / 2);
        let waits = rig.spawn(|rig| {
            drop(
                rig.pool
                    .alloc_unsafe_timeout(any(&[1000, 64 * KIB]), LONG)
                    .unwrap(),
            );
        });
        let frees = [slots, half].map(|slots| {
            rig.spawn(move |rig| {
                for slot in slots {
                    drop(slot);
                    if any(&[true, false]) {
                        drop(rig.pool.try_alloc_unsafe(any(&LENGTHS)));
                    }
                }
            })
        });
        for thread in frees.into_iter().chain([waits]) {
            thread.join().unwrap();
        }
        rig.finish();
    });
}
