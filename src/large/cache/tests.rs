use super::*;
use crate::large::MapOptions;
use crate::os::{Os, fake::FakeOs};

const OPTIONS: MapOptions = MapOptions {
    huge_pages: false,
    guard_pages: false,
};

fn map(mapper: &Mapper, len: usize) -> NonNull<LargeAlloc> {
    LargeAlloc::map(mapper, len, OPTIONS, NonNull::dangling()).unwrap()
}

fn unmap(mapper: &Mapper, mut evicted: Evicted) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let Some(large) = evicted.pop() {
        lengths.push(LargeAlloc::of(large).capacity());
        // SAFETY: evicted, so this test owns it.
        unsafe { LargeAlloc::unmap(large, mapper) }.unwrap();
    }
    lengths
}

#[test]
fn bins_rise_with_the_length() {
    let mut last = 0;
    for pages in 1..100_000 {
        let bin = bin_of(pages * 4096);
        assert!(bin == last || bin == last + 1 || pages < 8, "{pages}");
        last = bin;
    }
    assert!(bin_of(usize::MAX) < BINS);
}

#[test]
fn a_cached_mapping_serves_its_length_and_little_less() {
    let mapper = Mapper::new(Os::Fake(FakeOs::leaked()), usize::MAX, None);
    let cache = MappingCache::new();
    let large = map(&mapper, 100 << 10);
    let _ = unmap(&mapper, cache.give(large, usize::MAX, u64::MAX, 0));
    assert_eq!(
        (cache.resident(), cache.footprint()),
        (100 << 10, 100 << 10)
    );
    assert_eq!(cache.take(101 << 10, 4096), None);
    assert_eq!(cache.take(50 << 10, 4096), None);
    assert_eq!(cache.take(99 << 10, 4096), Some(large));
    assert_eq!((cache.resident(), cache.footprint()), (0, 0));
    let _ = unmap(&mapper, cache.give(large, 0, u64::MAX, 0));
    assert_eq!(mapper.mapped(), 0);
}

#[test]
fn the_oldest_go_first_by_bytes_and_by_age() {
    let mapper = Mapper::new(Os::Fake(FakeOs::leaked()), usize::MAX, None);
    let cache = MappingCache::new();
    for pages in 3..6 {
        let large = map(&mapper, pages * 4096);
        let evicted = cache.give(large, 10 * 4096, 1000, pages as u64 * 100);
        let gone = unmap(&mapper, evicted);
        assert_eq!(gone, if pages == 5 { vec![3 * 4096] } else { vec![] });
    }
    assert_eq!(
        unmap(&mapper, cache.release(usize::MAX, 1000, 1399)),
        vec![]
    );
    assert_eq!(
        unmap(&mapper, cache.release(usize::MAX, 1000, 1400)),
        vec![4 * 4096]
    );
    assert_eq!(unmap(&mapper, cache.drain().0), vec![5 * 4096]);
    assert_eq!(mapper.mapped(), 0);
}

#[test]
fn a_purged_mapping_counts_no_memory_and_is_still_found() {
    let mapper = Mapper::new(Os::Fake(FakeOs::leaked()), usize::MAX, None);
    let cache = MappingCache::new();
    let large = map(&mapper, 32 << 10);
    LargeAlloc::of(large).expose(32 << 10);
    cache.keep(large, &mapper);
    assert_eq!((cache.resident(), cache.footprint()), (0, 32 << 10));
    assert_eq!(unmap(&mapper, cache.release(0, 0, 0)), vec![]);
    assert_eq!(cache.take(32 << 10, 4096), Some(large));
    assert_eq!(LargeAlloc::of(large).dirty(), 0);
    cache.keep(large, &mapper);
    assert_eq!(unmap(&mapper, cache.drain().0.sorted()), vec![32 << 10]);
}

/// Stores and look-ups agree on the length of a mapping, whatever the page size.
#[test]
fn a_mapping_is_found_by_each_length_that_maps_it() {
    for page_size in [4 << 10, 16 << 10, 64 << 10] {
        let mapper = Mapper::new(
            Os::Fake(FakeOs::leaked_with_pages(page_size)),
            usize::MAX,
            None,
        );
        let cache = MappingCache::new();
        for len in (0..200_000).step_by(61).chain([4095, 4096, 65_535, 65_536]) {
            let large = map(&mapper, len);
            let _ = unmap(&mapper, cache.give(large, usize::MAX, u64::MAX, 0));
            assert_eq!(
                cache.take(len, page_size),
                Some(large),
                "{len} of {page_size}"
            );
            let _ = unmap(&mapper, cache.give(large, 0, u64::MAX, 0));
        }
        assert_eq!(mapper.mapped(), 0);
    }
}

#[test]
fn lengths_are_rounded_to_whole_pages() {
    for page_size in [4 << 10, 16 << 10, 64 << 10] {
        let mapper = Mapper::new(
            Os::Fake(FakeOs::leaked_with_pages(page_size)),
            usize::MAX,
            None,
        );
        let large = map(&mapper, 2 * page_size);
        let rounded = |len| LargeAlloc::rounded_capacity(len, page_size);
        for len in 1..=4 * page_size {
            assert_eq!(rounded(len), Some(len.next_multiple_of(page_size)));
            let is_rounded = LargeAlloc::of(large).is_rounded(len, page_size);
            assert_eq!(is_rounded, rounded(len) == Some(2 * page_size), "{len}");
        }
        assert_eq!(rounded(0), Some(page_size));
        assert_eq!(rounded(usize::MAX), None);
        assert!(!LargeAlloc::of(large).is_rounded(0, page_size));
        // SAFETY: mapped above, and owned by this test.
        unsafe { LargeAlloc::unmap(large, &mapper) }.unwrap();
    }
}
