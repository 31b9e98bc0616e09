//! `Buffer` in code written for `BytesMut`: every method of bytes 1.12 by its name, in the same
//! code for both, and the rows of docs/coming_from.md that say what differs.
#![allow(
    clippy::cmp_owned,
    clippy::nonminimal_bool,
    clippy::op_ref,
    clippy::useless_conversion,
    reason = "code as programs have it, once for two types"
)]

mod common;
#[path = "common/differences.rs"]
mod differences;
#[path = "as_bytes_mut/differs.rs"]
mod differs;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use differences::assert_rows;
use differs::DIFFERENCES;
use slabuf::Buffer;

/// The methods of `BytesMut`, bytes 1.12. Those of slices come by `Deref`.
const METHODS: &str = "
    new split try_reclaim try_unsplit
    with_capacity len is_empty capacity freeze zeroed split_off split_to truncate clear resize
    set_len reserve extend_from_slice extend_from_within unsplit spare_capacity_mut
";

/// Runs each block with `Mut` as `BytesMut` and as `Buffer`, and compares what it returns.
macro_rules! same {
    ($($name:ident $body:block)*) => {
        $(
            #[test]
            #[allow(unused_unsafe, reason = "some functions are unsafe in one of the two only")]
            fn $name() {
                let expected = {
                    type Mut = BytesMut;
                    $body
                };
                let found = {
                    type Mut = Buffer;
                    $body
                };
                assert_eq!(found, expected);
            }
        )*
    };
}

pub(crate) fn panics<T>(call: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(call)).is_err()
}

