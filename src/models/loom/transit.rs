//! Models of memory that moves from one structure to another while a thread waits for memory. It is
//! in neither for a moment, and the waiter may try just then. Purges carry slabs, too.

use super::{CLASS, PAGE, Rig, Sent, model};
use crate::os::fake::{Call, Fault};
use std::ptr::NonNull;

/// Creates a pool with room for one region of three slabs. All slabs are empty, were used before,
/// and are in the region.
fn one_empty_region() -> Rig {
    let rig = Rig::new(|config| config.limit = Some(4 * PAGE));
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
    let slot = inner.line().wait(None, || inner.alloc_slot(CLASS));
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

/// The system refuses to unmap the region, so it returns to the list.
#[test]
fn loom_a_region_that_cannot_be_unmapped_wakes_the_waiter() {
    model(|| {
        let rig = one_empty_region();
        rig.fake.set_fault(Some(Fault {
            call: Some(Call::Unmap),
            first: 0,
            count: 1,
        }));
        let other = rig.spawn(|inner, _| inner.trim());
        let slot = wait_for_slot(&rig);
        other.join().unwrap();
        rig.fake.set_fault(None);
        rig.inner().free_slot(CLASS, slot);
        rig.finish();
    });
}

/// A trim returns an idle slab to its region, whose other slabs are in use.
#[test]
fn loom_a_slab_of_a_region_in_use_wakes_the_waiter() {
    model(|| {
        let rig = Rig::new(|config| config.limit = Some(4 * PAGE));
        let [a, b, in_use @ ..] = [0; 6].map(|_| rig.inner().alloc_slot(CLASS).unwrap());
        rig.inner().free_slot(CLASS, a);
        rig.inner().free_slot(CLASS, b);
        let other = rig.spawn(|inner, _| inner.trim());
        let slot = wait_for_slot(&rig);
        other.join().unwrap();
        for slot in in_use.into_iter().chain([slot]) {
            rig.inner().free_slot(CLASS, slot);
        }
        rig.finish();
    });
}

#[test]
fn loom_two_purges_at_once() {
    model(|| {
        let rig = one_empty_region();
        let other = rig.spawn(|inner, _| inner.purge());
        let purged = rig.inner().purge() + other.join().unwrap().get();
        assert_eq!(purged, 3 * PAGE, "each slab is purged once");
        assert_eq!(rig.usage().slabs_empty, 3);
        rig.finish();
    });
}

/// A purge, while another thread frees the last slot of a slab and allocates from it again.
#[test]
fn loom_a_purge_against_free_and_alloc() {
    model(|| {
        let rig = one_empty_region();
        let slot = Sent(rig.inner().alloc_slot(CLASS).unwrap());
        let other = rig.spawn(move |inner, _| {
            inner.free_slot(CLASS, slot.get());
            inner.free_slabs(CLASS, inner.depot.drain(CLASS));
            // All slabs may be detached for the purge.
            let slot = inner.line().wait(None, || inner.alloc_slot(CLASS));
            let slot = slot.unwrap();
            // SAFETY: this thread owns the slot.
            unsafe { slot.write(7) };
            Sent(slot)
        });
        rig.inner().purge();
        let slot = other.join().unwrap().get().get();
        // SAFETY: the slot is in use.
        assert_eq!(unsafe { slot.read() }, 7, "a slab in use was purged");
        rig.inner().free_slot(CLASS, slot);
        rig.finish();
    });
}
