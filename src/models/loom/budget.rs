//! Models of two pools that share a budget.

use super::{CLASS, PAGE, Rig, Sent, bounded_model, give};
use crate::inner::PoolInner;
use crate::pressure::budget::Budget;
use loom::thread;
use std::ptr::NonNull;

/// Creates two pools whose budget has room for one region, of one slab with two slots.
fn two_pools() -> [Rig; 2] {
    let budget = Budget::new(2 * PAGE);
    [0; 2].map(|_| {
        Rig::with_budget(&budget, |config| {
            config.region_shift = 13;
        })
    })
}

fn finish(rigs: [Rig; 2]) {
    let [a, b] = rigs;
    for rig in &rigs {
        rig.inner().trim();
    }
    let quota = |rig: &Rig| rig.inner().budget.as_ref().unwrap().inner().quota.mapped();
    assert_eq!(
        (quota(&a), a.inner().waiters(), b.inner().waiters()),
        (0, 0, 0)
    );
    a.close();
    b.finish();
}

fn wait_for_slot(inner: &PoolInner) -> NonNull<u8> {
    let slot = inner.line().wait(None, || inner.alloc_slot(CLASS));
    slot.unwrap()
}

#[test]
fn loom_a_slot_freed_in_one_pool_wakes_a_waiter_of_the_other() {
    bounded_model(2, || {
        let rigs = two_pools();
        let [a, b] = rigs;
        let freed = Sent(a.inner().alloc_slot(CLASS).unwrap());
        let frees = thread::spawn(move || {
            let a = a;
            a.inner().free_slot(CLASS, freed.get());
        });
        let slot = wait_for_slot(b.inner());
        frees.join().unwrap();
        b.inner().free_slot(CLASS, slot);
        finish(rigs);
    });
}

/// The thread that frees is idle afterwards: the waiter empties its magazine.
#[test]
fn loom_an_idle_thread_of_one_pool_keeps_nothing_from_a_waiter_of_the_other() {
    bounded_model(2, || {
        let rigs = two_pools();
        let [a, b] = rigs;
        let freed = Sent(a.inner().alloc_slot(CLASS).unwrap());
        let idle = a.spawn_idle(move |inner, cache| give(inner, cache, freed.get()));
        let slot = wait_for_slot(b.inner());
        b.inner().free_slot(CLASS, slot);
        idle.join().unwrap().detach();
        finish(rigs);
    });
}

#[test]
fn loom_a_mapping_freed_in_one_pool_wakes_a_waiter_of_the_other() {
    bounded_model(2, || {
        let rigs = two_pools();
        let [a, b] = rigs;
        let large = Sent(a.inner().alloc_large(PAGE).unwrap());
        let frees = thread::spawn(move || {
            let a = a;
            a.inner().free_large(large.get());
        });
        let slot = wait_for_slot(b.inner());
        frees.join().unwrap();
        b.inner().free_slot(CLASS, slot);
        finish(rigs);
    });
}

#[test]
fn loom_waiters_of_both_pools_are_served() {
    bounded_model(2, || {
        let rigs = two_pools();
        let [a, b] = rigs;
        let body = |inner: &'static PoolInner| {
            let slot = wait_for_slot(inner);
            inner.free_slot(CLASS, slot);
        };
        let other = thread::spawn(move || {
            let a = a;
            body(a.inner());
        });
        body(b.inner());
        other.join().unwrap();
        finish(rigs);
    });
}

#[test]
fn loom_a_pool_that_closes_wakes_a_waiter_of_the_other() {
    bounded_model(2, || {
        let [a, b] = two_pools();
        let own = a.attach();
        let slot = a.inner().alloc_slot(CLASS).unwrap();
        give(a.inner(), own.cache(), slot);
        let closes = thread::spawn(move || {
            let (a, _own) = (a, own);
            a.close();
        });
        let slot = wait_for_slot(b.inner());
        closes.join().unwrap();
        b.inner().free_slot(CLASS, slot);
        b.finish();
    });
}

/// A waiter releases the caches of a closed pool while that pool's last buffer goes. Either thread
/// may release the last reference.
#[test]
fn loom_a_pool_is_freed_while_a_waiter_of_the_other_releases_its_caches() {
    bounded_model(2, || {
        let [a, b] = two_pools();
        let slot = Sent(a.inner().alloc_slot(CLASS).unwrap());
        a.close();
        let frees = thread::spawn(move || {
            let a = a;
            // A buffer's drop does the same.
            a.inner().retain();
            a.inner().free_slot(CLASS, slot.get());
            PoolInner::release(a.inner);
        });
        let slot = wait_for_slot(b.inner());
        frees.join().unwrap();
        b.inner().free_slot(CLASS, slot);
        b.finish();
    });
}

/// One waiter is at the limit of its own pool. The other one, which may be behind it in the queue,
/// gets the budget's bytes meanwhile.
#[test]
fn loom_a_waiter_at_its_limit_passes_the_budget_on() {
    bounded_model(2, || {
        let budget = Budget::new(4 * PAGE);
        let [a, b] = [2, 4].map(|pages| {
            Rig::with_budget(&budget, move |config| {
                config.region_shift = 13;
                config.limit = Some(pages * PAGE);
            })
        });
        let own = a.inner().alloc_large(2 * PAGE).unwrap();
        let waits = thread::spawn(move || {
            let a = a;
            let inner = a.inner();
            let large = inner.line().wait(None, || inner.alloc_large(2 * PAGE));
            inner.free_large(large.unwrap());
        });
        let inner = b.inner();
        let large = inner.line().wait(None, || inner.alloc_large(2 * PAGE));
        inner.free_large(large.unwrap());
        a.inner().free_large(own);
        waits.join().unwrap();
        finish([a, b]);
    });
}
