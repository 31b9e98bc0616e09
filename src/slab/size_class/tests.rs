//! Tests of the module.

use super::*;

fn tables() -> impl Iterator<Item = &'static ClassTable> {
    let plain = (12..=20).map(|shift| ClassTable::of_slab_size(1 << shift, false));
    plain.chain((12..=20).map(|shift| ClassTable::of_slab_size(1 << shift, true)))
}

#[test]
fn every_length_fits_its_class_and_no_smaller_one() {
    for table in tables() {
        for len in 0..=table.slab_size {
            let class = table.class_of(len).unwrap();
            assert!(len <= table.get(class).slot_size as usize);
            assert!(class == 0 || len > table.get(class - 1).slot_size as usize);
        }
    }
}

#[test]
fn longer_lengths_have_no_class() {
    for table in tables() {
        for len in [1, 15, 16, 17, 1 << 40, usize::MAX - table.slab_size] {
            assert_eq!(table.class_of(table.slab_size + len), None);
        }
    }
}

#[test]
fn the_constants_are_the_default_table() {
    let table = ClassTable::of_slab_size(DEFAULT_SLAB_SIZE, true);
    for len in 0..=DEFAULT_SLAB_SIZE + 17 {
        assert_eq!(DefaultClasses::class_of(len), table.class_of(len));
    }
}

#[test]
fn slots_fill_the_slab_and_leave_no_tail_a_larger_slot_could_use() {
    for table in tables() {
        for class in (0..table.count()).map(|class| table.get(class)) {
            let (size, slots) = (class.slot_size as usize, class.slots as usize);
            let whole = if class.spans { SPAN } else { 1 } * table.slab_size;
            assert_eq!(size % GRANULE, 0);
            assert!(size * slots <= whole);
            assert!((size + GRANULE) * slots > whole);
        }
    }
}

#[test]
fn an_offset_finds_its_slot() {
    for table in tables() {
        for class in (0..table.count()).map(|class| table.get(class)) {
            for slot in 0..class.slots as usize {
                let start = slot * class.slot_size as usize;
                assert_eq!(class.slot_of_offset(start), slot);
                let last = start + class.slot_size as usize - 1;
                assert_eq!(class.slot_of_offset(last), slot);
            }
        }
    }
}

#[test]
fn about_four_classes_per_doubling() {
    for table in tables() {
        let doublings = (table.slab_size / GRANULE).trailing_zeros() as usize;
        assert!(table.count() <= 4 * doublings);
        assert!(table.count() >= 2 * doublings);
        let largest = table.get(table.count() - 1);
        assert_eq!(largest.slot_size as usize, table.slab_size);
    }
}

#[test]
fn slots_lie_in_one_or_two_slabs_of_a_span() {
    for table in tables() {
        for class in (0..table.count()).map(|class| table.get(class)) {
            let all = class.slots_in_slab.iter().fold(0, |all, slots| all | slots);
            if !class.spans {
                assert_eq!(all, 0);
                continue;
            }
            assert_eq!(u32::from(all), (1 << class.slots) - 1);
            let slabs = class.slots_in_slab.iter().map(|slots| slots.count_ones());
            assert!((class.slots..=class.slots + 3).contains(&slabs.sum::<u32>()));
            // The slots that are allocated first lie in the first slab.
            let first = class.fill as usize * class.slot_size as usize;
            assert!(first > 0 && first <= table.slab_size);
        }
    }
}

#[test]
fn magazines_are_bounded_in_bytes() {
    for table in tables() {
        for class in (0..table.count()).map(|class| table.get(class)) {
            let bytes = class.magazine_capacity as usize * class.slot_size as usize;
            assert!(bytes <= BLOCK_BYTES.max(class.slot_size as usize));
            assert!((1..=BLOCK_SLOTS).contains(&(class.magazine_capacity as usize)));
        }
    }
}
