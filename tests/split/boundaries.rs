//! Splits at every boundary, of empty buffers, and of parts of parts; joins in every order.

use std::panic::{AssertUnwindSafe, catch_unwind};

use slabuf::{Buffer, Pool};

use crate::common::{
    KIB, MIB, Rng, SLAB, address, assert_all_home, assert_apart, fresh_pool, holds_stamp,
};
use crate::stamped;

/// A buffer of `len` stamped bytes with room for `capacity`.
fn roomy(pool: &Pool, len: usize, capacity: usize) -> Buffer {
    let mut buffer = pool.with_capacity(capacity);
    let contents = stamped(pool, len);
    buffer.extend_from_slice(&contents);
    buffer
}

#[test]
fn a_split_to_at_every_boundary() {
    let pool = fresh_pool();
    for (len, capacity) in [
        (0, 0),
        (0, 100),
        (1, 1),
        (37, 112),
        (112, 112),
        (300, 2 * SLAB),
    ] {
        for at in 0..=len {
            let mut back = roomy(&pool, len, capacity);
            let (contents, start, capacity) = (back.to_vec(), address(&back), back.capacity());
            let front = back.split_to(at);
            assert_eq!((&front[..], &back[..]), contents.split_at(at));
            assert_eq!((address(&front), address(&back)), (start, start + at));
            assert_eq!((front.capacity(), back.capacity()), (at, capacity - at));
        }
    }
    assert_all_home(&pool);
}

#[test]
fn a_split_off_at_every_boundary() {
    let pool = fresh_pool();
    for (len, capacity) in [
        (0, 0),
        (0, 100),
        (1, 1),
        (37, 112),
        (112, 112),
        (300, 2 * SLAB),
    ] {
        let capacity = roomy(&pool, len, capacity).capacity();
        for at in (0..=capacity.min(400)).chain([capacity.saturating_sub(1), capacity]) {
            let mut front = roomy(&pool, len, capacity);
            let (contents, start) = (front.to_vec(), address(&front));
            let back = front.split_off(at);
            assert_eq!(front, contents[..at.min(len)]);
            assert_eq!(back, contents[at.min(len)..]);
            assert_eq!(address(&front), start);
            if at <= len || at == capacity {
                assert_eq!(address(&back), start + at);
                assert_eq!((front.capacity(), back.capacity()), (at, capacity - at));
            } else {
                assert!(front.capacity() >= at && back.capacity() >= capacity - at);
                assert_apart([&front, &back]);
            }
        }
    }
    assert_all_home(&pool);
}

#[test]
fn split_is_split_to_the_length() {
    let pool = fresh_pool();
    for (len, capacity) in [(0, 100), (37, 112), (SLAB, SLAB), (300, 2 * SLAB)] {
        let mut buffer = roomy(&pool, len, capacity);
        let room = buffer.capacity() - len;
        let taken = buffer.split();
        assert!(taken.len() == len && holds_stamp(&taken, len as u64));
        assert_eq!((buffer.len(), buffer.capacity()), (0, room));
    }
    assert_all_home(&pool);
}

#[test]
fn buffers_without_memory_split_into_such() {
    let pool = fresh_pool();
    for (mut buffer, is_global) in [(Buffer::new(), true), (pool.buffer(), false)] {
        for part in [buffer.split_to(0), buffer.split_off(0), buffer.split()] {
            assert_eq!((part.len(), part.capacity()), (0, 0));
        }
        assert!(catch_unwind(AssertUnwindSafe(|| buffer.split_to(1))).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| buffer.split_off(1))).is_err());
        let part = buffer.split();
        assert!(buffer.try_unsplit(part).is_ok());
        buffer.extend_from_slice(b"grows where it was made");
        assert_eq!(pool.usage().in_use == 0, is_global);
    }
    assert_all_home(&pool);
}

/// `parts` of a memory in their order, each with the bytes it should hold, are joined in an order
/// by lot.
fn join_all(mut parts: Vec<Buffer>, rng: &mut Rng) -> Buffer {
    while parts.len() > 1 {
        let at = rng.below(parts.len() - 1);
        let back = parts.remove(at + 1);
        let front = &mut parts[at];
        let len = front.len() + back.len();
        assert!(front.try_unsplit(back).is_ok());
        assert_eq!(front.len(), len);
    }
    parts.swap_remove(0)
}

