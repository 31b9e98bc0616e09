//! Buffers without memory, and the pools that buffers belong to.

mod common;

use bytes::BufMut;
use common::{KIB, MIB, address, assert_all_home, fresh_pool};
use slabuf::{AllocError, Buffer, Pool, memory_usage};
use std::io::Write;
use std::thread;

static EMPTY: Buffer = Buffer::new();

#[test]
fn an_empty_buffer_is_one_without_memory() {
    let pool = fresh_pool();
    for buffer in [Buffer::new(), Buffer::default(), pool.buffer()] {
        assert_eq!((buffer.len(), buffer.capacity()), (0, 0));
        assert!(buffer.is_empty() && !buffer.is_pooled());
        assert_eq!(address(&buffer) % 16, 0);
        assert_eq!(buffer, *EMPTY);
        assert_eq!(buffer.clone().capacity(), 0);
        assert!(buffer.freeze().is_empty());
    }
    assert_eq!(pool.usage().external, 0);
}

#[test]
fn every_way_to_write_gives_it_memory_of_its_pool() {
    let ways: [fn(&mut Buffer); 9] = [
        |buffer| buffer.extend_from_slice(b"x"),
        |buffer| buffer.put_u8(b'x'),
        |buffer| buffer.put_slice(b"x"),
        |buffer| buffer.resize(1, b'x'),
        |buffer| buffer.extend([b'x']),
        |buffer| buffer.write_all(b"x").unwrap(),
        |buffer| buffer.unsplit(Buffer::from(b"x")),
        |buffer| {
            buffer.grow(1);
            buffer[0] = b'x';
        },
        |buffer| {
            buffer.chunk_mut()[..1].copy_from_slice(b"x");
            buffer.set_len(1);
        },
    ];
    for way in ways {
        let pool = fresh_pool();
        let mut buffer = pool.buffer();
        way(&mut buffer);
        assert_eq!(buffer, b"x");
        assert!(pool.usage().in_use > 0);
        drop(buffer);
        assert_all_home(&pool);
        let mut buffer = Buffer::new();
        way(&mut buffer);
        assert_eq!(buffer, b"x");
    }
}

#[test]
fn a_limit_holds_for_what_take_leaves_behind() {
    let pool = Pool::builder().limit(MIB).build().unwrap();
    let mut buffer = pool.copy_from_slice(b"abc");
    let taken = Buffer::take(&mut buffer);
    assert_eq!((&taken[..], buffer.capacity()), (&b"abc"[..], 0));
    for mut left in [buffer.clone(), buffer.take(), buffer, pool.buffer()] {
        let error = left.try_reserve(2 * MIB).unwrap_err();
        assert!(matches!(
            error,
            AllocError::LimitExceeded {
                limit: Some(MIB),
                ..
            }
        ));
        left.reserve(64 * KIB);
        assert!(pool.usage().large_live > 0);
    }
    // Of parts and large buffers too.
    let mut rest = pool.alloc(64 * KIB);
    let mut part = rest.split_to(10);
    for buffer in [&mut rest, &mut part] {
        drop(buffer.take());
        assert!(buffer.try_reserve(2 * MIB).is_err());
    }
    drop((taken, rest, part));
    assert_all_home(&pool);
    // And `std::mem::take` leaves one of the global pool, as documented.
    let mut buffer = pool.alloc(10);
    drop(std::mem::take(&mut buffer));
    assert!(buffer.try_reserve(2 * MIB).is_ok());
}

#[test]
fn a_buffer_knows_its_pool() {
    let pool = Pool::builder().limit(MIB).build().unwrap();
    let mut rest = pool.alloc(64 * KIB);
    let part = rest.split_to(1);
    for buffer in [&pool.alloc(1), &rest, &part, &pool.buffer()] {
        let before = pool.usage().large_live;
        let more = buffer.pool().alloc(20 * KIB);
        assert_eq!(pool.usage().large_live, before + 20 * KIB as u64);
        assert!(buffer.pool().try_alloc(2 * MIB).is_err());
        drop(more);
    }
    for buffer in [&Buffer::new(), &Buffer::from(b"x")] {
        let large = buffer.pool().alloc(2 * MIB);
        assert!(Pool::global().usage().large_live >= 2 * MIB as u64);
        drop(large);
    }
}

#[test]
fn a_pool_lives_with_its_empty_buffers_and_serves_them_when_closed() {
    let mut empty = Pool::builder().limit(MIB).build().unwrap().buffer();
    // Its handle is gone.
    assert!(empty.try_reserve(2 * MIB).is_err());
    empty.extend_from_slice(&[7; 20_000]);
    assert_eq!(empty.pool().usage().large_live, 20_000);
    let left = empty.take();
    assert_eq!(empty.pool().usage().large_live, 20_000);
    drop(left);
    // No caches any more.
    assert_eq!(empty.pool().usage().external, 0);
}

#[test]
fn a_closed_pool_serves_through_a_new_handle_and_ends_with_it() {
    for round in 0..100 {
        let buffer = fresh_pool().alloc(100);
        let (one, other) = (buffer.pool(), buffer.pool());
        let more = one.alloc(64 * KIB);
        assert!(other.usage().large_live == 64 * KIB as u64);
        drop(one);
        if round % 2 == 0 {
            drop((other, more, buffer));
        } else {
            let again = more.pool();
            drop((buffer, other));
            drop(more);
            assert_eq!(again.usage().external, 0);
            assert_eq!(again.alloc(10), [0; 10]);
        }
    }
}

#[test]
fn handles_of_a_closed_pool_come_and_go_on_many_threads() {
    let before = memory_usage().external;
    let buffers: Vec<_> = {
        let pool = fresh_pool();
        (0..4).map(|_| pool.alloc(MIB)).collect()
    };
    let threads: Vec<_> = buffers
        .into_iter()
        .map(|buffer| {
            thread::spawn(move || {
                for _ in 0..200 {
                    let pool = buffer.pool();
                    let mut empty = pool.buffer();
                    drop(pool);
                    empty.extend_from_slice(b"x");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    // Other tests of this process hold less meanwhile.
    assert!(memory_usage().external < before + 4 * MIB as u64);
}

#[test]
fn raw_parts_of_a_buffer_without_memory_come_back() {
    let pool = fresh_pool();
    for buffer in [Buffer::new(), pool.buffer()] {
        let (start, len, owner) = buffer.into_raw_parts();
        assert!(!start.is_null() && len == 0);
        // SAFETY: the parts are those of one buffer, used once.
        let mut buffer = unsafe { Buffer::from_raw_parts(start, len, owner) };
        buffer.extend_from_slice(b"abc");
        assert_eq!(buffer, b"abc");
    }
    assert_all_home(&pool);
}
