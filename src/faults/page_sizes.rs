//! Properties that hold for every page size.

use crate::Pool;
use crate::os::fake::{Call, FakeOs, Fault};

const KIB: usize = 1 << 10;
const PAGE_SIZES: [usize; 3] = [4 * KIB, 16 * KIB, 64 * KIB];

/// Makes `calls` count calls of this kind from here on. None of them is refused.
fn count(fake: &FakeOs, call: Call) {
    let (first, count) = (u64::MAX, 0);
    let call = Some(call);
    fake.set_fault(Some(Fault { call, first, count }));
}

/// Returns every length up to two of the largest pages, then those around multiples of four pages.
fn lengths(page_size: usize) -> impl Iterator<Item = usize> {
    let edges = (1..=32).flat_map(move |n| {
        let edge = 4 * n * page_size;
        [edge - 1, edge, edge + 1]
    });
    (0..=128 * KIB).chain(edges)
}

/// A mapping that was just freed serves a request for the same length, from the thread's cache and
/// from the pool's.
#[test]
fn a_length_taken_again_maps_nothing() {
    for page_size in PAGE_SIZES {
        for limit in [None, Some(1 << 30)] {
            let fake = FakeOs::leaked_with_pages(page_size);
            let mut builder = Pool::builder().fake_os(fake).huge_pages(false);
            if let Some(limit) = limit {
                builder = builder.limit(limit);
            }
            let pool = builder.build().unwrap();
            let mut last = usize::MAX;
            for len in lengths(page_size) {
                let pages = len.max(1).div_ceil(page_size);
                if pages != last {
                    // No other mapping is cached that could serve this length.
                    pool.trim();
                    last = pages;
                    drop(pool.alloc_unsafe_slow(len));
                    count(fake, Call::Map);
                }
                drop(pool.alloc_unsafe_slow(len));
                assert_eq!(
                    fake.calls(),
                    0,
                    "{len} bytes, pages of {page_size}, {limit:?}"
                );
            }
            assert!(pool.usage().external <= (last * page_size) as u64);
        }
    }
}

/// Several mappings of one length that were just freed serve as many requests. Each cache keeps
/// more than one of them.
#[test]
fn a_batch_taken_again_maps_nothing() {
    for page_size in PAGE_SIZES {
        let fake = FakeOs::leaked_with_pages(page_size);
        let pool = Pool::builder().fake_os(fake).build().unwrap();
        for len in (KIB..160 * KIB).step_by(509) {
            pool.trim();
            let batch = || drop([(); 8].map(|()| pool.alloc_unsafe_slow(len)));
            batch();
            let mapped = fake.mapped();
            count(fake, Call::Map);
            for _ in 0..3 {
                batch();
            }
            assert_eq!(fake.calls(), 0, "{len} bytes, pages of {page_size}");
            assert_eq!(fake.mapped(), mapped, "{len} bytes, pages of {page_size}");
        }
    }
}

/// With small buffers spread over a pool's slabs, `trim` reports the bytes that the system
/// released.
#[test]
fn a_trim_reports_what_the_system_took() {
    for page_size in PAGE_SIZES {
        let fake = FakeOs::leaked_with_pages(page_size);
        let pool = Pool::builder().fake_os(fake).build().unwrap();
        let mut buffers: Vec<_> = (0..4000).map(|_| pool.alloc(1000)).collect();
        let mut number = 0;
        buffers.retain(|_| {
            number += 1;
            number % 700 == 0
        });
        let before = (fake.mapped(), fake.purged());
        let reported = pool.trim();
        let (unmapped, purged) = (before.0 - fake.mapped(), fake.purged() - before.1);
        assert_eq!(reported, unmapped + purged, "pages of {page_size}");
        assert!(purged > 1 << 20, "{purged} bytes, pages of {page_size}");
        assert_eq!(pool.trim(), 0, "pages of {page_size}");
        drop(buffers);
        pool.trim();
        assert_eq!(fake.mapped(), 0);
    }
}
