//! What differs from `Vec<u8>`: the rows of the table in docs/coming_from.md, each with its test.

use std::panic::{AssertUnwindSafe, catch_unwind};

use slabuf::{AllocError, Buffer, Pool};

use crate::common::{MIB, SLAB, fresh_pool};
use crate::differences::Difference;

fn text_of_panic<T>(call: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(call)).err().expect("a panic");
    let text = panic.downcast_ref::<String>().cloned();
    text.unwrap_or_default()
}

/// The rows of the table, each with its test.
pub(crate) const DIFFERENCES: &[Difference] = &[
    ("`with_capacity(n)`, `capacity()`", || {
        assert_eq!(Buffer::with_capacity(100).capacity(), 100);
        assert!(Buffer::with_capacity(9000).capacity() > 9000);
        assert_eq!(Buffer::from([1; 100]).capacity(), 112);
        assert_eq!(Vec::<u8>::with_capacity(9000).capacity(), 9000);
        assert_eq!(Vec::from([1; 100]).capacity(), 100);
    }),
    ("no memory", || {
        let pool = Pool::builder().limit(MIB).build().unwrap();
        let mut buffer = pool.copy_from_slice(b"abc");
        let text = text_of_panic(|| buffer.extend_from_slice(&[1; 2 * MIB]));
        assert!(text.contains("limit"), "{text}");
        assert_eq!(buffer, b"abc");
    }),
    ("`try_reserve`, `try_reserve_exact`", || {
        let mut buffer = Buffer::from(b"abc");
        let errors = [
            buffer.try_reserve(usize::MAX),
            buffer.try_reserve_exact(usize::MAX),
        ];
        for error in errors {
            assert!(matches!(error, Err(AllocError::TooLarge { .. })));
        }
    }),
    ("`shrink_to_fit`, `shrink_to`", || {
        let mut buffer = Buffer::with_capacity(1000);
        buffer.extend_from_slice(b"abc");
        buffer.shrink_to_fit();
        assert_eq!((buffer.as_slice(), buffer.capacity()), (&b"abc"[..], 3));
        buffer.push(b'd');
        assert_eq!(buffer.capacity(), 16);
        // No memory for the smaller slot: nothing changes.
        let pool = Pool::builder().limit(MIB).build().unwrap();
        let mut full = pool.with_capacity(900_000);
        full.extend_from_slice(b"abc");
        let held: Vec<Buffer> = [8000, 2000, 100, 1]
            .into_iter()
            .flat_map(|len| std::iter::from_fn(|| pool.try_alloc(len).ok()).collect::<Vec<_>>())
            .collect();
        let before = (full.as_ptr(), full.capacity());
        full.shrink_to_fit();
        assert_eq!((full.as_ptr(), full.capacity()), before);
        drop(held);
    }),
    ("`unsafe set_len(n)`", || {
        let mut buffer = Buffer::with_capacity(100);
        buffer.set_len(100);
        assert_eq!(buffer.len(), 100);
        let capacity = buffer.capacity();
        let text = text_of_panic(|| buffer.set_len(capacity + 1));
        assert!(text.contains(&capacity.to_string()), "{text}");
    }),
    ("`spare_capacity_mut()`", || {
        let mut buffer = Buffer::with_capacity(100);
        let spare: &mut [u8] = buffer.spare_capacity_mut();
        spare[..3].copy_from_slice(b"abc");
        buffer.set_len(3);
        assert_eq!(buffer, b"abc");
    }),
    ("`split_off(at)`", || {
        let mut buffer = Buffer::with_capacity(1000);
        buffer.extend_from_slice(b"abc");
        let rest = buffer.split_off(10);
        assert_eq!((buffer.as_slice(), rest.len()), (&b"abc"[..], 0));
        assert!(rest.capacity() >= 990);
        let text = text_of_panic(|| buffer.split_off(1000));
        assert!(text.contains("1000"), "{text}");
        // No copy: the rest stays where it was.
        let mut buffer = Buffer::from(b"abcdef");
        let start = buffer.as_ptr().addr();
        assert_eq!(buffer.split_off(4).as_ptr().addr(), start + 4);
    }),
    ("`into_boxed_slice()`, `Vec::from(buffer)`", || {
        let buffer = Buffer::from(b"abc");
        let start = buffer.as_ptr().addr();
        let vec = Vec::from(buffer);
        assert!(vec == b"abc" && vec.as_ptr().addr() != start);
        let vec = vec![1_u8; 100];
        let start = vec.as_ptr().addr();
        assert_ne!(Buffer::from(vec).as_ptr().addr(), start);
    }),
    (
        "`drain(range)`, `splice(range, bytes)` that is leaked",
        || {
            let mut buffer = Buffer::from(b"abcdef");
            std::mem::forget(buffer.drain(1..3));
            std::mem::forget(buffer.splice(1..3, *b"123"));
            assert_eq!(buffer, b"abcdef");
        },
    ),
    ("`leak()`", || {
        let pool = fresh_pool();
        let leaked = pool.alloc(SLAB + 1).leak();
        assert_eq!(pool.usage().large_live, leaked.len() as u64);
    }),
    ("`from_raw_parts(start, len, capacity)`", || {
        let (start, len, owner) = Buffer::from(b"abc").into_raw_parts();
        // SAFETY: the parts are those of one buffer, used once.
        let buffer = unsafe { Buffer::from_raw_parts(start, len, owner) };
        assert_eq!(buffer, b"abc");
    }),
    ("`clone()`", || {
        let pool = fresh_pool();
        assert!(pool.owns(&pool.copy_from_slice(b"abc").clone()));
        let limited = Pool::builder().limit(MIB).build().unwrap();
        let buffer = limited.alloc(600_000);
        assert!(text_of_panic(|| buffer.clone()).contains("limit"));
        assert!(buffer.try_clone().is_err());
    }),
    ("`Debug`", || {
        assert_eq!(format!("{:?}", Buffer::from(b"a\0")), r#"b"a\0""#);
        assert_eq!(format!("{:?}", b"a\0".to_vec()), "[97, 0]");
    }),
    ("`std::io::Read`", || {
        use std::io::Read;
        let (mut buffer, mut text) = (Buffer::from(b"abc"), String::new());
        buffer.read_to_string(&mut text).unwrap();
        assert!(buffer.is_empty() && text == "abc");
        // A vector is read through a slice, and keeps its bytes.
        let vec = b"abc".to_vec();
        vec.as_slice().read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), vec.len()), ("abcabc", 3));
    }),
];
