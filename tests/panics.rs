//! Functions that panic do so at the line that called them.

mod common;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use bytes::{Buf, BufMut, Bytes};
use common::{MIB, SLAB};
use slabuf::{Buffer, Pool};

thread_local! {
    /// The file of this thread's last panic.
    static FILE: RefCell<Option<String>> = const { RefCell::new(None) };
}

fn file_of_panic(call: impl FnOnce()) -> Option<String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            FILE.set(info.location().map(|at| at.file().to_owned()));
            before(info);
        }));
    });
    FILE.set(None);
    let panicked = catch_unwind(AssertUnwindSafe(call)).is_err();
    FILE.take().filter(|_| panicked)
}

type Call = (&'static str, fn(&Pool, &mut Buffer));

macro_rules! calls {
    ($pool:ident, $buffer:ident; $($call:expr),* $(,)?) => {
        &[$((stringify!($call), |$pool: &Pool, $buffer: &mut Buffer| {
            let _ = (&$pool, &$buffer);
            let _ = $call;
        })),*]
    };
}

#[track_caller]
fn assert_all_here(calls: &[Call], pool: &Pool, buffer: &mut Buffer) {
    for (name, call) in calls {
        let file = file_of_panic(|| call(pool, buffer));
        assert_eq!(file.as_deref(), Some(file!()), "{name}");
    }
}

/// More than can be allocated.
#[test]
fn lengths() {
    const MAX: usize = usize::MAX;
    let calls: &[Call] = calls![pool, buffer;
        Buffer::alloc(MAX),
        Buffer::zeroed(MAX),
        Buffer::alloc_filled(MAX, "ab"),
        Buffer::alloc_unsafe(MAX),
        Buffer::alloc_unsafe_slow(MAX),
        Buffer::alloc_aligned(MAX, 16),
        Buffer::alloc_unsafe_aligned(MAX, 16),
        Buffer::with_capacity(MAX),
        Buffer::concat_to_len(&["ab"], MAX),
        pool.alloc(MAX),
        pool.alloc_filled(MAX, "ab"),
        pool.alloc_unsafe(MAX),
        pool.alloc_unsafe_slow(MAX),
        pool.alloc_aligned(MAX, 16),
        pool.alloc_unsafe_aligned(100, 3),
        pool.with_capacity(MAX),
        pool.copy_from_slice(&[1; 2 * MIB]),
        pool.concat(&[&[1; 2 * MIB]]),
        pool.concat_to_len(&["ab"], MAX),
        buffer.grow(MAX),
        buffer.resize(MAX, 1),
        buffer.resize_zeroed(MAX),
        buffer.resize_with(MAX, || 1),
        buffer.reserve(MAX),
        buffer.reserve_exact(MAX),
        buffer.extend_from_slice(&[1; 2 * MIB]),
        buffer.append(&mut Buffer::alloc(2 * MIB)),
        buffer.put_bytes(1, MAX),
        buffer.put_slice(&[1; 2 * MIB]),
        buffer.put(&[1; 2 * MIB][..]),
        buffer.put(Bytes::from_static(&[1; 2 * MIB])),
        buffer.unsplit(Buffer::alloc(2 * MIB)),
    ];
    let pool = Pool::builder().limit(MIB).build().unwrap();
    let mut buffer = pool.copy_from_slice(b"abc");
    assert_all_here(calls, &pool, &mut buffer);
    assert_eq!(buffer, b"abc");
}

/// Behind the end.
#[test]
#[allow(
    clippy::reversed_empty_ranges,
    reason = "ranges that are refused are what this tests"
)]
fn indices() {
    let calls: &[Call] = calls![pool, buffer;
        buffer.insert(4, 1),
        buffer.remove(3),
        buffer.swap_remove(3),
        buffer.drain(2..1),
        buffer.drain(2..5),
        buffer.drain(..=usize::MAX),
        buffer.extend_from_within(2..1),
        buffer.extend_from_within(4..),
        buffer.set_len(MIB),
        buffer.split_to(4),
        buffer.try_split_to(4),
        buffer.split_off(MIB),
        buffer.try_split_off(MIB),
        buffer.advance(4),
        buffer.copy_to_bytes(4),
        // SAFETY: all memory of a `Buffer` is initialised, and it checks the count itself.
        unsafe { buffer.advance_mut(MIB) },
    ];
    let pool = Pool::builder().limit(MIB).build().unwrap();
    let mut buffer = pool.copy_from_slice(b"abc");
    assert_all_here(calls, &pool, &mut buffer);
    assert_eq!(buffer, b"abc");
}

/// A full buffer in a full pool.
#[test]
fn a_full_pool() {
    let calls: &[Call] = calls![pool, buffer;
        buffer.push(1),
        buffer.insert(0, 1),
        buffer.extend_from_within(..1),
        buffer.chunk_mut().len(),
        buffer.clone(),
        pool.copy_from_slice(b"abc"),
    ];
    let pool = Pool::builder().limit(MIB).build().unwrap();
    let mut buffer = pool.alloc(SLAB);
    let _all: Vec<Buffer> = [8 * SLAB, SLAB, 16, 1]
        .into_iter()
        .flat_map(|len| std::iter::from_fn(|| pool.try_alloc(len).ok()).collect::<Vec<_>>())
        .collect();
    assert_eq!(buffer.len(), buffer.capacity());
    assert_all_here(calls, &pool, &mut buffer);
    assert_eq!(buffer, [0; SLAB]);
}
