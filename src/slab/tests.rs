use super::*;
use crate::os::mapping::Mapper;
use crate::os::{Os, fake::FakeOs};
use crate::slab::geometry::{HEADER, REGION_HEAD};
use crate::slab::size_class::ClassTable;

#[test]
fn headers_of_a_default_region_fill_one_page() {
    let geometry = Geometry::new(8192, 21);
    assert_eq!(geometry.slabs(), 253);
    assert_eq!(REGION_HEAD + 253 * HEADER, 4096);
}

#[test]
fn every_slot_of_every_class_goes_and_comes_back() {
    for (slab_size, region_shift) in [(4096, 14), (8192, 15), (8192, 21), (1 << 20, 22)] {
        let mapper = Mapper::new(Os::Fake(FakeOs::leaked()), usize::MAX, None);
        let geometry = Geometry::new(slab_size, region_shift);
        let size = geometry.region_size();
        let mapping = mapper.map(size, size, false).unwrap();
        let table = ClassTable::of_slab_size(slab_size, false);
        for number in 0..table.count() {
            for index in [0, geometry.slabs() - 1] {
                let at = geometry.header_at(mapping.base(), index);
                exercise(&geometry, table.get(number), number, at);
            }
        }
        mapper.unmap(mapping).unwrap();
    }
}

fn exercise(geometry: &Geometry, class: &SizeClass, number: usize, at: NonNull<SlabHeader>) {
    let slab = Slab::new(geometry, class, at);
    slab.assign(number);
    assert_eq!(header(at).class(), number);
    assert!(slab.is_empty() && !slab.is_full());
    let mut slots = Vec::new();
    assert_eq!(slab.take(3, |slot| slots.push(slot)), 3.min(class.slots));
    slab.take(u32::MAX, |slot| slots.push(slot));
    assert!(slab.is_full());
    assert_eq!(slots.len(), class.slots as usize);
    assert!(slots.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(slots.iter().all(|slot| geometry.header_of(*slot) == at));
    let last = slots[slots.len() - 1].addr().get() + class.slot_size as usize;
    assert!(last <= slots[0].addr().get() + geometry.slab_size());
    for slot in slots.iter().rev() {
        assert!(!slab.is_empty());
        slab.give(*slot);
    }
    let EmptySlab(back) = slab.unassign(at);
    assert_eq!(back, at);
}
