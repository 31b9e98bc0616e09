//! Models of memory that moves from one structure to another while a thread waits for memory. It is
//! in neither for a moment, and the waiter may try just then.

use super::{CLASS, PAGE, Rig, model};
use std::ptr::NonNull;

/// Creates a pool with room for one region of three slabs. All slabs are empty, were used before,
/// and are in the region.
fn one_empty_region() -> Rig {
    let rig = Rig::new(|config| config.limit = 4 * PAGE);
    let slots = [0; 6].map(|_| rig.inner().alloc_slot(CLASS).unwrap());
    for slot in slots {
        rig.inner().free_slot(CLASS, slot);
    }
    let usage = rig.usage();
    assert_eq!(
        (usage.slabs_empty, usage.external),
        (3, 4 * PAGE as u64),
        "{usage:?}"
    );
    rig
}

fn wait_for_slot(rig: &Rig) -> NonNull<u8> {
    let inner = rig.inner();
    let slot = inner.waiting.wait(None, || inner.alloc_slot(CLASS));
    slot.unwrap()
}

fn wait_while(body: fn(&crate::inner::PoolInner)) {
    model(move || {
        let rig = one_empty_region();
        let other = rig.spawn(move |inner, _| body(inner));
        let slot = wait_for_slot(&rig);
        other.join().unwrap();
        rig.inner().free_slot(CLASS, slot);
        rig.finish();
    });
}

#[test]
fn loom_a_slab_that_a_purge_carries_wakes_the_waiter() {
    wait_while(|inner| {
        inner.purge();
    });
}

#[test]
fn loom_an_empty_region_that_a_trim_carries_wakes_the_waiter() {
    wait_while(|inner| inner.trim());
}
