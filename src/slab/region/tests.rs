use super::*;
use crate::os::{
    Os,
    fake::{Call, FakeOs, Fault},
};

const KEEP_ALL: Keep = Keep {
    bytes: usize::MAX,
    decay_ms: u64::MAX,
};

fn setup() -> (&'static FakeOs, Mapper, Regions) {
    let fake = FakeOs::leaked();
    let mapper = Mapper::new(Os::Fake(fake), usize::MAX);
    // Four slabs a region, one of them for the headers.
    let regions = Regions::new(Geometry::new(4096, 14));
    (fake, mapper, regions)
}

fn take(regions: &Regions, mapper: &Mapper) -> EmptySlab {
    let slab = regions.take();
    slab.unwrap_or_else(|| regions.take_new(mapper, NonNull::dangling()).unwrap())
}

fn give(regions: &Regions, mapper: &Mapper, slabs: Vec<EmptySlab>, keep: Keep) -> usize {
    let mut all = EmptySlabs::default();
    slabs.into_iter().for_each(|slab| all.push(slab));
    let spare = regions.give(all, keep, mapper.now_ms());
    regions.unmap(mapper, spare)
}

#[test]
fn slabs_come_from_one_region_until_it_is_used_up() {
    let (fake, mapper, regions) = setup();
    let slabs: Vec<_> = (0..3).map(|_| take(&regions, &mapper)).collect();
    assert_eq!(fake.mapped(), 1 << 14);
    assert!(regions.take().is_none());
    assert_eq!(give(&regions, &mapper, slabs, KEEP_ALL), 0);
    assert_eq!(regions.slabs().empty, 3);
    assert_eq!(regions.all_empty_bytes(), 1 << 14);
    let spare = regions.give(EmptySlabs::default(), Keep::NOTHING, 0);
    assert_eq!(regions.unmap(&mapper, spare), 1);
    assert_eq!((fake.mapped(), regions.slabs().empty), (0, 0));
}

#[test]
fn old_regions_go_and_young_ones_stay() {
    let (fake, mapper, regions) = setup();
    let keep = Keep {
        bytes: usize::MAX,
        decay_ms: 100,
    };
    let slab = take(&regions, &mapper);
    assert_eq!(give(&regions, &mapper, vec![slab], keep), 0);
    fake.advance_ms(99);
    assert_eq!(give(&regions, &mapper, vec![], keep), 0);
    fake.advance_ms(1);
    assert_eq!(give(&regions, &mapper, vec![], keep), 1);
    assert_eq!(fake.mapped(), 0);
}

#[test]
fn a_region_the_system_will_not_take_stays_usable() {
    let (fake, mapper, regions) = setup();
    let slab = take(&regions, &mapper);
    fake.set_fault(Some(Fault {
        call: Some(Call::Unmap),
        first: 0,
        count: 1,
    }));
    assert_eq!(give(&regions, &mapper, vec![slab], Keep::NOTHING), 0);
    assert_eq!(regions.slabs().empty, 3);
    let slab = regions.take().unwrap();
    assert_eq!(give(&regions, &mapper, vec![slab], Keep::NOTHING), 1);
    assert_eq!(fake.mapped(), 0);
}

#[test]
fn purging_zeroes_empty_slabs_once_and_leaves_the_others() {
    let (_fake, mapper, regions) = setup();
    let slabs: Vec<_> = (0..6).map(|_| take(&regions, &mapper)).collect();
    let geometry = *regions.geometry();
    let first_byte = |slab: &EmptySlab| {
        let region = geometry.region_of(slab.0);
        let offset = geometry.slab_offset(geometry.index_of(slab.0));
        // SAFETY: the first byte of a slab of a mapped region.
        unsafe { region.add(offset) }
    };
    let bytes: Vec<_> = slabs.iter().map(first_byte).collect();
    for byte in &bytes {
        // SAFETY: as above, and the slabs are this test's.
        unsafe { byte.write(7) };
    }
    let (kept, freed): (Vec<_>, Vec<_>) =
        slabs.into_iter().enumerate().partition(|(n, _)| n % 3 == 1);
    let freed = freed.into_iter().map(|(_, slab)| slab).collect();
    assert_eq!(give(&regions, &mapper, freed, KEEP_ALL), 0);
    assert_eq!(regions.purge(&mapper), 4 * 4096);
    assert_eq!(regions.purge(&mapper), 0);
    for (n, byte) in bytes.iter().enumerate() {
        // SAFETY: as above.
        let value = unsafe { byte.read() };
        assert_eq!(value, if n % 3 == 1 { 7 } else { 0 });
    }
    let kept = kept.into_iter().map(|(_, slab)| slab).collect();
    assert_eq!(give(&regions, &mapper, kept, Keep::NOTHING), 2);
}
