//! The last part of a memory takes all of it back, and a pool that wipes wipes each part.

use bytes::Buf;
use slabuf::{Buffer, Pool};

use crate::common::{
    MIB, SLAB, address, assert_all_home, assert_apart, fresh_pool, holds_stamp, is_all, is_zero,
};
use crate::{LENGTHS, stamped};

#[test]
fn the_last_part_reclaims_the_memory_without_another() {
    for len in LENGTHS.into_iter().filter(|len| *len > 2) {
        let pool = fresh_pool();
        let mut rest = stamped(&pool, len);
        let (start, size) = (address(&rest), rest.capacity());
        let front = rest.split_to(len - 1);
        assert!(!rest.try_reclaim(size), "the front is there");
        assert_eq!(address(&rest), start + len - 1);
        let last = rest[0];
        drop(front);
        assert!(rest.try_reclaim(size - 1));
        assert_eq!((address(&rest), rest.capacity()), (start, size));
        assert_eq!(rest, [last]);
        assert!(!rest.try_reclaim(size), "more than there is");
        // Again, in the same block, and by `reserve`.
        rest.resize(size, 7);
        drop(rest.split_to(size));
        rest.reserve(size);
        assert_eq!((address(&rest), rest.capacity()), (start, size));
        drop(rest);
        assert_all_home(&pool);
    }
}

#[test]
fn a_large_part_moves_as_long_as_it_gains_enough() {
    let pool = fresh_pool();
    let mut rest = stamped(&pool, MIB);
    let (start, contents) = (address(&rest), rest[MIB / 10..].to_vec());
    drop(rest.split_to(MIB / 10));
    rest.reserve(MIB / 20);
    assert_eq!((address(&rest), rest.capacity()), (start, MIB));
    assert_eq!(rest, contents);
    // For one byte of room it would move all others.
    rest.resize(MIB, 1);
    drop(rest.split_to(1));
    rest.reserve(1);
    assert!(rest.capacity() > MIB);
}

#[test]
fn a_head_that_is_left_has_the_room_behind_it() {
    for len in [100, 4 * SLAB] {
        let pool = fresh_pool();
        let mut head = stamped(&pool, len);
        let (start, size) = (address(&head), head.capacity());
        drop(head.split_off(40));
        assert_eq!(head.capacity(), 40);
        assert!(head.try_reclaim(size - 40));
        assert_eq!((address(&head), head.capacity()), (start, size));
        let tail = head.split_off(10);
        assert!(!head.try_reclaim(1));
        drop(tail);
        head.extend_from_slice(&[7; 20]);
        assert_eq!((address(&head), head.len()), (start, 30));
        assert!(is_all(&head[10..], 7));
        drop(head);
        assert_all_home(&pool);
    }
}

#[test]
fn an_empty_tail_at_the_end_of_its_memory_grows_elsewhere() {
    for len in [16, 64, 1008, 2720, SLAB, 4 * SLAB] {
        let pool = fresh_pool();
        let mut neighbours: Vec<_> = (0..12).map(|_| pool.alloc_filled(len, "n")).collect();
        let mut tail = neighbours.remove(5);
        let size = tail.capacity();
        tail.resize(size, b't');
        drop(tail.split());
        assert_eq!((tail.len(), tail.capacity()), (0, 0));
        tail.reserve(size + 1);
        tail.resize(size + 1, b'u');
        // The slot is home, and no neighbour's is.
        let again: Vec<_> = (0..12).map(|_| pool.alloc_filled(len, "a")).collect();
        assert!(neighbours.iter().all(|one| is_all(one, b'n')));
        assert!(is_all(&tail, b'u'));
        assert_apart(neighbours.iter().chain(&again).chain([&tail]));
        drop((neighbours, again, tail));
        assert_all_home(&pool);
    }
}

