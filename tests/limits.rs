//! Pools at their limit, and lengths that no system can provide.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::child::isolated;
use common::constructors::CONSTRUCTORS;
use common::{KIB, MIB, SLAB, assert_all_home, fresh_pool, holds_stamp, is_zero, stamp};
use slabuf::{AllocError, Buffer, Pool};

const LIMIT: usize = 8 * MIB;

/// Lengths that every system refuses.
const IMPOSSIBLE: [usize; 4] = [1 << 47, 1 << 60, isize::MAX as usize, usize::MAX];

fn limited() -> Pool {
    Pool::builder()
        .limit(LIMIT)
        .build()
        .expect("8 MiB are enough for a pool")
}

/// Allocates buffers of `n` bytes until the limit refuses one. Asserts the error.
fn take_all(pool: &Pool, n: usize) -> Vec<Buffer> {
    let mut live = Vec::new();
    loop {
        match pool.try_alloc(n) {
            Ok(buffer) => live.push(buffer),
            Err(error) => {
                let AllocError::LimitExceeded {
                    requested, limit, ..
                } = error
                else {
                    panic!("{error}")
                };
                assert_eq!((requested, limit), (n, Some(LIMIT)));
                return live;
            }
        }
        assert!(pool.usage().external <= LIMIT as u64, "{:?}", pool.usage());
    }
}

/// Returns the message of a panic.
fn panic_message<T>(call: impl FnOnce() -> T) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(call)) else {
        panic!("the call did not panic");
    };
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => payload.downcast::<&str>().expect("a message").to_string(),
    }
}

/// A limit of 8 MiB allows seven or eight buffers of 1 MiB; then the error names request and limit.
#[test]
fn a_limit_holds_for_large_buffers() {
    let pool = limited();
    for _ in 0..3 {
        let mut live = take_all(&pool, MIB);
        assert!((7..=8).contains(&live.len()), "{} buffers", live.len());
        let error = pool.try_alloc(MIB).expect_err("still full").to_string();
        assert!(
            error.contains("1048576") && error.contains("8388608"),
            "{error}"
        );
        live.pop();
        live.push(pool.try_alloc(MIB).expect("one was dropped"));
        assert!(pool.try_alloc(MIB).is_err());
    }
    assert_all_home(&pool);
}

/// A limit of 8 MiB allows at least 6,000 buffers of 1,000 bytes.
#[test]
fn a_limit_holds_for_small_buffers() {
    let pool = limited();
    for _ in 0..3 {
        let mut live = take_all(&pool, 1000);
        assert!(
            (6000..=8388).contains(&live.len()),
            "{} buffers",
            live.len()
        );
        live.pop();
        live.push(pool.try_alloc(1000).expect("one was dropped"));
    }
    assert_all_home(&pool);
}

/// Memory of small buffers can be reused for a large one, and vice versa: the caches release it.
#[test]
fn memory_moves_between_small_and_large() {
    let pool = limited();
    for n in [16, 1000, 4000, SLAB, SLAB + 1, 100 * KIB] {
        drop(take_all(&pool, n));
        let piece = pool.try_alloc(7 * MIB).expect("all of it was dropped");
        assert!(is_zero(&piece), "after buffers of {n}");
        assert!(pool.usage().external <= LIMIT as u64);
    }
    drop(take_all(&pool, MIB));
    assert!(take_all(&pool, 1000).len() >= 6000);
    assert_all_home(&pool);
}

/// At the limit, a request gets the memory of buffers that other threads freed.
#[test]
fn memory_that_other_threads_freed_is_available() {
    let pool = limited();
    for n in [1000, MIB] {
        let live = take_all(&pool, n);
        std::thread::spawn(move || drop(live))
            .join()
            .expect("dropped");
        let piece = pool.try_alloc(7 * MIB).expect("all of it was dropped");
        drop(piece);
    }
    assert_all_home(&pool);
}

/// Memory that an idle live thread freed is available: for each free there can be one allocation.
#[test]
fn memory_that_an_idle_thread_freed_is_available() {
    let pool = limited();
    let mut live = take_all(&pool, MIB);
    let (to_idle, from_main) = std::sync::mpsc::channel::<Buffer>();
    let (to_main, from_idle) = std::sync::mpsc::channel();
    let idle = std::thread::spawn(move || {
        for buffer in from_main {
            drop(buffer);
            to_main.send(()).expect("the main thread waits");
        }
    });
    for _ in 0..live.len() {
        to_idle
            .send(live.remove(0))
            .expect("the idle thread listens");
        from_idle.recv().expect("dropped");
        live.push(pool.try_alloc(MIB).expect("one was dropped"));
    }
    drop(to_idle);
    idle.join().expect("no panic");
}

