//! `Buffer` in code written for `Vec<u8>`: every stable method by its name, in the same code for
//! both, and the rows of docs/coming_from.md that say what differs.
#![allow(
    clippy::cmp_owned,
    clippy::drain_collect,
    clippy::op_ref,
    clippy::useless_conversion,
    clippy::useless_vec,
    reason = "code as programs have it, once for two types"
)]

mod common;
#[path = "common/differences.rs"]
mod differences;
#[path = "as_vec/differs.rs"]
mod differs;

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};

use differences::assert_rows;
use differs::DIFFERENCES;
use slabuf::Buffer;

/// The stable methods of `Vec<u8>`, Rust 1.89. Those of slices come by `Deref`.
const METHODS: &str = "
    new
    with_capacity from_raw_parts capacity reserve reserve_exact try_reserve try_reserve_exact
    shrink_to_fit shrink_to into_boxed_slice truncate as_slice as_mut_slice as_ptr as_mut_ptr
    set_len swap_remove insert remove retain retain_mut dedup_by_key dedup_by dedup push pop_if
    pop append drain clear len is_empty split_off resize_with leak spare_capacity_mut resize
    extend_from_slice extend_from_within splice extract_if
";

/// Runs each block with `Bytes` as `Vec<u8>` and as `Buffer`, and compares what it returns.
macro_rules! same {
    ($($name:ident $body:block)*) => {
        $(
            #[test]
            #[allow(unused_unsafe, reason = "some functions are unsafe in one of the two only")]
            fn $name() {
                let expected = {
                    type Bytes = Vec<u8>;
                    $body
                };
                let found = {
                    type Bytes = Buffer;
                    $body
                };
                assert_eq!(found, expected);
            }
        )*
    };
}

fn panics<T>(call: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(call)).is_err()
}

