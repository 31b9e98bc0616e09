//! Splitting and joining buffers.

#[path = "../common/mod.rs"]
mod common;

mod boundaries;
mod reading;
mod reclaim;
mod twins;
mod wiping;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use bytes::{Buf, BytesMut};
use common::{
    KIB, MIB, Rng, SLAB, address, assert_all_home, assert_apart, fresh_pool, holds_stamp, is_zero,
    stamp,
};
use slabuf::{Buffer, Pool};

const GIB: usize = 1024 * MIB;
/// In a slot, in a span's slot, in mappings.
const LENGTHS: [usize; 6] = [1, 100, 3000, SLAB, SLAB + 1, MIB];

fn stamped(pool: &Pool, len: usize) -> Buffer {
    let mut buffer = pool.alloc(len);
    stamp(&mut buffer, len as u64);
    buffer
}

#[test]
fn both_halves_hold_what_was_there_where_it_was() {
    for len in LENGTHS {
        for at in [0, 1, len / 2, len - 1, len] {
            let pool = fresh_pool();
            let whole = stamped(&pool, len);
            let (contents, start) = (whole.to_vec(), address(&whole));
            let capacity = whole.capacity();

            let mut back = whole;
            let front = back.split_to(at);
            assert_eq!((&front[..], &back[..]), contents.split_at(at));
            assert_eq!((address(&front), address(&back)), (start, start + at));
            assert_eq!((front.capacity(), back.capacity()), (at, capacity - at));
            // A part without bytes has no memory.
            assert_eq!(front.is_pooled(), at > 0 && len <= SLAB);
            assert_apart([&front, &back]);
            drop(front);
            assert_eq!(back, contents[at..]);
            drop(back);

            let mut front = stamped(&pool, len);
            let back = front.split_off(at);
            assert_eq!((&front[..], &back[..]), contents.split_at(at));
            drop(back);
            assert_eq!(front, contents[..at]);
            drop(front);
            assert_all_home(&pool);
        }
    }
}

#[test]
fn spare_room_can_be_split_off() {
    let pool = fresh_pool();
    let mut front = pool.with_capacity(4 * SLAB);
    front.extend_from_slice(b"front");
    let mut back = front.split_off(SLAB);
    assert!(front == "front" && back.is_empty());
    assert_eq!((front.capacity(), back.capacity()), (4 * SLAB, 3 * SLAB));
    let start = address(&back);
    back.extend_from_slice(&[7; 3 * SLAB]);
    assert_eq!(address(&back), start);
    front.resize(SLAB, 9);
    assert_apart([&front, &back]);
    assert!(front[5..].iter().all(|byte| *byte == 9) && back.iter().all(|byte| *byte == 7));
    drop((front, back));
    assert_all_home(&pool);
}

#[test]
fn a_split_past_the_end_panics_and_changes_nothing() {
    for len in LENGTHS {
        let mut buffer = stamped(&fresh_pool(), len);
        let capacity = buffer.capacity();
        for at in [capacity + 1, usize::MAX] {
            assert!(catch_unwind(AssertUnwindSafe(|| buffer.split_off(at))).is_err());
            assert!(catch_unwind(AssertUnwindSafe(|| buffer.split_to(at))).is_err());
        }
        assert!(catch_unwind(AssertUnwindSafe(|| buffer.split_to(len + 1))).is_err());
        assert!(holds_stamp(&buffer, len as u64));
        assert_eq!(buffer.capacity(), capacity);
    }
}

#[test]
fn a_part_that_grows_moves_and_leaves_the_other_alone() {
    for len in LENGTHS {
        let pool = fresh_pool();
        let mut front = stamped(&pool, len);
        let contents = front.to_vec();
        let back = front.split_off(len / 2);
        front.extend_from_slice(&[1; 2 * SLAB]);
        front.grow(front.len() + 3 * SLAB);
        assert_eq!(front[..len / 2], contents[..len / 2]);
        assert!(is_zero(&front[len / 2 + 2 * SLAB..]));
        assert_eq!(back, contents[len / 2..]);
        drop((front, back));
        assert_all_home(&pool);
    }
}

#[test]
fn bytes_that_come_into_view_by_growing_within_a_part_are_zero() {
    let pool = fresh_pool();
    let mut buffer = pool.alloc(4 * SLAB);
    buffer.fill(0xA5);
    let mut back = buffer.split_off(SLAB);
    back.truncate(10);
    back.grow(2 * SLAB);
    assert!(is_zero(&back[10..]) && back[..10] == [0xA5; 10]);
}

