//! Constructors, lengths, growth and raw parts of `Buffer`, at every boundary.

mod common;

use common::constructors::CONSTRUCTORS;
use common::{
    MIB, SLAB, address, assert_all_home, assert_apart, boundary_lengths, fresh_pool, holds_stamp,
    is_all, is_zero, page_size, slot_sizes, stamp,
};
use slabuf::{Buffer, Pool};

const _: () = assert!(size_of::<Buffer>() == 24);
const _: () = assert!(size_of::<Option<Buffer>>() == 24);

/// Every constructor and its `try_` variant, on both pools, returns the documented bytes at every
/// boundary.
#[test]
fn every_constructor_at_every_boundary() {
    let pool = fresh_pool();
    for n in boundary_lengths(&pool) {
        for constructor in CONSTRUCTORS {
            for mut buffer in constructor.all_forms(&pool, n) {
                constructor.check(&buffer, n);
                // Stale bytes for the next buffer.
                buffer.set_len(buffer.capacity());
                buffer.fill(0xEE);
            }
        }
    }
}

/// Buffers of one length and of all constructors, live at once, are aligned to 16 and share no
/// byte.
#[test]
fn buffers_are_aligned_and_apart() {
    let pool = fresh_pool();
    for n in boundary_lengths(&pool).into_iter().filter(|n| *n <= MIB) {
        let live: Vec<Buffer> = CONSTRUCTORS
            .iter()
            .flat_map(|constructor| constructor.all_forms(&pool, n))
            .collect();
        for buffer in &live {
            assert_eq!(address(buffer) % 16, 0, "alignment for {n} bytes");
        }
        assert_apart(&live);
    }
}

/// Up to the slab size a buffer is a slot, above it a mapping; `alloc_unsafe_slow` always has a
/// mapping.
#[test]
fn the_slab_size_divides_small_from_large() {
    let pool = fresh_pool();
    for n in boundary_lengths(&pool) {
        for constructor in CONSTRUCTORS {
            let pooled = n <= SLAB && constructor.name != "alloc_unsafe_slow";
            for buffer in constructor.all_forms(&pool, n) {
                assert_eq!(buffer.is_pooled(), pooled, "{}({n})", constructor.name);
            }
        }
    }
}

/// Slot sizes grow from 16 bytes to the slab size, and a request gets the smallest class that fits.
#[test]
fn slot_sizes_are_ordered_and_tight() {
    let pool = fresh_pool();
    let sizes = slot_sizes(&pool, SLAB);
    assert_eq!(sizes.first(), Some(&16));
    assert_eq!(sizes.last(), Some(&SLAB));
    for pair in sizes.windows(2) {
        assert!(pair[0] < pair[1] && pair[0] % 16 == 0, "{pair:?}");
        assert_eq!(pool.alloc(pair[0]).capacity(), pair[0]);
        assert_eq!(pool.alloc(pair[0] + 1).capacity(), pair[1]);
    }
}

/// Writing the whole capacity of a buffer does not change its neighbours.
#[test]
fn a_buffer_stays_within_its_capacity() {
    let pool = fresh_pool();
    for n in boundary_lengths(&pool)
        .into_iter()
        .filter(|n| *n <= 3 * SLAB)
    {
        let mut row: Vec<Buffer> = (0..5).map(|_| pool.alloc_unsafe(n)).collect();
        for (buffer, seed) in row.iter_mut().zip(1..) {
            buffer.set_len(buffer.capacity());
            stamp(buffer, seed);
        }
        row[2].fill(0xFF);
        row.remove(2);
        for (buffer, seed) in row.iter().zip([1, 2, 4, 5]) {
            assert!(holds_stamp(buffer, seed), "neighbour of {n} bytes");
        }
    }
}

/// `grow` keeps the contents and zeroes the new bytes: small to small, small to large, large to
/// large.
#[test]
fn grow_keeps_contents_and_zeroes_new_bytes() {
    let pool = fresh_pool();
    let lengths = boundary_lengths(&pool);
    for step in [1, 2, 7, lengths.len() / 2] {
        for (&short, &long) in lengths.iter().zip(lengths.iter().skip(step)) {
            let mut dirt = pool.alloc_unsafe(long);
            dirt.fill(0xEE);
            drop(dirt);
            let mut buffer = pool.alloc_unsafe(short);
            stamp(&mut buffer, 7);
            buffer.grow(long);
            assert_eq!(buffer.len(), long);
            assert!(holds_stamp(&buffer[..short], 7), "{short} to {long}");
            assert!(is_zero(&buffer[short..]), "{short} to {long}");
            assert_eq!(address(&buffer) % 16, 0);
        }
    }
}

