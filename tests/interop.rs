//! The traits of `bytes` and `std::io`, method by method: boundaries, failures, and the memory.

mod common;

use std::io::{self, BufRead, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::{Buf, BufMut, Bytes};
use common::{KIB, MIB, SLAB, address, assert_all_home, fresh_pool, is_all, stamp};
use slabuf::{AllocError, Buffer, Pool};

/// Bytes that differ with the length, the position and the seed.
fn bytes_of(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    stamp(&mut bytes, seed);
    bytes
}

/// Returns whether `step` panics.
fn panics<T>(step: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(step)).is_err()
}

#[test]
fn appending_is_right_on_both_sides_of_every_boundary() {
    let pool = fresh_pool();
    let edges = [
        0,
        1,
        15,
        16,
        17,
        63,
        64,
        65,
        4_096,
        SLAB - 1,
        SLAB,
        SLAB + 1,
        65_536,
        MIB,
    ];
    for start in edges {
        for added in edges {
            let (first, second) = (bytes_of(start, 1), bytes_of(added, 2));
            let mut buffer = pool.copy_from_slice(&first);
            buffer.put_slice(&second);
            assert!(buffer[..start] == first, "{start} + {added}");
            assert!(buffer[start..] == second, "{start} + {added}");
            buffer.put_bytes(7, added);
            assert_eq!(buffer.len(), start + 2 * added);
            assert!(is_all(&buffer[start + added..], 7), "{start} + {added}");
            buffer.advance(start);
            assert!(buffer[..added] == second, "{start} + {added}");
        }
    }
    assert_all_home(&pool);
}

#[test]
fn a_full_buffer_offers_at_least_64_bytes_and_others_what_they_have() {
    for len in [0, 1, 16, 100, SLAB, SLAB + 1] {
        let mut buffer = Buffer::copy_from_slice(&bytes_of(len, 3));
        buffer.resize(buffer.capacity(), 0);
        assert!(buffer.chunk_mut().len() >= 64);
        assert!(buffer[..len] == bytes_of(len, 3));

        let (start, left) = (address(&buffer), buffer.capacity() - buffer.len());
        assert_eq!(buffer.chunk_mut().len(), left);
        assert_eq!(
            address(&buffer),
            start,
            "a chunk that is there moves nothing"
        );
    }
}

#[test]
fn growing_byte_by_byte_moves_the_buffer_seldom() {
    let mut buffer = Buffer::with_capacity(0);
    let mut moves = 0;
    for count in 0..MIB {
        let capacity = buffer.capacity();
        buffer.put_u8(count as u8);
        moves += usize::from(buffer.capacity() != capacity);
    }
    assert!((0..MIB).all(|count| buffer[count] == count as u8));
    assert!(moves <= 40, "{moves} moves for 20 doublings");
}

#[test]
fn steps_past_the_end_panic_and_change_nothing() {
    for len in [0, 3, 100, SLAB, SLAB + 1] {
        let contents = bytes_of(len, 4);
        let mut buffer = Buffer::copy_from_slice(&contents);
        let left = buffer.capacity() - len;
        assert!(panics(|| buffer.advance(len + 1)));
        assert!(panics(|| buffer.advance(usize::MAX)));
        assert!(panics(|| buffer.copy_to_bytes(len + 1)));
        assert!(panics(|| buffer.put_bytes(0, usize::MAX)));
        // SAFETY: these counts are past the capacity, and a `Buffer` panics before it changes.
        assert!(panics(|| unsafe { buffer.advance_mut(left + 1) }));
        // SAFETY: as above.
        assert!(panics(|| unsafe { buffer.advance_mut(usize::MAX) }));
        assert!(buffer == contents, "{len}");
        buffer.put_u8(9);
        assert_eq!(buffer.len(), len + 1);
    }
    assert!(panics(|| Buffer::copy_from_slice(b"abc").get_u32()));
}

