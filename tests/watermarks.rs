//! High-water and low-water marks.

mod common;

use common::waker::{Count, poll};
use common::{LONG, MIB};
use slabuf::{Buffer, ConfigError, Pool};
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

fn marked(high: usize, low: usize) -> Pool {
    Pool::builder()
        .high_water_mark(high)
        .low_water_mark(low)
        .build()
        .unwrap()
}

#[test]
fn exactly_the_mark_is_over() {
    for len in [1024, 16 << 10] {
        let pool = marked(4 * len, len);
        let mut held: Vec<_> = (0..3).map(|_| pool.alloc(len)).collect();
        assert!(!pool.is_over_high_water());
        held.push(pool.alloc(len));
        assert!(pool.is_over_high_water());
        // Allocation above the mark is allowed; "over" lasts until the low mark is reached.
        held.push(pool.alloc(len));
        while held.len() > 2 {
            held.pop();
            assert!(pool.is_over_high_water());
        }
        held.pop();
        assert!(!pool.is_over_high_water());
        held.push(pool.alloc(len));
        assert!(!pool.is_over_high_water(), "the high mark again");
    }
}

#[test]
fn every_way_a_buffer_changes_counts() {
    let pool = marked(100_000, 0);
    let mut buffer = pool.alloc(50_000);
    buffer.try_resize(100_000, 0).unwrap();
    assert!(pool.is_over_high_water());
    buffer.truncate(10);
    assert!(pool.is_over_high_water(), "its memory is still its own");
    let bytes = buffer.freeze();
    let slice = bytes.slice(..4);
    drop(bytes);
    assert!(pool.is_over_high_water());
    thread::spawn(move || drop(slice)).join().unwrap();
    assert!(!pool.is_over_high_water());

    let small: Vec<_> = (0..10).map(|_| pool.alloc(8192)).collect();
    assert!(!pool.is_over_high_water());
    let slow = pool.alloc_unsafe_slow(20_000);
    assert!(pool.is_over_high_water());
    drop((small, slow));
    assert!(!pool.is_over_high_water());
    let parts = pool.alloc(99_999).into_raw_parts();
    let one = pool.alloc(1);
    assert!(pool.is_over_high_water());
    // SAFETY: the parts of a buffer, once.
    drop(unsafe { Buffer::from_raw_parts(parts.0, parts.1, parts.2) });
    drop(one);
    assert!(!pool.is_over_high_water());
}

#[test]
fn drained_fires_once_for_all_waiters() {
    let pool = marked(100_000, 0);
    let count = Arc::<Count>::default();
    assert!(poll(pin!(pool.drained()), &count).is_ready(), "not over");
    assert!(pool.wait_drained(Duration::ZERO));

    let held = pool.alloc(100_000);
    assert!(!pool.wait_drained(Duration::from_millis(1)));
    let mut one = pin!(pool.drained());
    let mut unpolled = pin!(pool.drained());
    let mut cancelled = Box::pin(pool.drained());
    assert!(poll(one.as_mut(), &count).is_pending());
    assert!(poll(one.as_mut(), &count).is_pending());
    assert!(poll(cancelled.as_mut(), &count).is_pending());
    drop(cancelled);
    thread::scope(|scope| {
        let waits = scope.spawn(|| pool.wait_drained(LONG));
        thread::sleep(Duration::from_millis(10));
        drop(held);
        assert!(waits.join().unwrap());
    });
    assert_eq!(count.get(), 1);
    // Filled again, but the pool was drained after they began to wait.
    let _again = pool.alloc(100_000);
    assert!(poll(one.as_mut(), &count).is_ready());
    assert!(poll(unpolled.as_mut(), &count).is_ready());
    assert!(poll(pin!(pool.drained()), &count).is_pending());
}

#[test]
fn marks_have_bounds() {
    let build = |high: Option<usize>, low: Option<usize>| {
        let mut builder = Pool::builder().limit(MIB);
        if let Some(high) = high {
            builder = builder.high_water_mark(high);
        }
        if let Some(low) = low {
            builder = builder.low_water_mark(low);
        }
        builder.build().map(drop)
    };
    for given in [0, MIB + 1, usize::MAX] {
        let error = build(Some(given), None).unwrap_err();
        let ConfigError::HighWaterMark {
            given: named,
            limit,
            ..
        } = error
        else {
            panic!("{error}")
        };
        assert_eq!((named, limit), (given, Some(MIB)));
        assert!(error.to_string().contains(&given.to_string()));
    }
    for (high, low) in [(Some(10), 10), (Some(10), 11), (None, 10)] {
        let error = build(high, Some(low)).unwrap_err();
        let ConfigError::LowWaterMark {
            given,
            high_water_mark,
            ..
        } = error
        else {
            panic!("{error}")
        };
        assert_eq!((given, high_water_mark), (low, high));
        assert!(error.to_string().contains(&low.to_string()));
    }
    for (high, low) in [(1, None), (1, Some(0)), (MIB, Some(MIB - 1))] {
        assert_eq!(build(Some(high), low), Ok(()));
    }
}

/// Growing reserves more than was requested; the surplus does not count as live.
#[test]
fn the_room_behind_a_grown_buffer_does_not_count_for_the_mark() {
    for len in [8192, 10_000, 100_000] {
        let builder = Pool::builder().high_water_mark(5 * len / 2);
        // With guard pages large buffers grow by a copy; for a moment both are live.
        let pool = builder.low_water_mark(0).guard_pages(true).build().unwrap();
        let mut buffer = pool.alloc(len);
        buffer.reserve(buffer.capacity() - buffer.len() + 1);
        let usage = pool.usage();
        assert!(
            buffer.capacity() >= 2 * len && usage.in_use < 2 * len as u64,
            "{usage:?}"
        );
        assert!(!pool.is_over_high_water(), "{len}: {usage:?}");
    }
}
