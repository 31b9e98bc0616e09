//! Tests of the module.

use super::*;
use crate::slab::size_class::ClassTable;

#[test]
fn every_part_comes_back() {
    for shift in 12..=20 {
        let table = ClassTable::of_slab_size(1 << shift, true);
        for class in 0..table.count() {
            for id in [0, 1, 77, MAX_POOLS - 1] {
                let size = table.get(class).slot_size as usize;
                let prefix = Prefix::new(id, shift + 4);
                check(AllocTag::slot(prefix, class, size), class, size);
                let flagged = prefix.with_flags(true, true);
                assert!(flagged.is_zero_fill() && !prefix.is_zero_fill());
                let tag = AllocTag::slot(flagged, class, size);
                assert!(tag.is_scrubbed() && !tag.is_plain());
                assert_eq!((tag.index(), tag.region_shift()), (id, shift + 4));
                let sampled = tag.sampled();
                assert!(sampled.is_sampled() && !tag.is_sampled() && !sampled.is_plain());
                assert_eq!(sampled.index(), id);
            }
        }
    }
}

#[test]
fn words_of_parts_and_of_no_memory_come_back() {
    // Only the addresses matter: the test reads nothing through them.
    let shared = NonNull::<u128>::dangling().cast::<()>();
    let ends = [End::Head, End::Tail];
    let [head, tail] = ends.map(|end| AllocTag::part(shared, end));
    for (tag, ends) in [head, tail].into_iter().zip(ends) {
        assert!(matches!(tag.place(), Place::Part(at, end) if at == shared && end == ends));
        assert!(!tag.is_slot() && !tag.is_plain() && !tag.is_plain_global());
        assert!(!tag.is_scrubbed() && !tag.is_advanced() && tag.advanced() == tag);
    }
    assert!(head.is_head() && !head.is_tail() && tail.is_tail() && !tail.is_head());
    let inner = NonNull::<PoolInner>::dangling();
    let empty = AllocTag::empty(inner);
    assert!(matches!(empty.place(), Place::Empty(Some(at)) if at == inner));
    assert!(matches!(AllocTag::EMPTY_GLOBAL.place(), Place::Empty(None)));
    for tag in [empty, AllocTag::EMPTY_GLOBAL] {
        assert!(!tag.is_slot() && !tag.is_plain() && !tag.is_head() && !tag.is_tail());
    }
}

#[test]
fn refusals_come_back() {
    for refused in [
        AllocFailure::Limit,
        AllocFailure::Budget,
        AllocFailure::System,
        AllocFailure::Length,
    ] {
        assert_eq!(AllocTag::of_refusal(refused).to_refusal(), refused);
    }
}

fn check(tag: AllocTag, class: usize, size: usize) {
    assert!(tag.is_slot() && tag.is_plain() && !tag.is_scrubbed());
    assert_eq!(tag.is_plain_global(), tag.index() == 0);
    let advanced = tag.advanced();
    assert!(advanced.is_advanced() && !advanced.is_plain());
    assert!(advanced.at_start() == tag);
    for tag in [tag, advanced] {
        assert_eq!((tag.class(), tag.capacity()), (class, size));
        let short = tag.with_capacity(size - 15);
        assert_eq!((short.class(), short.capacity()), (class, size - 15));
        assert!(short.with_capacity(size) == tag && short.index() == tag.index());
    }
}
