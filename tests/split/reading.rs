//! Read loops: what is left of a read buffer is one of the same capacity again.

use bytes::{Buf, BufMut, Bytes};
use slabuf::{AllocError, Buffer, Pool};

use crate::common::{KIB, MIB, SLAB, address, assert_all_home, fresh_pool, holds_stamp, stamp};
use crate::stamped;

/// A read that fills all the room there is; returns how much that was.
fn fill(buffer: &mut Buffer, seed: u64) -> usize {
    let room = buffer.chunk_mut();
    let len = room.len();
    let mut bytes = vec![0; len];
    stamp(&mut bytes, seed);
    room.copy_from_slice(&bytes);
    // SAFETY: all of it was written above.
    unsafe { buffer.advance_mut(len) };
    len
}

#[test]
fn a_loop_whose_bytes_are_gone_reads_into_the_same_memory() {
    for capacity in [SLAB, 64 * KIB, MIB] {
        let pool = fresh_pool();
        let mut buffer = pool.with_capacity(capacity);
        let start = address(&buffer);
        for round in 0..20 {
            assert_eq!(fill(&mut buffer, round), capacity);
            let taken = match round % 3 {
                0 => buffer.split().freeze(),
                1 => buffer.copy_to_bytes(capacity),
                _ => buffer.split_to(capacity).freeze(),
            };
            assert_eq!(address(&taken), start);
            assert!(holds_stamp(&taken, round));
        }
        drop(buffer);
        assert_all_home(&pool);
    }
}

#[test]
fn a_loop_whose_bytes_stay_reads_into_as_much_memory() {
    for (capacity, again) in [
        (1000, 1008),
        (SLAB, SLAB),
        (64 * KIB, 64 * KIB),
        (MIB, 64 * KIB),
    ] {
        let pool = fresh_pool();
        let mut buffer = pool.with_capacity(capacity);
        let mut held: Vec<Bytes> = Vec::new();
        for round in 0..8 {
            let len = fill(&mut buffer, round);
            if round > 0 {
                assert!(len >= again.min(capacity), "{len} of {capacity}");
                assert!(len < again + 4 * KIB, "{len} of {capacity}");
            }
            held.push(buffer.copy_to_bytes(len));
        }
        // All in this pool, and counted with what they hold.
        assert!(pool.usage().array_buffers >= held.iter().map(|b| b.len() as u64).sum());
        for (round, taken) in held.iter().enumerate() {
            assert!(holds_stamp(taken, round as u64));
        }
        drop((held, buffer));
        assert_all_home(&pool);
    }
}

#[test]
fn a_remainder_moves_to_the_front_of_the_memory() {
    let pool = fresh_pool();
    let mut buffer = pool.with_capacity(SLAB);
    let start = address(&buffer);
    let mut expected = Vec::new();
    for round in 0..50 {
        let len = fill(&mut buffer, round);
        assert!(len >= SLAB - 1000, "{len}");
        let mut bytes = vec![0; len];
        stamp(&mut bytes, round);
        expected.extend_from_slice(&bytes);
        while buffer.len() >= 1000 {
            let frame = buffer.split_to(1000).freeze();
            assert_eq!(frame, expected[..1000]);
            expected.drain(..1000);
        }
        assert_eq!(buffer, expected[..]);
        assert!((start..start + SLAB).contains(&address(&buffer)));
    }
}

#[test]
fn a_remainder_grows_elsewhere_while_a_frame_is_held() {
    for grow in [
        |buffer: &mut Buffer| buffer.reserve(1),
        |buffer: &mut Buffer| assert!(buffer.chunk_mut().len() > 0),
        |buffer: &mut Buffer| buffer.extend_from_slice(b"!"),
        |buffer: &mut Buffer| buffer.put_u8(b'!'),
    ] {
        let pool = fresh_pool();
        let mut rest = stamped(&pool, SLAB);
        let held = rest.split_to(SLAB - 3);
        let tail = rest.to_vec();
        grow(&mut rest);
        assert_eq!((&rest[..3], rest.capacity()), (&tail[..], SLAB));
        assert!(holds_stamp(&held, SLAB as u64));
        assert_eq!(pool.usage().in_use, 2 * SLAB as u64);
    }
}

#[test]
fn a_limit_without_room_for_the_capacity_has_room_for_what_is_needed() {
    let pool = Pool::builder().limit(160 * KIB).build().unwrap();
    let mut rest = pool.alloc(64 * KIB);
    let held = rest.split_to(64 * KIB);
    let blocker = pool.alloc(48 * KIB);
    rest.extend_from_slice(b"little");
    assert_eq!(rest, "little");
    assert!(rest.capacity() < 64 * KIB);
    let error = rest.try_reserve(100 * KIB).unwrap_err();
    assert!(matches!(error, AllocError::LimitExceeded { requested, .. } if requested > 100 * KIB));
    assert_eq!(rest, "little");
    drop((held, blocker));
}

#[test]
fn copy_to_bytes_is_split_to_and_freeze_for_every_length() {
    let pool = fresh_pool();
    for len in [0, 1, 37, 200] {
        for n in 0..=len {
            let [mut one, mut other] = [(); 2].map(|()| stamped(&pool, len));
            let start = address(&one);
            let copied = one.copy_to_bytes(n);
            let split = other.split_to(n).freeze();
            assert_eq!(copied, split);
            assert!(n == 0 || address(&copied) == start, "no copy");
            assert_eq!((&one[..], one.capacity()), (&other[..], other.capacity()));
        }
    }
    assert_all_home(&pool);
}

#[test]
fn reading_to_the_end_of_a_part_keeps_to_the_part() {
    let pool = fresh_pool();
    let mut rest = stamped(&pool, 1000);
    let mut head = rest.split_to(400);
    let end = address(&head) + 400;
    head.advance(400);
    assert_eq!((head.len(), head.capacity(), address(&head)), (0, 0, end));
    let room = rest.capacity() - 600;
    rest.advance(600);
    assert_eq!((rest.len(), rest.capacity()), (0, room));
    // Alone again, the memory is room from its first byte on.
    drop(head);
    rest.advance(0);
    assert_eq!(rest.capacity(), room + 1000);
}