/// Every constructor, plain and `try_`, refuses more than the limit, and leaks nothing.
#[test]
fn every_constructor_keeps_to_the_limit() {
    let pool = limited();
    for constructor in CONSTRUCTORS {
        for n in [LIMIT + 1, 2 * LIMIT] {
            let error = (constructor.try_on_pool)(&pool, n).expect_err("more than the limit");
            assert!(
                matches!(error, AllocError::LimitExceeded { requested, limit: Some(LIMIT), .. } if requested == n),
                "{}({n}): {error:?}",
                constructor.name
            );
            let message = panic_message(|| (constructor.on_pool)(&pool, n));
            assert!(message.contains(&error.to_string()), "{message}");
        }
        let full = take_all(&pool, MIB);
        assert!(
            (constructor.try_on_pool)(&pool, MIB).is_err(),
            "{}",
            constructor.name
        );
        drop(full);
        constructor.check(&(constructor.on_pool)(&pool, 10), 10);
        assert_all_home(&pool);
    }
}

/// At the limit small requests fail too, with every constructor, and succeed after one free.
#[test]
fn every_constructor_keeps_to_the_limit_for_small_buffers() {
    for constructor in CONSTRUCTORS {
        let pool = limited();
        let mut live: Vec<Buffer> = Vec::new();
        while let Ok(buffer) = (constructor.try_on_pool)(&pool, 4000) {
            live.push(buffer);
            assert!(live.len() <= LIMIT / 4000, "{}", constructor.name);
        }
        assert!(live.len() >= 1000, "{} of {}", live.len(), constructor.name);
        let message = panic_message(|| (constructor.on_pool)(&pool, 4000));
        assert!(
            message.contains("4000") && message.contains("8388608"),
            "{message}"
        );
        live.pop();
        assert!(
            (constructor.try_on_pool)(&pool, 4000).is_ok(),
            "{}",
            constructor.name
        );
    }
}

/// Growth at the limit fails and changes neither the buffer nor the pool.
#[test]
fn growth_keeps_to_the_limit() {
    let pool = limited();
    for n in [0, 100, SLAB, SLAB + 1, MIB] {
        let mut buffer = pool.alloc(n);
        stamp(&mut buffer, 1);
        let refused = |error| {
            matches!(
                error,
                Err(AllocError::LimitExceeded {
                    limit: Some(LIMIT),
                    ..
                })
            )
        };
        assert!(refused(buffer.try_grow(LIMIT + 1)));
        assert!(refused(buffer.try_resize(LIMIT + 1, 7)));
        assert!(refused(buffer.try_reserve(LIMIT + 1)));
        let message = panic_message(|| buffer.grow(2 * LIMIT));
        assert!(message.contains("8388608"), "{message}");
        let message = panic_message(|| buffer.extend_from_slice(&vec![1; LIMIT + 1]));
        assert!(message.contains("8388608"), "{message}");
        assert!(buffer.len() == n && holds_stamp(&buffer, 1));
        buffer.grow(n + MIB);
        assert!(holds_stamp(&buffer[..n], 1) && is_zero(&buffer[n..]));
    }
    assert_all_home(&pool);
}

/// A single buffer can grow to nearly the whole limit: growing needs no second copy.
#[test]
fn a_lone_buffer_grows_to_the_limit() {
    let pool = limited();
    let mut buffer = pool.alloc(SLAB + 1);
    for len in (1..=7).map(|i| i * MIB) {
        buffer.try_grow(len).expect("within the limit");
    }
    drop(buffer);
    assert_all_home(&pool);
}

/// Impossible lengths are errors that name the length; the plain constructor panics with the same
/// message.
#[test]
fn impossible_lengths_are_errors() {
    let pool = fresh_pool();
    for constructor in CONSTRUCTORS.iter().filter(|row| row.by_number) {
        for n in IMPOSSIBLE {
            let errors = [
                (constructor.try_on_pool)(&pool, n).expect_err("impossible"),
                (constructor.try_on_global)(n).expect_err("impossible"),
            ];
            for error in &errors {
                assert!(error.to_string().contains(&n.to_string()), "{error}");
            }
            let messages = [
                panic_message(|| (constructor.on_pool)(&pool, n)),
                panic_message(|| (constructor.on_global)(n)),
            ];
            for (message, error) in messages.iter().zip(&errors) {
                assert!(message.contains(&error.to_string()), "{message}");
            }
            assert_eq!(pool.alloc(10), [0; 10]);
            assert_eq!(Buffer::alloc(10), [0; 10]);
        }
    }
    assert_all_home(&pool);
}