same! {
    new {
        static EMPTY: Bytes = Bytes::new();
        let mut bytes = Bytes::new();
        bytes.extend_from_slice(b"abc");
        let taken = std::mem::take(&mut bytes);
        (EMPTY.len(), EMPTY.capacity(), taken.to_vec(), bytes.capacity())
    }
    with_capacity {
        let bytes = Bytes::with_capacity(100);
        (bytes.len(), bytes.capacity() >= 100)
    }
    capacity {
        let mut bytes = Bytes::with_capacity(100);
        let before = bytes.capacity();
        bytes.extend_from_slice(&[1; 100]);
        bytes.clear();
        bytes.capacity() == before
    }
    reserve {
        let mut bytes = Bytes::from(b"abc");
        bytes.reserve(20_000);
        (bytes.to_vec(), bytes.capacity() >= 20_003)
    }
    reserve_exact {
        let mut bytes = Bytes::from(b"abc");
        bytes.reserve_exact(20_000);
        (bytes.to_vec(), (20_003..40_000).contains(&bytes.capacity()))
    }
    try_reserve {
        let mut bytes = Bytes::from(b"abc");
        let fails = bytes.try_reserve(usize::MAX).is_err();
        (fails, bytes.try_reserve(20_000).is_ok(), bytes.capacity() >= 20_003, bytes.to_vec())
    }
    try_reserve_exact {
        let mut bytes = Bytes::from(b"abc");
        let fails = bytes.try_reserve_exact(usize::MAX).is_err();
        (fails, bytes.try_reserve_exact(20_000).is_ok(), bytes.capacity() >= 20_003, bytes.to_vec())
    }
    shrink_to_fit {
        let mut bytes = Bytes::with_capacity(100_000);
        bytes.extend_from_slice(b"abc");
        bytes.shrink_to_fit();
        (bytes.to_vec(), bytes.capacity() < 1000)
    }
    shrink_to {
        let mut bytes = Bytes::with_capacity(100_000);
        bytes.extend_from_slice(b"abc");
        bytes.shrink_to(2000);
        (bytes.to_vec(), (2000..3000).contains(&bytes.capacity()))
    }
    into_boxed_slice {
        Bytes::from(b"abc").into_boxed_slice()
    }
    truncate {
        let mut bytes = Bytes::from(b"abcdef");
        bytes.truncate(10);
        let longer = bytes.to_vec();
        bytes.truncate(2);
        (longer, bytes.to_vec())
    }
    as_slice {
        Bytes::from(b"abc").as_slice() == b"abc"
    }
    as_mut_slice {
        let mut bytes = Bytes::from(b"cab");
        bytes.as_mut_slice().sort_unstable();
        bytes.to_vec()
    }
    as_ptr {
        let bytes = Bytes::from(b"abc");
        // SAFETY: the first of three bytes.
        unsafe { *bytes.as_ptr() }
    }
    as_mut_ptr {
        let mut bytes = Bytes::from(b"abc");
        // SAFETY: the first of three bytes.
        unsafe { bytes.as_mut_ptr().write(b'A') };
        bytes.to_vec()
    }
    set_len {
        let mut bytes = Bytes::with_capacity(10);
        // SAFETY: the capacity is 10 at least.
        unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(b"abc".as_ptr(), 3) };
        // SAFETY: three bytes are initialised.
        unsafe { bytes.set_len(3) };
        bytes.to_vec()
    }
    swap_remove {
        let mut bytes = Bytes::from(b"abcd");
        let removed = [bytes.swap_remove(1), bytes.swap_remove(2), bytes.swap_remove(0)];
        (removed, bytes.to_vec(), panics(|| bytes.swap_remove(1)), bytes.to_vec())
    }
    insert {
        let mut bytes = Bytes::from(b"");
        for (at, byte) in [(0, b'b'), (0, b'a'), (2, b'd'), (2, b'c')] {
            bytes.insert(at, byte);
        }
        (bytes.to_vec(), panics(|| bytes.insert(5, 1)), bytes.to_vec())
    }
    remove {
        let mut bytes = Bytes::from(b"abcd");
        let removed = [bytes.remove(1), bytes.remove(2), bytes.remove(0)];
        (removed, bytes.to_vec(), panics(|| bytes.remove(1)), bytes.to_vec())
    }
    retain {
        let mut bytes: Bytes = (0..=255).collect();
        bytes.retain(|byte| byte % 3 == 0);
        bytes.to_vec()
    }
    retain_panics {
        let mut bytes: Bytes = (0..100).collect();
        let panicked = panics(|| bytes.retain(|byte| {
            assert!(*byte < 50);
            byte % 2 == 0
        }));
        (panicked, bytes.to_vec())
    }
    retain_mut {
        let mut bytes: Bytes = (0..=255).collect();
        bytes.retain_mut(|byte| { *byte ^= 1; *byte > 100 });
        bytes.to_vec()
    }
    dedup {
        let mut bytes = Bytes::from(b"aabccca");
        bytes.dedup();
        let mut empty = Bytes::from(b"");
        empty.dedup();
        (bytes.to_vec(), empty.to_vec())
    }
    dedup_by_key {
        let mut bytes = Bytes::from(b"aAbBcCa");
        bytes.dedup_by_key(|byte| byte.to_ascii_lowercase());
        bytes.to_vec()
    }
    dedup_by {
        let mut bytes = Bytes::from(b"124859");
        // The first argument is the later byte, the second the last one kept; both may change.
        bytes.dedup_by(|byte, previous| {
            *previous = previous.wrapping_add(0x10);
            *byte < *previous
        });
        bytes.to_vec()
    }
    push {
        let mut bytes = Bytes::with_capacity(0);
        for n in 0..20_000_u32 {
            bytes.push(n as u8);
        }
        bytes.to_vec()
    }
    pop {
        let mut bytes = Bytes::from(b"ab");
        ([bytes.pop(), bytes.pop(), bytes.pop()], bytes.to_vec())
    }
    pop_if {
        let mut bytes = Bytes::from(b"ab");
        let is_b = |byte: &mut u8| *byte == b'b';
        ([bytes.pop_if(is_b), bytes.pop_if(is_b)], bytes.to_vec())
    }
    append {
        let (mut bytes, mut other) = (Bytes::from(b"ab"), Bytes::from(b"cd"));
        bytes.append(&mut other);
        (bytes.to_vec(), other.to_vec())
    }
    drain {
        let mut bytes: Bytes = (0..100).collect();
        let mut seen: Vec<Vec<u8>> = vec![
            bytes.drain(..0).collect(),
            bytes.drain(..3).collect(),
            bytes.drain(95..).rev().collect(),
            bytes.drain(10..=20).collect(),
        ];
        let mut drain = bytes.drain(5..15);
        seen.push(vec![drain.next().unwrap(), drain.next_back().unwrap(), drain.len() as u8]);
        seen.push(drain.as_slice().to_vec());
        drop(drain);
        seen.push(bytes.to_vec());
        seen.push(bytes.drain(..).collect());
        seen.push(bytes.to_vec());
        seen
    }
    drain_out_of_range {
        let mut bytes = Bytes::from(b"abc");
        #[allow(clippy::reversed_empty_ranges)]
        let panicked = [
            panics(|| bytes.drain(4..).count()),
            panics(|| bytes.drain(2..1).count()),
            panics(|| bytes.drain(..=3).count()),
            panics(|| bytes.drain(..=usize::MAX).count()),
            panics(|| bytes.drain(3..).count()),
        ];
        (panicked, bytes.to_vec())
    }
    splice {
        let mut bytes: Bytes = (0..100).collect();
        let mut seen: Vec<Vec<u8>> = vec![
            bytes.splice(10..20, [1, 2, 3]).collect(),
            bytes.splice(..5, [7; 5]).rev().collect(),
            bytes.splice(50.., (0..200).filter(|n| n % 3 == 0)).collect(),
            bytes.splice(3..=3, []).collect(),
            bytes.splice(20..20, vec![9; 20_000]).collect(),
        ];
        seen.push(bytes.to_vec());
        let mut splice = bytes.splice(30..40, *b"ab");
        seen.push(vec![splice.next().unwrap(), splice.next_back().unwrap(), splice.len() as u8]);
        drop(splice);
        seen.push(bytes.splice(.., None).collect());
        seen.push(bytes.splice(.., *b"new").collect());
        seen.push(bytes.to_vec());
        seen
    }
    splice_panics {
        let mut bytes = Bytes::from(b"abcdef");
        let failing = |count: u8| (0..9).inspect(move |n| assert!(*n < count));
        let panicked = [
            panics(|| bytes.splice(4..7, None).count()),
            panics(|| drop(bytes.splice(1..4, failing(2)))),
        ];
        (panicked, bytes.to_vec())
    }
    extract_if {
        let mut bytes: Bytes = (0..100).collect();
        let mut seen: Vec<Vec<u8>> = vec![
            bytes.extract_if(.., |byte| *byte % 2 == 1).collect(),
            bytes.extract_if(10..20, |byte| { *byte += 1; *byte > 35 }).collect(),
            bytes.extract_if(5.., |_| false).collect(),
            bytes.extract_if(5.., |byte| *byte < 50).take(3).collect(),
        ];
        seen.push(bytes.to_vec());
        let hint = bytes.extract_if(3..9, |_| true).size_hint();
        let panicked = panics(|| bytes.extract_if(.., |byte| {
            assert!(*byte < 60);
            *byte % 4 == 0
        }).count());
        seen.push(bytes.to_vec());
        seen.push(bytes.extract_if(.., |_| true).collect());
        (seen, hint, panicked, panics(|| bytes.extract_if(1.., |_| true).count()), bytes.len())
    }
    clear {
        let mut bytes = Bytes::from(b"abc");
        bytes.clear();
        bytes.len()
    }
    len {
        Bytes::from(b"abc").len()
    }
    is_empty {
        Bytes::from(b"abc").is_empty()
    }
    split_off {
        let mut bytes = Bytes::from(b"abcdef");
        let rest = bytes.split_off(2);
        (bytes.to_vec(), rest.to_vec())
    }
    resize_with {
        let (mut bytes, mut next) = (Bytes::from(b"abc"), 0);
        bytes.resize_with(2, || unreachable!());
        bytes.resize_with(10_000, || { next = (next + 1) % 251; next as u8 });
        bytes.to_vec()
    }
    leak {
        let leaked: &'static mut [u8] = Bytes::from(b"abc").leak();
        leaked[0] = b'A';
        leaked.to_vec()
    }
    spare_capacity_mut {
        let mut bytes = Bytes::with_capacity(100);
        bytes.extend_from_slice(b"abc");
        bytes.spare_capacity_mut().len() == bytes.capacity() - 3
    }
    resize {
        let mut bytes = Bytes::from(b"abc");
        bytes.resize(10_000, 7);
        let longer = bytes.to_vec();
        bytes.resize(2, 0);
        (longer, bytes.to_vec())
    }
    extend_from_slice {
        let mut bytes = Bytes::from(b"abc");
        bytes.extend_from_slice(&[1; 20_000]);
        bytes.to_vec()
    }
    extend_from_within {
        let mut bytes = Bytes::from(b"abc");
        bytes.extend_from_within(1..);
        bytes.extend_from_within(..=0);
        bytes.extend_from_within(..);
        (panics(|| bytes.extend_from_within(99..)), bytes.to_vec())
    }
    iterating {
        let mut bytes: Bytes = (0..10).collect();
        let mut sum = 0_u32;
        for byte in &mut bytes {
            *byte *= 2;
        }
        for byte in &bytes {
            sum += u32::from(*byte);
        }
        let back: Vec<u8> = bytes.clone().into_iter().rev().collect();
        let mut ends = bytes.into_iter();
        let taken = [ends.next(), ends.next_back()];
        (sum, back, taken, ends.len(), ends.as_slice().to_vec())
    }
    slices_methods {
        let mut bytes = Bytes::from(b"hello, world");
        bytes.make_ascii_uppercase();
        bytes[..5].reverse();
        (bytes.to_vec(), bytes.contains(&b','), bytes.starts_with(b"OLL"), bytes.first().copied())
    }
    as_key {
        let mut map = HashMap::new();
        map.insert(Bytes::from(b"key"), 1);
        let ordered: BTreeSet<Bytes> = [Bytes::from(b"b"), Bytes::from(b"a")].into();
        (map.get(&b"key"[..]).copied(), ordered.first().map(|bytes| bytes.to_vec()))
    }
    conversions {
        let bytes = Bytes::from("text");
        let all = [
            Bytes::from(&b"abc"[..]), Bytes::from([1, 2]), Bytes::from(b"ab"), Bytes::from(String::from("text")),
            Bytes::from(Box::<[u8]>::from([1])), Bytes::from(std::borrow::Cow::Borrowed(&b"cow"[..])),
            Bytes::from_iter([1, 2]), std::iter::repeat_n(7, 3).collect::<Bytes>(), Bytes::default(),
        ];
        let vec: Vec<u8> = bytes.clone().into();
        let boxed: Box<[u8]> = bytes.into();
        (all.map(|bytes| bytes.to_vec()), vec, boxed)
    }
    extending {
        let mut bytes = Bytes::from(b"a");
        bytes.extend([1, 2]);
        bytes.extend(&[3, 4]);
        bytes.extend(vec![5].iter());
        bytes.to_vec()
    }
    comparing {
        let bytes = Bytes::from(b"abc");
        let equal = bytes == b"abc" && bytes == *b"abc" && bytes == b"abc"[..] && bytes == &b"abc"[..];
        (equal, bytes < Bytes::from(b"abd"), bytes != b"abd", bytes.cmp(&Bytes::from(b"ab")))
    }
    writing {
        use std::io::Write;
        let mut bytes = Bytes::with_capacity(0);
        write!(bytes, "{} and {}", 1, 2).unwrap();
        bytes.write_all(b"!").unwrap();
        bytes.to_vec()
    }
}

#[test]
fn each_row_of_the_table_holds() {
    assert_rows("`Vec<u8>`", DIFFERENCES);
}

/// Each method has a test of its name above, or a row that says why not.
#[test]
fn no_method_is_missing() {
    let source = include_str!("as_vec.rs");
    for method in METHODS.split_whitespace() {
        let test = source.contains(&format!("\n    {method} {{\n"));
        let row = DIFFERENCES.iter().any(|(row, _)| {
            let behind = row.split(['`', ' ', ',']);
            behind
                .into_iter()
                .any(|word| word.split('(').next() == Some(method))
        });
        assert!(test || row, "{method}");
    }
}
