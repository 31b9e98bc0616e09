//! The settings that affect every buffer: refused values, and an observable effect of each. The
//! settings of large mappings are in `mapping_settings.rs`.

mod common;

use std::time::Duration;

use common::constructors::CONSTRUCTORS;
use common::{
    KIB, MIB, SLAB, address, assert_all_home, assert_apart, boundary_lengths, holds_stamp, is_all,
    is_zero, slot_sizes, stamp,
};
use slabuf::{Buffer, ConfigError, Pool, PoolBuilder};

const HOUR: Duration = Duration::from_secs(3600);

fn build(builder: PoolBuilder) -> Pool {
    builder.build().expect("these settings are valid")
}

// ---- slab_size ----

/// A slab size that is not a power of two from a page to 1 MiB is refused; the message names it and
/// the bounds.
#[test]
fn a_wrong_slab_size_is_refused() {
    for given in [
        0,
        1,
        2048,
        3000,
        4097,
        8191,
        8193,
        12 * KIB,
        2 * MIB,
        usize::MAX,
    ] {
        let error = Pool::builder()
            .slab_size(given)
            .build()
            .expect_err("refused");
        assert!(
            matches!(error, ConfigError::SlabSize { given: named, .. } if named == given),
            "{error:?}"
        );
        let text = error.to_string();
        assert!(text.contains(&given.to_string()), "{text}");
        assert!(text.contains("4096") && text.contains("1048576"), "{text}");
    }
}

/// Every slab size from a page to 1 MiB works: slots, the border to large, counters, growth, frees.
#[test]
fn every_slab_size_works() {
    let mut slab_size = 4 * KIB;
    while slab_size <= MIB {
        let pool = build(Pool::builder().slab_size(slab_size));
        let first = pool.alloc(1);
        assert_eq!(pool.usage().array_buffers, slab_size as u64);
        drop(first);
        let mut live = Vec::new();
        for slot in slot_sizes(&pool, slab_size) {
            for n in [slot - 1, slot, slot + 1] {
                let mut buffer = pool.alloc(n);
                assert!(is_zero(&buffer) && address(&buffer).is_multiple_of(16));
                assert_eq!(buffer.is_pooled(), n <= slab_size, "{n} of {slab_size}");
                stamp(&mut buffer, n as u64);
                live.push(buffer);
            }
        }
        assert_apart(&live);
        for buffer in &mut live {
            let n = buffer.len();
            buffer.grow(n + slab_size);
            assert!(holds_stamp(&buffer[..n], n as u64) && is_zero(&buffer[n..]));
        }
        drop(live);
        assert_all_home(&pool);
        slab_size *= 2;
    }
}

/// `array_buffers` changes by whole slabs.
#[test]
fn a_slab_costs_its_size_in_the_counters() {
    for slab_size in [4 * KIB, 64 * KIB, MIB] {
        let pool = build(Pool::builder().slab_size(slab_size));
        for slabs in 1..=5 {
            std::mem::forget(pool.alloc(slab_size));
            assert_eq!(pool.usage().array_buffers, slabs * slab_size as u64);
            assert_eq!(pool.usage().slabs_full, slabs);
        }
    }
}

// ---- limit ----

