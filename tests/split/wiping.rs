//! Splits in pools that wipe: from unusual starts, by every way to split, with every way to go on
//! with the parts.

use bytes::{Buf, Bytes};
use slabuf::{Buffer, Pool};

use crate::common::{KIB, MIB, SLAB, assert_all_home, is_zero};

const SECRET: u8 = 0xA5;

/// Ways to obtain a buffer of a pool with secrets in it. The second field says how.
fn starts(pool: &Pool) -> Vec<(Buffer, &'static str)> {
    let filled = |mut buffer: Buffer| {
        buffer.spare_capacity_mut().fill(SECRET);
        buffer.fill(SECRET);
        buffer
    };
    let mut starts = vec![
        (pool.buffer(), "no memory"),
        (filled(pool.with_capacity(100)), "an exact capacity"),
        (filled(pool.alloc(64 * KIB)), "a mapping"),
        (filled(pool.with_capacity(3 * SLAB)), "room of a mapping"),
    ];
    for len in [16, 300, SLAB] {
        starts.push((filled(pool.alloc(len)), "a slot"));
    }
    for alignment in [64, 4 * KIB] {
        for len in [100, 3000, 2 * SLAB] {
            let aligned = pool.try_alloc_aligned(len, alignment).unwrap();
            starts.push((filled(aligned), "aligned"));
        }
    }
    for len in [300, 5 * SLAB] {
        let mut advanced = filled(pool.alloc(len));
        advanced.advance(len / 3);
        starts.push((advanced, "advanced"));
        let mut truncated = filled(pool.alloc(len));
        truncated.truncate(10);
        starts.push((truncated, "truncated"));
        let mut cleared = filled(pool.alloc(len));
        cleared.clear();
        starts.push((cleared, "cleared"));
    }
    let mut raised = filled(pool.with_capacity(990));
    raised.set_len(990);
    raised.push(SECRET);
    starts.push((filled(raised), "raised"));
    starts
}

/// Ways to split a buffer in two, or to take one from it.
type Split = (&'static str, fn(&mut Buffer) -> Buffer);

const SPLITS: &[Split] = &[
    ("split_to(0)", |buffer| buffer.split_to(0)),
    ("split_to(half)", |buffer| buffer.split_to(buffer.len() / 2)),
    ("split", Buffer::split),
    ("split_off(0)", |buffer| buffer.split_off(0)),
    ("split_off(half)", |buffer| {
        buffer.split_off(buffer.len() / 2)
    }),
    ("split_off(len)", |buffer| buffer.split_off(buffer.len())),
    ("split_off above the length", |buffer| {
        buffer.split_off(buffer.len().midpoint(buffer.capacity()))
    }),
    ("split_off(capacity)", |buffer| {
        buffer.split_off(buffer.capacity())
    }),
    ("take", Buffer::take),
];

/// Ways to go on with a part, up to its drop.
type End = (&'static str, fn(Buffer));

const ENDS: &[End] = &[
    ("drop", drop),
    ("freeze", |part| {
        let frozen = part.freeze();
        let view: Bytes = frozen.slice(frozen.len() / 2..);
        drop(frozen);
        drop(view);
    }),
    ("raw parts", |part| {
        let (start, len, owner) = part.into_raw_parts();
        // SAFETY: the parts are those of one buffer, used once.
        drop(unsafe { Buffer::from_raw_parts(start, len, owner) });
    }),
    ("grow", |mut part| {
        let len = part.len();
        part.resize(part.capacity() + 1, SECRET);
        assert!(part[..len].iter().all(|byte| *byte == SECRET));
    }),
    ("advance", |mut part| part.advance(part.len() / 2)),
    ("split again", |mut part| {
        let more = part.split_to(part.len() / 2);
        part.unsplit(more);
    }),
    ("shrink", |mut part| {
        part.truncate(1);
        part.shrink_to_fit();
    }),
    ("thread", |part| {
        std::thread::spawn(|| drop(part)).join().unwrap();
    }),
];

/// Allocates more than was used, without zeroing: all of it is zero.
fn assert_wiped(pool: &Pool, what: &str) {
    for len in [16, 48, 64, 100, 112, 150, 300, 512, 1024, 3000, 4096, SLAB] {
        let slots: Vec<Buffer> = (0..8).map(|_| pool.alloc_unsafe(len)).collect();
        for mut slot in slots {
            assert!(is_zero(&slot), "a slot of {len} bytes: {what}");
            assert!(is_zero(slot.spare_capacity_mut()), "{len}: {what}");
        }
    }
    for len in [SLAB + 1, 3 * SLAB, 5 * SLAB, 64 * KIB] {
        let mut mapping = pool.alloc_unsafe(len);
        assert!(is_zero(&mapping), "a mapping of {len} bytes: {what}");
        assert!(is_zero(mapping.spare_capacity_mut()), "{len}: {what}");
    }
}

#[test]
fn every_split_from_every_start_is_wiped_in_the_end() {
    let pool = Pool::builder().zero_on_free(true).build().unwrap();
    for start in 0..starts(&pool).len() {
        for (split_name, split) in SPLITS {
            for (end_name, end) in ENDS {
                let (mut buffer, start_name) = starts(&pool).swap_remove(start);
                let (len, capacity) = (buffer.len(), buffer.capacity());
                let what = format!("{start_name} of {len} bytes, {split_name}, {end_name}");
                let part = split(&mut buffer);
                assert_eq!(buffer.len() + part.len(), len, "{what}");
                assert!(buffer.capacity() + part.capacity() >= capacity, "{what}");
                let bytes = buffer.iter().chain(&part[..]);
                assert!(bytes.copied().all(|byte| byte == SECRET), "{what}");
                end(part);
                assert!(buffer.iter().all(|byte| *byte == SECRET), "{what}");
                end(buffer);
                assert_wiped(&pool, &what);
            }
        }
    }
    assert_all_home(&pool);
}

#[test]
fn a_split_at_the_limit_moves_nothing() {
    let pool = Pool::builder()
        .zero_on_free(true)
        .limit(MIB)
        .build()
        .unwrap();
    let mut buffer = pool.alloc_filled(700 * KIB, [SECRET]);
    buffer.advance(5);
    for at in [400 * KIB, 600 * KIB, buffer.len()] {
        let before = (buffer.as_ptr(), buffer.len(), buffer.capacity());
        assert!(buffer.try_split_to(at).is_err());
        if at < buffer.len() {
            assert!(buffer.try_split_off(buffer.len() - at).is_err());
        }
        assert_eq!(
            (buffer.as_ptr(), buffer.len(), buffer.capacity()),
            before,
            "{at}"
        );
        assert!(buffer.iter().all(|byte| *byte == SECRET));
    }
    assert_eq!(buffer.split_to(100).len(), 100);
    drop(buffer);
    assert_all_home(&pool);
}
