//! Models of gated pools: emptying a thread's magazines from outside, and waiting for memory.

use super::{CLASS, PAGE, Rig, Sent, model};
use crate::config::Config;
use crate::error::AllocFailure;
use crate::inner::PoolInner;
use crate::os::fake::{Call, Fault};
use crate::thread::cache::{LocalCache, gated};
use loom::thread;
use std::ptr::NonNull;

/// One region of one slab: two slots, and no room for anything else.
fn two_slots(config: &mut Config) {
    config.region_shift = 13;
    config.limit = 2 * PAGE;
    config.gated = true;
}

fn take(inner: &PoolInner, cache: &LocalCache) -> Result<NonNull<u8>, AllocFailure> {
    gated::take(Some(cache), inner, CLASS)
}

fn give(inner: &PoolInner, cache: &LocalCache, slot: NonNull<u8>) {
    if !cache.give_entered(CLASS, slot) {
        gated::give(Some(cache), inner, CLASS, slot);
    }
}

fn wait_for_slot(inner: &PoolInner) -> NonNull<u8> {
    let slot = inner.waiting.wait(None, || gated::take(None, inner, CLASS));
    slot.unwrap()
}

/// A thread that keeps its local cache, full as it is, and returns it: what it drops into a magazine nobody
/// flushes for it.
fn spawn_idle(
    rig: Rig,
    body: impl FnOnce(&'static PoolInner, &LocalCache) + Send + 'static,
) -> thread::JoinHandle<Sent<Box<LocalCache>>> {
    thread::spawn(move || {
        let rig = rig;
        let cache = rig.attach();
        body(rig.inner(), &cache);
        Sent(cache)
    })
}

fn both_slots(rig: &Rig) -> [NonNull<u8>; 2] {
    [0; 2].map(|_| gated::take(None, rig.inner(), CLASS).unwrap())
}

#[test]
fn loom_a_slot_dropped_elsewhere_wakes_who_waits() {
    model(|| {
        let rig = Rig::new(two_slots);
        let [kept, dropped] = both_slots(&rig);
        let dropped = Sent(dropped);
        let idle = spawn_idle(rig, move |inner, cache| give(inner, cache, dropped.get()));
        let slot = wait_for_slot(rig.inner());
        assert_ne!(slot, kept);
        let cache = idle.join().unwrap().get();
        for slot in [kept, slot] {
            gated::give(None, rig.inner(), CLASS, slot);
        }
        cache.detach();
        rig.finish();
    });
}

#[test]
fn loom_a_large_buffer_needs_what_lies_in_a_magazine() {
    model(|| {
        let rig = Rig::new(two_slots);
        let [a, b] = both_slots(&rig).map(Sent);
        gated::give(None, rig.inner(), CLASS, a.get());
        let idle = spawn_idle(rig, move |inner, cache| give(inner, cache, b.get()));
        let inner = rig.inner();
        let large = inner.waiting.wait(None, || {
            inner.take_large(2 * PAGE).or_else(|_| {
                inner.relieve();
                inner.take_large(2 * PAGE)
            })
        });
        assert!(inner.mapper.mapped() <= inner.config.limit);
        inner.give_large(large.unwrap());
        idle.join().unwrap().get().detach();
        rig.finish();
    });
}

#[test]
fn loom_an_owner_and_one_who_empties_its_magazines() {
    model(|| {
        let rig = Rig::new(two_slots);
        let idle = spawn_idle(rig, |inner, cache| {
            for _ in 0..2 {
                // The limit has room for one region, and the other thread may be about to unmap it.
                let slot = inner.waiting.wait(None, || take(inner, cache)).unwrap();
                // SAFETY: the slot is this thread's alone.
                unsafe { slot.write(1) };
                give(inner, cache, slot);
            }
        });
        rig.inner().relieve();
        idle.join().unwrap().get().detach();
        rig.finish();
    });
}

/// A trim takes out what `prepare` leaves lying about, while somebody waits for a slot.
fn trim_while_one_waits(prepare: fn(&Rig)) {
    model(move || {
        let rig = Rig::new(two_slots);
        prepare(&rig);
        let trims = rig.spawn(|inner, _| {
            inner.recall();
            inner.trim();
        });
        let slot = wait_for_slot(rig.inner());
        trims.join().unwrap();
        gated::give(None, rig.inner(), CLASS, slot);
        rig.finish();
    });
}

#[test]
fn loom_a_slab_that_a_trim_carries_wakes_who_waits() {
    trim_while_one_waits(|rig| {
        let slot = gated::take(None, rig.inner(), CLASS).unwrap();
        gated::give(None, rig.inner(), CLASS, slot);
    });
}

#[test]
fn loom_a_mapping_that_a_trim_carries_wakes_who_waits() {
    trim_while_one_waits(|rig| {
        let large = rig.inner().take_large(PAGE).unwrap();
        rig.inner().give_large(large);
        assert_eq!(rig.usage().large_cached, PAGE as u64);
    });
}

#[test]
fn loom_the_rest_of_a_slab_on_its_way_wakes_who_waits() {
    model(|| {
        let rig = Rig::new(two_slots);
        let takes = rig.spawn(|inner, _| Sent(wait_for_slot(inner)));
        let slots = [
            wait_for_slot(rig.inner()),
            takes.join().unwrap().get().get(),
        ];
        for slot in slots {
            gated::give(None, rig.inner(), CLASS, slot);
        }
        rig.finish();
    });
}

#[test]
fn loom_what_the_system_refused_wakes_who_waits() {
    model(|| {
        let rig = Rig::new(two_slots);
        // One attempt is refused. Who waits makes two before it gives up, as every request does.
        rig.fake.set_fault(Some(Fault {
            call: Some(Call::Map),
            first: 0,
            count: 1,
        }));
        let takes = rig.spawn(|inner, _| inner.take_slot(CLASS).ok());
        let slot = wait_for_slot(rig.inner());
        rig.fake.set_fault(None);
        for slot in takes.join().unwrap().get().into_iter().chain([slot]) {
            gated::give(None, rig.inner(), CLASS, slot);
        }
        rig.finish();
    });
}

#[test]
fn loom_a_mapping_on_its_way_wakes_who_waits() {
    model(|| {
        let rig = Rig::new(|config| {
            two_slots(config);
            config.cache_limit = PAGE;
        });
        let large = Sent(rig.inner().take_large(PAGE).unwrap());
        let giver = rig.spawn(move |inner, _| inner.give_large(large.get()));
        let slot = wait_for_slot(rig.inner());
        giver.join().unwrap();
        gated::give(None, rig.inner(), CLASS, slot);
        rig.finish();
    });
}

#[test]
fn loom_an_end_of_thread_wakes_who_waits() {
    model(|| {
        let rig = Rig::new(two_slots);
        let [a, b] = both_slots(&rig);
        let b = Sent(b);
        let ending = rig.spawn(move |inner, cache| give(inner, cache, b.get()));
        let b = wait_for_slot(rig.inner());
        ending.join().unwrap();
        for slot in [a, b] {
            gated::give(None, rig.inner(), CLASS, slot);
        }
        rig.finish();
    });
}

/// A local cache with an empty magazine that has room, so that the next drop takes the short path.
fn warm(rig: &Rig) -> Sent<Box<LocalCache>> {
    let cache = rig.attach();
    let slot = take(rig.inner(), &cache).unwrap();
    give(rig.inner(), &cache, slot);
    let slot = cache.take_entered(CLASS).unwrap().0;
    gated::give(None, rig.inner(), CLASS, slot);
    assert_eq!(
        (
            cache.magazines.slots(CLASS),
            cache.magazines.get(CLASS).capacity()
        ),
        (0, 1)
    );
    Sent(cache)
}

#[test]
fn loom_a_slot_dropped_on_the_short_path_wakes_who_waits() {
    model(|| {
        let rig = Rig::new(two_slots);
        let cache = warm(&rig);
        let [kept, dropped] = both_slots(&rig);
        let dropped = Sent(dropped);
        let idle = thread::spawn(move || {
            let (rig, cache) = (rig, cache.get());
            give(rig.inner(), &cache, dropped.get());
            Sent(cache)
        });
        let slot = wait_for_slot(rig.inner());
        for slot in [kept, slot] {
            gated::give(None, rig.inner(), CLASS, slot);
        }
        idle.join().unwrap().get().detach();
        rig.finish();
    });
}

#[test]
fn loom_the_last_handle_goes_while_a_gated_slot_comes_home() {
    model(|| {
        let rig = Rig::new(two_slots);
        let id = rig.inner().id;
        let cache = warm(&rig);
        let slot = Sent(gated::take(None, rig.inner(), CLASS).unwrap());
        let idle = thread::spawn(move || {
            let (rig, cache) = (rig, cache.get());
            give(rig.inner(), &cache, slot.get());
            Sent(cache)
        });
        rig.close();
        let cache = idle.join().unwrap().get();
        assert_eq!(
            rig.fake.mapped(),
            0,
            "a slot lies in a magazine of a closed pool"
        );
        cache.detach();
        rig.assert_gone(id);
    });
}
