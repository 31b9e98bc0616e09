//! Walks the table "Bad input" of docs/errors.md: executes each row, and has a row for each case.

use std::any::Any;
use std::fmt::{Debug, Display};
use std::io::{IoSlice, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use bytes::{Buf, BufMut};
use slabuf::{Budget, Buffer, Pool, PoolBuilder};

const PAGE: &str = include_str!("../docs/errors.md");

/// `Ok` if there was no error, else the name of the error and its message.
type Answer = Result<(), String>;

/// One row of the table.
struct Case {
    name: &'static str,
    /// A word of the row's second column: the name of an error, `panic` or `no error`.
    back: &'static str,
    /// The value and its bound, as the message must name them.
    says: &'static [&'static str],
    /// The call. For functions with a `try_` variant, that variant and then the other one, which
    /// must panic with the same message.
    calls: &'static [fn(&Pool, &mut Buffer) -> Answer],
}

fn done<T>(_: T) -> Answer {
    Ok(())
}

fn error<T, E: Debug + Display>(result: Result<T, E>) -> Answer {
    result
        .map(drop)
        .map_err(|error| format!("{error:?}: {error}"))
}

fn equal(buffer: &Buffer, bytes: &[u8]) -> Answer {
    assert_eq!(buffer, bytes);
    Ok(())
}

fn after(_: (), buffer: &Buffer) -> Answer {
    equal(buffer, b"kept")
}

fn built(builder: PoolBuilder) -> Answer {
    equal(&builder.build().expect("fine").alloc(1), &[0])
}

fn advance_mut(buffer: &mut Buffer, count: usize) {
    // SAFETY: all memory of a `Buffer` is initialised, and the call checks the count itself.
    unsafe { buffer.advance_mut(count) }
}

macro_rules! cases {
    ($($name:literal, $back:literal [$($says:literal),*] [$($call:expr),+];)*) => {
        &[$(Case { name: $name, back: $back, says: &[$($says),*], calls: &[$($call),+] }),*]
    };
}

