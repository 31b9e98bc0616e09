//! Waiting for memory and for a pool to drain.

use bytes::Bytes;
use slabuf::{AllocError, Buffer, ConfigError, Pool};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;
/// Longer than any machine takes for what is waited for here.
const LONG: Duration = Duration::from_secs(60);

fn pool(limit: usize) -> Pool {
    Pool::builder().limit(limit).build().unwrap()
}

/// Buffers of `len` bytes until the pool has no more.
fn fill(pool: &Pool, len: usize) -> Vec<Buffer> {
    std::iter::from_fn(|| pool.try_alloc_unsafe(len).ok()).collect()
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Count {
    fn get(&self) -> usize {
        self.0.load(SeqCst)
    }
}

fn poll<F: Future>(future: Pin<&mut F>, count: &Arc<Count>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(count.clone())))
}

#[test]
fn times_out_with_the_figures() {
    let pool = pool(MIB);
    let held = fill(&pool, 64 << 10);
    let before = pool.usage();
    let timeout = Duration::from_millis(20);
    for len in [1 << 16, 700_000] {
        let start = Instant::now();
        let error = pool.alloc_timeout(len, timeout).unwrap_err();
        let AllocError::TimedOut {
            requested,
            limit,
            waited,
        } = error
        else {
            panic!("{error}")
        };
        assert_eq!((requested, limit), (len, MIB));
        assert!(timeout <= waited && waited <= start.elapsed());
        assert!(error.to_string().contains(&len.to_string()));
    }
    assert_eq!(pool.usage().in_use, before.in_use);
    drop(held);
    assert_eq!(
        pool.alloc_timeout(700_000, Duration::ZERO).unwrap().len(),
        700_000
    );
}

#[test]
fn fails_at_once_where_waiting_is_no_use() {
    let pool = pool(MIB);
    let error = pool.alloc_timeout(MIB + 1, Duration::MAX).unwrap_err();
    assert_eq!(
        error,
        AllocError::LimitExceeded {
            requested: MIB + 1,
            limit: MIB
        }
    );
    let error = pool
        .alloc_unsafe_timeout(usize::MAX, Duration::MAX)
        .unwrap_err();
    assert!(matches!(error, AllocError::TooLarge { .. }));
    let count = Arc::default();
    let ready = poll(pin!(pool.alloc_async(2 * MIB)), &count);
    assert!(matches!(
        ready,
        Poll::Ready(Err(AllocError::LimitExceeded { .. }))
    ));
    // Without a limit there is nothing to wait for.
    let unlimited = Pool::builder().build().unwrap();
    assert_eq!(
        unlimited.alloc_timeout(8 * MIB, Duration::ZERO).unwrap(),
        vec![0; 8 * MIB]
    );
}

#[test]
fn zeroed_or_stale() {
    let pool = Pool::builder().limit(MIB).build().unwrap();
    for len in [100, 100_000] {
        drop(pool.alloc_filled(len, [7]));
        assert_eq!(pool.alloc_timeout(len, LONG).unwrap(), vec![0; len]);
        drop(pool.alloc_filled(len, [7]));
        assert_eq!(pool.alloc_unsafe_timeout(len, LONG).unwrap(), vec![7; len]);
    }
}

/// What `free` frees, while this thread waits for `len` bytes, wakes it.
fn woken_by<T: Send>(limit: usize, len: usize, make: fn(&Pool) -> Vec<T>, free: fn(&mut Vec<T>)) {
    let pool = pool(limit);
    let mut held = make(&pool);
    assert!(pool.try_alloc(len).is_err());
    let (started, starts) = mpsc::channel();
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            started.send(()).unwrap();
            pool.alloc_timeout(len, LONG).map(|buffer| buffer.len())
        });
        starts.recv().unwrap();
        // Often the other one waits by now; if not, the model checker has seen that order.
        thread::sleep(Duration::from_millis(20));
        free(&mut held);
        assert_eq!(waits.join().unwrap(), Ok(len));
    });
}

#[test]
fn woken_by_a_slot_of_the_class() {
    woken_by(MIB, 8000, |pool| fill(pool, 8000), |held| drop(held.pop()));
}

#[test]
fn woken_by_a_large_buffer() {
    woken_by(
        MIB,
        100_000,
        |pool| fill(pool, 100_000),
        |held| drop(held.pop()),
    );
}

#[test]
fn woken_by_slabs_of_another_class() {
    woken_by(MIB, 8000, |pool| fill(pool, 100), |held| held.clear());
}

#[test]
fn a_large_one_woken_by_slots() {
    woken_by(MIB, 900_000, |pool| fill(pool, 100), |held| held.clear());
}

#[test]
fn a_slot_woken_by_a_large_one() {
    woken_by(
        MIB,
        100,
        |pool| {
            let mut all = fill(pool, 600_000);
            all.extend(fill(pool, 4096));
            all.extend(fill(pool, 100));
            all
        },
        |held| drop(held.swap_remove(0)),
    );
}

#[test]
fn woken_by_bytes() {
    fn frozen(pool: &Pool) -> Vec<Bytes> {
        let all = fill(pool, 100_000).into_iter();
        all.map(|buffer| buffer.freeze().slice(5..10)).collect()
    }
    woken_by(MIB, 100_000, frozen, |held| drop(held.pop()));
}