#[test]
fn reading_everything_as_bytes_copies_nothing() {
    for len in [1, 100, SLAB, SLAB + 1, MIB] {
        let pool = fresh_pool();
        let contents = bytes_of(len, 5);
        let mut buffer = pool.copy_from_slice(&contents);
        buffer.advance(len / 3);
        let start = address(&buffer);
        let all = buffer.copy_to_bytes(buffer.len());
        assert_eq!(address(&all), start);
        assert!(all == contents[len / 3..]);
        assert!(buffer.is_empty());
        buffer.put_slice(&contents);
        assert!(buffer == contents && all == contents[len / 3..], "{len}");
        drop((buffer, all));
        assert_all_home(&pool);
    }
}

#[test]
fn reading_everything_as_bytes_leaves_the_buffer_in_its_pool() {
    for len in [0, 100, SLAB + 1, 4 * MIB - 64 * KIB] {
        let limit = 4 * MIB;
        let pool = Pool::builder().limit(limit).build().expect("a valid limit");
        let mut buffer = pool.copy_from_slice(&bytes_of(len, 9));
        let all = buffer.copy_to_bytes(len);
        assert!(all == bytes_of(len, 9) && buffer.is_empty(), "{len}");
        let error = buffer.try_reserve(limit + 1).expect_err("above the limit");
        assert!(matches!(error, AllocError::LimitExceeded { .. }), "{error}");
        drop((buffer, all));
        assert_all_home(&pool);
    }
}

#[test]
fn reading_no_bytes_from_an_empty_buffer_keeps_its_room() {
    let mut buffer = Buffer::with_capacity(1_000);
    let capacity = buffer.capacity();
    assert!(buffer.copy_to_bytes(0).is_empty());
    assert_eq!(buffer.capacity(), capacity);
}

#[test]
fn bytes_from_a_buffer_are_its_memory() {
    let pool = fresh_pool();
    let mut buffer = pool.copy_from_slice(&bytes_of(MIB, 6));
    buffer.advance(1);
    let start = address(&buffer);
    let bytes = Bytes::from(buffer);
    assert_eq!(address(&bytes), start);
    let tail = bytes.slice(MIB - 11..);
    drop(bytes);
    assert!(tail == bytes_of(MIB, 6)[MIB - 10..]);
    assert_eq!(pool.usage().large_live, MIB as u64, "a view keeps it all");
    drop(tail);
    assert_all_home(&pool);
}

#[test]
fn bytes_and_buffers_compare_by_contents() {
    let (buffer, equal) = (Buffer::from(b"abc"), Bytes::from_static(b"abc"));
    assert_eq!(buffer, equal);
    assert_eq!(equal, buffer);
    for other in ["", "ab", "abd", "abcd"] {
        let other = Bytes::from_static(other.as_bytes());
        assert_ne!(buffer, other);
        assert_ne!(other, buffer);
    }
}

#[test]
fn a_write_past_the_limit_is_an_error_and_changes_nothing() {
    let limit = 4 * MIB;
    let pool = Pool::builder().limit(limit).build().expect("a valid limit");
    let mut buffer = pool.copy_from_slice(b"kept");
    let half = vec![1; 3 * MIB];
    type Attempt = fn(&mut Buffer, &[u8]) -> io::Result<()>;
    let attempts: [Attempt; 4] = [
        |buffer, half| buffer.write_all(&half.repeat(2)),
        |buffer, half| buffer.write(&half.repeat(2)).map(drop),
        |buffer, half| {
            let slices = [IoSlice::new(half), IoSlice::new(half)];
            buffer.write_vectored(&slices).map(drop)
        },
        |buffer, half| write!(buffer, "{}", String::from_utf8_lossy(&half.repeat(2))),
    ];
    for (number, attempt) in attempts.iter().enumerate() {
        let error = attempt(&mut buffer, &half).expect_err("6 MiB within 4 MiB");
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        let inner = error.into_inner().expect("the reason");
        match inner.downcast_ref::<AllocError>() {
            Some(AllocError::LimitExceeded { limit: named, .. }) => assert_eq!(*named, Some(limit)),
            other => panic!("{other:?}"),
        }
        assert_eq!(buffer, b"kept", "attempt {number}");
    }
    buffer.write_all(b" on").expect("room for three bytes");
    assert_eq!(buffer, b"kept on");
    drop(buffer);
    assert_all_home(&pool);
}