same! {
    with_capacity {
        let bytes = Mut::with_capacity(100);
        (bytes.len(), bytes.capacity() >= 100)
    }
    new {
        let mut bytes = Mut::new();
        let before = (bytes.len(), bytes.capacity(), bytes.is_empty(), bytes.chunk().len());
        bytes.put_slice(b"abc");
        (before, bytes.to_vec(), Mut::new() == Mut::default(), Mut::new().freeze())
    }
    split {
        let mut bytes = Mut::with_capacity(1024);
        bytes.put_slice(b"head");
        let head = bytes.split();
        let (left, room) = (bytes.len(), bytes.capacity() >= 1000);
        bytes.put_slice(b"body");
        let empty = Mut::new().split();
        (head.to_vec(), left, room, bytes.to_vec(), empty.len())
    }
    try_reclaim {
        let mut bytes = Mut::from(&[7; 64][..]);
        let size = bytes.capacity();
        let head = bytes.split_to(60);
        let mut seen = vec![bytes.try_reclaim(usize::MAX), bytes.try_reclaim(size)];
        drop(head);
        seen.extend([bytes.try_reclaim(size), bytes.try_reclaim(size - 4), bytes.capacity() == size]);
        (seen, bytes.to_vec())
    }
    try_unsplit {
        let mut bytes = Mut::from(&b"head: body"[..]);
        let rest = bytes.split_off(4);
        let joined = bytes.try_unsplit(rest).is_ok();
        let refused = bytes.try_unsplit(Mut::from(&b"other"[..])).map_err(|other| other.to_vec());
        (joined, refused, bytes.to_vec(), bytes.try_unsplit(Mut::new()).is_ok())
    }
    len {
        (Mut::from(&b"abc"[..]).len(), Mut::with_capacity(9).len())
    }
    is_empty {
        (Mut::from(&b"abc"[..]).is_empty(), Mut::with_capacity(9).is_empty())
    }
    capacity {
        let mut bytes = Mut::with_capacity(100);
        let before = bytes.capacity();
        bytes.put_slice(&[1; 60]);
        bytes.advance(50);
        before - bytes.capacity()
    }
    freeze {
        let start = Mut::from(&b"abc"[..]);
        let address = start.as_ptr();
        let frozen: Bytes = start.freeze();
        (frozen.slice(1..), frozen.as_ptr() == address)
    }
    zeroed {
        Mut::zeroed(10_000).to_vec()
    }
    split_off {
        let mut head = Mut::from(&b"head: body"[..]);
        let rest = head.split_off(4);
        let empty = head.split_off(4);
        (head.to_vec(), rest.to_vec(), empty.len())
    }
    split_off_with_capacity {
        let mut head = Mut::with_capacity(128);
        head.put_slice(b"abc");
        let rest = head.split_off(64);
        (head.to_vec(), rest.len(), rest.capacity() >= 64)
    }
    split_to {
        let mut rest = Mut::from(&b"head: body"[..]);
        let head = rest.split_to(4);
        let empty = rest.split_to(0);
        let panicked = panics(|| rest.split_to(7));
        (head.to_vec(), rest.to_vec(), empty.len(), panicked)
    }
    parts_do_not_touch_each_other {
        let mut rest: Mut = (0..100).collect();
        let mut parts: Vec<Mut> = (0..10).map(|_| rest.split_to(7)).collect();
        for (n, part) in parts.iter_mut().enumerate() {
            part.fill(n as u8);
            part.put_bytes(0xEE, n);
        }
        rest.put_bytes(0xDD, 500);
        (parts.iter().map(|part| part.to_vec()).collect::<Vec<_>>(), rest.to_vec())
    }
    unsplit {
        let mut bytes = Mut::from(&b"head: body"[..]);
        let address = bytes.as_ptr();
        let rest = bytes.split_off(4);
        bytes.unsplit(rest);
        let joined = (bytes.to_vec(), bytes.as_ptr() == address);
        bytes.unsplit(Mut::from(&b"!"[..]));
        bytes.unsplit(Mut::with_capacity(0));
        let mut empty = Mut::with_capacity(0);
        empty.unsplit(bytes.clone());
        (joined, bytes.to_vec(), empty.to_vec())
    }
    truncate {
        let mut bytes = Mut::from(&b"abcdef"[..]);
        bytes.truncate(10);
        let longer = bytes.to_vec();
        bytes.truncate(2);
        (longer, bytes.to_vec())
    }
    clear {
        let mut bytes = Mut::from(&b"abc"[..]);
        bytes.clear();
        bytes.to_vec()
    }
    resize {
        let mut bytes = Mut::from(&b"abc"[..]);
        bytes.resize(10_000, 7);
        let longer = bytes.to_vec();
        bytes.resize(2, 0);
        (longer, bytes.to_vec())
    }
    set_len {
        let mut bytes = Mut::with_capacity(10);
        // SAFETY: the capacity is 10 at least.
        unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(b"abc".as_ptr(), 3) };
        // SAFETY: three bytes are initialised.
        unsafe { bytes.set_len(3) };
        bytes.to_vec()
    }
    reserve {
        let mut bytes = Mut::from(&b"abc"[..]);
        bytes.reserve(20_000);
        (bytes.to_vec(), bytes.capacity() >= 20_003)
    }
    reserve_of_what_was_read {
        let mut bytes = Mut::with_capacity(64);
        let (address, capacity) = (bytes.as_ptr(), bytes.capacity());
        bytes.put_bytes(1, 60);
        bytes.advance(50);
        bytes.reserve(capacity - 10);
        (bytes.to_vec(), bytes.as_ptr() == address, bytes.capacity() == capacity)
    }
    extend_from_slice {
        let mut bytes = Mut::from(&b"abc"[..]);
        bytes.extend_from_slice(&[1; 20_000]);
        bytes.to_vec()
    }
    extend_from_within {
        let mut bytes = Mut::from(&b"abc"[..]);
        bytes.extend_from_within(1..);
        bytes.extend_from_within(..=0);
        bytes.extend_from_within(..);
        let panicked = panics(|| bytes.extend_from_within(99..));
        (panicked, bytes.to_vec())
    }
    spare_capacity_mut {
        let mut bytes = Mut::with_capacity(100);
        bytes.put_slice(b"abc");
        bytes.spare_capacity_mut().len() == bytes.capacity() - 3
    }
    reading {
        let mut bytes = Mut::from(&b"\x00\x05hello, world"[..]);
        let len = usize::from(bytes.get_u16());
        let word = bytes.copy_to_bytes(len);
        let mut comma = [0; 2];
        bytes.copy_to_slice(&mut comma);
        let more = [bytes.has_remaining(), panics(|| bytes.advance(6))];
        (word, comma, more, bytes.remaining(), bytes.chunk().to_vec())
    }
    writing {
        let mut bytes = Mut::with_capacity(0);
        bytes.put_u32_le(7);
        bytes.put_slice(b"abc");
        bytes.put(&b"def"[..]);
        bytes.put(Bytes::from_static(b"ghi"));
        bytes.put_bytes(b'!', 3);
        let chunk = bytes.chunk_mut().len() > 0;
        (bytes.to_vec(), chunk, bytes.has_remaining_mut())
    }
    adapters {
        let mut head = Mut::from(&b"abcdef"[..]).take(3);
        let first = head.copy_to_bytes(3);
        let mut both = first.clone().chain(Mut::from(&b"xyz"[..]));
        let mut limited = Mut::with_capacity(16).limit(2);
        limited.put_slice(b"ab");
        (first, both.copy_to_bytes(6), limited.remaining_mut(), limited.into_inner().to_vec())
    }
    formatting {
        use std::fmt::Write;
        let mut bytes = Mut::with_capacity(0);
        write!(bytes, "{} and {}", 1, 2).unwrap();
        bytes.write_char('é').unwrap();
        (format!("{bytes:?} {bytes:x} {bytes:X}"), bytes.to_vec())
    }
    conversions {
        let all = [
            Mut::from(&b"abc"[..]), Mut::from("text"), Mut::from(Bytes::from_static(b"bytes")),
            Mut::from_iter([1, 2]), [3, 4].iter().collect::<Mut>(), Mut::default(),
        ];
        let frozen: Bytes = Mut::from("text").into();
        let vec: Vec<u8> = Mut::from("text").into();
        (all.map(|bytes| bytes.to_vec()), frozen, vec)
    }
    extending {
        let mut bytes = Mut::from("a");
        bytes.extend([1, 2]);
        bytes.extend(&[3, 4]);
        bytes.extend([Bytes::from_static(b"b"), Bytes::from_static(b"cd")]);
        bytes.to_vec()
    }
    iterating {
        let bytes = Mut::from("abc");
        let mut sum = 0_u32;
        for byte in &bytes {
            sum += u32::from(*byte);
        }
        let all = bytes.into_iter();
        (sum, all.len(), all.collect::<Vec<u8>>())
    }
    comparing {
        let bytes = Mut::from("abc");
        let right = [
            bytes == *"abc", bytes == "abc", bytes == b"abc"[..], bytes == &b"abc"[..],
            bytes == *b"abc".to_vec(), bytes == b"abc".to_vec(), bytes == String::from("abc"),
            bytes == Bytes::from("abc"), bytes == &String::from("abc"), bytes == Mut::from("abc"),
            bytes < *"abd", bytes < "abd", bytes < b"abd"[..], bytes < &b"abd"[..],
            bytes < b"abd".to_vec(), bytes < String::from("abd"), bytes < Mut::from("abd"),
        ];
        let left = [
            *"abc" == bytes, "abc" == bytes, b"abc"[..] == bytes, &b"abc"[..] == bytes,
            b"abc".to_vec() == bytes, String::from("abc") == bytes, Bytes::from("abc") == bytes,
            *"abb" < bytes, b"abb"[..] < bytes, &b"abb"[..] < bytes, String::from("abb") < bytes,
        ];
        (right, left, bytes == "ab", "abcd" == bytes)
    }
    remaining_mut {
        Mut::from("abc").remaining_mut()
    }
    bounds {
        fn shared<T: Send + Sync + Unpin + 'static + Default + Clone + Eq + Ord + std::hash::Hash>(_: T) -> bool {
            true
        }
        shared(Mut::default())
    }
}

/// Comparisons that a `Buffer` has beside those of `BytesMut`.
#[test]
fn more_comparisons() {
    let buffer = Buffer::from("abc");
    let bytes = BytesMut::from("abc");
    assert!(buffer == bytes && bytes == buffer && buffer == &bytes);
    assert!(buffer == *b"abc" && *b"abc" == buffer && buffer == b"abc" && b"abc" == buffer);
    assert!(buffer < BytesMut::from("abd") && BytesMut::from("abb") < buffer);
    assert!(buffer < Bytes::from("abd") && Bytes::from("abb") < buffer);
    assert!(buffer < *b"abd" && *b"abb" < buffer && buffer < b"abd" && b"abb" < buffer);
    assert_eq!(buffer.partial_cmp("abc"), Some(std::cmp::Ordering::Equal));
}

#[test]
fn each_row_of_the_table_holds() {
    assert_rows("`BytesMut`", DIFFERENCES);
}

/// Each method has a test of its name above.
#[test]
fn no_method_is_missing() {
    let source = include_str!("as_bytes_mut.rs");
    for method in METHODS.split_whitespace() {
        let test = source.contains(&format!("\n    {method} {{\n"));
        assert!(test, "{method}");
    }
}