#[rustfmt::skip]
#[allow(clippy::unit_arg)]
const CASES: &[Case] = cases! {
    "Buffer::alloc(usize::MAX)", "TooLarge" ["18446744073709551615", "140737486258176"] [|_, _| error(Buffer::try_alloc(usize::MAX)), |_, _| done(Buffer::alloc(usize::MAX))];
    "Buffer::alloc_unsafe(usize::MAX)", "TooLarge" ["18446744073709551615", "140737486258176"] [|_, _| error(Buffer::try_alloc_unsafe(usize::MAX)), |_, _| done(Buffer::alloc_unsafe(usize::MAX))];
    "Buffer::alloc_unsafe_slow(usize::MAX)", "TooLarge" ["18446744073709551615", "140737486258176"] [|_, _| error(Buffer::try_alloc_unsafe_slow(usize::MAX)), |_, _| done(Buffer::alloc_unsafe_slow(usize::MAX))];
    "Buffer::with_capacity(usize::MAX)", "TooLarge" ["18446744073709551615", "140737486258176"] [|_, _| error(Buffer::try_with_capacity(usize::MAX)), |_, _| done(Buffer::with_capacity(usize::MAX))];
    r#"Buffer::alloc_filled(usize::MAX, "ab")"#, "TooLarge" ["18446744073709551615", "140737486258176"] [|_, _| error(Buffer::try_alloc_filled(usize::MAX, "ab")), |_, _| done(Buffer::alloc_filled(usize::MAX, "ab"))];
    r#"Buffer::concat_to_len(&["ab"], usize::MAX)"#, "TooLarge" ["18446744073709551615", "140737486258176"] [|_, _| error(Buffer::try_concat_to_len(&["ab"], usize::MAX)), |_, _| done(Buffer::concat_to_len(&["ab"], usize::MAX))];
    "pool.alloc(300_000)", "LimitExceeded" ["300000", "262144"] [|pool, _| error(pool.try_alloc(300_000)), |pool, _| done(pool.alloc(300_000))];
    r#"pool.alloc_filled(300_000, "ab")"#, "LimitExceeded" ["300000", "262144"] [|pool, _| error(pool.try_alloc_filled(300_000, "ab")), |pool, _| done(pool.alloc_filled(300_000, "ab"))];
    "pool.alloc_unsafe(300_000)", "LimitExceeded" ["300000", "262144"] [|pool, _| error(pool.try_alloc_unsafe(300_000)), |pool, _| done(pool.alloc_unsafe(300_000))];
    "pool.alloc_unsafe_slow(300_000)", "LimitExceeded" ["300000", "262144"] [|pool, _| error(pool.try_alloc_unsafe_slow(300_000)), |pool, _| done(pool.alloc_unsafe_slow(300_000))];
    "pool.with_capacity(300_000)", "LimitExceeded" ["300000", "262144"] [|pool, _| error(pool.try_with_capacity(300_000)), |pool, _| done(pool.with_capacity(300_000))];
    "pool.copy_from_slice(&[1; 300_000])", "LimitExceeded" ["300000", "262144"] [|pool, _| error(pool.try_copy_from_slice(&[1; 300_000])), |pool, _| done(pool.copy_from_slice(&[1; 300_000]))];
    "pool.concat(&[[1; 150_000]; 2])", "LimitExceeded" ["300000", "262144"] [|pool, _| error(pool.try_concat(&[[1; 150_000]; 2])), |pool, _| done(pool.concat(&[[1; 150_000]; 2]))];
    r#"pool.concat_to_len(&["ab"], 300_000)"#, "LimitExceeded" ["300000", "262144"] [|pool, _| error(pool.try_concat_to_len(&["ab"], 300_000)), |pool, _| done(pool.concat_to_len(&["ab"], 300_000))];
    "pool.alloc_timeout(usize::MAX, Duration::MAX)", "TooLarge" ["18446744073709551615", "140737486258176"] [|pool, _| error(pool.alloc_timeout(usize::MAX, Duration::MAX))];
    "pool.alloc_timeout(300_000, Duration::MAX)", "LimitExceeded" ["300000", "262144"] [|pool, _| error(pool.alloc_timeout(300_000, Duration::MAX))];
    "pool.alloc_unsafe_timeout(300_000, Duration::MAX)", "LimitExceeded" ["300000", "262144"] [|pool, _| error(pool.alloc_unsafe_timeout(300_000, Duration::MAX))];
    "pool.alloc_timeout(260_000, Duration::ZERO)", "TimedOut" ["260000", "262144"] [|pool, _| error(pool.alloc_timeout(260_000, Duration::ZERO))];
    "pool.alloc_unsafe_timeout(260_000, Duration::ZERO)", "TimedOut" ["260000", "262144"] [|pool, _| error(pool.alloc_unsafe_timeout(260_000, Duration::ZERO))];
    "buffer.resize(usize::MAX, 1)", "TooLarge" ["18446744073709551615", "140737486258176"] [|_, buffer| error(buffer.try_resize(usize::MAX, 1)), |_, buffer| done(buffer.resize(usize::MAX, 1))];
    "buffer.grow(usize::MAX)", "TooLarge" ["18446744073709551615", "140737486258176"] [|_, buffer| error(buffer.try_grow(usize::MAX)), |_, buffer| done(buffer.grow(usize::MAX))];
    "buffer.reserve(usize::MAX)", "TooLarge" ["18446744073709551615", "140737486258176"] [|_, buffer| error(buffer.try_reserve(usize::MAX)), |_, buffer| done(buffer.reserve(usize::MAX))];
    "buffer.resize(300_000, 1)", "LimitExceeded" ["300000", "262144"] [|_, buffer| error(buffer.try_resize(300_000, 1)), |_, buffer| done(buffer.resize(300_000, 1))];
    "buffer.grow(300_000)", "LimitExceeded" ["300000", "262144"] [|_, buffer| error(buffer.try_grow(300_000)), |_, buffer| done(buffer.grow(300_000))];
    "buffer.reserve(300_000)", "LimitExceeded" ["300004", "262144"] [|_, buffer| error(buffer.try_reserve(300_000)), |_, buffer| done(buffer.reserve(300_000))];
    "buffer.extend_from_slice(&[1; 300_000])", "panic" ["300004", "262144"] [|_, buffer| done(buffer.extend_from_slice(&[1; 300_000]))];
    "buffer.extend(vec![1; 300_000])", "panic" ["300004", "262144"] [|_, buffer| done(buffer.extend([1; 300_000]))];
    "Buffer::alloc_aligned(10, 0)", "InvalidAlignment" ["to 0 bytes", "from 1 to"] [|_, _| error(Buffer::try_alloc_aligned(10, 0)), |_, _| done(Buffer::alloc_aligned(10, 0))];
    "Buffer::alloc_unsafe_aligned(10, 48)", "InvalidAlignment" ["to 48 bytes", "from 1 to"] [|_, _| error(Buffer::try_alloc_unsafe_aligned(10, 48)), |_, _| done(Buffer::alloc_unsafe_aligned(10, 48))];
    "pool.alloc_aligned(10, 1 << 30)", "InvalidAlignment" ["1073741824", "from 1 to"] [|pool, _| error(pool.try_alloc_aligned(10, 1 << 30)), |pool, _| done(pool.alloc_aligned(10, 1 << 30))];
    "buffer.insert(5, 1)", "panic" ["5", "4"] [|_, buffer| done(buffer.insert(5, 1))];
    "buffer.remove(4)", "panic" ["is 4", "len"] [|_, buffer| done(buffer.remove(4))];
    "buffer.swap_remove(4)", "panic" ["is 4", "len"] [|_, buffer| done(buffer.swap_remove(4))];
    "buffer.drain(3..5)", "panic" ["5", "4"] [|_, buffer| done(buffer.drain(3..5).count())];
    "buffer.extend_from_within(3..5)", "panic" ["5", "4"] [|_, buffer| done(buffer.extend_from_within(3..5))];
    "buffer.split_to(5)", "panic" ["5", "4"] [|_, buffer| done(buffer.split_to(5))];
    "buffer.split_off(17)", "panic" ["17", "16"] [|_, buffer| done(buffer.split_off(17))];
    "buffer.set_len(100)", "panic" ["100", "16"] [|_, buffer| done(buffer.set_len(100))];
    "buffer[4]", "panic" ["4", "4"] [|_, buffer| done(buffer[4])];
    "buffer.advance(5)", "panic" ["5", "4"] [|_, buffer| done(buffer.advance(5))];
    "buffer.copy_to_bytes(5)", "panic" ["5", "4"] [|_, buffer| done(buffer.copy_to_bytes(5))];
    "buffer.get_u64()", "panic" ["8", "4"] [|_, buffer| done(buffer.get_u64())];
    "buffer.advance_mut(100)", "panic" ["104", "16"] [|_, buffer| done(advance_mut(buffer, 100))];
    "buffer.put_bytes(1, usize::MAX)", "panic" ["18446744073709551615", "140737486258176"] [|_, buffer| done(buffer.put_bytes(1, usize::MAX))];
    "buffer.put_slice(&[1; 300_000])", "panic" ["300004", "262144"] [|_, buffer| done(buffer.put_slice(&[1; 300_000]))];
    "buffer.put(&[1; 300_000][..])", "panic" ["300004", "262144"] [|_, buffer| done(buffer.put(&[1; 300_000][..]))];
    "buffer.write(&[1; 300_000])", "OutOfMemory" ["300004", "262144"] [|_, buffer| error(buffer.write(&[1; 300_000]))];
    "buffer.write_all(&[1; 300_000])", "OutOfMemory" ["300004", "262144"] [|_, buffer| error(buffer.write_all(&[1; 300_000]))];
    "buffer.write_vectored(&[IoSlice::new(&[1; 300_000])])", "OutOfMemory" ["300004", "262144"] [|_, buffer| error(buffer.write_vectored(&[IoSlice::new(&[1; 300_000])]))];
    "buffer.read_exact(&mut [0; 5])", "UnexpectedEof" [] [|_, buffer| error(buffer.clone().read_exact(&mut [0; 5]))];
    r#"Buffer::from(b"\xff").read_to_string(&mut text)"#, "InvalidData" [] [|_, _| error(Buffer::from(b"\xff").read_to_string(&mut String::new()))];
    "Pool::builder().slab_size(0).build()", "SlabSize" ["not 0", "4096", "1048576"] [|_, _| error(Pool::builder().slab_size(0).build())];
    "Pool::builder().slab_size(5000).build()", "SlabSize" ["5000", "4096", "1048576"] [|_, _| error(Pool::builder().slab_size(5000).build())];
    "Pool::builder().slab_size(2 << 20).build()", "SlabSize" ["2097152", "4096", "1048576"] [|_, _| error(Pool::builder().slab_size(2 << 20).build())];
    "Pool::builder().limit(32_767).build()", "Limit" ["32767", "32768"] [|_, _| error(Pool::builder().limit(32_767).build())];
    "Pool::builder().budget(&Budget::new(0)).build()", "Budget" ["not 0", "32768"] [|_, _| error(Pool::builder().budget(&Budget::new(0)).build())];
    "Pool::builder().budget(&Budget::new(32_767)).build()", "Budget" ["32767", "32768"] [|_, _| error(Pool::builder().budget(&Budget::new(32_767)).build())];
    "Pool::builder().limit(2 << 20).budget(&Budget::new(1 << 20)).build()", "LimitAboveBudget" ["2097152", "1048576"] [|_, _| error(Pool::builder().limit(2 << 20).budget(&Budget::new(1 << 20)).build())];
    "Pool::builder().limit(1 << 20).cache_limit(2 << 20).build()", "CacheLimit" ["2097152", "1048576"] [|_, _| error(Pool::builder().limit(1 << 20).cache_limit(2 << 20).build())];
    "Pool::builder().high_water_mark(0).build()", "HighWaterMark" ["0", "1"] [|_, _| error(Pool::builder().high_water_mark(0).build())];
    "Pool::builder().limit(1 << 20).high_water_mark(2 << 20).build()", "HighWaterMark" ["2097152", "1048576"] [|_, _| error(Pool::builder().limit(1 << 20).high_water_mark(2 << 20).build())];
    "Pool::builder().high_water_mark(1000).low_water_mark(1000).build()", "LowWaterMark" ["1000"] [|_, _| error(Pool::builder().high_water_mark(1000).low_water_mark(1000).build())];
    "Pool::builder().low_water_mark(1000).build()", "LowWaterMark" ["1000"] [|_, _| error(Pool::builder().low_water_mark(1000).build())];
    "pool.wait_drained(Duration::ZERO)", "no error" [] [|pool, buffer| { assert!(pool.wait_drained(Duration::ZERO)); after((), buffer) }];
    r#"Buffer::alloc_filled(4, "")"#, "no error" [] [|_, _| equal(&Buffer::alloc_filled(4, ""), &[0; 4])];
    r#"Buffer::concat_to_len(&["abc"], 2)"#, "no error" [] [|_, _| equal(&Buffer::concat_to_len(&["abc"], 2), b"ab")];
    "buffer.truncate(5)", "no error" [] [|_, buffer| after(buffer.truncate(5), buffer)];
    "buffer.grow(3)", "no error" [] [|_, buffer| after(buffer.grow(3), buffer)];
    "Pool::builder().decay(Duration::MAX).build()", "no error" [] [|_, _| built(Pool::builder().decay(Duration::MAX))];
    "Pool::builder().decay(Duration::ZERO).build()", "no error" [] [|_, _| built(Pool::builder().decay(Duration::ZERO))];
    "Pool::builder().cache_limit(0).build()", "no error" [] [|_, _| built(Pool::builder().cache_limit(0))];
};

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .expect("a panic with a message")
}

