//! The traits of `Buffer`, its `Debug` output, and callers that violate the contracts of traits.

mod common;

use std::borrow::Borrow;
use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use common::{MIB, SLAB, address, assert_all_home, fresh_pool, is_all};
use slabuf::{AllocError, Buffer, ConfigError, MemoryUsage, Pool, PoolBuilder, PoolUsage};

const fn is_shared<T: Send + Sync>() {}
const _: () = {
    is_shared::<Buffer>();
    is_shared::<Pool>();
    is_shared::<PoolBuilder>();
    is_shared::<PoolUsage>();
    is_shared::<MemoryUsage>();
    is_shared::<AllocError>();
    is_shared::<ConfigError>();
};

/// `Debug` prints up to 64 bytes in the format of `Bytes`, for every byte value and kind of buffer.
#[test]
fn debug_prints_what_bytes_prints() {
    let every: Vec<u8> = (0..=255).collect();
    for chunk in every.chunks(64).chain([&b""[..], b"'\"\\"]) {
        let bytes = Bytes::copy_from_slice(chunk);
        let mut large = Buffer::alloc_unsafe_slow(SLAB + 1);
        large.clear();
        large.extend_from_slice(chunk);
        for buffer in [Buffer::copy_from_slice(chunk), large] {
            assert_eq!(format!("{buffer:?}"), format!("{bytes:?}"));
            assert_eq!(format!("{buffer:#?}"), format!("{bytes:?}"));
        }
    }
}

/// `Debug` of a longer buffer prints the first 64 bytes and the length.
#[test]
fn debug_ends_after_64_bytes() {
    for len in [65, SLAB, MIB] {
        let buffer = Buffer::alloc_filled(len, "a");
        let expected = format!("b\"{}\"... ({len} bytes)", "a".repeat(64));
        assert_eq!(format!("{buffer:?}"), expected);
    }
}

/// Hexadecimal formatting prints all bytes.
#[test]
fn hexadecimal_prints_all_bytes() {
    let every: Vec<u8> = (0..=255).collect();
    let (buffer, bytes) = (Buffer::from(&every), Bytes::from(every));
    assert_eq!(format!("{buffer:x}"), format!("{bytes:x}"));
    assert_eq!(format!("{buffer:X}"), format!("{bytes:X}"));
    assert_eq!(format!("{:x}", Buffer::alloc(0)), "");
}

/// `Debug` of a pool prints its name and number.
#[test]
fn a_pool_can_be_printed() {
    let pool = fresh_pool();
    let _live = pool.alloc_filled(9, b"swordfish");
    let text = format!("{pool:?} {:?}", Pool::global());
    assert!(
        text.starts_with("Pool") && !text.contains("sword"),
        "{text}"
    );
}

/// Every `From` copies, at every kind of length.
#[test]
fn from_copies() {
    assert_eq!(Buffer::from(b"array"), b"array");
    assert_eq!(Buffer::from("text é"), "text é".as_bytes());
    assert_eq!(Buffer::from(String::from("text")), b"text");
    for n in [0, 1, 16, 17, SLAB, SLAB + 1, MIB] {
        let source: Vec<u8> = (0..n).map(|i| i as u8).collect();
        let buffer = Buffer::from(source.as_slice());
        assert_eq!(buffer, source);
        assert!(n == 0 || address(&buffer) != address(&source));
        assert_eq!(Buffer::from(source.clone()), source);
        assert_eq!(source.iter().copied().collect::<Buffer>(), source);
    }
}

/// `extend` and `extend_from_slice` append, also from small to large.
#[test]
fn extending_appends() {
    let pool = fresh_pool();
    for start in [0, 1, 15, 100, SLAB - 1, SLAB, SLAB + 1] {
        let mut buffer = pool.alloc_filled(start, [1]);
        let mut expected = vec![1; start];
        for piece in [0usize, 1, 16, 5000, 10_000] {
            let bytes: Vec<u8> = (0..piece).map(|i| i as u8).collect();
            buffer.extend_from_slice(&bytes);
            buffer.extend(bytes.iter().copied());
            expected.extend_from_slice(&bytes);
            expected.extend_from_slice(&bytes);
            assert_eq!(buffer, expected);
        }
    }
}