/// `grow` zeroes bytes that a `truncate` had cut off.
#[test]
fn grow_after_truncate_shows_no_old_byte() {
    let pool = fresh_pool();
    for n in boundary_lengths(&pool) {
        let mut buffer = pool.alloc_filled(n, [0xEE]);
        buffer.truncate(n / 2);
        buffer.grow(n);
        assert!(
            is_all(&buffer[..n / 2], 0xEE) && is_zero(&buffer[n / 2..]),
            "{n}"
        );
    }
}

/// `grow` to a length the buffer already has, or to less, changes nothing.
#[test]
fn grow_only_grows() {
    let pool = fresh_pool();
    for n in [0, 1, 16, 100, SLAB, SLAB + 1, MIB] {
        let mut buffer = pool.alloc_filled(n, [3]);
        let before = (address(&buffer), buffer.capacity());
        buffer.grow(n);
        buffer.grow(n / 2);
        buffer.try_grow(0).expect("nothing to do");
        assert_eq!(buffer.len(), n);
        assert_eq!((address(&buffer), buffer.capacity()), before);
        assert!(is_all(&buffer, 3));
    }
}

/// `resize` truncates, or fills with the given byte, between all kinds of memory.
#[test]
fn resize_cuts_and_fills() {
    let pool = fresh_pool();
    let lengths = [
        0,
        1,
        15,
        16,
        17,
        4000,
        SLAB,
        SLAB + 1,
        3 * SLAB,
        2 * MIB + 1,
    ];
    for from in lengths {
        for to in lengths {
            let mut buffer = pool.alloc_filled(from, [1]);
            if to % 2 == 0 {
                buffer.resize(to, 2);
            } else {
                buffer.try_resize(to, 2).expect("memory for the test");
            }
            let kept = from.min(to);
            assert_eq!(buffer.len(), to);
            assert!(is_all(&buffer[..kept], 1), "{from} to {to}");
            assert!(is_all(&buffer[kept..], 2), "{from} to {to}");
        }
    }
}

/// `reserve` only adds capacity; within the present capacity the address does not change.
#[test]
fn reserve_makes_room() {
    let pool = fresh_pool();
    for n in boundary_lengths(&pool)
        .into_iter()
        .filter(|n| *n <= MIB + 1)
    {
        let mut buffer = pool.alloc_unsafe(n);
        stamp(&mut buffer, 5);
        let before = address(&buffer);
        buffer.reserve(buffer.capacity() - n);
        assert_eq!(address(&buffer), before, "there was room already");
        for additional in [1, 20, SLAB, 70_000] {
            buffer.try_reserve(additional).expect("memory for the test");
            assert!(buffer.capacity() >= n + additional);
            assert_eq!(buffer.len(), n);
            assert!(holds_stamp(&buffer, 5), "{n} + {additional}");
        }
    }
}

/// A buffer that grows stays in its pool.
#[test]
fn growth_stays_in_the_pool() {
    let pool = fresh_pool();
    let mut buffer = pool.alloc(10);
    for len in [100, SLAB, SLAB + 1, MIB, 9 * MIB] {
        buffer.grow(len);
        assert!(pool.usage().array_buffers >= len as u64);
    }
    drop(buffer);
    assert_all_home(&pool);
}

/// Growing byte by byte copies rarely: the capacity grows by a factor.
#[test]
fn pushing_bytes_moves_seldom() {
    let mut buffer = fresh_pool().with_capacity(0);
    let mut capacities = 1;
    for i in 0..MIB {
        let capacity = buffer.capacity();
        buffer.extend_from_slice(&[i as u8]);
        capacities += usize::from(buffer.capacity() != capacity);
    }
    assert!((0..MIB).all(|i| buffer[i] == i as u8));
    assert!(
        capacities < 100,
        "{capacities} capacities on the way to 1 MiB"
    );
}

/// `truncate` and `clear` shorten and keep the capacity; a longer length changes nothing.
#[test]
fn truncate_and_clear_keep_the_capacity() {
    let pool = fresh_pool();
    for n in boundary_lengths(&pool)
        .into_iter()
        .filter(|n| *n <= MIB + 1)
    {
        let mut buffer = pool.alloc_filled(n, [9]);
        let capacity = buffer.capacity();
        buffer.truncate(n + 1);
        assert_eq!(buffer.len(), n);
        buffer.truncate(n / 2);
        assert!(buffer.len() == n / 2 && is_all(&buffer, 9));
        assert_eq!(buffer.is_empty(), n / 2 == 0);
        buffer.clear();
        assert!(buffer.is_empty() && buffer.capacity() == capacity);
    }
}