#[test]
fn what_an_idle_thread_has_dropped_is_there_for_others() {
    // The thread drops everything while nobody waits, so it goes into its magazines, and then does nothing.
    let pool = pool(MIB);
    let (dropped, go_on) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            drop(fill(&pool, 1000));
            dropped.wait();
            go_on.wait();
        });
        dropped.wait();
        let large = pool.alloc_timeout(MIB, Duration::ZERO).unwrap();
        drop(large);
        assert!(fill(&pool, 8000).len() > 100);
        assert!(pool.trim() > 0);
        assert_eq!(pool.usage().external, 0);
        go_on.wait();
    });
}

#[test]
fn first_come_first_served() {
    let pool = pool(MIB);
    let large = pool.alloc(900_000);
    let counts = [(); 3].map(|()| Arc::<Count>::default());
    // The first wants much, those behind it little, and there is room for them all the time.
    let mut first = pin!(pool.alloc_async(800_000));
    let mut second = pin!(pool.alloc_async(100));
    let mut third = pin!(pool.alloc_unsafe_async(100));
    assert!(poll(first.as_mut(), &counts[0]).is_pending());
    assert!(poll(second.as_mut(), &counts[1]).is_pending());
    assert!(poll(third.as_mut(), &counts[2]).is_pending());
    let error = pool
        .alloc_timeout(100, Duration::from_millis(5))
        .unwrap_err();
    assert!(matches!(error, AllocError::TimedOut { .. }), "overtook");
    // Who does not wait may take what is free.
    drop(pool.try_alloc(100).unwrap());

    drop(large);
    assert!(counts[0].get() >= 1);
    assert_eq!((counts[1].get(), counts[2].get()), (0, 0));
    assert!(poll(second.as_mut(), &counts[1]).is_pending(), "overtook");
    let Poll::Ready(Ok(buffer)) = poll(first.as_mut(), &counts[0]) else {
        panic!("there is room")
    };
    assert_eq!((buffer.len(), counts[1].get()), (800_000, 1));
    assert!(poll(second.as_mut(), &counts[1]).is_ready());
    assert_eq!(counts[2].get(), 1);
    assert!(poll(third.as_mut(), &counts[2]).is_ready());
}

#[test]
fn a_cancelled_wait_leaves_no_trace() {
    let pool = pool(MIB);
    let held = pool.alloc(900_000);
    let counts = [(); 2].map(|()| Arc::<Count>::default());
    let mut behind = pin!(pool.alloc_async(100_000));
    {
        let mut first = pin!(pool.alloc_async(800_000));
        assert!(poll(first.as_mut(), &counts[0]).is_pending());
        assert!(poll(behind.as_mut(), &counts[1]).is_pending());
        assert_eq!(counts[1].get(), 0);
    }
    // The first place was given up: the one behind it is told, and there is room for it.
    assert_eq!(counts[1].get(), 1);
    assert!(poll(behind.as_mut(), &counts[1]).is_ready());
    drop(held);
    assert_eq!(pool.usage().in_use, 0);
    let never_polled = pool.alloc_async(MIB);
    drop(never_polled);
    assert_eq!(pool.alloc_timeout(MIB, Duration::ZERO).unwrap().len(), MIB);
}

#[test]
fn a_future_keeps_its_pool_and_moves_between_threads() {
    let held = {
        let pool = pool(MIB);
        let held = pool.alloc(900_000);
        let count = Arc::<Count>::default();
        let mut future = Box::pin(pool.alloc_async(900_000));
        assert!(poll(future.as_mut(), &count).is_pending());
        drop(pool);
        thread::spawn(move || {
            drop(held);
            assert_eq!(count.get(), 1);
            let Poll::Ready(Ok(buffer)) = poll(future.as_mut(), &count) else {
                panic!("there is room")
            };
            buffer
        })
        .join()
        .unwrap()
    };
    assert_eq!(held.len(), 900_000);
}

#[test]
fn many_threads_share_little() {
    let pool = pool(256 << 10);
    let (threads, rounds) = (8, 300);
    thread::scope(|scope| {
        for id in 0..threads {
            let pool = &pool;
            scope.spawn(move || {
                for round in 0..rounds {
                    let len = [100, 1400, 8000, 30_000, 100_000, 200_000][(id + round) % 6];
                    let mut buffer = pool.alloc_unsafe_timeout(len, LONG).unwrap();
                    buffer.fill(id as u8);
                    thread::yield_now();
                    assert!(buffer.iter().all(|byte| *byte == id as u8));
                    assert!(pool.usage().external <= 256 << 10);
                }
            });
        }
    });
    assert_eq!(pool.usage().in_use, 0);
    pool.trim();
    assert_eq!(pool.usage().external, 0);
}

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
        // Still allowed above the mark, and over until the low mark is reached.
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
fn drained_fires_once_for_all_who_wait() {
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
    // Filled again, but it has been drained since they came.
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
        assert_eq!(error, ConfigError::HighWaterMark { given, limit: MIB });
        assert!(error.to_string().contains(&given.to_string()));
    }
    for (high, low) in [(Some(10), 10), (Some(10), 11), (None, 10)] {
        let error = build(high, Some(low)).unwrap_err();
        let expected = ConfigError::LowWaterMark {
            given: low,
            high_water_mark: high,
        };
        assert_eq!(error, expected);
        assert!(error.to_string().contains(&low.to_string()));
    }
    for (high, low) in [(1, None), (1, Some(0)), (MIB, Some(MIB - 1))] {
        assert_eq!(build(Some(high), low), Ok(()));
    }
}

/// Growing makes room for more than was asked for, which is not live.
#[test]
fn the_room_behind_a_grown_buffer_does_not_count_for_the_mark() {
    for len in [8192, 10_000, 100_000] {
        let builder = Pool::builder().high_water_mark(5 * len / 2);
        // With guard pages large buffers grow by a copy, beside which the old one is live for a moment.
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