/// A limit too small for one slab and its header is refused; the error names the minimum, which
/// works.
#[test]
fn a_limit_has_a_minimum() {
    for slab_size in [4 * KIB, SLAB, MIB] {
        let with_limit = |limit| Pool::builder().slab_size(slab_size).limit(limit).build();
        let error = with_limit(0).expect_err("refused");
        let ConfigError::Limit { given, minimum, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(given, 0);
        assert!(error.to_string().contains(&minimum.to_string()), "{error}");
        let error = with_limit(minimum - 1).expect_err("refused");
        assert!(
            error.to_string().contains(&(minimum - 1).to_string()),
            "{error}"
        );

        let pool = with_limit(minimum).expect("the least that does");
        let buffer = pool.alloc(10);
        assert!(pool.usage().external <= minimum as u64);
        drop(buffer);
        assert_all_home(&pool);
    }
}

// ---- zero_on_free, zero_fill ----

/// Allocates buffers of `n` bytes, fills their capacity with a secret, and drops them.
fn drop_secrets(pool: &Pool, n: usize) {
    let mut secrets = [
        pool.alloc_unsafe(n),
        pool.alloc_unsafe_slow(n),
        pool.alloc(n),
    ];
    for secret in &mut secrets {
        secret.set_len(secret.capacity());
        secret.fill(0x5E);
    }
}

/// Without either setting a dropped secret is visible again, so the tests below can fail.
#[test]
fn secrets_are_seen_without_these_settings() {
    let pool = build(Pool::builder().decay(HOUR));
    for n in [16, 100, SLAB] {
        drop_secrets(&pool, n);
        assert!(is_all(&pool.alloc_unsafe(n), 0x5E), "{n}");
    }
}

/// With `zero_on_free`, no dropped, moved or truncated byte is visible again, small or large.
#[test]
fn zero_on_free_leaves_no_secret() {
    let pool = build(Pool::builder().zero_on_free(true).decay(HOUR));
    for n in boundary_lengths(&pool) {
        drop_secrets(&pool, n);
        for constructor in [
            Pool::alloc_unsafe,
            Pool::alloc_unsafe_slow,
            Pool::with_capacity,
        ] {
            let mut buffer = constructor(&pool, n);
            buffer.set_len(buffer.capacity());
            assert!(is_zero(&buffer), "{n}");
        }
        let mut moved = pool.alloc_filled(n, [0x5E]);
        moved.grow(2 * n + 100);
        drop(pool.alloc_filled(n, [0x5E]).freeze());
        let mut buffer = pool.alloc_unsafe(n);
        buffer.set_len(buffer.capacity());
        assert!(is_zero(&buffer), "after growing from {n}");
    }
}

/// With `zero_on_free`, bytes that another thread dropped are not visible either.
#[test]
fn zero_on_free_holds_across_threads() {
    let pool = build(Pool::builder().zero_on_free(true).decay(HOUR));
    for n in [16, 1000, SLAB, SLAB + 1, MIB] {
        let secrets: Vec<Buffer> = (0..100).map(|_| pool.alloc_filled(n, [0x5E])).collect();
        std::thread::spawn(move || drop(secrets))
            .join()
            .expect("dropped");
        let again: Vec<Buffer> = (0..100).map(|_| pool.alloc_unsafe(n)).collect();
        assert!(again.iter().all(|buffer| is_zero(buffer)), "{n}");
    }
}

/// With `zero_fill`, no constructor shows a stale byte, in its length or spare capacity. The same
/// mode of Node had no effect for six months.
#[test]
fn zero_fill_reaches_every_constructor() {
    let pool = build(Pool::builder().zero_fill(true).decay(HOUR));
    for n in boundary_lengths(&pool) {
        for constructor in CONSTRUCTORS {
            drop_secrets(&pool, n);
            let plain = (constructor.on_pool)(&pool, n);
            let twin = (constructor.try_on_pool)(&pool, n).expect("memory for the test");
            for mut buffer in [plain, twin] {
                constructor.check(&buffer, n);
                buffer.set_len(buffer.capacity());
                assert!(!buffer.contains(&0x5E), "{}({n})", constructor.name);
            }
        }
    }
}

/// With `zero_fill`, the capacity that `reserve` adds shows no stale byte.
#[test]
fn zero_fill_reaches_reserved_room() {
    let pool = build(Pool::builder().zero_fill(true).decay(HOUR));
    for n in [10, 1000, SLAB, SLAB + 1, MIB] {
        drop_secrets(&pool, 2 * n);
        let mut buffer = pool.alloc_filled(n, [1]);
        buffer.reserve(n);
        assert!(is_zero(buffer.spare_capacity_mut()), "{n}");
    }
}
