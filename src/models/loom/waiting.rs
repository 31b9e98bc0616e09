//! Models of pools with a limit: emptying a thread's magazines from outside, and waiting for
//! memory.

use super::{CLASS, Own, PAGE, Rig, Sent, bounded_model, give, try_take as take};
use crate::config::Config;
use crate::error::AllocFailure;
use crate::inner::PoolInner;
use crate::os::fake::{Call, Fault};
use crate::thread::cache;
use loom::thread;
use std::ptr::NonNull;

/// Limits the pool to one region of one slab: it has two slots.
fn two_slots(config: &mut Config) {
    config.region_shift = 13;
    config.limit = Some(2 * PAGE);
}

fn wait_for_slot(inner: &PoolInner) -> NonNull<u8> {
    let slot = inner.line().wait(None, || inner.alloc_slot(CLASS));
    slot.unwrap()
}

fn both_slots(rig: &Rig) -> [NonNull<u8>; 2] {
    [0; 2].map(|_| rig.inner().alloc_slot(CLASS).unwrap())
}

#[test]
fn loom_a_slot_dropped_elsewhere_wakes_the_waiter() {
    bounded_model(2, || {
        let rig = Rig::new(two_slots);
        let [kept, dropped] = both_slots(&rig);
        let dropped = Sent(dropped);
        let idle = rig.spawn_idle(move |inner, cache| give(inner, cache, dropped.get()));
        let slot = wait_for_slot(rig.inner());
        assert_ne!(slot, kept);
        let own = idle.join().unwrap();
        for slot in [kept, slot] {
            rig.inner().free_slot(CLASS, slot);
        }
        own.detach();
        rig.finish();
    });
}

#[test]
fn loom_a_large_buffer_needs_what_lies_in_a_magazine() {
    bounded_model(2, || {
        let rig = Rig::new(two_slots);
        let [a, b] = both_slots(&rig).map(Sent);
        rig.inner().free_slot(CLASS, a.get());
        let idle = rig.spawn_idle(move |inner, cache| give(inner, cache, b.get()));
        let inner = rig.inner();
        let large = inner.line().wait(None, || inner.alloc_large(2 * PAGE));
        assert!(inner.mapper.mapped() <= 2 * PAGE);
        inner.free_large(large.unwrap());
        idle.join().unwrap().detach();
        rig.finish();
    });
}

#[test]
fn loom_an_owner_and_a_claimer_of_its_magazines() {
    bounded_model(2, || {
        let rig = Rig::new(two_slots);
        let idle = rig.spawn_idle(|inner, cache| {
            for _ in 0..2 {
                // The limit has room for one region, and the other thread may be about to unmap it.
                let slot = inner.line().wait(None, || take(inner, cache)).unwrap();
                // SAFETY: this thread owns the slot.
                unsafe { slot.write(1) };
                give(inner, cache, slot);
            }
        });
        rig.inner().trim();
        idle.join().unwrap().detach();
        rig.finish();
    });
}

/// A trim releases the memory that `prepare` has left in caches, while a thread waits for a slot.
fn trim_while_one_waits(prepare: fn(&Rig)) {
    bounded_model(2, move || {
        let rig = Rig::new(two_slots);
        prepare(&rig);
        let trims = rig.spawn(|inner, _| {
            inner.trim();
        });
        let slot = wait_for_slot(rig.inner());
        trims.join().unwrap();
        rig.inner().free_slot(CLASS, slot);
        rig.finish();
    });
}

#[test]
fn loom_a_slab_that_a_trim_carries_wakes_the_waiter() {
    trim_while_one_waits(|rig| {
        let slot = rig.inner().alloc_slot(CLASS).unwrap();
        rig.inner().free_slot(CLASS, slot);
    });
}

#[test]
fn loom_a_mapping_that_a_trim_carries_wakes_the_waiter() {
    trim_while_one_waits(|rig| {
        let large = rig.inner().alloc_large(PAGE).unwrap();
        rig.inner().free_large(large);
        assert_eq!(rig.inner().mappings.footprint(), PAGE);
    });
}

