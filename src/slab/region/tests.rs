use super::*;
use crate::os::{
    Os,
    fake::{Call, FakeOs, Fault},
};
use crate::slab::header;

const KEEP_ALL: Keep = Keep {
    bytes: usize::MAX,
    decay_ms: u64::MAX,
};

fn setup() -> (&'static FakeOs, Mapper, Regions) {
    let fake = FakeOs::leaked();
    let mapper = Mapper::new(Os::Fake(fake), usize::MAX, None);
    // Four slabs a region, one of them for the headers.
    let regions = Regions::new(Geometry::new(4096, 14));
    (fake, mapper, regions)
}

fn refuse(call: Call) -> Option<Fault> {
    Some(Fault {
        call: Some(call),
        first: 0,
        count: 1,
    })
}

fn take(regions: &Regions, mapper: &Mapper) -> EmptySlab {
    let slab = regions.take();
    slab.unwrap_or_else(|| regions.take_new(mapper, NonNull::dangling()).unwrap())
}

fn give(regions: &Regions, mapper: &Mapper, slabs: Vec<EmptySlab>, keep: Keep) -> usize {
    let mut all = EmptySlabs::default();
    slabs.into_iter().for_each(|slab| all.push(slab));
    let spare = regions.give(all, keep, mapper.now_ms());
    regions.unmap(mapper, spare).count
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
    assert_eq!(regions.unmap(&mapper, spare).count, 1);
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
        // SAFETY: as above, and the slabs belong to this test.
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

/// A page that holds several slabs is purged when all of them are empty, and only purged bytes are
/// counted.
#[test]
fn purging_gives_back_whole_pages_of_empty_slabs() {
    for page_size in [16 << 10, 64 << 10] {
        let fake = FakeOs::leaked_with_pages(page_size);
        let mapper = Mapper::new(Os::Fake(fake), usize::MAX, None);
        let regions = Regions::new(Geometry::new(4096, 19));
        let in_page = page_size / 4096;
        // The first page holds the headers. The test uses every slab of four other pages, and the
        // first slab of a fifth.
        let used = in_page - regions.geometry().reserved() + 4 * in_page + 1;
        let slabs: Vec<_> = (0..used).map(|_| take(&regions, &mapper)).collect();
        let place =
            |slab: &EmptySlab| regions.geometry().index_of(slab.0) + regions.geometry().reserved();
        // One slab of the third page stays in use.
        let (kept, freed): (Vec<_>, Vec<_>) = slabs
            .into_iter()
            .partition(|slab| place(slab) == 3 * in_page + 1);
        let stale: Vec<_> = freed.iter().map(|slab| slab.0).collect();
        assert_eq!(give(&regions, &mapper, freed, KEEP_ALL), 0);
        let before = regions.slabs();
        assert_eq!(regions.purge(&mapper), 4 * page_size);
        assert_eq!(fake.purged(), 4 * page_size);
        let purged = stale.iter().filter(|at| header(**at).is_clean()).count();
        let clean = before.clean + purged as u64;
        assert_eq!(regions.slabs(), SlabCounts { clean, ..before });
        for at in stale {
            let page = place(&EmptySlab(at)) / in_page;
            assert_eq!(
                header(at).is_clean(),
                [1, 2, 4, 5].contains(&page),
                "{page}"
            );
        }
        assert_eq!(regions.purge(&mapper), 0);
        assert_eq!(fake.purged(), 4 * page_size);
        assert_eq!(give(&regions, &mapper, kept, KEEP_ALL), 0);
        assert_eq!(regions.purge(&mapper), page_size);
        let spare = regions.release(Keep::NOTHING, 0);
        assert_eq!(regions.unmap(&mapper, spare).count, 1);
        assert_eq!(fake.mapped(), 0);
    }
}

/// While a purge waits for the system, another thread uses all slabs of a region that was purged
/// and returns one. That region is then at the front of the list again, before others that were not
/// purged yet.
#[test]
fn purging_reaches_every_region_also_under_load() {
    let (fake, mapper, regions) = setup();
    let shared = std::sync::Arc::new(regions);
    let (regions, in_hook) = (&*shared, shared.clone());
    // Full regions that get a slab back join at the front.
    let slabs: Vec<_> = (0..9).map(|_| take(regions, &mapper)).collect();
    let (kept, freed): (Vec<_>, Vec<_>) =
        slabs.into_iter().enumerate().partition(|(n, _)| n % 3 != 0);
    let freed = freed.into_iter().map(|(_, slab)| slab).collect();
    assert_eq!(give(regions, &mapper, freed, KEEP_ALL), 0);
    fake.before_next(Call::Purge, move || {
        // The region that is purged now has no slab left in the list; the two others have.
        fake.before_next(Call::Purge, move || {
            let slabs: Vec<_> = std::iter::from_fn(|| in_hook.take()).collect();
            assert_eq!(slabs.len(), 2);
            // The slab of the purged region is returned last, so that region is at the front.
            let mut all = EmptySlabs::default();
            slabs.into_iter().rev().for_each(|slab| all.push(slab));
            let spare = in_hook.give(all, KEEP_ALL, 0);
            assert!(spare.first.is_none());
        });
    });
    assert_eq!(regions.purge(&mapper), 3 * 4096);
    let kept = kept.into_iter().map(|(_, slab)| slab).collect();
    assert_eq!(give(regions, &mapper, kept, Keep::NOTHING), 3);
    assert_eq!(fake.mapped(), 0);
}

/// A thread reads the clock, sleeps, and continues after another thread has emptied a region.
#[test]
fn an_old_reading_of_the_clock_makes_no_region_old() {
    let (fake, mapper, regions) = setup();
    let keep = Keep {
        bytes: usize::MAX,
        decay_ms: 3_600_000,
    };
    let before_ms = mapper.now_ms();
    fake.advance_ms(5);
    let slab = take(&regions, &mapper);
    assert_eq!(give(&regions, &mapper, vec![slab], keep), 0);
    let spare = regions.release(keep, before_ms);
    assert_eq!(regions.unmap(&mapper, spare).count, 0);
    // A clock of 32 bits would wrap here, and the region would seem new.
    fake.advance_ms(u64::from(u32::MAX));
    assert_eq!(give(&regions, &mapper, vec![], keep), 1);
    assert_eq!(fake.mapped(), 0);
}

#[test]
fn a_purge_makes_no_region_younger() {
    let (fake, mapper, regions) = setup();
    let keep = Keep {
        bytes: usize::MAX,
        decay_ms: 100,
    };
    let slab = take(&regions, &mapper);
    assert_eq!(give(&regions, &mapper, vec![slab], keep), 0);
    fake.advance_ms(60);
    assert_eq!(regions.purge(&mapper), 4096);
    fake.advance_ms(40);
    assert_eq!(give(&regions, &mapper, vec![], keep), 1);
}

#[test]
fn a_region_beyond_48_bits_is_refused() {
    let (fake, mapper, regions) = setup();
    let refused = |address| {
        fake.place_next_at(address);
        regions.take_new(&mapper, NonNull::dangling()).unwrap_err()
    };
    for address in [1 << 48, 1 << 52, (1 << 56) - (1 << 14)] {
        assert_eq!(refused(address), AllocFailure::System);
        assert_eq!((mapper.mapped(), fake.mapped()), (0, 0));
    }
    // A region that the system refuses to unmap at first is not lost either.
    fake.set_fault(refuse(Call::Unmap));
    assert_eq!(refused(1 << 48), AllocFailure::System);
    assert_eq!((mapper.mapped(), fake.mapped()), (1 << 14, 1 << 14));
    let slab = take(&regions, &mapper);
    assert_eq!(give(&regions, &mapper, vec![slab], Keep::NOTHING), 1);
    assert_eq!((mapper.mapped(), fake.mapped()), (0, 0));
}

#[test]
fn regions_ask_for_small_pages() {
    let (fake, mapper, regions) = setup();
    fake.set_fault(Some(Fault {
        call: Some(Call::AdviseSmall),
        first: u64::MAX,
        count: 0,
    }));
    let slab = take(&regions, &mapper);
    assert_eq!(fake.calls(), 1);
    assert_eq!(give(&regions, &mapper, vec![slab], Keep::NOTHING), 1);
}
