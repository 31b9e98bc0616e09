//! What the counters call cached is resident, as the kernel counts it (`mincore`): memory that was
//! never used or that was purged does not count.
#![cfg(target_os = "linux")]

mod common;

use common::child::isolated_on_memory;
use common::{KIB, MIB, SLAB};
use slabuf::{Buffer, Pool};

const PAGE: usize = 4 * KIB;

/// Returns the resident bytes of `bytes` mapped bytes at `address`.
fn resident(address: usize, bytes: usize) -> usize {
    let mut pages = vec![0_u8; bytes / PAGE];
    let start = std::ptr::without_provenance_mut(address);
    // SAFETY: the range is mapped, and the vector has a byte for each of its pages.
    let done = unsafe { libc::mincore(start, bytes, pages.as_mut_ptr()) };
    assert_eq!(done, 0, "mincore of {bytes} bytes at {address:x}");
    pages.iter().filter(|page| **page & 1 != 0).count() * PAGE
}

/// Compares the counters of a pool without guard pages with the kernel's. Buffers have written all
/// of the slots that they have, so the slabs differ by less than `slack` bytes.
fn agrees(pool: &Pool, slack: usize, when: &str) {
    let (usage, snapshot) = (pool.usage(), pool.snapshot());
    let regions = snapshot.regions.iter().map(|region| {
        let headers = region.slabs[0].address - region.address;
        resident(region.address + headers, region.bytes - headers)
    });
    let slabs = usage.in_use - usage.large_live + usage.cached - usage.large_cached;
    let actual: usize = regions.sum();
    assert!(
        (slabs as usize).abs_diff(actual) <= slack,
        "{when}: {actual} resident in {usage:?}"
    );
    for mapping in &snapshot.mappings {
        let actual = resident(mapping.address, mapping.bytes);
        assert_eq!(mapping.resident, actual, "{when}: {mapping:?}");
    }
    let free = snapshot
        .mappings
        .iter()
        .filter(|mapping| mapping.live.is_none());
    let free: usize = free.map(|mapping| mapping.resident).sum();
    assert_eq!(usage.large_cached, free as u64, "{when}");
}

fn system_has_expected_pages() -> bool {
    // SAFETY: takes a number.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) == PAGE as i64 }
}

/// Slabs: fresh, in use, empty in their class, empty in their region, purged, and used again.
#[test]
fn purged_slabs_are_not_cached() {
    if !system_has_expected_pages() {
        return;
    }
    isolated_on_memory("purged_slabs_are_not_cached", 256 * MIB, |_| {
        let pool = Pool::builder().build().expect("valid settings");
        let row = || (0..8000).map(|_| pool.alloc_filled(2 * KIB, [7]));
        let mut live: Vec<Buffer> = row().collect();
        agrees(&pool, 16 * SLAB, "filled");
        assert_eq!(pool.usage().in_use, 8000 * 2048);
        let mut index = 0;
        live.retain(|_| {
            index += 1;
            index % 100 == 0
        });
        agrees(&pool, 16 * SLAB, "dropped");
        let before = pool.usage();
        assert!(before.cached > 14 * MIB as u64, "{before:?}");
        assert!(pool.trim() > 14 * MIB);
        agrees(&pool, 16 * SLAB, "trimmed");
        let trimmed = pool.usage();
        assert!(
            trimmed.external > 14 * MIB as u64,
            "the regions stay: {trimmed:?}"
        );
        assert_eq!(
            trimmed.cached,
            80 * (SLAB as u64 - 2048),
            "three slots beside each buffer"
        );
        live.extend(row());
        agrees(&pool, 16 * SLAB, "filled again");
        live.clear();
        pool.trim();
        assert_eq!((pool.usage().external, pool.usage().cached), (0, 0));
    });
}

/// Mappings: never written, written in part, overwritten with zeros, purged instead of zeroed.
#[test]
fn untouched_mappings_are_not_cached() {
    if !system_has_expected_pages() {
        return;
    }
    isolated_on_memory("untouched_mappings_are_not_cached", 512 * MIB, |_| {
        // Huge pages, which the system need not have.
        let pool = Pool::builder().build().expect("valid settings");
        let mut buffer = pool.with_capacity(4 * MIB);
        buffer.push(7);
        drop(buffer);
        assert_eq!(pool.usage().large_cached, 2 * MIB as u64);

        let plain = Pool::builder().huge_pages(false);
        let zeroing = plain.zero_on_free(true);
        for builder in [plain, zeroing, plain.zero_fill(true)] {
            let pool = builder.build().expect("valid settings");
            drop(pool.with_capacity(4 * MIB));
            agrees(&pool, 0, "never written");
            assert_eq!(pool.usage().cached, 0);
            let mut buffer = pool.with_capacity(4 * MIB);
            buffer.extend_from_slice(&[7; 3 * PAGE + 1]);
            agrees(&pool, 0, "live");
            drop(buffer);
            agrees(&pool, 0, "written in part");
            assert_eq!(pool.usage().large_cached, 4 * PAGE as u64);
            drop(pool.with_capacity(4 * MIB));
            agrees(&pool, 0, "overwritten with zeros");
            assert_eq!(pool.usage().large_cached, 4 * PAGE as u64);
        }
        let pool = zeroing.build().expect("valid settings");
        drop(pool.alloc_filled(32 * MIB, [7]));
        agrees(&pool, 0, "purged instead of zeroed");
        assert_eq!(
            (pool.usage().external, pool.usage().cached),
            (32 * MIB as u64, 0)
        );
    });
}

/// Above 16,384 mappings a trim purges and keeps small ones instead of unmapping them.
#[test]
fn purged_mappings_are_not_cached() {
    if !system_has_expected_pages() {
        return;
    }
    isolated_on_memory("purged_mappings_are_not_cached", 1024 * MIB, |_| {
        let pool = Pool::builder()
            .cache_limit(512 * MIB)
            .build()
            .expect("valid settings");
        let one = || {
            let mut buffer = pool.with_capacity(SLAB + 1);
            buffer.push(7);
            Some(buffer)
        };
        let mut live: Vec<Option<Buffer>> = (0..40_000).map(|_| one()).collect();
        live.iter_mut().step_by(2).for_each(|place| *place = None);
        assert_eq!(pool.usage().cached, 20_000 * PAGE as u64);
        agrees(&pool, 0, "dropped");
        pool.trim();
        let usage = pool.usage();
        assert_eq!(usage.external, 40_000 * 3 * PAGE as u64, "all are kept");
        assert_eq!((usage.cached, usage.large_cached), (0, 0));
        agrees(&pool, 0, "trimmed");
    });
}