#[test]
fn a_buffer_used_as_a_queue_holds_no_more_than_its_contents_need() {
    let pool = fresh_pool();
    let mut queue = pool.with_capacity(0);
    let (message, mut read) = (bytes_of(100, 7), [0; 100]);
    queue.write_all(&message).expect("memory");
    for _ in 0..100_000 {
        queue.write_all(&message).expect("memory");
        queue.read_exact(&mut read).expect("a message");
        assert_eq!(read[..], message[..]);
        assert!(queue.capacity() <= SLAB, "{} bytes", queue.capacity());
    }
    assert!(pool.usage().array_buffers <= 32 * SLAB as u64);
    drop(queue);
    assert_all_home(&pool);
}

#[test]
fn drained_buffers_give_their_memory_back_whole() {
    for len in [1, 16, 100, 1_000, SLAB, SLAB + 1, 100_000, 3 * MIB] {
        let pool = fresh_pool();
        for drained in [1, len / 2, len - 1, len] {
            let mut buffer = pool.copy_from_slice(&bytes_of(len, 8));
            let capacity = buffer.capacity();
            buffer.advance(drained);
            // After the last byte is consumed, the whole memory is spare capacity again.
            let room = if drained == len {
                capacity
            } else {
                capacity - drained
            };
            assert_eq!(buffer.capacity(), room);
            assert!(buffer == bytes_of(len, 8)[drained..]);
            let copy = buffer.clone();
            buffer.reserve(2 * capacity);
            assert!(buffer == copy, "grown after {drained} of {len}");
            drop((buffer, copy.freeze()));
        }
        assert_all_home(&pool);
    }
}

#[test]
fn vectored_reads_fill_one_slice_after_the_other() {
    let mut buffer = Buffer::from(b"abcdefgh");
    let (mut one, mut two, mut three) = ([0; 3], [0; 0], [0; 4]);
    let mut targets = [&mut one[..], &mut two[..], &mut three[..]].map(IoSliceMut::new);
    assert_eq!(buffer.read_vectored(&mut targets).unwrap(), 7);
    assert_eq!((&one, &three), (b"abc", b"defg"));
    let mut targets = [&mut three[..], &mut one[..]].map(IoSliceMut::new);
    assert_eq!(buffer.read_vectored(&mut targets).unwrap(), 1);
    assert_eq!((&three, &one, buffer.len()), (b"hefg", b"abc", 0));
}

#[test]
fn the_traits_work_behind_a_pointer_and_through_adapters() {
    let mut buffer = Buffer::default();
    let target: &mut dyn BufMut = &mut buffer;
    target.put_slice(b"one\ntwo\n");
    let stream: &mut dyn Write = &mut buffer;
    writeln!(stream, "three").unwrap();
    stream.flush().unwrap();
    let mut limited = buffer.limit(4);
    assert!(panics(|| limited.put_slice(b"12345")));
    limited.put_slice(b"4321");

    let source: Box<dyn Read> = Box::new(limited.into_inner().reader());
    let lines: Vec<String> = io::BufReader::new(source)
        .lines()
        .map(Result::unwrap)
        .collect();
    assert_eq!(lines, ["one", "two", "three", "4321"]);

    let mut writer = Buffer::with_capacity(1).writer();
    io::copy(&mut Buffer::from(b"from a buffer"), &mut writer).unwrap();
    assert_eq!(writer.into_inner(), b"from a buffer");
}

#[test]
fn a_queue_that_never_runs_empty_reclaims_what_was_read() {
    for live in [100, SLAB, 100_000] {
        let pool = Pool::builder()
            .limit(8 * MIB)
            .build()
            .expect("a valid limit");
        let mut queue = pool.copy_from_slice(&bytes_of(live, 10));
        let (message, mut read) = (bytes_of(4_096, 11), [0; 4_096]);
        for round in 0..5_000 {
            let written = queue.write_all(&message);
            assert!(written.is_ok(), "{live} bytes, round {round}: {written:?}");
            queue.read_exact(&mut read).expect("a message");
        }
        assert_eq!(queue.len(), live);
        assert!(pool.usage().large_live <= 4 * 100_000, "{:?}", pool.usage());
        drop(queue);
        assert_all_home(&pool);
    }
}
