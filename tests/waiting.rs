//! Waiting for memory.

mod common;

use bytes::Bytes;
use common::waker::{Count, poll};
use common::{LONG, MIB};
use slabuf::{AllocError, Buffer, Pool};
use std::pin::pin;
use std::sync::{Arc, Barrier, mpsc};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

fn pool(limit: usize) -> Pool {
    Pool::builder().limit(limit).build().unwrap()
}

/// Allocates buffers of `len` bytes until the pool refuses.
fn fill(pool: &Pool, len: usize) -> Vec<Buffer> {
    std::iter::from_fn(|| pool.try_alloc_unsafe(len).ok()).collect()
}

#[test]
fn times_out_with_the_counters() {
    let pool = pool(MIB);
    let held = fill(&pool, 64 << 10);
    let before = pool.usage();
    let timeout = Duration::from_millis(20);
    for len in [1 << 16, 700_000] {
        let start = Instant::now();
        let error = pool.alloc_timeout(len, timeout).unwrap_err();
        let AllocError::TimedOut {
            requested,
            rounded,
            in_use,
            mapped,
            limit,
            waited,
            ..
        } = error
        else {
            panic!("{error}")
        };
        assert_eq!((requested, limit), (len, Some(MIB)));
        assert!(rounded >= len && rounded < len + 16 * 1024);
        assert_eq!(in_use as u64, before.in_use);
        assert!((in_use..=MIB).contains(&mapped));
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
    let AllocError::LimitExceeded {
        requested, limit, ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!((requested, limit), (MIB + 1, Some(MIB)));
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

/// Memory that `free` releases wakes this thread, which waits for `len` bytes.
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
        // The other thread often waits by now. The models cover the other order.
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
    // The thread frees everything while there is no waiter, so the slots go into its magazines;
    // then it is idle.
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
    // The first waiter requests much, those behind it little, for which there is room all the time.
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
    // Requests that do not wait may use free memory.
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
    // The first waiter left the queue: the next one is woken, and there is room for it.
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