/// Views through `Deref`, `AsRef`, `AsMut` and `Borrow` are the same bytes.
#[test]
fn views_are_the_same_bytes() {
    fn views(buffer: &mut Buffer) -> [usize; 5] {
        [
            address(buffer),
            address(AsRef::<[u8]>::as_ref(buffer)),
            address(Borrow::<[u8]>::borrow(buffer)),
            address(AsMut::<[u8]>::as_mut(buffer)),
            address(&buffer[..]),
        ]
    }
    let mut buffer = Buffer::from("views");
    let first = address(&buffer);
    assert_eq!(views(&mut buffer), [first; 5]);
    buffer[0] = b'V';
    buffer.as_mut()[4] = b'S';
    buffer.reverse();
    assert_eq!(buffer, b"SweiV"[..]);
}

/// A buffer equals any type that holds the same bytes.
#[test]
fn equality_is_that_of_the_bytes() {
    let buffer = Buffer::from("same");
    assert_eq!(buffer, *b"same");
    assert_eq!(buffer, b"same");
    assert_eq!(buffer, b"same"[..]);
    assert_eq!(buffer, &b"same"[..]);
    assert_eq!(buffer, b"same".to_vec());
    assert_eq!(buffer, *"same");
    assert_eq!(buffer, Bytes::from_static(b"same"));
    assert_eq!(buffer, fresh_pool().copy_from_slice(b"same"));
    assert_ne!(buffer, b"some"[..]);
    assert_ne!(buffer, b"sam"[..]);
    assert_ne!(buffer, Buffer::from("same "));
}

/// Order and hash are those of `[u8]`: neither capacity nor kind matters.
#[test]
fn order_and_hash_are_those_of_the_bytes() {
    let words = ["", "a", "aa", "ab", "b", "ba", "é"];
    let buffers: BTreeSet<Buffer> = words.iter().rev().map(|word| Buffer::from(*word)).collect();
    assert!(
        buffers
            .iter()
            .map(|buffer| &buffer[..])
            .eq(words.iter().map(|word| word.as_bytes()))
    );
    for one in words {
        for other in words {
            let (left, right) = (Buffer::from(one), Buffer::from(other));
            assert_eq!(left.cmp(&right), one.as_bytes().cmp(other.as_bytes()));
            assert_eq!(
                left.partial_cmp(&right),
                one.as_bytes().partial_cmp(other.as_bytes())
            );
        }
    }

    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut map: HashMap<Buffer, usize, _> = HashMap::with_hasher(hasher.clone());
    let mut roomy = fresh_pool().alloc_unsafe_slow(MIB);
    roomy.clear();
    roomy.extend_from_slice(b"key");
    assert_eq!(hasher.hash_one(&roomy), hasher.hash_one(&b"key"[..]));
    map.insert(roomy, 1);
    map.insert(Buffer::from("key"), 2);
    assert_eq!(map.len(), 1);
    assert_eq!(map.get(&b"key"[..]), Some(&2));
}

/// `freeze` keeps bytes and address, and the last view frees the memory.
#[test]
fn freeze_does_not_copy() {
    let pool = fresh_pool();
    for n in [1, 100, SLAB, SLAB + 1, MIB] {
        let buffer = pool.alloc_filled(n, [6]);
        let before = address(&buffer);
        let frozen = buffer.freeze();
        assert!(address(&frozen) == before && frozen.len() == n && is_all(&frozen, 6));
    }
    assert_eq!(pool.alloc(0).freeze().len(), 0);
    assert_all_home(&pool);
}

/// Clones of a pool are the same pool.
#[test]
fn a_cloned_pool_is_the_same_pool() {
    let pool = fresh_pool();
    let clone = pool.clone();
    let buffer = clone.alloc(MIB);
    assert_eq!(pool.usage().array_buffers, MIB as u64);
    drop(clone);
    assert_eq!(pool.usage().array_buffers, MIB as u64);
    drop(buffer);
    assert_all_home(&pool);
}

