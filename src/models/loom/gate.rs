//! Models of a claimer at a thread's gate, against each operation of the owner inside.

use super::{CLASS, PAGE, Rig, Sent, give, model, take};
use crate::large::LargeAlloc;
use crate::thread::cache;
use std::ptr::NonNull;

fn write(slot: NonNull<u8>, value: u8) {
    // SAFETY: the calling thread owns the slot.
    unsafe { slot.write(value) };
}

/// A trim while an owner with a slot in its magazine allocates and frees.
#[test]
fn loom_claim_against_alloc_and_free() {
    model(|| {
        let rig = Rig::new(|_| ());
        let own = rig.attach();
        let slot = take(rig.inner(), own.cache());
        give(rig.inner(), own.cache(), slot);
        let own = Sent(own);
        let owner = ::loom::thread::spawn(move || {
            let (rig, own) = (rig, own.get());
            let slot = take(rig.inner(), own.cache());
            write(slot, 1);
            give(rig.inner(), own.cache(), slot);
            Sent(own)
        });
        rig.inner().trim();
        owner.join().unwrap().get().detach();
        rig.finish();
    });
}

/// The claimer allocates the slots that it claimed: no slot gets two owners.
#[test]
fn loom_what_was_claimed_has_one_owner() {
    model(|| {
        let rig = Rig::new(|config| config.region_shift = 13);
        let own = rig.attach();
        let slots = [
            take(rig.inner(), own.cache()),
            take(rig.inner(), own.cache()),
        ];
        slots
            .into_iter()
            .for_each(|slot| give(rig.inner(), own.cache(), slot));
        let own = Sent(own);
        let owner = ::loom::thread::spawn(move || {
            let (rig, own) = (rig, own.get());
            let slot = take(rig.inner(), own.cache());
            write(slot, 1);
            (Sent(own), Sent(slot))
        });
        rig.inner().flush_all();
        let slot = rig.inner().alloc_slot(CLASS).unwrap();
        write(slot, 2);
        let (own, other) = owner.join().unwrap();
        let (own, other) = (own.get(), other.get());
        assert_ne!(slot, other, "one slot has two owners");
        rig.inner().free_slot(CLASS, slot);
        give(rig.inner(), own.cache(), other);
        own.detach();
        rig.finish();
    });
}

/// A trim while an owner refills its magazine from a slab, and while it exchanges a full block at
/// the depot.
#[test]
fn loom_claim_against_refill_and_exchange() {
    model(|| {
        let rig = Rig::new(|_| ());
        let slots = [0; 3].map(|_| rig.inner().alloc_slot(CLASS).unwrap());
        let slots = Sent(slots);
        let owner = rig.spawn_idle(move |inner, cache| {
            // Two slots fill the magazine; the third causes an exchange.
            slots
                .get()
                .into_iter()
                .for_each(|slot| give(inner, cache, slot));
            let slot = take(inner, cache);
            give(inner, cache, slot);
        });
        rig.inner().trim();
        owner.join().unwrap().detach();
        rig.finish();
    });
}

/// A trim while an owner keeps a mapping and allocates it again.
#[test]
fn loom_claim_against_keep() {
    model(|| {
        let rig = Rig::new(|config| config.lease_limit = 2 * PAGE);
        let large = Sent(rig.inner().alloc_large(PAGE).unwrap());
        let owner = rig.spawn_idle(move |inner, cache| {
            cache::free_large(inner, Some(cache), large.get());
            let large = match cache.pop_kept(PAGE) {
                Some(large) => large,
                None => cache::alloc_large(inner, Some(cache), PAGE).unwrap(),
            };
            // SAFETY: this thread owns the mapping.
            unsafe { LargeAlloc::of(large).base().write(1) };
            if !cache.push_kept(large) {
                cache::free_large(inner, Some(cache), large);
            }
        });
        rig.inner().trim();
        owner.join().unwrap().detach();
        rig.finish();
    });
}

#[test]
fn loom_two_claimers() {
    model(|| {
        let rig = Rig::new(|_| ());
        let slot = Sent(rig.inner().alloc_slot(CLASS).unwrap());
        let owner = rig.spawn_idle(move |inner, cache| give(inner, cache, slot.get()));
        let other = ::loom::thread::spawn(move || {
            let rig = rig;
            rig.inner().flush_all();
        });
        rig.inner().trim();
        other.join().unwrap();
        owner.join().unwrap().detach();
        rig.finish();
    });
}

/// The last handle is dropped while an idle thread has a cache: the cache's memory is released, and
/// the cache is freed.
#[test]
fn loom_a_pool_is_closed_beside_an_idle_thread() {
    model(|| {
        let rig = Rig::new(|config| config.lease_limit = PAGE);
        let slot = Sent(rig.inner().alloc_slot(CLASS).unwrap());
        let large = Sent(rig.inner().alloc_large(PAGE).unwrap());
        let idle = rig.spawn_idle(move |inner, cache| {
            inner.retain();
            cache::free_large(inner, Some(cache), large.get());
            give(inner, cache, slot.get());
            crate::inner::PoolInner::release(inner.as_owner().cast());
        });
        rig.close();
        let own = idle.join().unwrap();
        rig.assert_gone();
        own.detach();
    });
}

/// A thread ends while another thread drops the last handle: one of them frees the cache.
#[test]
fn loom_a_thread_ends_while_its_pool_is_freed() {
    model(|| {
        let rig = Rig::new(|_| ());
        let own = Sent(rig.attach());
        let ends = ::loom::thread::spawn(move || own.get().detach());
        rig.close();
        ends.join().unwrap();
        rig.assert_gone();
    });
}
