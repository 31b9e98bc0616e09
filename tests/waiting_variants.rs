//! The futures that copy or grow once there is memory.

mod common;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use common::waker::{Count, poll};
use common::{KIB, MIB, SLAB, assert_all_home, holds_stamp, is_all, stamp};
use slabuf::{AllocError, Buffer, Pool};

fn pool(limit: usize) -> Pool {
    Pool::builder().limit(limit).build().unwrap()
}

fn is_limit<T>(polled: Poll<Result<T, AllocError>>) -> bool {
    matches!(polled, Poll::Ready(Err(AllocError::LimitExceeded { .. })))
}

/// Polls until it waits. An attempt that fails may release caches, and that wakes the waiter once
/// more; after that there is nothing to release.
#[track_caller]
fn assert_waits<F: Future>(mut future: Pin<&mut F>, count: &Arc<Count>) {
    for _ in 0..3 {
        let before = count.get();
        assert!(poll(future.as_mut(), count).is_pending());
        if count.get() == before {
            return;
        }
    }
    panic!("it wakes itself again and again");
}

/// Where there is room they are ready at their first poll.
#[test]
fn ready_at_once_where_there_is_room() {
    let pool = pool(8 * MIB);
    let count = Arc::default();
    for len in [0, 1, 100, SLAB, SLAB + 1, MIB] {
        let Poll::Ready(Ok(empty)) = poll(pin!(pool.with_capacity_async(len)), &count) else {
            panic!("{len}")
        };
        assert!(empty.is_empty() && empty.capacity() >= len && pool.owns(&empty));
        let mut bytes = vec![0; len];
        stamp(&mut bytes, 3);
        let Poll::Ready(Ok(mut copy)) = poll(pin!(pool.copy_from_slice_async(&bytes)), &count)
        else {
            panic!("{len}")
        };
        assert!(copy == bytes && pool.owns(&copy));
        for additional in [0, 1, 20_000, MIB] {
            let grown = poll(pin!(copy.reserve_async(additional)), &count);
            assert_eq!(grown, Poll::Ready(Ok(())));
            assert!(copy.capacity() >= len + additional && copy == bytes && pool.owns(&copy));
        }
    }
    assert_eq!(count.get(), 0);
    assert_all_home(&pool);
}

/// In a full pool they wait, are woken by the memory that comes back, and have it then.
#[test]
fn woken_when_there_is_room() {
    let pool = pool(MIB);
    for len in [200_000, 700_000] {
        let (bytes, count) = (vec![5; len], Arc::<Count>::default());
        let mut growing = pool.alloc_filled(100, [9]);
        let held = pool.alloc(800_000);

        let mut first = Box::pin(pool.with_capacity_async(len));
        assert_waits(first.as_mut(), &count);
        drop(held);
        assert_eq!(count.get(), 1);
        let Poll::Ready(Ok(held)) = poll(first.as_mut(), &count) else {
            panic!("{len}")
        };
        let held = [held, pool.alloc(800_000 - len.max(100_000))];

        let mut second = Box::pin(pool.copy_from_slice_async(&bytes));
        assert_waits(second.as_mut(), &count);
        drop(held);
        let Poll::Ready(Ok(copy)) = poll(second.as_mut(), &count) else {
            panic!("{len}")
        };
        assert!(is_all(&copy, 5) && copy.len() == len);
        let held = [copy, pool.alloc(800_000 - len.max(100_000))];

        {
            let mut third = pin!(growing.reserve_async(len));
            assert_waits(third.as_mut(), &count);
            let before = count.get();
            drop(held);
            assert!(count.get() > before);
            assert_eq!(poll(third.as_mut(), &count), Poll::Ready(Ok(())));
        }
        assert!(is_all(&growing, 9) && growing.len() == 100 && growing.capacity() >= 100 + len);
    }
    assert_all_home(&pool);
}

/// All kinds wait in one queue, first in, first out, and a dropped future gives its place up.
#[test]
fn one_queue_for_all_kinds() {
    let pool = pool(MIB);
    let counts: [Arc<Count>; 4] = Default::default();
    let bytes = vec![1; 600_000];
    let mut growing = pool.alloc(10);
    let held = pool.alloc(800_000);
    let mut alloc = Box::pin(pool.alloc_async(600_000));
    assert_waits(alloc.as_mut(), &counts[0]);
    let mut given_up = Box::pin(pool.with_capacity_async(600_000));
    assert_waits(given_up.as_mut(), &counts[1]);
    let mut reserve = Box::pin(growing.reserve_async(600_000));
    assert_waits(reserve.as_mut(), &counts[2]);
    let mut copy = Box::pin(pool.copy_from_slice_async(&bytes));
    assert_waits(copy.as_mut(), &counts[3]);
    drop(held);
    assert_eq!(counts.each_ref().map(|count| count.get()), [1, 0, 0, 0]);
    // Those behind have no turn yet, although there is room.
    assert_waits(copy.as_mut(), &counts[3]);
    assert_waits(reserve.as_mut(), &counts[2]);
    let Poll::Ready(Ok(buffer)) = poll(alloc.as_mut(), &counts[0]) else {
        panic!("the first in the queue")
    };
    drop(given_up);
    drop(buffer);
    assert_eq!(counts[2].get(), 1);
    assert_eq!(poll(reserve.as_mut(), &counts[2]), Poll::Ready(Ok(())));
    drop(reserve);
    assert_waits(copy.as_mut(), &counts[3]);
    let before = counts[3].get();
    drop(growing);
    assert!(counts[3].get() > before);
    assert!(poll(copy.as_mut(), &counts[3]).is_ready());
}