/// All threads use the same global pool.
#[test]
fn there_is_one_global_pool() {
    let here = std::ptr::from_ref(Pool::global()) as usize;
    let there = std::thread::spawn(|| std::ptr::from_ref(Pool::global()) as usize);
    assert_eq!(there.join().ok(), Some(here));
    let _live = Buffer::alloc(64 * MIB);
    assert!(Pool::global().usage().array_buffers >= 64 * MIB as u64);
}

/// Returns a slice of a different length at each call.
struct Shifty<'a> {
    lengths: [usize; 2],
    bytes: &'a [u8],
    asked: Cell<usize>,
}

impl AsRef<[u8]> for Shifty<'_> {
    fn as_ref(&self) -> &[u8] {
        let turn = self.asked.replace(self.asked.get() + 1);
        &self.bytes[..self.lengths[turn % 2]]
    }
}

/// Parts that change their length between two calls cause no write outside the buffer, and no leak.
#[test]
fn parts_that_change_length_stay_inside() {
    let pool = fresh_pool();
    let bytes = vec![0xEE; 4 * SLAB];
    for lengths in [
        [16, 4000],
        [4000, 16],
        [0, 16],
        [100, 4 * SLAB],
        [4 * SLAB, 1],
    ] {
        let mut row: Vec<Buffer> = (0..8).map(|_| pool.alloc_filled(lengths[0], [1])).collect();
        row.remove(3);
        row.remove(5);
        let shifty = || Shifty {
            lengths,
            bytes: &bytes,
            asked: Cell::new(0),
        };
        let outcomes = [
            catch_unwind(AssertUnwindSafe(|| pool.concat(&[shifty(), shifty()]))),
            catch_unwind(AssertUnwindSafe(|| {
                pool.concat_to_len(&[shifty()], lengths[0])
            })),
            catch_unwind(AssertUnwindSafe(|| pool.alloc_filled(lengths[0], shifty()))),
        ];
        assert!(row.iter().all(|buffer| is_all(buffer, 1)), "{lengths:?}");
        drop((row, outcomes));
        assert_all_home(&pool);
    }
}

/// Panics when it is dereferenced.
struct Bomb;

impl AsRef<[u8]> for Bomb {
    fn as_ref(&self) -> &[u8] {
        panic!("a part that cannot be read")
    }
}

/// A panic in the caller's code during a constructor leaks nothing.
#[test]
fn a_panic_inside_a_constructor_loses_nothing() {
    let pool = fresh_pool();
    for n in [10, SLAB, SLAB + 1] {
        assert!(catch_unwind(AssertUnwindSafe(|| pool.alloc_filled(n, Bomb))).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| pool.concat(&[Bomb]))).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| pool.concat_to_len(&[Bomb], n))).is_err());
        let mut buffer = pool.alloc_filled(n, [5]);
        let bytes = (0..2 * n).map(|i| {
            if i == n + 3 {
                panic!("no more bytes")
            } else {
                5
            }
        });
        assert!(catch_unwind(AssertUnwindSafe(|| buffer.extend(bytes))).is_err());
        assert!(buffer.len() >= n && is_all(&buffer, 5));
    }
    assert_all_home(&pool);
}

/// A wrong size hint does not change the collected bytes.
#[test]
fn a_wrong_size_hint_does_no_harm() {
    struct Hint(std::vec::IntoIter<u8>, (usize, Option<usize>));
    impl Iterator for Hint {
        type Item = u8;
        fn next(&mut self) -> Option<u8> {
            self.0.next()
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            self.1
        }
    }
    for hint in [
        (0, None),
        (0, Some(0)),
        (1, Some(1)),
        (20_000, Some(20_000)),
    ] {
        let bytes: Vec<u8> = (0..10_000).map(|i| i as u8).collect();
        let mut buffer: Buffer = Hint(bytes.clone().into_iter(), hint).collect();
        assert_eq!(buffer, bytes, "{hint:?}");
        buffer.extend(Hint(bytes.clone().into_iter(), hint));
        assert_eq!(buffer, [&bytes[..], &bytes[..]].concat(), "{hint:?}");
    }
}