#[test]
fn loom_the_rest_of_a_slab_on_its_way_wakes_the_waiter() {
    bounded_model(2, || {
        let rig = Rig::new(two_slots);
        let takes = rig.spawn(|inner, _| Sent(wait_for_slot(inner)));
        let slots = [
            wait_for_slot(rig.inner()),
            takes.join().unwrap().get().get(),
        ];
        for slot in slots {
            rig.inner().free_slot(CLASS, slot);
        }
        rig.finish();
    });
}

#[test]
fn loom_a_refusal_of_the_system_wakes_the_waiter() {
    bounded_model(2, || {
        let rig = Rig::new(two_slots);
        // One attempt is refused. A waiter makes two before it gives up, as does every request.
        rig.fake.set_fault(Some(Fault {
            call: Some(Call::Map),
            first: 0,
            count: 1,
        }));
        let takes = rig.spawn(|inner, _| inner.alloc_slot(CLASS).ok());
        let slot = wait_for_slot(rig.inner());
        rig.fake.set_fault(None);
        for slot in takes.join().unwrap().get().into_iter().chain([slot]) {
            rig.inner().free_slot(CLASS, slot);
        }
        rig.finish();
    });
}

#[test]
fn loom_a_mapping_on_its_way_wakes_the_waiter() {
    bounded_model(2, || {
        let rig = Rig::new(|config| {
            two_slots(config);
            config.cache_limit = PAGE;
        });
        let large = Sent(rig.inner().alloc_large(PAGE).unwrap());
        let giver = rig.spawn(move |inner, _| inner.free_large(large.get()));
        let slot = wait_for_slot(rig.inner());
        giver.join().unwrap();
        rig.inner().free_slot(CLASS, slot);
        rig.finish();
    });
}

#[test]
fn loom_the_end_of_a_thread_wakes_the_waiter() {
    bounded_model(2, || {
        let rig = Rig::new(two_slots);
        let [a, b] = both_slots(&rig);
        let b = Sent(b);
        let ending = rig.spawn(move |inner, cache| give(inner, cache, b.get()));
        let b = wait_for_slot(rig.inner());
        ending.join().unwrap();
        for slot in [a, b] {
            rig.inner().free_slot(CLASS, slot);
        }
        rig.finish();
    });
}

/// Creates a cache with an empty magazine that has room, so that the next free takes the fast path.
fn warm(rig: &Rig) -> Own {
    let own = rig.attach();
    let slot = take(rig.inner(), own.cache()).unwrap();
    give(rig.inner(), own.cache(), slot);
    let (slot, _) = own.cache().pop(CLASS).unwrap();
    rig.inner().free_slot(CLASS, slot);
    let magazine = own.cache().magazine(CLASS);
    assert!(magazine.capacity() > 0 && magazine.slots() == 0);
    own
}

#[test]
fn loom_a_slot_freed_on_the_fast_path_wakes_the_waiter() {
    bounded_model(2, || {
        let rig = Rig::new(two_slots);
        let own = warm(&rig);
        let [kept, dropped] = both_slots(&rig);
        let dropped = Sent(dropped);
        let idle = thread::spawn(move || {
            let (rig, own) = (rig, own);
            give(rig.inner(), own.cache(), dropped.get());
            own
        });
        let slot = wait_for_slot(rig.inner());
        for slot in [kept, slot] {
            rig.inner().free_slot(CLASS, slot);
        }
        idle.join().unwrap().detach();
        rig.finish();
    });
}

