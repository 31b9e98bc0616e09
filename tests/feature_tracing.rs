//! `tracing`: the events that a subscriber receives, and what it may do during one.

mod common;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;

use common::child::isolated;
use common::{KIB, MIB, SLAB, assert_all_home};
use slabuf::{AllocError, Buffer, Pool};
use tracing::field::{Field, Visit};
use tracing::subscriber::with_default;
use tracing::{Event, Level, Metadata, Subscriber, span};

/// One event of this crate.
#[derive(Clone, Debug, Default, PartialEq)]
struct Heard {
    level: String,
    message: String,
    pool: u64,
    count: u64,
    bytes: u64,
    requested: u64,
    limit: u64,
}

impl Visit for Heard {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        assert_eq!(field.name(), "message", "{value:?}");
        self.message = format!("{value:?}");
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "pool" => self.pool = value,
            "count" => self.count = value,
            "bytes" => self.bytes = value,
            "requested" => self.requested = value,
            "limit" => self.limit = value,
            other => panic!("a field {other}"),
        }
    }
}

type Log = Arc<Mutex<Vec<Heard>>>;

/// Records events and calls a function at each.
struct Capture<F> {
    log: Log,
    at_each: F,
}

impl<F: Fn(&Heard) + Send + Sync + 'static> Subscriber for Capture<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "slabuf"
    }

    fn event(&self, event: &Event<'_>) {
        let mut heard = Heard {
            level: event.metadata().level().to_string(),
            ..Heard::default()
        };
        event.record(&mut heard);
        self.log.lock().unwrap().push(heard.clone());
        (self.at_each)(&heard);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Returns the events while `step` runs, with a subscriber that calls `at_each` at each event.
fn heard_with(at_each: impl Fn(&Heard) + Send + Sync + 'static, step: impl FnOnce()) -> Vec<Heard> {
    let log = Log::default();
    let capture = Capture {
        log: log.clone(),
        at_each,
    };
    with_default(capture, step);
    let heard = log.lock().unwrap();
    heard.clone()
}

fn heard(step: impl FnOnce()) -> Vec<Heard> {
    heard_with(|_| {}, step)
}

fn messages(heard: &[Heard]) -> Vec<&str> {
    heard.iter().map(|event| event.message.as_str()).collect()
}

/// Returns a pool without caches, and its number in events.
fn cacheless() -> (Pool, u64) {
    let pool = Pool::builder().cache_limit(0).build().unwrap();
    let debug = format!("{pool:?}");
    let digits = debug.split("index: ").nth(1).unwrap().split(',').next();
    (pool, digits.unwrap().parse().unwrap())
}

#[test]
fn mappings_and_regions_emit_events() {
    let (pool, number) = cacheless();
    let log = heard(|| {
        drop(pool.alloc(MIB));
        drop(pool.alloc(100));
        assert!(pool.trim() > 0);
    });
    let expected = [
        ("TRACE", "mappings mapped", 1, MIB),
        ("TRACE", "mappings unmapped", 1, MIB),
        ("DEBUG", "regions mapped", 1, 2 * MIB),
        ("DEBUG", "regions unmapped", 1, 2 * MIB),
        ("DEBUG", "trimmed", 0, 2 * MIB),
    ];
    assert_eq!(log.len(), expected.len(), "{log:?}");
    for (event, (level, message, count, bytes)) in log.iter().zip(expected) {
        let said = (event.level.as_str(), event.message.as_str());
        assert_eq!(said, (level, message), "{log:?}");
        assert_eq!((event.count, event.bytes), (count, bytes as u64), "{log:?}");
        assert_eq!(event.pool, number);
    }
    assert_all_home(&pool);
}

#[test]
fn what_is_mapped_and_unmapped_sums_up_to_what_the_pool_holds() {
    let (pool, number) = cacheless();
    let log = heard(|| {
        let mut held: Vec<Buffer> = Vec::new();
        for step in 0..200 {
            held.push(pool.alloc(1 + step * 997 % (3 * SLAB)));
            if step % 3 == 2 {
                drop(held.swap_remove(step % held.len()));
            }
            held[0].grow((step + 1) * 8 * KIB);
        }
        assert!(pool.usage().external > 0);
        drop(held);
        pool.trim();
    });
    let sum = |message: &str| -> u64 {
        let of_it = log.iter().filter(|event| event.message == message);
        of_it.map(|event| event.bytes).sum()
    };
    assert!(log.iter().all(|event| event.pool == number));
    let up = sum("mappings mapped") + sum("mappings grown") + sum("regions mapped");
    let down = sum("mappings unmapped") + sum("regions unmapped");
    assert!(sum("mappings grown") > 0 && sum("regions mapped") > 0);
    assert_eq!(up - down, pool.usage().external, "{log:?}");
}

#[test]
fn a_fast_path_tells_nothing() {
    let (pool, _) = cacheless();
    drop(pool.alloc(100));
    let kept = Pool::builder().build().unwrap();
    drop(kept.alloc(100_000));
    drop(kept.alloc(100_000));
    let log = heard(|| {
        for _ in 0..1000 {
            drop(pool.alloc(100));
            drop(kept.alloc(100_000));
        }
    });
    assert_eq!(log, []);
}

#[test]
fn a_limit_emits_the_requested_length() {
    let pool = Pool::builder().limit(MIB).build().unwrap();
    let log = heard(|| {
        let _held = pool.alloc(MIB / 2);
        let error = pool.try_alloc(MIB).unwrap_err();
        assert!(matches!(error, AllocError::LimitExceeded { .. }));
        assert!(catch_unwind(AssertUnwindSafe(|| pool.alloc(MIB))).is_err());
    });
    let reached: Vec<_> = log
        .iter()
        .filter(|event| event.message == "limit reached")
        .collect();
    assert_eq!(reached.len(), 2, "{log:?}");
    for event in reached {
        assert_eq!(event.level, "WARN");
        assert_eq!((event.requested, event.limit), (MIB as u64, MIB as u64));
    }
    assert!(messages(&log).contains(&"caches emptied"), "{log:?}");
}

#[test]
fn a_refusal_of_the_system_emits_an_event() {
    let (pool, _) = cacheless();
    let log = heard(|| {
        // Longer than the address space, and short enough to be a valid request.
        assert!(pool.try_alloc((1 << 47) - (1 << 22)).is_err());
    });
    assert_eq!(messages(&log).last(), Some(&"system refused"), "{log:?}");
}

#[test]
fn a_subscriber_may_use_the_pool_it_hears_of() {
    uses_the_pool_it_hears_of(cacheless().0);
    let limited = Pool::builder().cache_limit(0).limit(256 * MIB);
    uses_the_pool_it_hears_of(limited.build().unwrap());
    let marked = Pool::builder().cache_limit(0).high_water_mark(MIB);
    uses_the_pool_it_hears_of(marked.build().unwrap());
}

fn uses_the_pool_it_hears_of(pool: Pool) {
    let used = pool.clone();
    let at_each = move |_: &Heard| {
        let (small, large) = (used.alloc_filled(100, "s"), used.alloc(3 * SLAB));
        assert!(used.usage().external > 0);
        used.trim();
        assert!(small.iter().all(|byte| *byte == b's') && large.iter().all(|byte| *byte == 0));
        drop((small, large));
        used.trim();
    };
    let log = heard_with(at_each, || {
        let mut held: Vec<Buffer> = (0..300).map(|n| pool.alloc_filled(n * 50, "x")).collect();
        held[299].grow(MIB);
        for (n, buffer) in held.iter().enumerate() {
            assert!(buffer[..n * 50].iter().all(|byte| *byte == b'x'), "{n}");
        }
        drop(held);
        pool.trim();
    });
    assert!(log.len() > 100, "only {} events", log.len());
    assert_all_home(&pool);
    assert_eq!(pool.usage().external, 0);
}

/// `tracing` prevents recursion for scoped subscribers only; for a global one this crate must.
#[test]
fn events_of_a_global_subscriber_are_suppressed() {
    isolated("events_of_a_global_subscriber_are_suppressed", || {
        let (pool, _) = cacheless();
        let (log, used) = (Log::default(), pool.clone());
        let capture = Capture {
            log: log.clone(),
            at_each: move |_: &Heard| {
                drop(used.alloc(MIB));
                assert!(used.try_alloc((1 << 47) - (1 << 22)).is_err());
                used.trim();
            },
        };
        tracing::subscriber::set_global_default(capture).unwrap();
        drop(pool.alloc(MIB));
        assert_eq!(
            messages(&log.lock().unwrap()),
            ["mappings mapped", "mappings unmapped"]
        );
    });
}

#[test]
fn a_subscriber_that_panics_changes_nothing() {
    let (pool, _) = cacheless();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let log = heard_with(
        |event| panic!("at {}", event.message),
        || {
            let buffer = pool.copy_from_slice(&[7; MIB]);
            assert!(buffer.iter().all(|byte| *byte == 7));
            drop(buffer);
            drop(pool.alloc(10));
            assert!(pool.try_alloc((1 << 47) - (1 << 22)).is_err());
            pool.trim();
        },
    );
    std::panic::set_hook(hook);
    assert!(log.len() >= 6, "{log:?}");
    assert_all_home(&pool);
    assert_eq!(pool.usage().external, 0);
}

#[test]
fn the_end_of_a_thread_and_of_a_pool_emits_events() {
    let log = Log::default();
    let capture = Capture {
        log: log.clone(),
        at_each: |_: &Heard| {},
    };
    let dispatch = tracing::Dispatch::new(capture);
    let (pool, number) = cacheless();
    let (taken, other) = (pool.clone(), dispatch.clone());
    let thread = thread::spawn(move || {
        // Not `with_default`, which would end before the thread cache is destroyed.
        std::mem::forget(tracing::dispatcher::set_default(&other));
        drop(taken.alloc(100));
    });
    thread.join().unwrap();
    tracing::dispatcher::with_default(&dispatch, || drop(pool));
    let log = log.lock().unwrap();
    let sum = |message: &str| -> u64 {
        let of_it = log
            .iter()
            .filter(|event| event.message == message && event.pool == number);
        of_it.map(|event| event.bytes).sum()
    };
    assert_eq!(sum("regions mapped"), 2 * MIB as u64, "{log:?}");
    assert_eq!(sum("regions unmapped"), 2 * MIB as u64, "{log:?}");
}

#[test]
fn without_interest_there_are_no_events() {
    let log = Log::default();
    let deaf = Deaf(Capture {
        log: log.clone(),
        at_each: |_: &Heard| {},
    });
    let (pool, _) = cacheless();
    with_default(deaf, || drop(pool.alloc(MIB)));
    assert_eq!(*log.lock().unwrap(), []);
}

/// Records events, and is interested in errors only.
struct Deaf<F>(Capture<F>);

impl<F: Fn(&Heard) + Send + Sync + 'static> Subscriber for Deaf<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn event(&self, event: &Event<'_>) {
        self.0.event(event);
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        self.0.new_span(span)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
