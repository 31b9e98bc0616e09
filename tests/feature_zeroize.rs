//! `Zeroize`, with the real crate.

mod common;

use bytes::Buf;
use common::{MIB, SLAB, fresh_pool, is_all, is_zero, stamp};
use slabuf::{Buffer, Pool};
use zeroize::{Zeroize, Zeroizing};

/// Returns all memory of a buffer, with what `advance` skipped and the spare capacity.
fn memory(mut buffer: Buffer) -> Buffer {
    buffer.advance(buffer.len());
    buffer.set_len(buffer.capacity());
    buffer
}

#[test]
fn the_whole_memory_is_wiped_whatever_part_of_it_is_in_view() {
    for len in [1, 100, SLAB, SLAB + 1, MIB] {
        for (front, back) in [(0, 0), (len / 3, 0), (0, len / 3), (len / 3, len / 3)] {
            let pool = fresh_pool();
            let mut buffer = pool.alloc_unsafe(len);
            stamp(&mut buffer, 1);
            buffer.spare_capacity_mut().fill(0xA5);
            buffer.advance(front);
            buffer.truncate(buffer.len() - back);
            buffer.zeroize();
            assert!(buffer.is_empty());
            assert!(buffer.capacity() >= len, "the memory stays");
            let all = memory(buffer);
            assert!(is_zero(&all), "{len} {front} {back}");
        }
    }
}

#[test]
fn a_wiped_buffer_serves_on() {
    let mut buffer = Buffer::copy_from_slice(&[7; 3 * SLAB]);
    buffer.zeroize();
    buffer.grow(SLAB);
    assert!(is_zero(&buffer));
    buffer.extend_from_slice(&[9; SLAB]);
    assert!(is_all(&buffer[SLAB..], 9));
}

#[test]
fn what_was_never_written_is_not_touched() {
    let pool = Pool::builder().huge_pages(false).build().unwrap();
    let mut buffer = pool.with_capacity(256 * MIB);
    buffer.extend_from_slice(b"secret");
    let before = slabuf::memory_usage().rss;
    buffer.zeroize();
    let after = slabuf::memory_usage().rss;
    // Other tests of this process use a few MiB at the same time.
    assert!(after < before + 64 * MIB as u64, "{before} {after}");
    buffer.set_len(6);
    assert_eq!(buffer, [0; 6]);
}

#[test]
fn zeroizing_wipes_at_the_drop() {
    let pool = fresh_pool();
    let mut secret = Zeroizing::new(pool.copy_from_slice(&[0xA5; 1000]));
    secret[0] = 1;
    let address = secret.as_ptr();
    drop(secret);
    // The slot freed last is allocated next.
    let stale = pool.alloc_unsafe(1000);
    assert_eq!(stale.as_ptr(), address);
    assert!(is_zero(&stale));
}
