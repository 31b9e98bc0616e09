//! What differs from `BytesMut`: the rows of the table in docs/coming_from.md, each with its test.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use slabuf::{AllocError, Buffer, Pool};

use crate::common::{MIB, SLAB, fresh_pool};
use crate::differences::Difference;
use crate::panics;

/// The rows of the table, each with its test.
pub(crate) const DIFFERENCES: &[Difference] = &[
    ("`with_capacity(n)`, `capacity()`", || {
        assert_eq!(Buffer::with_capacity(100).capacity(), 100);
        assert!(Buffer::with_capacity(9000).capacity() > 9000);
        assert_eq!(BytesMut::with_capacity(9000).capacity(), 9000);
        let both = (Buffer::zeroed(100), BytesMut::zeroed(100));
        assert_eq!((both.0.capacity(), both.1.capacity()), (112, 100));
        let both = (Buffer::from(&[1; 100][..]), BytesMut::from(&[1; 100][..]));
        assert_eq!((both.0.capacity(), both.1.capacity()), (112, 100));
    }),
    ("`default()`", || {
        let pool = Pool::builder().limit(MIB).build().unwrap();
        let mut buffer = pool.copy_from_slice(b"abc");
        drop(std::mem::take(&mut buffer));
        assert!(!pool.owns(&buffer));
        buffer.reserve(2 * MIB);
    }),
    ("`split_off(at)` above the length", || {
        let (mut buffer, mut bytes) = (Buffer::with_capacity(1024), BytesMut::with_capacity(1024));
        let (rest, other) = (buffer.split_off(128), bytes.split_off(128));
        assert_eq!((buffer.capacity(), bytes.capacity()), (128, 128));
        assert_eq!((rest.capacity(), other.capacity()), (896, 896));
        let behind = |start: *const u8| start.wrapping_add(128);
        assert_eq!(other.as_ptr(), behind(bytes.as_ptr()));
        assert_ne!(rest.as_ptr(), behind(buffer.as_ptr()));
        // The room behind `at` is still there.
        let start = buffer.as_ptr();
        buffer.reserve(1024);
        assert_eq!((buffer.capacity(), buffer.as_ptr()), (1024, start));
    }),
    (
        "`split_to(0)` of bytes, `split_off(0)`, `split_off(capacity())`",
        || {
            let splits: [fn(&mut Buffer) -> Buffer; 3] = [
                |buffer| buffer.split_to(0),
                |buffer| {
                    let all = buffer.split_off(0);
                    std::mem::replace(buffer, all)
                },
                |buffer| buffer.split_off(buffer.capacity()),
            ];
            for split in splits {
                let pool = fresh_pool();
                let mut buffer = pool.alloc(2 * SLAB);
                let mut empty = split(&mut buffer);
                assert_eq!((empty.len(), empty.capacity()), (0, 0));
                drop(buffer);
                assert_eq!(pool.usage().large_live, 0);
                assert!(!empty.try_reclaim(1));
            }
            let mut bytes = BytesMut::zeroed(100);
            let mut empty = bytes.split_to(0);
            drop(bytes);
            assert!(empty.try_reclaim(100));
        },
    ),
    ("`unsplit(other)`, `try_unsplit(other)`", || {
        let (mut buffer, mut bytes) = (Buffer::with_capacity(100), BytesMut::with_capacity(100));
        buffer.unsplit(Buffer::new());
        bytes.unsplit(BytesMut::new());
        assert_eq!((buffer.capacity(), bytes.capacity()), (100, 0));
        let pool = fresh_pool();
        let (own, foreign) = (pool.copy_from_slice(b"abc"), Buffer::from("def"));
        let (mut buffer, address) = (pool.buffer(), own.as_ptr());
        let foreign = buffer.try_unsplit(foreign).unwrap_err();
        assert!(buffer.try_unsplit(own).is_ok() && buffer.as_ptr() == address);
        let mut copy = pool.buffer();
        copy.unsplit(foreign);
        assert!(copy == "def" && pool.owns(&copy));
        assert!(BytesMut::new().try_unsplit(BytesMut::from("abc")).is_err());
    }),
    ("`truncate(n)`, `clear()` of a part", || {
        let mut buffer = Buffer::from("head: body");
        let mut head = buffer.split_to(4);
        head.truncate(2);
        assert_eq!((head.as_slice(), head.capacity()), (&b"he"[..], 2));
        head.extend_from_slice(b"ll");
        assert_eq!(
            (head.as_slice(), buffer.as_slice()),
            (&b"hell"[..], &b": body"[..])
        );
    }),
    ("no memory", || {
        let pool = Pool::builder().limit(MIB).build().unwrap();
        let mut buffer = pool.copy_from_slice(b"abc");
        assert!(panics(|| buffer.put_bytes(1, 2 * MIB)));
        let error = buffer.try_reserve(2 * MIB).unwrap_err();
        assert!(matches!(error, AllocError::LimitExceeded { .. }));
        assert_eq!(buffer, b"abc");
    }),
    ("`reserve(n)`", || {
        let (mut buffer, mut bytes) = (Buffer::with_capacity(1000), BytesMut::with_capacity(1000));
        buffer.reserve(1001);
        bytes.reserve(1001);
        assert_eq!((buffer.capacity(), bytes.capacity()), (1024, 2000));
        let pool = fresh_pool();
        let mut buffer = pool.alloc_filled(4 * MIB, [7]);
        buffer.reserve(4 * MIB);
        assert!(buffer.capacity() >= 8 * MIB && buffer[4 * MIB - 1] == 7);
        // Nothing is left of where it was: the old pages are part of the new mapping, or unmapped.
        drop(buffer);
        let usage = pool.usage();
        assert_eq!((usage.large_live, usage.in_use), (0, 0));
    }),
    ("`advance(n)` of all bytes", || {
        let mut buffer = Buffer::with_capacity(64);
        let capacity = buffer.capacity();
        buffer.put_bytes(1, 64);
        buffer.advance(64);
        assert_eq!(buffer.capacity(), capacity);
        let mut bytes = BytesMut::with_capacity(64);
        bytes.put_bytes(1, 64);
        bytes.advance(64);
        assert_eq!(bytes.capacity(), 0);
    }),
    ("`unsafe set_len(n)`", || {
        let mut buffer = Buffer::with_capacity(100);
        buffer.set_len(100);
        assert!(buffer.len() == 100 && panics(|| buffer.set_len(SLAB)));
    }),
    ("`spare_capacity_mut()`, `chunk_mut()`", || {
        let mut buffer = Buffer::with_capacity(100);
        let spare: &mut [u8] = buffer.spare_capacity_mut();
        spare[..3].copy_from_slice(b"abc");
        buffer.set_len(3);
        assert_eq!(buffer, b"abc");
    }),
    ("`freeze()`", || {
        let frozen = Buffer::from("abc").freeze();
        assert!(!frozen.is_unique());
        let frozen = frozen.try_into_mut().unwrap_err();
        assert_eq!(frozen, "abc");
        let vec = Vec::from(Buffer::with_capacity(10).freeze());
        assert_eq!(vec.capacity(), 0);
        let (address, vec) = (frozen.as_ptr(), Vec::from(frozen));
        assert_ne!(vec.as_ptr(), address);
    }),
    ("`From<Bytes>`, `put(bytes)`, `Vec::from(buffer)`", || {
        let bytes = Bytes::from(Vec::with_capacity(1234));
        let (mut buffer, mut other) = (Buffer::new(), BytesMut::new());
        buffer.put(bytes.clone());
        other.put(bytes);
        assert_eq!(buffer.capacity(), 0);
        let bytes = Bytes::from(vec![1; 100]);
        let address = bytes.as_ptr();
        buffer.put(bytes);
        assert_ne!(buffer.as_ptr(), address);
        let frozen = Buffer::from("abc").freeze();
        let address = frozen.as_ptr();
        let thawed = Buffer::from(frozen);
        assert!(thawed == "abc" && thawed.as_ptr() != address);
        let address = thawed.as_ptr();
        let vec = Vec::from(thawed);
        assert_ne!(vec.as_ptr(), address);
    }),
    ("`size_of`", || {
        assert_eq!((size_of::<Buffer>(), size_of::<BytesMut>()), (24, 32));
    }),
    ("`clone()`", || {
        let pool = fresh_pool();
        assert!(pool.owns(&pool.copy_from_slice(b"abc").clone()));
        let limited = Pool::builder().limit(MIB).build().unwrap();
        let buffer = limited.alloc(600_000);
        assert!(panics(|| buffer.clone()) && buffer.try_clone().is_err());
    }),
    ("`into_iter()`", || {
        let mut bytes = Buffer::from("abc").into_iter();
        assert_eq!(bytes.next_back(), Some(b'c'));
        assert_eq!(bytes.next(), Some(b'a'));
        assert_eq!(bytes.into_inner(), "b");
    }),
    ("`Debug`", || {
        let long = "a".repeat(100);
        let expected = format!("b\"{}\"... (100 bytes)", &long[..64]);
        assert_eq!(format!("{:?}", Buffer::from(&long)), expected);
        let secrets = Pool::builder().zero_on_free(true).build().unwrap();
        let text = format!("{:?}", secrets.copy_from_slice(b"key"));
        assert_eq!(text, "Buffer { len: 3, .. }");
    }),
    ("`text < bytes`, `vec < bytes`", || {
        let (buffer, bytes) = (Buffer::from("abc"), BytesMut::from("abc"));
        assert!("abb" < buffer && b"abb".to_vec() < buffer);
        assert!(
            "abb" > bytes && b"abb".to_vec() > bytes,
            "fixed since bytes 1.12"
        );
    }),
    ("`take(n)`, `chain(next)`, `reader()`", || {
        use std::io::Read;
        // Both traits are in scope: a call names the one that is meant.
        let mut head = Buf::take(Buffer::from("abc"), 2);
        let mut text = String::new();
        Buffer::from("def").read_to_string(&mut text).unwrap();
        assert_eq!(
            (head.copy_to_bytes(2), text.as_str()),
            (Bytes::from("ab"), "def")
        );
    }),
];