#[test]
fn loom_the_last_handle_goes_while_a_slot_is_freed_on_the_fast_path() {
    bounded_model(2, || {
        let rig = Rig::new(two_slots);
        let own = warm(&rig);
        let slot = Sent(rig.inner().alloc_slot(CLASS).unwrap());
        let idle = thread::spawn(move || {
            let (rig, own) = (rig, own);
            give(rig.inner(), own.cache(), slot.get());
            own
        });
        rig.close();
        let own = idle.join().unwrap();
        // The pool was freed together with the idle thread's cache.
        rig.assert_gone();
        own.detach();
    });
}

/// A request is refused while another thread frees the last slot that ends the bypass. Either the
/// bypass stays, or the pool knows that threads cache again: a free slot is not refused.
#[test]
fn loom_a_refusal_beside_the_end_of_the_bypass() {
    bounded_model(3, || {
        let rig = Rig::new(two_slots);
        let own = warm(&rig);
        let [a, b] = both_slots(&rig);
        assert!(rig.inner().alloc_slot(CLASS).is_err());
        let other = thread::spawn(move || {
            let rig = rig;
            rig.inner().alloc_slot(CLASS).ok().map(Sent)
        });
        give(rig.inner(), own.cache(), a);
        let taken = other.join().unwrap().map(Sent::get);
        give(rig.inner(), own.cache(), b);
        let free = if taken.is_some() { 1 } else { 2 };
        let slots = [0; 2].map(|_| rig.inner().alloc_slot(CLASS).ok());
        let slots = slots.into_iter().flatten().chain(taken);
        let slots: Vec<_> = slots.collect();
        assert_eq!(slots.len(), 2, "{free} slots were free");
        for slot in slots {
            rig.inner().free_slot(CLASS, slot);
        }
        own.detach();
        rig.finish();
    });
}

/// Each of two waiters gets one of two slots.
#[test]
fn loom_two_waiters_on_a_pool_are_served() {
    bounded_model(2, || {
        let rig = Rig::new(two_slots);
        let slots = both_slots(&rig);
        let waits = [0; 2].map(|_| rig.spawn(|inner, _| Sent(wait_for_slot(inner))));
        for slot in slots {
            rig.inner().free_slot(CLASS, slot);
        }
        let slots = waits.map(|waiter| waiter.join().unwrap().get().get());
        assert_ne!(slots[0], slots[1], "one slot was taken twice");
        for slot in slots {
            rig.inner().free_slot(CLASS, slot);
        }
        rig.finish();
    });
}

/// The waiter needs a mapping that the other thread keeps, allocates again and keeps again.
#[test]
fn loom_a_large_buffer_needs_what_a_thread_keeps() {
    bounded_model(2, || {
        let rig = Rig::new(|config| {
            two_slots(config);
            config.lease_limit = PAGE;
        });
        let large = Sent(rig.inner().alloc_large(PAGE).unwrap());
        let idle = rig.spawn_idle(move |inner, cache| {
            cache::free_large(inner, Some(cache), large.get());
            if let Some(large) = cache.pop_kept(PAGE)
                && !cache.push_kept(large)
            {
                cache::free_large(inner, Some(cache), large);
            }
        });
        let inner = rig.inner();
        let large = inner.line().wait(None, || inner.alloc_large(2 * PAGE));
        inner.free_large(large.unwrap());
        idle.join().unwrap().detach();
        rig.finish();
    });
}

/// A trim releases the mapping whose bytes the waiter needs, and the system refuses to unmap once.
#[test]
fn loom_a_mapping_that_cannot_be_unmapped_wakes_the_waiter() {
    bounded_model(2, move || {
        let rig = Rig::new(two_slots);
        let large = rig.inner().alloc_large(PAGE).unwrap();
        rig.inner().free_large(large);
        rig.fake.set_fault(Some(Fault {
            call: Some(Call::Unmap),
            first: 0,
            count: 1,
        }));
        let trims = rig.spawn(move |inner, _| inner.trim());
        let slot = wait_for_slot(rig.inner());
        trims.join().unwrap();
        rig.fake.set_fault(None);
        rig.inner().free_slot(CLASS, slot);
        rig.finish();
    });
}