#[test]
fn parts_put_together_again_are_the_buffer_that_was() {
    for len in LENGTHS {
        for advanced in [0, len / 3] {
            let pool = fresh_pool();
            let mut buffer = stamped(&pool, len);
            buffer.advance(advanced);
            let (contents, start) = (buffer.to_vec(), address(&buffer));
            let capacity = buffer.capacity();
            let back = buffer.split_off((len - advanced) / 2);
            let mut middle = buffer.split_off(buffer.len() / 2);
            middle.unsplit(back);
            buffer.unsplit(middle);
            assert_eq!(buffer, contents);
            assert_eq!((address(&buffer), buffer.capacity()), (start, capacity));
            assert_eq!(buffer.is_pooled(), len <= SLAB);
            // Joined again: it grows like a buffer that was never split.
            buffer.advance(buffer.len());
            assert!(buffer.capacity() >= len);
            drop(buffer);
            assert_all_home(&pool);
        }
    }
}

#[test]
fn a_whole_again_grows_without_moving_its_bytes_one_by_one() {
    let pool = fresh_pool();
    let mut buffer = stamped(&pool, 4 * MIB);
    let back = buffer.split_off(MIB);
    buffer.unsplit(back);
    buffer.reserve(64 * MIB);
    assert!(holds_stamp(&buffer, 4 * MIB as u64));
    // A move by a copy would leave the first mapping in the cache.
    assert_eq!(pool.usage().large_cached, 0);
}

#[test]
fn what_is_no_neighbour_is_appended_by_a_copy() {
    let pool = fresh_pool();
    let mut a = pool.copy_from_slice(b"abcdef");
    let mut b = a.split_off(2);
    let c = b.split_off(2);
    a.unsplit(c);
    assert_eq!((&a[..], &b[..]), (&b"abef"[..], &b"cd"[..]));
    a.unsplit(b);
    assert_eq!(a, "abefcd");
    a.unsplit(Buffer::from(b" of another pool"));
    assert_eq!(a, "abefcd of another pool");
    a.truncate(2);
    let tail = a.split_off(1);
    a.clear();
    a.unsplit(tail);
    assert_eq!(a, "b", "an empty buffer becomes the other");
    let mut empty = pool.with_capacity(0);
    let foreign = Buffer::from(b"global");
    empty.unsplit(foreign);
    assert_eq!(empty, "global");
    drop((a, empty));
    assert_all_home(&pool);
}

#[test]
fn the_memory_goes_back_with_the_last_part_and_not_before() {
    let pool = fresh_pool();
    let mut buffer = pool.alloc(MIB);
    let mut parts: Vec<Buffer> = (0..15).map(|_| buffer.split_to(MIB / 16)).collect();
    assert_eq!(pool.usage().large_live, MIB as u64);
    parts.push(buffer);
    while let Some(part) = parts.pop() {
        assert_eq!(pool.usage().large_live, MIB as u64);
        drop(part);
    }
    assert_all_home(&pool);
}

#[test]
fn frozen_parts_are_bytes_like_others() {
    let pool = fresh_pool();
    let mut read = stamped(&pool, 3 * SLAB);
    let contents = read.to_vec();
    let frames: Vec<_> = (0..6).map(|_| read.split_to(SLAB / 2).freeze()).collect();
    drop(read);
    assert_eq!(frames.concat(), contents);
    drop(frames);
    assert_all_home(&pool);
}

#[test]
fn raw_parts_of_a_part_come_back() {
    let pool = fresh_pool();
    let mut front = stamped(&pool, 1000);
    let back = front.split_off(300);
    let (start, len, owner) = back.into_raw_parts();
    drop(front);
    // SAFETY: the parts are those of one buffer, used once.
    let back = unsafe { Buffer::from_raw_parts(start, len, owner) };
    assert_eq!((back.len(), back.capacity() >= 700), (700, true));
    drop(back);
    assert_all_home(&pool);
}

#[test]
fn a_pool_that_wipes_moves_what_is_split_off() {
    for len in [1000, 4 * SLAB] {
        let pool = Pool::builder().zero_on_free(true).build().unwrap();
        let mut middle = pool.alloc_filled(len, "s");
        let start = middle.as_ptr();
        let mut back = middle.split_off(len / 2);
        let front = middle.split_to(len / 4);
        assert!(is_zero(middle.spare_capacity_mut()));
        // SAFETY: `middle` owns the memory from its first byte, all of it initialised.
        let moved = unsafe { std::slice::from_raw_parts(start, len / 4) };
        assert!(is_zero(moved), "{len}");
        assert_eq!(
            (front.len(), middle.len(), back.len()),
            (len / 4, len / 4, len / 2)
        );
        assert!(back.capacity() >= len / 2 && is_zero(back.spare_capacity_mut()));
        for part in [front, middle, back] {
            assert!(part.iter().all(|byte| *byte == b's'));
        }
        let reused: Vec<Buffer> = (0..3).map(|_| pool.alloc_unsafe(len)).collect();
        assert!(reused.iter().all(|buffer| is_zero(buffer)));
        drop(reused);
        assert_all_home(&pool);
    }
}

