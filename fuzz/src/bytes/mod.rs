//! Compares a buffer with a `BytesMut`: both have the same contents and results after any
//! operation.

mod program;

use crate::program::{Length, Part};
use bytes::{Buf, BufMut, Bytes, BytesMut};
pub use program::{FrozenStep, Program, SplitStep, Step};
use slabuf::{Buffer, Pool};
use std::cmp::Ordering;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::{IoSlice, Read, Write};

/// Total bytes that a program may write.
const MAX_WORK: usize = 2 << 20;
/// Maximum number of frozen pairs, and of pairs of parts.
const MAX_FROZEN: usize = 12;

/// The pair under test.
struct Pair {
    ours: Buffer,
    theirs: BytesMut,
    frozen: Vec<(Bytes, Bytes)>,
    parts: Vec<(Buffer, BytesMut)>,
    work_left: usize,
    turn: u8,
}

/// Runs a program to its end.
pub fn run(program: &Program) {
    let capacity = program.capacity.0 % MAX_WORK;
    let mut pair = Pair {
        ours: Buffer::with_capacity(capacity),
        theirs: BytesMut::with_capacity(capacity),
        frozen: Vec::new(),
        parts: Vec::new(),
        work_left: MAX_WORK,
        turn: 0,
    };
    for step in &program.steps {
        pair.turn = pair.turn.wrapping_add(37);
        pair.step(*step);
        pair.check();
    }
    drop(pair);
    // Programs run one after the other, on one thread.
    assert_eq!(Pool::global().usage().in_use, 0, "left behind");
}

