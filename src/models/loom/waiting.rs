//! Models of gated pools: emptying a thread's magazines from outside, and waiting for memory.

use super::{CLASS, PAGE, Rig, Sent, model};
use crate::config::Config;
use crate::error::Refused;
use crate::inner::Core;
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

fn take(core: &Core, cache: &LocalCache) -> Result<NonNull<u8>, Refused> {
    gated::take(Some(cache), core, CLASS)
}

fn give(core: &Core, cache: &LocalCache, slot: NonNull<u8>) {
    if !cache.give_entered(CLASS, slot) {
        gated::give(Some(cache), core, CLASS, slot);
    }
}

fn wait_for_slot(core: &Core) -> NonNull<u8> {
    let slot = core.waiting.wait(None, || gated::take(None, core, CLASS));
    slot.unwrap()
}

/// A thread that keeps its local cache, full as it is, and returns it: what it drops into a magazine nobody
/// flushes for it.
fn spawn_idle(
    rig: Rig,
    body: impl FnOnce(&'static Core, &LocalCache) + Send + 'static,
) -> thread::JoinHandle<Sent<Box<LocalCache>>> {
    thread::spawn(move || {
        let rig = rig;
        let cache = rig.attach();
        body(rig.core(), &cache);
        Sent(cache)
    })
}

fn both_slots(rig: &Rig) -> [NonNull<u8>; 2] {
    [0; 2].map(|_| gated::take(None, rig.core(), CLASS).unwrap())
}

#[test]
fn loom_a_slot_dropped_elsewhere_wakes_who_waits() {
    model(|| {
        let rig = Rig::new(two_slots);
        let [kept, dropped] = both_slots(&rig);
        let dropped = Sent(dropped);
        let idle = spawn_idle(rig, move |core, cache| give(core, cache, dropped.get()));
        let slot = wait_for_slot(rig.core());
        assert_ne!(slot, kept);
        let cache = idle.join().unwrap().get();
        for slot in [kept, slot] {
            gated::give(None, rig.core(), CLASS, slot);
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
        gated::give(None, rig.core(), CLASS, a.get());
        let idle = spawn_idle(rig, move |core, cache| give(core, cache, b.get()));
        let core = rig.core();
        let large = core.waiting.wait(None, || {
            core.take_large(2 * PAGE).or_else(|_| {
                core.relieve();
                core.take_large(2 * PAGE)
            })
        });
        assert!(core.mapper.mapped() <= core.config.limit);
        core.give_large(large.unwrap());
        idle.join().unwrap().get().detach();
        rig.finish();
    });
}

#[test]
fn loom_an_owner_and_one_who_empties_its_magazines() {
    model(|| {
        let rig = Rig::new(two_slots);
        let idle = spawn_idle(rig, |core, cache| {
            for _ in 0..2 {
                // The limit has room for one region, and the other thread may be about to unmap it.
                let slot = core.waiting.wait(None, || take(core, cache)).unwrap();
                // SAFETY: the slot is this thread's alone.
                unsafe { slot.write(1) };
                give(core, cache, slot);
            }
        });
        rig.core().relieve();
        idle.join().unwrap().get().detach();
        rig.finish();
    });
}

/// A trim takes out what `prepare` leaves lying about, while somebody waits for a slot.
fn trim_while_one_waits(prepare: fn(&Rig)) {
    model(move || {
        let rig = Rig::new(two_slots);
        prepare(&rig);
        let trims = rig.spawn(|core, _| {
            core.recall();
            core.trim();
        });
        let slot = wait_for_slot(rig.core());
        trims.join().unwrap();
        gated::give(None, rig.core(), CLASS, slot);
        rig.finish();
    });
}

#[test]
fn loom_a_slab_that_a_trim_carries_wakes_who_waits() {
    trim_while_one_waits(|rig| {
        let slot = gated::take(None, rig.core(), CLASS).unwrap();
        gated::give(None, rig.core(), CLASS, slot);
    });
}

#[test]
fn loom_a_mapping_that_a_trim_carries_wakes_who_waits() {
    trim_while_one_waits(|rig| {
        let large = rig.core().take_large(PAGE).unwrap();
        rig.core().give_large(large);
        assert_eq!(rig.usage().large_cached, PAGE as u64);
    });
}

#[test]
fn loom_the_rest_of_a_slab_on_its_way_wakes_who_waits() {
    model(|| {
        let rig = Rig::new(two_slots);
        let takes = rig.spawn(|core, _| Sent(wait_for_slot(core)));
        let slots = [wait_for_slot(rig.core()), takes.join().unwrap().get().get()];
        for slot in slots {
            gated::give(None, rig.core(), CLASS, slot);
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
        let takes = rig.spawn(|core, _| core.take_slot(CLASS).ok());
        let slot = wait_for_slot(rig.core());
        rig.fake.set_fault(None);
        for slot in takes.join().unwrap().get().into_iter().chain([slot]) {
            gated::give(None, rig.core(), CLASS, slot);
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
        let large = Sent(rig.core().take_large(PAGE).unwrap());
        let giver = rig.spawn(move |core, _| core.give_large(large.get()));
        let slot = wait_for_slot(rig.core());
        giver.join().unwrap();
        gated::give(None, rig.core(), CLASS, slot);
        rig.finish();
    });
}

#[test]
fn loom_an_end_of_thread_wakes_who_waits() {
    model(|| {
        let rig = Rig::new(two_slots);
        let [a, b] = both_slots(&rig);
        let b = Sent(b);
        let ending = rig.spawn(move |core, cache| give(core, cache, b.get()));
        let b = wait_for_slot(rig.core());
        ending.join().unwrap();
        for slot in [a, b] {
            gated::give(None, rig.core(), CLASS, slot);
        }
        rig.finish();
    });
}

/// A local cache with an empty magazine that has room, so that the next drop takes the short path.
fn warm(rig: &Rig) -> Sent<Box<LocalCache>> {
    let cache = rig.attach();
    let slot = take(rig.core(), &cache).unwrap();
    give(rig.core(), &cache, slot);
    let slot = cache.take_entered(CLASS).unwrap().0;
    gated::give(None, rig.core(), CLASS, slot);
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
            give(rig.core(), &cache, dropped.get());
            Sent(cache)
        });
        let slot = wait_for_slot(rig.core());
        for slot in [kept, slot] {
            gated::give(None, rig.core(), CLASS, slot);
        }
        idle.join().unwrap().get().detach();
        rig.finish();
    });
}

#[test]
fn loom_the_last_handle_goes_while_a_gated_slot_comes_home() {
    model(|| {
        let rig = Rig::new(two_slots);
        let id = rig.core().id;
        let cache = warm(&rig);
        let slot = Sent(gated::take(None, rig.core(), CLASS).unwrap());
        let idle = thread::spawn(move || {
            let (rig, cache) = (rig, cache.get());
            give(rig.core(), &cache, slot.get());
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
