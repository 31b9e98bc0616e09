//! Models of blocks of slots: full, filled in part, and emptied into the slabs.

use super::{CLASS, Rig, Sent, give, model, take};

#[test]
fn loom_full_magazines_cross_at_the_depot() {
    model(|| {
        let rig = Rig::new(|_| ());
        let slots = Sent([0; 3].map(|_| rig.inner().alloc_slot(CLASS).unwrap()));
        let giver = rig.spawn(move |inner, cache| {
            for slot in slots.get() {
                give(inner, cache, slot);
            }
        });
        let taker = rig.spawn(|inner, cache| {
            let slots = [take(inner, cache), take(inner, cache)];
            assert_ne!(slots[0], slots[1]);
            slots.into_iter().for_each(|slot| give(inner, cache, slot));
        });
        giver.join().unwrap();
        taker.join().unwrap();
        rig.finish();
    });
}

/// The depot has room for one full block: the giver empties the second one into the slabs.
#[test]
fn loom_a_full_block_is_emptied_while_another_is_taken() {
    model(|| {
        let rig = Rig::new(|_| ());
        let slots = Sent([0; 4].map(|_| rig.inner().alloc_slot(CLASS).unwrap()));
        let giver = rig.spawn(move |inner, cache| {
            for slot in slots.get() {
                give(inner, cache, slot);
            }
        });
        let taker = rig.spawn(|inner, cache| {
            let slot = take(inner, cache);
            give(inner, cache, slot);
        });
        giver.join().unwrap();
        taker.join().unwrap();
        rig.finish();
    });
}

/// A thread's blocks are filled in part, swapped and exchanged while another thread trims.
#[test]
fn loom_a_trim_while_blocks_are_filled_in_part() {
    model(|| {
        let rig = Rig::with_magazines(2, |_| ());
        let owner = rig.spawn(|inner, cache| {
            let slots = [0; 3].map(|_| take(inner, cache));
            for slot in slots {
                // SAFETY: this thread owns the slot.
                unsafe { slot.write(1) };
                give(inner, cache, slot);
            }
            let slots = cache.magazine(CLASS).slots();
            assert!(slots <= 4, "{slots} in two blocks of two places");
        });
        rig.inner().trim();
        owner.join().unwrap();
        rig.finish();
    });
}