fn hash(bytes: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

impl Pair {
    fn check(&self) {
        let (ours, theirs) = (&self.ours, &self.theirs);
        assert!(ours[..] == theirs[..], "{ours:?}, {} bytes", theirs.len());
        assert_eq!(ours.remaining(), theirs.remaining());
        assert_eq!(ours.has_remaining(), theirs.has_remaining());
        assert!(ours.capacity() >= ours.len());
        for (ours, theirs) in &self.frozen {
            assert!(ours == theirs, "{} bytes frozen", theirs.len());
        }
        for (ours, theirs) in &self.parts {
            assert!(ours[..] == theirs[..], "a part of {} bytes", theirs.len());
        }
    }

    fn fresh_bytes(&mut self, n: usize) -> Vec<u8> {
        let n = if n > self.work_left { n % 256 } else { n };
        self.work_left -= n.min(self.work_left);
        let turn = self.turn;
        // ASCII, so that it can be read as a string.
        let block: [u8; 256] = std::array::from_fn(|i| ((i as u8).wrapping_mul(31) ^ turn) & 0x7F);
        let mut bytes = block.repeat(n / 256);
        bytes.extend_from_slice(&block[..n % 256]);
        bytes
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::PutNumber(kind, number) => self.put_number(kind, number),
            Step::Put(kind, len) => self.put(kind, len),
            Step::PutInPlace(part) => self.put_in_place(part),
            Step::GetNumber(kind) => self.get_number(kind),
            Step::Get(kind, part) => self.get(kind, part),
            Step::Resize(kind, len) => self.resize(kind, len),
            Step::Freeze => {
                assert_eq!(hash(&self.ours), hash(&self.theirs));
                if let Some((_, last)) = self.frozen.last() {
                    let ordering = self.theirs[..].partial_cmp(&last[..]);
                    assert_eq!(self.ours.partial_cmp(&last[..]), ordering);
                    assert_eq!(self.ours == *last, ordering == Some(Ordering::Equal));
                }
                let ours = std::mem::take(&mut self.ours).freeze();
                let theirs = std::mem::take(&mut self.theirs).freeze();
                self.keep(ours, theirs);
            }
            Step::Frozen(at, step) => {
                if let Some(at) = usize::from(at).checked_rem(self.frozen.len()) {
                    self.change_frozen(at, step);
                }
            }
            Step::Split(at, step) => self.split(usize::from(at), step),
        }
    }

    fn split(&mut self, at: usize, step: SplitStep) {
        let len = self.ours.len();
        let part = match step {
            SplitStep::To(to) => {
                let to = to.of(len);
                (self.ours.split_to(to), self.theirs.split_to(to))
            }
            SplitStep::Off(from) => {
                let from = from.of(len);
                (self.ours.split_off(from), self.theirs.split_off(from))
            }
            _ => {
                if let Some(at) = at.checked_rem(self.parts.len()) {
                    self.change_part(at, step);
                }
                return;
            }
        };
        if self.parts.len() == MAX_FROZEN {
            self.parts.remove(0);
        }
        self.parts.push(part);
    }

    fn change_part(&mut self, at: usize, step: SplitStep) {
        if let SplitStep::Swap = step {
            let (ours, theirs) = &mut self.parts[at];
            std::mem::swap(ours, &mut self.ours);
            std::mem::swap(theirs, &mut self.theirs);
            return;
        }
        let (ours, theirs) = self.parts.swap_remove(at);
        match step {
            SplitStep::Unsplit => {
                self.ours.unsplit(ours);
                self.theirs.unsplit(theirs);
            }
            SplitStep::Freeze => self.keep(ours.freeze(), theirs.freeze()),
            _ => {}
        }
    }

    fn keep(&mut self, ours: Bytes, theirs: Bytes) {
        if self.frozen.len() == MAX_FROZEN {
            self.frozen.remove(0);
        }
        self.frozen.push((ours, theirs));
    }

    fn put_number(&mut self, kind: u8, n: u64) {
        let (ours, theirs) = (&mut self.ours, &mut self.theirs);
        macro_rules! both {
            ($put:ident, $number:expr) => {{
                ours.$put($number);
                theirs.$put($number);
            }};
        }
        match kind % 10 {
            0 => both!(put_u8, n as u8),
            1 => both!(put_i16, n as i16),
            2 => both!(put_u32_le, n as u32),
            3 => both!(put_u64, n),
            4 => both!(put_i128, i128::from(n)),
            5 => both!(put_f64, n as f64),
            6 => {
                let count = (n >> 8) as usize % 9;
                ours.put_uint(n, count.clamp(1, 8));
                theirs.put_uint(n, count.clamp(1, 8));
            }
            7 => both!(put_u16_ne, n as u16),
            8 => both!(put_i8, n as i8),
            _ => both!(put_f32_le, n as f32),
        }
    }

    fn put(&mut self, kind: u8, len: Length) {
        let bytes = self.fresh_bytes(len.0);
        let (head, tail) = bytes.split_at(bytes.len() / 3);
        let (ours, theirs) = (&mut self.ours, &mut self.theirs);
        match kind % 8 {
            0 => {
                ours.put_slice(&bytes);
                theirs.put_slice(&bytes);
            }
            1 => {
                ours.put(Buf::chain(head, tail));
                theirs.put(Buf::chain(head, tail));
            }
            2 => {
                ours.put_bytes(kind, bytes.len());
                theirs.put_bytes(kind, bytes.len());
            }
            3 => {
                ours.extend_from_slice(&bytes);
                theirs.extend_from_slice(&bytes);
            }
            4 => {
                ours.extend(bytes.iter());
                theirs.extend(bytes.iter());
            }
            5 => {
                let slices = [IoSlice::new(head), IoSlice::new(&[]), IoSlice::new(tail)];
                assert_eq!(ours.write_vectored(&slices).ok(), Some(bytes.len()));
                theirs.put_slice(&bytes);
            }
            6 => {
                write!(ours, "{}", String::from_utf8_lossy(&bytes)).expect("text is written");
                theirs.put_slice(String::from_utf8_lossy(&bytes).as_bytes());
            }
            _ => {
                (&mut *ours).limit(bytes.len()).put(&bytes[..]);
                std::io::copy(&mut &bytes[..], &mut theirs.writer()).expect("bytes are written");
            }
        }
    }

    fn put_in_place(&mut self, part: Part) {
        let chunk = self.ours.chunk_mut();
        assert!(chunk.len() > 0, "an empty chunk");
        let count = part.of(chunk.len()).min(4096);
        let turn = self.turn;
        for at in 0..count {
            chunk.write_byte(at, turn ^ at as u8);
            self.theirs.put_u8(turn ^ at as u8);
        }
        // SAFETY: the first `count` bytes of the chunk were written just now.
        unsafe { self.ours.advance_mut(count) };
    }

    fn get_number(&mut self, kind: u8) {
        let (ours, theirs) = (&mut self.ours, &mut self.theirs);
        macro_rules! both {
            ($get:ident) => {
                assert_eq!(ours.$get().ok(), theirs.$get().ok())
            };
        }
        match kind % 8 {
            0 => both!(try_get_u8),
            1 => both!(try_get_i16),
            2 => both!(try_get_u32_le),
            3 => both!(try_get_u64),
            4 => both!(try_get_i128),
            5 => both!(try_get_u16_ne),
            6 => assert_eq!(ours.try_get_int(3).ok(), theirs.try_get_int(3).ok()),
            _ if !ours.is_empty() => assert_eq!(ours.get_u8(), theirs.get_u8()),
            _ => {}
        }
    }

    fn get(&mut self, kind: u8, part: Part) {
        let count = part.of(self.ours.len());
        let (ours, theirs) = (&mut self.ours, &mut self.theirs);
        let (mut read, mut expected) = (vec![0; count], vec![0; count]);
        match kind % 9 {
            0 => {
                ours.advance(count);
                theirs.advance(count);
            }
            1 => {
                ours.copy_to_slice(&mut read);
                theirs.copy_to_slice(&mut expected);
            }
            2 => {
                let (ours, theirs) = (ours.copy_to_bytes(count), theirs.copy_to_bytes(count));
                self.keep(ours, theirs);
            }
            3 => {
                let (ours, theirs) = (ours.copy_to_bytes(count), theirs.split_to(count).freeze());
                self.keep(ours, theirs);
            }
            4 => {
                assert_eq!(ours.read(&mut read).ok(), Some(count));
                theirs.copy_to_slice(&mut expected);
            }
            5 => {
                let more = &mut vec![0; count + 1];
                let enough = count < ours.len();
                assert_eq!(ours.read_exact(more).is_ok(), enough);
                theirs.advance(if enough { count + 1 } else { theirs.len() });
            }
            6 => {
                read.clear();
                let taken = std::io::Read::take(&mut *ours, count as u64).read_to_end(&mut read);
                assert_eq!(taken.ok(), Some(count));
                theirs.copy_to_slice(&mut expected);
            }
            7 => {
                let text = std::str::from_utf8(theirs).map(str::to_owned);
                let mut read = String::new();
                assert_eq!(ours.read_to_string(&mut read).is_ok(), text.is_ok());
                if let Ok(text) = text {
                    assert_eq!(read, text);
                    theirs.clear();
                }
            }
            _ => {
                (&mut read[..]).put(Buf::take(&mut *ours, count));
                (&mut expected[..]).put(Buf::take(&mut *theirs, count));
            }
        }
        assert!(read == expected, "{count} bytes read");
    }

    fn resize(&mut self, kind: u8, len: Length) {
        let len = self.fresh_bytes(len.0).len();
        let (ours, theirs) = (&mut self.ours, &mut self.theirs);
        match kind % 6 {
            0 => {
                ours.truncate(len);
                theirs.truncate(len);
            }
            1 => {
                ours.resize(len, kind);
                theirs.resize(len, kind);
            }
            2 => {
                ours.grow(len);
                theirs.resize(len.max(theirs.len()), 0);
            }
            3 => {
                ours.reserve(len);
                assert!(ours.capacity() >= ours.len() + len);
            }
            4 => {
                ours.clear();
                theirs.clear();
            }
            _ => {
                let at = len.min(ours.len());
                ours[at..].fill(kind);
                theirs[at..].fill(kind);
            }
        }
    }

    fn change_frozen(&mut self, at: usize, step: FrozenStep) {
        let (ours, theirs) = &mut self.frozen[at];
        let len = ours.len();
        let (new_ours, new_theirs) = match step {
            FrozenStep::Slice(from, to) => {
                let to = to.of(len);
                let from = from.of(to);
                (ours.slice(from..to), theirs.slice(from..to))
            }
            FrozenStep::SplitTo(to) => (ours.split_to(to.of(len)), theirs.split_to(to.of(len))),
            FrozenStep::SplitOff(at) => (ours.split_off(at.of(len)), theirs.split_off(at.of(len))),
            FrozenStep::Truncate(to) => {
                ours.truncate(to.of(len));
                return theirs.truncate(to.of(len));
            }
            FrozenStep::Advance(count) => {
                ours.advance(count.of(len));
                return theirs.advance(count.of(len));
            }
            FrozenStep::Clone => (ours.clone(), theirs.clone()),
            FrozenStep::Drop => return drop(self.frozen.swap_remove(at)),
            FrozenStep::Thaw => {
                let (ours, theirs) = self.frozen.swap_remove(at);
                self.ours = Buffer::from(&ours[..]);
                self.theirs = BytesMut::from(theirs);
                return;
            }
        };
        self.keep(new_ours, new_theirs);
    }
}