#[test]
fn parts_of_parts_down_to_bytes_and_back_in_any_order() {
    for len in [16, 100, SLAB - 7, 3 * SLAB] {
        let pool = fresh_pool();
        for seed in 0..20 {
            let mut rng = Rng::new(seed);
            let whole = stamped(&pool, len);
            let (start, capacity) = (address(&whole), whole.capacity());
            let mut parts = vec![whole];
            for _ in 0..60 {
                let place = rng.below(parts.len());
                let at = rng.below(parts[place].len() + 1);
                if rng.below(2) == 0 {
                    let back = parts[place].split_off(at);
                    parts.insert(place + 1, back);
                } else {
                    let front = parts[place].split_to(at);
                    parts.insert(place, front);
                }
            }
            let mut next = start;
            for part in &parts {
                assert_eq!(address(part), next);
                next += part.len();
            }
            assert_apart(parts.iter().filter(|part| part.capacity() > 0));
            let whole = join_all(parts, &mut rng);
            assert!(whole.len() == len && holds_stamp(&whole, len as u64));
            assert_eq!((address(&whole), whole.capacity()), (start, capacity));
        }
        assert_all_home(&pool);
    }
}

#[test]
fn three_parts_join_in_every_order_and_not_across_a_gap() {
    let pool = fresh_pool();
    let thirds = || {
        let mut c = stamped(&pool, 300);
        let a = c.split_to(100);
        let b = c.split_to(100);
        (a, b, c)
    };
    {
        let (mut a, mut b, c) = thirds();
        assert!(b.try_unsplit(c).is_ok() && a.try_unsplit(b).is_ok());
        assert!(holds_stamp(&a, 300) && a.len() == 300);
    }
    {
        let (mut a, b, c) = thirds();
        assert!(a.try_unsplit(b).is_ok() && a.try_unsplit(c).is_ok());
        assert!(holds_stamp(&a, 300) && a.len() == 300);
    }
    let (mut a, mut b, mut c) = thirds();
    c = a.try_unsplit(c).expect_err("b is between them");
    b = c.try_unsplit(b).expect_err("the other way round");
    a = b.try_unsplit(a).expect_err("the other way round");
    let mut foreign = pool.copy_from_slice(b"of another memory");
    a = foreign.try_unsplit(a).expect_err("two memories");
    // A shorter front leaves a gap.
    a.truncate(99);
    b = a.try_unsplit(b).expect_err("a byte is missing");
    b.unsplit(c);
    a.unsplit(b);
    assert_eq!(a.len(), 299);
    drop((a, foreign));
    assert_all_home(&pool);
}

#[test]
fn many_parts_of_one_memory_are_counted() {
    let pool = fresh_pool();
    let mut rest = pool.alloc_unsafe(64 * KIB);
    let mut parts: Vec<_> = (0..1000).map(|_| rest.split_to(64)).collect();
    // Parts of heads, and of the tail.
    let heads: Vec<_> = parts.iter_mut().map(|part| part.split_off(32)).collect();
    drop(rest);
    drop(parts);
    assert_eq!(pool.usage().large_live, 64 * KIB as u64);
    drop(heads);
    assert_all_home(&pool);
}

#[test]
fn a_mark_is_left_with_the_last_part() {
    for len in [2 * SLAB, 4000] {
        let pool = Pool::builder().high_water_mark(len).build().unwrap();
        let mut front = pool.alloc(len);
        let back = front.split_off(len / 2);
        drop(front);
        assert!(pool.is_over_high_water());
        drop(back);
        assert!(!pool.is_over_high_water());
    }
}

/// The room of a part that has memory of its own is counted like that of `with_capacity`: writes
/// within the capacity do not count.
#[test]
fn room_that_is_split_off_is_counted() {
    for wipes in [false, true] {
        let builder = Pool::builder().zero_on_free(wipes).high_water_mark(3 * MIB);
        let pool = builder.build().unwrap();
        let mut front = pool.with_capacity(2 * MIB);
        front.extend_from_slice(b"front");
        let mut back = front.split_off(4 * KIB);
        assert_eq!(back.capacity(), 2 * MIB - 4 * KIB);
        let room = back.capacity() as u64;
        assert_eq!(pool.usage().large_live, 2 * MIB as u64 + room);
        assert!(pool.is_over_high_water());
        drop(front);
        back.spare_capacity_mut().fill(b'b');
        back.set_len(back.capacity());
        assert_eq!(pool.usage().large_live, room);
        drop(back);
        assert_all_home(&pool);
    }
}
