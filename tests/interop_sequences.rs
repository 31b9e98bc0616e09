//! Long sequences of calls of `bytes` and `std::io` traits: `Buffer` behaves like `BytesMut` and
//! `VecDeque`.

mod common;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};

use bytes::{Buf, BufMut, BytesMut};
use common::{assert_all_home, fresh_pool, stamp};
use proptest::prelude::*;
use proptest::sample::Index;

/// A number of bytes that depend on a seed. A failing case prints only these two numbers.
#[derive(Clone, Copy, Debug)]
struct Contents {
    len: usize,
    seed: u64,
}

impl Contents {
    fn bytes(self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        stamp(&mut bytes, self.seed);
        bytes
    }
}

/// Mostly short, some about the size of a slab, some far above it.
fn contents() -> impl Strategy<Value = Contents> {
    let len = prop_oneof![6 => 0..300_usize, 2 => 8_100..8_300_usize, 1 => 0..70_000_usize];
    (len, any::<u64>()).prop_map(|(len, seed)| Contents { len, seed })
}

/// One step on a type that is read at the front and written at the end.
#[derive(Clone, Debug)]
enum BufStep {
    Put(Contents),
    PutChain(Contents, Contents),
    PutBytes(u8, usize),
    PutNumbers(u8, u64),
    PutChunks(Contents),
    Advance(Index),
    GetNumbers,
    CopyToBytes(Index),
    CopyToSlice(Index),
    Take(Index),
}

fn buf_step() -> impl Strategy<Value = BufStep> {
    prop_oneof![
        contents().prop_map(BufStep::Put),
        (contents(), contents()).prop_map(|(front, back)| BufStep::PutChain(front, back)),
        (any::<u8>(), 0..10_000_usize).prop_map(|(byte, count)| BufStep::PutBytes(byte, count)),
        (any::<u8>(), any::<u64>()).prop_map(|(byte, word)| BufStep::PutNumbers(byte, word)),
        contents().prop_map(BufStep::PutChunks),
        any::<Index>().prop_map(BufStep::Advance),
        Just(BufStep::GetNumbers),
        any::<Index>().prop_map(BufStep::CopyToBytes),
        any::<Index>().prop_map(BufStep::CopyToSlice),
        any::<Index>().prop_map(BufStep::Take),
    ]
}

/// Writes only through `chunk_mut` and `advance_mut`.
fn put_by_chunks(target: &mut impl BufMut, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let chunk = target.chunk_mut();
        let len = chunk.len().min(bytes.len());
        assert!(len > 0, "an empty chunk");
        chunk[..len].copy_from_slice(&bytes[..len]);
        // SAFETY: the line above has written the next `len` bytes.
        unsafe { target.advance_mut(len) };
        bytes = &bytes[len..];
    }
}

/// Executes one step. Returns the bytes that it read.
fn apply_buf<B: Buf + BufMut>(step: &BufStep, target: &mut B) -> Vec<u8> {
    let part = |index: &Index, target: &B| index.index(target.remaining() + 1);
    match step {
        BufStep::Put(contents) => target.put_slice(&contents.bytes()),
        BufStep::PutChain(front, back) => {
            target.put(Buf::chain(&front.bytes()[..], &back.bytes()[..]))
        }
        BufStep::PutBytes(byte, count) => target.put_bytes(*byte, *count),
        BufStep::PutNumbers(byte, word) => {
            target.put_u8(*byte);
            target.put_u64_le(*word);
            target.put_uint(word & 0xFF_FFFF, 3);
        }
        BufStep::PutChunks(contents) => put_by_chunks(target, &contents.bytes()),
        BufStep::Advance(index) => target.advance(part(index, target)),
        BufStep::GetNumbers => {
            let (first, word) = (target.try_get_u16(), target.try_get_i64_le());
            return format!("{first:?} {word:?}").into_bytes();
        }
        BufStep::CopyToBytes(index) => return target.copy_to_bytes(part(index, target)).to_vec(),
        BufStep::CopyToSlice(index) => {
            let mut read = vec![0; part(index, target)];
            target.copy_to_slice(&mut read);
            return read;
        }
        BufStep::Take(index) => {
            let mut read = Vec::new();
            read.put(target.take(part(index, target)));
            return read;
        }
    }
    Vec::new()
}

/// One step on a byte stream.
#[derive(Clone, Debug)]
enum IoStep {
    Write(Contents),
    WriteVectored(Contents, Contents),
    WriteFormatted(u64),
    CopyIn(Contents),
    Read(usize),
    ReadExact(usize),
    ReadToEnd,
    ReadToString,
    CopyOut(usize),
}