/// Impossible growth is an error and changes nothing; sums do not overflow.
#[test]
fn impossible_growth_is_an_error() {
    for n in [0, 10, SLAB, SLAB + 1, MIB] {
        let mut buffer = fresh_pool().alloc(n);
        stamp(&mut buffer, 2);
        for impossible in IMPOSSIBLE {
            for error in [
                buffer.try_grow(impossible),
                buffer.try_resize(impossible, 1),
            ] {
                let text = error.expect_err("impossible").to_string();
                assert!(text.contains(&impossible.to_string()), "{text}");
            }
            assert!(buffer.try_reserve(impossible).is_err());
            let message = panic_message(|| buffer.grow(impossible));
            assert!(message.contains(&impossible.to_string()), "{message}");
        }
        assert!(buffer.try_reserve(usize::MAX - n).is_err());
        assert!(buffer.len() == n && holds_stamp(&buffer, 2));
        buffer.grow(n + 10);
    }
}

/// A part of many MiB without memory, so that a list of them exceeds any address space.
#[derive(Clone, Copy)]
struct Long;

impl AsRef<[u8]> for Long {
    fn as_ref(&self) -> &[u8] {
        static ZEROS: [u8; 64 * MIB] = [0; 64 * MIB];
        &ZEROS
    }
}

/// Parts whose sum is impossible are an error that names the sum.
#[test]
fn an_impossible_sum_of_parts_is_an_error() {
    let pool = fresh_pool();
    let parts = [Long; (1 << 47) / (64 * MIB)];
    let error = pool.try_concat(&parts).expect_err("impossible");
    assert!(error.to_string().contains("140737488355328"), "{error}");
    assert!(panic_message(|| pool.concat(&parts)).contains("140737488355328"));
    assert_eq!(pool.concat_to_len(&parts, 100), [0; 100]);
    assert_all_home(&pool);
}

/// Errors can be stored, compared and printed.
#[test]
fn errors_are_values() {
    let error = limited()
        .try_alloc(LIMIT + 1)
        .expect_err("more than the limit");
    assert_eq!(error.clone(), error);
    let boxed: Box<dyn std::error::Error + Send + Sync> = Box::new(error);
    assert!(boxed.to_string().contains("8388609"), "{boxed}");
}

/// A refusal by the system is an error that names the length, not an abort; the pool continues to
/// work.
#[test]
#[cfg(target_os = "linux")]
fn what_the_system_refuses_is_an_error() {
    isolated("what_the_system_refuses_is_an_error", || {
        let pool = fresh_pool();
        let before = pool.alloc(100);
        let mut live: Vec<Buffer> = Vec::with_capacity(1 << 18); // growing it could fail
        let limit = libc::rlimit {
            rlim_cur: 1 << 30,
            rlim_max: 1 << 30,
        };
        // SAFETY: setrlimit reads the struct it is given and nothing else.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
        for constructor in CONSTRUCTORS.iter().filter(|row| row.by_number) {
            let error = (constructor.try_on_pool)(&pool, 2 << 30).expect_err("too much");
            assert!(matches!(
                error,
                AllocError::OutOfMemory {
                    requested: 2_147_483_648,
                    ..
                }
            ));
            assert!(error.to_string().contains("2147483648"), "{error}");
        }
        live.extend(std::iter::from_fn(|| pool.try_alloc(SLAB).ok()));
        assert!(live.len() > 1000, "only {} slabs within 1 GiB", live.len());
        drop((live, before));
        assert_eq!(pool.alloc(MIB).len(), MIB);
        assert_all_home(&pool);
    });
}

/// A small pool refuses a vector of 1 GiB like any other length, before it reads a byte of it.
/// `From` copies into the global pool, like `Buffer::copy_from_slice`, so the limits of other pools
/// do not apply to it.
#[test]
fn a_vector_of_1_gib_in_a_small_pool() {
    const GIB: usize = 1 << 30;
    let pool = Pool::builder().limit(MIB).build().unwrap();
    let Ok(vec) = std::panic::catch_unwind(|| vec![0_u8; GIB]) else {
        return println!("left out: no address space for a vector of 1 GiB");
    };
    let mut buffer = pool.copy_from_slice(b"kept");
    let error = pool
        .try_copy_from_slice(&vec)
        .expect_err("more than the limit");
    assert!(
        matches!(
            error,
            AllocError::LimitExceeded {
                requested: GIB,
                limit: Some(MIB),
                ..
            }
        ),
        "{error}"
    );
    let message = panic_message(|| pool.copy_from_slice(&vec));
    assert!(
        message.contains("1073741824") && message.contains("1048576"),
        "{message}"
    );
    let message = panic_message(|| buffer.extend_from_slice(&vec));
    assert!(
        message.contains("1073741828") && message.contains("1048576"),
        "{message}"
    );
    assert_eq!(buffer, b"kept");
    drop(buffer);
    assert_all_home(&pool);
    let buffer = Buffer::from(vec![7; 2 * MIB]);
    assert!(Pool::global().owns(&buffer) && !pool.owns(&buffer));
}