#[test]
fn a_split_that_would_pass_the_limit_changes_nothing() {
    let builder = Pool::builder().zero_on_free(true).limit(128 * KIB);
    let pool = builder.build().unwrap();
    let mut buffer = pool.alloc_filled(100 * KIB, "s");
    assert!(buffer.try_split_to(60 * KIB).is_err());
    assert!(buffer.try_split_off(40 * KIB).is_err());
    assert!(buffer.len() == 100 * KIB && buffer.iter().all(|byte| *byte == b's'));
    assert_eq!(
        buffer.try_split_off(84 * KIB).map(|back| back.len()),
        Ok(16 * KIB)
    );
    drop(buffer);
    assert_all_home(&pool);
}

#[test]
fn a_pool_goes_with_its_last_part() {
    let before = slabuf::memory_usage().external;
    for len in [100, GIB] {
        let pool = fresh_pool();
        let mut front = pool.alloc(len);
        let back = front.split_off(len / 2);
        drop(pool);
        drop(front);
        assert_eq!((back[0], back.len()), (0, len / 2));
        thread::spawn(move || drop(back)).join().unwrap();
    }
    // Other tests of this process hold much less at the same time.
    assert!(slabuf::memory_usage().external < before + GIB as u64 / 2);
}

/// Random splits, joins, writes and drops, against `BytesMut` doing the same.
fn program(seed: u64, pool: &Pool, steps: usize) -> Vec<(Buffer, BytesMut)> {
    let mut rng = Rng::new(seed);
    let mut live: Vec<(Buffer, BytesMut)> = Vec::new();
    for step in 0..steps {
        if live.is_empty() || rng.below(8) == 0 {
            let buffer = stamped(pool, rng.log_uniform(1, 40 * KIB));
            let twin = BytesMut::from(&buffer[..]);
            live.push((buffer, twin));
        }
        let place = rng.below(live.len());
        let count = live.len();
        let (buffer, twin) = &mut live[place];
        match rng.below(8) {
            0..3 => {
                let at = rng.below(buffer.len() + 1);
                let half = if rng.below(2) == 0 {
                    (buffer.split_to(at), twin.split_to(at))
                } else {
                    (buffer.split_off(at), twin.split_off(at))
                };
                live.insert(place + rng.below(2), half);
            }
            3 if count > 1 => {
                let next = (place + 1) % count;
                let (other, its_twin) = live.remove(next);
                let place = if next < place { place - 1 } else { place };
                live[place].0.unsplit(other);
                live[place].1.unsplit(its_twin);
            }
            4 => {
                let more = vec![step as u8; rng.below(300)];
                buffer.extend_from_slice(&more);
                twin.extend_from_slice(&more);
            }
            5 => {
                let count = rng.below(buffer.len() + 1);
                buffer.advance(count);
                twin.advance(count);
            }
            6 => {
                buffer.fill(step as u8);
                twin.fill(step as u8);
            }
            _ => drop(live.swap_remove(place)),
        }
        // Parts without capacity may have any address.
        let buffers = live.iter().map(|(buffer, _)| buffer);
        assert_apart(buffers.filter(|buffer| buffer.capacity() > 0));
        if step % 16 == 0 {
            assert!(live.iter().all(|(buffer, twin)| *buffer == twin[..]));
        }
    }
    live
}

#[test]
fn any_sequence_of_splits_and_joins_is_that_of_bytes_mut() {
    for seed in 0..40 {
        let builder = match seed % 4 {
            0 => Pool::builder(),
            1 => Pool::builder().zero_on_free(true),
            2 => Pool::builder().limit(64 * MIB),
            _ => Pool::builder().high_water_mark(MIB),
        };
        let pool = builder.build().unwrap();
        let live = program(seed, &pool, 400);
        assert!(live.iter().all(|(buffer, twin)| *buffer == twin[..]));
        drop(live);
        assert!(!pool.is_over_high_water());
        assert_all_home(&pool);
    }
}

#[test]
fn parts_are_dropped_and_joined_on_any_thread() {
    let pool = fresh_pool();
    let threads: Vec<_> = (0..4)
        .map(|seed| {
            let pool = pool.clone();
            thread::spawn(move || program(100 + seed, &pool, 300))
        })
        .collect();
    let mut all: Vec<_> = threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap())
        .collect();
    let mut rng = Rng::new(3);
    let mut hands: [Vec<_>; 4] = Default::default();
    while let Some(one) = all.pop() {
        hands[rng.below(4)].push(one);
    }
    let threads = hands.map(|hand| {
        thread::spawn(move || {
            for (buffer, twin) in hand {
                assert_eq!(buffer, twin[..]);
            }
        })
    });
    for thread in threads {
        thread.join().unwrap();
    }
    assert_all_home(&pool);
}