/// `set_len` exposes the bytes written through `spare_capacity_mut`, up to the whole capacity.
#[test]
fn spare_capacity_is_shown_by_set_len() {
    let pool = fresh_pool();
    for n in boundary_lengths(&pool)
        .into_iter()
        .filter(|n| *n <= MIB + 1)
    {
        let mut buffer = pool.alloc_unsafe(n);
        buffer.set_len(n / 2);
        let (len, capacity) = (buffer.len(), buffer.capacity());
        assert_eq!(buffer.spare_capacity_mut().len(), capacity - len);
        buffer.fill(1);
        buffer.spare_capacity_mut().fill(2);
        buffer.set_len(capacity);
        assert!(is_all(&buffer[..len], 1) && is_all(&buffer[len..], 2));
        assert!(buffer.spare_capacity_mut().is_empty());
    }
}

/// `set_len` beyond the capacity panics and does not change the buffer.
#[test]
fn set_len_beyond_the_capacity_panics() {
    let pool = fresh_pool();
    for n in [0, 10, SLAB, SLAB + 1, MIB] {
        for beyond in [1, page_size(), usize::MAX - pool.alloc(n).capacity()] {
            let mut buffer = pool.alloc_filled(n, [4]);
            let len = buffer.capacity() + beyond;
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                buffer.set_len(len);
            }));
            assert!(outcome.is_err(), "set_len({len})");
            assert!(buffer.len() == n && is_all(&buffer, 4));
        }
    }
}

/// Raw parts keep a buffer alive and recreate the same buffer, for every kind and length.
#[test]
fn raw_parts_round_trip() {
    let pool = fresh_pool();
    for n in boundary_lengths(&pool)
        .into_iter()
        .filter(|n| *n <= MIB + 1)
    {
        for make in [
            Pool::alloc_unsafe,
            Pool::alloc_unsafe_slow,
            Pool::with_capacity,
        ] {
            let mut buffer = make(&pool, n);
            stamp(&mut buffer, 11);
            let before = (
                address(&buffer),
                buffer.len(),
                buffer.capacity(),
                buffer.is_pooled(),
            );
            let (pointer, len, handle) = buffer.into_raw_parts();
            assert_eq!((pointer as usize, len), (before.0, before.1));
            // SAFETY: the three parts come from into_raw_parts just above and are used once.
            let buffer = unsafe { Buffer::from_raw_parts(pointer, len, handle) };
            let after = (
                address(&buffer),
                buffer.len(),
                buffer.capacity(),
                buffer.is_pooled(),
            );
            assert_eq!(before, after);
            assert!(holds_stamp(&buffer, 11));
        }
    }
    assert_all_home(&pool);
}

/// A buffer that passed through raw parts on another thread returns its memory.
#[test]
fn raw_parts_cross_threads() {
    let pool = fresh_pool();
    for n in [0, 100, SLAB, SLAB + 1] {
        let (pointer, len, handle) = pool.alloc_filled(n, [8]).into_raw_parts();
        let sent = pointer as usize;
        std::thread::spawn(move || {
            let pointer = std::ptr::with_exposed_provenance_mut(sent);
            // SAFETY: the three parts come from into_raw_parts and are used once; Buffer is Send.
            let buffer = unsafe { Buffer::from_raw_parts(pointer, len, handle) };
            assert!(buffer.len() == n && is_all(&buffer, 8));
        })
        .join()
        .expect("the contents are the same");
    }
    assert_all_home(&pool);
}

/// A clone has the same contents and separate memory.
#[test]
fn a_clone_is_a_copy() {
    let pool = fresh_pool();
    for n in boundary_lengths(&pool)
        .into_iter()
        .filter(|n| *n <= MIB + 1)
    {
        let mut original = pool.alloc_unsafe(n);
        stamp(&mut original, 3);
        let mut clone = original.clone();
        assert_eq!(clone, original);
        assert_apart([&original, &clone]);
        clone.fill(0xEE);
        assert!(holds_stamp(&original, 3));
    }
}

/// Every constructor can create an empty buffer, which grows like any other.
#[test]
fn empty_buffers_work() {
    let empties = [
        Buffer::default(),
        Buffer::alloc(0),
        Buffer::copy_from_slice(&[]),
        Buffer::concat::<&[u8]>(&[]),
        Buffer::concat_to_len(&[b"cut"], 0),
        Buffer::from(""),
        std::iter::empty::<u8>().collect(),
    ];
    for mut buffer in empties {
        assert!(buffer.is_empty() && buffer == [0u8; 0]);
        buffer.extend_from_slice(b"now some");
        assert_eq!(buffer, b"now some");
    }
}