fn check_numbers(case: &Case, text: &str) {
    for number in case.says {
        assert!(
            text.contains(number),
            "{}: no {number} in {text}",
            case.name
        );
    }
}

fn walk(case: &Case, pool: &Pool) {
    let mut buffer = pool.copy_from_slice(b"kept");
    let mut twin = None;
    for call in case.calls {
        let answer = catch_unwind(AssertUnwindSafe(|| call(pool, &mut buffer)));
        match answer {
            Ok(Ok(())) => assert_eq!(case.back, "no error", "{}: accepted", case.name),
            Ok(Err(text)) => {
                assert!(text.contains(case.back), "{}: {text}", case.name);
                check_numbers(case, &text);
                twin = Some(text);
            }
            Err(panic) => {
                let text = message(&*panic);
                match &twin {
                    Some(twin) => assert!(twin.ends_with(&text), "{}: {text}", case.name),
                    None => assert_eq!(case.back, "panic", "{}: {text}", case.name),
                }
                check_numbers(case, &text);
            }
        }
        assert_eq!(buffer, b"kept", "{}: the buffer changed", case.name);
        assert_eq!(Buffer::alloc(10), [0; 10], "{}", case.name);
        assert_eq!(pool.alloc(10), [0; 10], "{}", case.name);
    }
    drop(buffer);
    assert_eq!(pool.usage().in_use, 0, "{}", case.name);
}

#[test]
fn bad_input_comes_back_as_the_table_says() {
    let walk_all = || {
        for case in CASES {
            let pool = Pool::builder().limit(256 << 10).build();
            walk(case, &pool.expect("256 KiB are enough for a pool"));
        }
    };
    // Some cases have large arrays, and a debug build puts them on the stack.
    let thread = thread::Builder::new().stack_size(64 << 20).spawn(walk_all);
    let result = thread.expect("a thread starts").join();
    result.expect("every case is as the table says");
}

#[test]
fn the_table_and_the_cases_are_the_same() {
    let (_, section) = PAGE.split_once("\n## Bad input\n").expect("a section");
    let (section, _) = section.split_once("\n## ").expect("a section behind it");
    let rows: Vec<_> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    for case in CASES {
        let start = format!("| `{}` |", case.name);
        let row = rows.iter().find(|row| row.starts_with(&start));
        let (_, back) = row.expect(case.name).split_at(start.len());
        assert!(back.contains(case.back), "{}: {back}", case.name);
    }
    assert_eq!(rows.len(), CASES.len(), "a row that is not tried");
}
