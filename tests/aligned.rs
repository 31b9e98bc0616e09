//! Aligned buffers: where they start, what serves them, what is refused, and what growing does to
//! them.

mod common;

use bytes::Buf;
use common::{KIB, MIB, SLAB, address, assert_all_home, assert_apart, is_all, is_zero, page_size};
use slabuf::{AllocError, Buffer, Pool};

fn alignments() -> impl Iterator<Item = usize> {
    (0..=page_size().trailing_zeros()).map(|shift| 1 << shift)
}

fn pools() -> Vec<Pool> {
    let slab_sizes = [4 * KIB, SLAB, 64 * KIB, MIB];
    let plain = slab_sizes.map(|bytes| Pool::builder().slab_size(bytes));
    let others = [
        Pool::builder().limit(64 * MIB),
        Pool::builder().limit(MIB),
        Pool::builder().zero_on_free(true),
        Pool::builder().zero_fill(true),
        Pool::builder().guard_pages(true),
        Pool::builder().huge_pages(false).cache_limit(0),
    ];
    let built = plain.into_iter().chain(others);
    built.map(|builder| builder.build().unwrap()).collect()
}

const LENGTHS: [usize; 14] = [
    0, 1, 15, 16, 17, 100, 511, 512, 4095, 4096, 4097, 8192, 8193, 100_000,
];

/// Every alignment is kept at every length, on memory that was used before, and the bytes are those
/// promised.
#[test]
fn every_alignment_at_every_length() {
    for pool in pools() {
        for alignment in alignments() {
            let mut live = Vec::new();
            for len in LENGTHS {
                drop(pool.alloc_filled(len, [0xEE]));
                let zeroed = pool.alloc_aligned(len, alignment);
                assert!(zeroed.len() == len && is_zero(&zeroed), "{len} {alignment}");
                let mut stale = pool.alloc_unsafe_aligned(len, alignment);
                assert_eq!(stale.len(), len);
                stale.fill(0xEE);
                for buffer in [zeroed, stale] {
                    assert_eq!(address(&buffer) % alignment, 0, "{len} {alignment}");
                    assert!(buffer.alignment() >= alignment && pool.owns(&buffer));
                    live.push(buffer);
                }
            }
            assert_apart(&live);
        }
        assert_all_home(&pool);
    }
}

/// Up to the slab size a slot serves the request where some class is aligned, which the global
/// pool's are for all alignments up to 4 KiB.
#[test]
fn slots_serve_what_they_can() {
    for alignment in alignments().filter(|alignment| *alignment <= 4096) {
        for len in [0, 1, 100, 4096, SLAB] {
            assert!(Buffer::alloc_aligned(len, alignment).is_pooled());
        }
        assert!(!Buffer::alloc_unsafe_aligned(SLAB + 1, alignment).is_pooled());
    }
    // No more than the next multiple is spent where there is a class of that size.
    assert_eq!(Buffer::alloc_aligned(100, 128).capacity(), 128);
    assert_eq!(Buffer::alloc_aligned(100, 1024).capacity(), 1024);
}

/// An alignment that is no power of two up to the page size is an error with its value, in each of
/// the functions.
#[test]
fn other_alignments_are_errors() {
    let pool = Pool::builder().limit(MIB).build().unwrap();
    let page = page_size();
    for given in [0, 3, 24, page - 1, page + 1, 2 * page, 1 << 63, usize::MAX] {
        for len in [0, 100, 100_000, usize::MAX] {
            for outcome in [
                Buffer::try_alloc_aligned(len, given),
                Buffer::try_alloc_unsafe_aligned(len, given),
                pool.try_alloc_aligned(len, given),
                pool.try_alloc_unsafe_aligned(len, given),
            ] {
                let error = outcome.unwrap_err();
                let AllocError::InvalidAlignment {
                    alignment, maximum, ..
                } = error
                else {
                    panic!("{error}")
                };
                assert_eq!((alignment, maximum), (given, page));
                assert!(error.to_string().contains(&given.to_string()));
            }
        }
    }
    assert_eq!(pool.usage().external, 0);
}

/// The functions that panic do so with the error's text.
#[test]
fn panics_name_the_alignment() {
    let pool = Pool::builder().build().unwrap();
    let calls: [fn(&Pool) -> Buffer; 4] = [
        |_| Buffer::alloc_aligned(100, 3),
        |_| Buffer::alloc_unsafe_aligned(100, 3),
        |pool| pool.alloc_aligned(100, 3),
        |pool| pool.alloc_unsafe_aligned(100, 3),
    ];
    for call in calls {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call(&pool)));
        let text = panic.unwrap_err().downcast::<String>().unwrap();
        assert!(text.contains("to 3 bytes"), "{text}");
    }
}

/// A length that does not fit is refused as by the other constructors.
#[test]
fn lengths_are_refused_as_elsewhere() {
    let pool = Pool::builder().limit(MIB).build().unwrap();
    let error = pool.try_alloc_aligned(2 * MIB, 4096).unwrap_err();
    let AllocError::LimitExceeded {
        requested, limit, ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!((requested, limit), (2 * MIB, Some(MIB)));
    let error = pool.try_alloc_unsafe_aligned(usize::MAX, 16).unwrap_err();
    assert!(matches!(error, AllocError::TooLarge { .. }), "{error}");
}

/// A mapping that grows keeps the page's alignment; a slot keeps its bytes, and `alignment` says
/// what is left.
#[test]
fn growing_keeps_a_mappings_alignment() {
    for pool in pools() {
        let mut mapping = pool.alloc_unsafe_slow(MIB / 4);
        mapping.fill(7);
        mapping.grow(MIB / 3);
        assert_eq!(mapping.alignment(), page_size());
        assert!(is_all(&mapping[..MIB / 4], 7) && is_zero(&mapping[MIB / 4..]));
        drop(mapping);

        let mut slot = pool.alloc_aligned(100, 1024);
        slot.fill(7);
        for len in [1024, 1025, 3000, 20_000, 200_000] {
            slot.grow(len);
            assert!(is_all(&slot[..100], 7) && is_zero(&slot[100..]));
            assert_eq!(address(&slot) % slot.alignment(), 0);
            assert!(slot.alignment() >= if slot.is_pooled() { 16 } else { page_size() });
        }
    }
}

/// `alignment` follows the start.
#[test]
fn alignment_is_that_of_the_start() {
    let mut buffer = Buffer::alloc_aligned(SLAB, 4096);
    for (count, left) in [(16, 16), (16, 32), (1, 1), (31, 64), (4032, 4096)] {
        buffer.advance(count);
        assert_eq!(buffer.alignment().min(4096), left);
    }
}
