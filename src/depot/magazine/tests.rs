use super::*;

fn slot(number: usize) -> NonNull<u8> {
    NonNull::new(ptr::without_provenance_mut(16 * (number + 1))).unwrap()
}

fn magazine(capacity: u32) -> Magazine {
    let magazine = Magazine::new();
    magazine.add(Block::allocate(capacity).unwrap());
    magazine.add(Block::allocate(capacity).unwrap());
    magazine
}

fn free(magazine: &Magazine) {
    for block in magazine.uninstall().into_iter().flatten() {
        while Block::pop(block).is_some() {}
        // SAFETY: allocated above, emptied, and out of the magazine.
        unsafe { Block::free(block) };
    }
}

#[test]
fn last_in_first_out_between_empty_and_full() {
    let magazine = magazine(3);
    assert!(magazine.pop().is_none());
    for round in 0..10 {
        assert!((0..3).all(|n| magazine.push(slot(n + round))));
        assert!(!magazine.push(slot(99)));
        for n in (0..3).rev() {
            assert_eq!(magazine.pop(), Some(slot(n + round)));
        }
        assert!(magazine.pop().is_none());
    }
    free(&magazine);
}

#[test]
fn swapping_keeps_every_slot() {
    let magazine = magazine(2);
    assert!(magazine.push(slot(0)) && magazine.push(slot(1)));
    magazine.swap();
    assert_eq!((magazine.height(), magazine.previous_height()), (0, 2));
    assert!(magazine.push(slot(2)));
    magazine.swap();
    assert_eq!((magazine.height(), magazine.previous_height()), (2, 1));
    assert_eq!(magazine.pop(), Some(slot(1)));
    free(&magazine);
}

#[test]
fn counters_wrap_without_harm() {
    let magazine = magazine(2);
    magazine.pushed.store(u32::MAX, Relaxed);
    magazine.popped.store(u32::MAX, Relaxed);
    assert!(magazine.push(slot(5)) && magazine.push(slot(6)));
    assert!(!magazine.push(slot(7)));
    assert_eq!(magazine.pop(), Some(slot(6)));
    assert_eq!(magazine.pop(), Some(slot(5)));
    assert!(magazine.pop().is_none());
    free(&magazine);
}

#[test]
fn a_new_magazine_refuses_both() {
    let magazine = Magazine::new();
    assert!(magazine.pop().is_none());
    assert!(!magazine.push(slot(0)));
}

/// A slot count above the capacity of the blocks would make the pool report too few bytes in use.
#[test]
fn other_threads_see_no_more_slots_than_two_blocks_hold() {
    struct Shared(NonNull<Magazine>);
    // SAFETY: the other thread reads atomics only, and ends before the magazine is freed.
    unsafe impl Send for Shared {}

    let magazine = &magazine(4);
    let done = std::sync::atomic::AtomicBool::new(false);
    let shared = Shared(NonNull::from(magazine));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let shared = shared;
            // SAFETY: the scope ends before the magazine does.
            let magazine = unsafe { shared.0.as_ref() };
            while !done.load(Relaxed) {
                let slots = magazine.slots();
                assert!(slots <= 8, "{slots} slots");
            }
        });
        for round in 0..if cfg!(miri) { 100 } else { 300_000 } {
            for n in 0..4 {
                assert!(magazine.push(slot(n)));
            }
            magazine.swap();
            magazine.swap();
            for n in (0..4).rev() {
                assert_eq!(magazine.pop(), Some(slot(n)), "round {round}");
            }
        }
        done.store(true, Relaxed);
    });
    free(magazine);
}