fn io_step() -> impl Strategy<Value = IoStep> {
    let len = || prop_oneof![4 => 0..400_usize, 1 => 0..20_000_usize];
    prop_oneof![
        3 => contents().prop_map(IoStep::Write),
        2 => (contents(), contents()).prop_map(|(a, b)| IoStep::WriteVectored(a, b)),
        3 => any::<u64>().prop_map(IoStep::WriteFormatted),
        1 => contents().prop_map(IoStep::CopyIn),
        4 => len().prop_map(IoStep::Read),
        4 => len().prop_map(IoStep::ReadExact),
        1 => Just(IoStep::ReadToEnd),
        2 => Just(IoStep::ReadToString),
        2 => len().prop_map(IoStep::CopyOut),
    ]
}

/// Executes one step. Returns the bytes that it read, or the number that it wrote.
fn apply_io<S: Read + Write>(step: &IoStep, stream: &mut S) -> Result<(u64, Vec<u8>), ErrorKind> {
    let mut read = b"before:".to_vec();
    let count = match step {
        IoStep::Write(contents) => stream.write(&contents.bytes()).map(|count| count as u64),
        IoStep::WriteVectored(a, b) => stream
            .write_vectored(&[
                IoSlice::new(&a.bytes()),
                IoSlice::new(&[]),
                IoSlice::new(&b.bytes()),
            ])
            .map(|count| count as u64),
        IoStep::WriteFormatted(number) => write!(stream, "{number}é").map(|()| 0),
        IoStep::CopyIn(contents) => io::copy(&mut &contents.bytes()[..], stream),
        IoStep::Read(len) => {
            read = vec![0; *len];
            stream.read(&mut read).map(|count| count as u64)
        }
        IoStep::ReadExact(len) => {
            read = vec![0; *len];
            stream.read_exact(&mut read).map(|()| 0)
        }
        IoStep::ReadToEnd => stream.read_to_end(&mut read).map(|count| count as u64),
        IoStep::ReadToString => {
            let mut text = "before:".to_owned();
            let count = stream.read_to_string(&mut text);
            read = text.into_bytes();
            count.map(|count| count as u64)
        }
        IoStep::CopyOut(len) => io::copy(&mut stream.take(*len as u64), &mut read),
    };
    count
        .map(|count| (count, read))
        .map_err(|error| error.kind())
}

proptest! {
    #[test]
    fn buf_and_buf_mut_do_what_bytes_mut_does(
        capacity in prop_oneof![0..200_usize, 8_000..9_000_usize],
        steps in prop::collection::vec(buf_step(), 1..40),
    ) {
        let pool = fresh_pool();
        let mut buffer = pool.with_capacity(capacity);
        let mut oracle = BytesMut::new();
        for step in &steps {
            let (read, expected) = (apply_buf(step, &mut buffer), apply_buf(step, &mut oracle));
            prop_assert!(read == expected, "what was read by {:?}", step);
            prop_assert!(buffer[..] == oracle[..], "contents after {:?}", step);
            prop_assert!(buffer.chunk() == oracle.chunk());
            prop_assert_eq!(buffer.remaining(), oracle.remaining());
            prop_assert_eq!(buffer.remaining_mut(), isize::MAX as usize - buffer.len());
            prop_assert!(buffer.capacity() >= buffer.len());
        }
        drop(buffer);
        assert_all_home(&pool);
    }

    #[test]
    fn read_and_write_do_what_vec_deque_does(
        capacity in prop_oneof![0..200_usize, 8_000..9_000_usize],
        steps in prop::collection::vec(io_step(), 1..40),
    ) {
        let pool = fresh_pool();
        let mut buffer = pool.with_capacity(capacity);
        let mut oracle = VecDeque::new();
        for step in &steps {
            oracle.make_contiguous(); // a VecDeque reads only to the end of its first half
            let before = oracle.clone();
            let (outcome, expected) = (apply_io(step, &mut buffer), apply_io(step, &mut oracle));
            if expected == Err(ErrorKind::InvalidData) {
                oracle = before; // a VecDeque drops bytes that are not UTF-8; a buffer keeps them, as a slice does
            }
            prop_assert!(outcome == expected, "outcome of {:?}", step);
            prop_assert!(buffer[..] == *oracle.make_contiguous(), "contents after {:?}", step);
        }
        drop(buffer);
        assert_all_home(&pool);
    }
}