/// A reservation that is given up leaves the buffer as it was, and wakes the next waiter.
#[test]
fn a_dropped_reservation_changes_nothing() {
    let pool = pool(MIB);
    let (first, second) = (Arc::<Count>::default(), Arc::<Count>::default());
    let mut growing = pool.alloc_filled(5000, [9]);
    let capacity = growing.capacity();
    let held = pool.alloc(800_000);
    let mut alloc = {
        let mut reserve = Box::pin(growing.reserve_async(600_000));
        assert_waits(reserve.as_mut(), &first);
        let mut alloc = Box::pin(pool.alloc_async(600_000));
        assert_waits(alloc.as_mut(), &second);
        drop(held);
        assert_eq!((first.get(), second.get()), (1, 0));
        drop(reserve);
        assert_eq!(second.get(), 1);
        alloc
    };
    assert!(poll(alloc.as_mut(), &second).is_ready());
    assert!(is_all(&growing, 9) && growing.capacity() == capacity);
}

/// What waiting cannot help with fails at once: more than the limit, an impossible length, and a
/// buffer that would wait for its own memory.
#[test]
fn fails_at_once_where_waiting_is_no_use() {
    let pool = pool(MIB);
    let count = Arc::default();
    let mut bytes = vec![0; MIB + 1];
    stamp(&mut bytes, 8);
    assert!(is_limit(poll(
        pin!(pool.with_capacity_async(MIB + 1)),
        &count
    )));
    assert!(is_limit(poll(
        pin!(pool.copy_from_slice_async(&bytes)),
        &count
    )));
    for len in [0, 100, SLAB, 100_000] {
        let mut buffer = pool.copy_from_slice(&bytes[..len]);
        assert!(is_limit(poll(pin!(buffer.reserve_async(MIB)), &count)));
        let polled = poll(pin!(buffer.reserve_async(usize::MAX)), &count);
        let too_large = matches!(polled, Poll::Ready(Err(AllocError::TooLarge { .. })));
        assert!(too_large && holds_stamp(&buffer, 8) && buffer.len() == len);
    }
    // Slots stay mapped while their contents move.
    let mut slot = pool.alloc(100);
    assert!(is_limit(poll(
        pin!(slot.reserve_async(MIB - 4 * KIB)),
        &count
    )));
    // With guard pages, mappings move too.
    let guarded = Pool::builder().limit(MIB).guard_pages(true).build();
    let mut mapping = guarded.unwrap().alloc(500_000);
    assert!(is_limit(poll(pin!(mapping.reserve_async(300_000)), &count)));
    // So do parts.
    let mut head = pool.alloc(500_000);
    let tail = head.split_off(250_000);
    assert!(is_limit(poll(pin!(head.reserve_async(800_000)), &count)));
    drop(tail);
    assert_eq!(count.get(), 0);
}

/// A mapping that grows in place needs no more than its new length.
#[test]
fn a_mapping_may_grow_up_to_the_limit() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let pool = pool(MIB);
    let count = Arc::default();
    let mut mapping = pool.alloc(600_000);
    let reserved = poll(pin!(mapping.reserve_async(MIB - 600_000)), &count);
    assert_eq!(reserved, Poll::Ready(Ok(())));
    assert_eq!(pool.usage().external, MIB as u64);
}

/// Futures that are never polled leave no trace, and one polled after its end panics or is ready,
/// but waits for nothing.
#[test]
fn never_polled_or_polled_too_often() {
    let pool = pool(MIB);
    let count = Arc::default();
    let mut buffer = pool.alloc(10);
    drop(buffer.reserve_async(1000));
    drop(pool.with_capacity_async(1000));
    drop(pool.copy_from_slice_async(&[1; 1000]));
    assert_eq!(buffer, [0; 10]);
    let mut reserve = pin!(buffer.reserve_async(1000));
    for _ in 0..3 {
        let polled = catch_unwind(AssertUnwindSafe(|| poll(reserve.as_mut(), &count)));
        assert_eq!(polled.unwrap(), Poll::Ready(Ok(())));
    }
}

/// They can be sent to another thread, as tasks are.
#[test]
fn futures_are_send() {
    fn sends<T: Send>(_: T) {}
    let pool = pool(MIB);
    let mut buffer = pool.alloc(1);
    sends(pool.with_capacity_async(1));
    sends(pool.copy_from_slice_async(b"a"));
    sends(Buffer::reserve_async(&mut buffer, 1));
}