#[test]
fn a_middle_part_moves_to_the_front() {
    let pool = fresh_pool();
    let mut middle = stamped(&pool, 3000);
    let (start, size) = (address(&middle), middle.capacity());
    let contents = middle[1000..2500].to_vec();
    let front = middle.split_to(1000);
    let back = middle.split_off(1500);
    drop(front);
    assert!(!middle.try_reclaim(1), "the back is there");
    drop(back);
    // More bytes are to be moved than are free in front: the two places overlap.
    assert!(middle.try_reclaim(size - 1500));
    assert_eq!((address(&middle), middle.capacity()), (start, size));
    assert_eq!(middle, contents);
}

#[test]
fn buffers_never_split_reclaim_what_was_read() {
    let pool = fresh_pool();
    let mut buffer = stamped(&pool, 3000);
    let size = buffer.capacity();
    let contents = buffer[500..].to_vec();
    buffer.advance(500);
    assert!(!buffer.try_reclaim(size));
    assert!(buffer.try_reclaim(size - 2500));
    assert_eq!((&buffer[..], buffer.capacity()), (&contents[..], size));
    let mut empty = Buffer::new();
    assert!(empty.try_reclaim(0) && !empty.try_reclaim(1));
}

#[test]
fn a_pool_at_its_limit_reclaims_before_it_refuses() {
    let pool = Pool::builder().limit(2 * MIB).build().unwrap();
    let mut rest = pool.alloc(MIB + MIB / 2);
    rest.advance(1);
    drop(rest.split_to(9));
    // More bytes than are moved to save an allocation, where there is one to have.
    rest.reserve(rest.capacity() - rest.len() + 10);
    assert!(is_zero(&rest));
    let error = rest.try_reserve(MIB).unwrap_err();
    assert!(error.to_string().contains("2097152"), "{error}");
}

#[test]
fn a_large_memory_that_is_whole_again_grows_in_place() {
    let pool = fresh_pool();
    let mut rest = stamped(&pool, 4 * MIB);
    let mut head = rest.split_to(3 * MIB);
    drop(rest);
    head.reserve(64 * MIB);
    assert!(head.len() == 3 * MIB && holds_stamp(&head, 4 * MIB as u64));
    // Moved by a copy there would be two mappings, one of them in the cache now.
    assert_eq!(pool.usage().large_cached, 0);
}

#[test]
fn frozen_parts_are_wiped_too() {
    let pool = Pool::builder().zero_on_free(true).build().unwrap();
    let mut rest = pool.alloc_filled(1000, "s");
    let frozen = rest.copy_to_bytes(400);
    let slice = frozen.slice(100..200);
    drop(frozen);
    assert!(is_all(&slice, b's') && is_all(&rest, b's'));
    drop(slice);
    let reused: Vec<_> = (0..8).map(|_| pool.alloc_unsafe(400)).collect();
    assert!(reused.iter().all(|buffer| is_zero(buffer)));
}

#[test]
fn a_sample_stays_until_the_last_part_goes() {
    for len in [4000, 2 * SLAB] {
        let pool = Pool::builder().sample(1).build().unwrap();
        let lengths = || {
            let samples = pool.live_samples();
            samples.iter().map(|sample| sample.len).collect::<Vec<_>>()
        };
        let mut tail = pool.alloc(len);
        let head = tail.split_to(len / 2);
        assert_eq!(lengths(), [len]);
        drop(head);
        assert_eq!(lengths(), [len]);
        // Alone, it moves with its sample.
        tail.reserve(4 * SLAB);
        assert!(lengths().len() == 1 && lengths()[0] >= len / 2 + 4 * SLAB);
        // Beside another part it has memory and a sample of its own.
        let head = tail.split();
        tail.resize(tail.capacity() + 1, 1);
        assert_eq!(lengths().len(), 2);
        drop(head);
        assert_eq!(lengths().len(), 1);
        drop(tail);
        assert_eq!(lengths(), []);
    }
}
