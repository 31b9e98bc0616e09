//! One memory in parts, and the expected bytes of each part.

use crate::oracle::PoolOracle;
use crate::program::{Cut, Part};
use bytes::{Buf, Bytes};
use slabuf::Buffer;

enum Held {
    Buffer(Buffer),
    View(Bytes),
}

impl Held {
    fn start(&self) -> usize {
        match self {
            Held::Buffer(buffer) => buffer.as_ptr().addr(),
            Held::View(view) => view.as_ptr().addr(),
        }
    }
}

/// A part, or a view of a frozen one.
struct Piece {
    held: Held,
    bytes: Vec<u8>,
    /// Whether it was split from a part with capacity: it then has a share in the memory even
    /// without capacity.
    shares: bool,
}

impl Piece {
    fn of(buffer: Buffer, bytes: &[u8]) -> Self {
        Self {
            held: Held::Buffer(buffer),
            bytes: bytes.to_vec(),
            shares: false,
        }
    }

    fn view(view: Bytes, bytes: &[u8]) -> Self {
        Self {
            held: Held::View(view),
            bytes: bytes.to_vec(),
            shares: false,
        }
    }

    /// Creates the rest of a part after its first `at` bytes were split off.
    fn rest(buffer: Buffer, bytes: &[u8], at: usize) -> Self {
        let shares = at > 0;
        Self {
            shares,
            ..Self::of(buffer, bytes)
        }
    }

    fn start(&self) -> usize {
        self.held.start()
    }

    /// Returns the number of bytes of the memory that belong to it.
    fn size(&self) -> usize {
        match &self.held {
            Held::Buffer(buffer) => buffer.capacity(),
            Held::View(view) => view.len(),
        }
    }
}

/// The parts of one memory in the order of their addresses. Each has a share in the memory.
pub struct Parts {
    pieces: Vec<Piece>,
    /// Addresses of the first byte of the memory and of the end.
    extent: (usize, usize),
    /// The end of the capacity that was split, which may be a part of a slot. Unknown after a split
    /// behind the length, which gives capacity up.
    shared_end: Option<usize>,
}

impl Parts {
    /// Wraps a buffer that will be split, with its expected bytes.
    pub fn of(buffer: Buffer, bytes: &[u8], extent: (usize, usize)) -> Self {
        let shared_end = Some(buffer.as_ptr().addr() + buffer.capacity());
        let pieces = vec![Piece::of(buffer, bytes)];
        Self {
            pieces,
            extent,
            shared_end,
        }
    }

    /// Returns whether the memory is free.
    pub fn is_gone(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Checks the contents of each part, and that the parts are in the memory and do not overlap.
    pub fn verify(&self) {
        let mut end = self.extent.0;
        for piece in &self.pieces {
            let held = match &piece.held {
                Held::Buffer(buffer) => &buffer[..],
                Held::View(view) => &view[..],
            };
            assert!(held == piece.bytes, "of a part of {} bytes", held.len());
            assert!(piece.start() >= end, "parts overlap");
            end = piece.start() + piece.size();
        }
        assert!(end <= self.extent.1, "a part passes the memory's end");
    }

    /// Returns the only part and its bytes, if there is one part and it is a buffer.
    pub fn into_sole(mut self) -> Result<(Buffer, Vec<u8>), Self> {
        if self.pieces.len() != 1 {
            return Err(self);
        }
        let Piece { held, bytes, .. } = self.pieces.swap_remove(0);
        match held {
            Held::Buffer(buffer) => Ok((buffer, bytes)),
            held => {
                let shares = false;
                self.pieces.push(Piece {
                    held,
                    bytes,
                    shares,
                });
                Err(self)
            }
        }
    }

    /// Applies one operation to the parts.
    pub fn apply(&mut self, oracle: &PoolOracle, which: u8, cut: Cut, turn: u8) {
        let count = self.pieces.len();
        let Some(at) = usize::from(which).checked_rem(count) else {
            return;
        };
        match cut {
            Cut::Drop => drop(self.pieces.remove(at)),
            Cut::Join => self.join(at),
            _ => {
                if let Cut::SplitOff(_) = cut {
                    self.shared_end = None;
                }
                let piece = self.pieces.remove(at);
                let shared = piece.shares;
                let mut pieces = match piece.held {
                    Held::Buffer(buffer) => self.change(oracle, buffer, piece.bytes, cut, turn),
                    Held::View(_) => vec![piece],
                };
                if shared && let Some(last) = pieces.last_mut() {
                    last.shares = true;
                }
                let pieces = pieces.into_iter();
                let pieces = pieces.filter(|piece| piece.size() > 0 || piece.shares);
                self.pieces.splice(at..at, pieces);
            }
        }
        self.verify();
    }

    /// Changes one part, which was removed from the list, and returns the resulting parts.
    fn change(
        &self,
        oracle: &PoolOracle,
        mut buffer: Buffer,
        mut bytes: Vec<u8>,
        cut: Cut,
        turn: u8,
    ) -> Vec<Piece> {
        let (len, capacity) = (bytes.len(), buffer.capacity());
        match cut {
            Cut::SplitTo(to) => {
                let at = to.of(len);
                let front = buffer.split_to(at);
                assert_eq!((front.capacity(), buffer.capacity()), (at, capacity - at));
                return vec![
                    Piece::of(front, &bytes[..at]),
                    Piece::rest(buffer, &bytes[at..], at),
                ];
            }
            // From a part without capacity it would split off a buffer without memory.
            Cut::SplitOff(_) if capacity == 0 => {}
            Cut::SplitOff(to) => {
                let at = to.of(capacity);
                if at > len {
                    // Behind the length it has memory of its own, which may be refused.
                    let back = buffer.try_split_off(at);
                    let fits = |back: Buffer| back.is_empty() && back.capacity() >= capacity - at;
                    assert!(back.is_err() || back.is_ok_and(fits));
                    assert_eq!((buffer.len(), buffer.capacity() >= at), (len, true));
                    return vec![Piece::of(buffer, &bytes)];
                }
                let back = buffer.split_off(at);
                assert_eq!(back.capacity(), capacity - at);
                return vec![
                    Piece::of(buffer, &bytes[..at]),
                    Piece::of(back, &bytes[at..]),
                ];
            }
            Cut::Split => {
                let front = buffer.split();
                return vec![Piece::of(front, &bytes), Piece::rest(buffer, &[], len)];
            }
            Cut::CopyToBytes(to) => {
                let at = to.of(len);
                let view = buffer.copy_to_bytes(at);
                let rest = Piece::rest(buffer, &bytes[at..], at);
                return vec![Piece::view(view, &bytes[..at]), rest];
            }
            Cut::Reclaim(to) => self.reclaim(&mut buffer, to),
            Cut::Write(from) => {
                let from = from.of(len);
                let fresh = oracle.fresh_bytes(turn, len - from);
                buffer[from..].copy_from_slice(&fresh);
                bytes[from..].copy_from_slice(&fresh);
            }
            Cut::Append(to) => {
                let fresh = oracle.fresh_bytes(turn, to.of(capacity - len));
                buffer.extend_from_slice(&fresh);
                bytes.extend_from_slice(&fresh);
                assert_eq!(buffer.capacity(), capacity, "it needed no memory");
            }
            Cut::Truncate(to) => {
                buffer.truncate(to.of(len));
                bytes.truncate(to.of(len));
            }
            Cut::Advance(to) => {
                buffer.advance(to.of(len));
                bytes.drain(..to.of(len));
            }
            Cut::Drop | Cut::Join => unreachable!("these take a piece or two"),
        }
        vec![Piece::of(buffer, &bytes)]
    }

    /// Reclaims capacity, which succeeds if the capacity suffices or no other part is left. The
    /// rest of a slot behind the capacity that was split may count.
    fn reclaim(&self, buffer: &mut Buffer, to: Part) {
        let size = self.extent.1 - self.extent.0;
        let additional = to.of(size + 1);
        let before = (buffer.as_ptr(), buffer.capacity());
        let fits = additional <= buffer.capacity() - buffer.len();
        let needed = self.extent.0 + buffer.len() + additional;
        let alone = self.pieces.is_empty() && needed <= self.extent.1;
        let surely = fits || (alone && self.shared_end.is_some_and(|end| needed <= end));
        let reclaimed = buffer.try_reclaim(additional);
        assert!(reclaimed || !surely);
        assert!(fits || alone || !reclaimed);
        if fits || !reclaimed {
            assert_eq!((buffer.as_ptr(), buffer.capacity()), before);
        } else {
            assert!(buffer.capacity() >= buffer.len() + additional);
            let end = buffer.as_ptr().addr() + buffer.capacity();
            assert!(end <= self.extent.1 && self.shared_end.is_none_or(|shared| end >= shared));
        }
    }

    /// Joins a part with the next one, which succeeds if their bytes are adjacent.
    fn join(&mut self, at: usize) {
        if at + 1 >= self.pieces.len() {
            return;
        }
        let piece = self.pieces.remove(at + 1);
        let nothing = piece.size() == 0;
        let Piece {
            held,
            bytes,
            shares,
        } = piece;
        let front = &mut self.pieces[at];
        let (front_end, start) = (front.start() + front.bytes.len(), held.start());
        let held = match (&mut front.held, held) {
            (Held::Buffer(buffer), Held::Buffer(other)) => match buffer.try_unsplit(other) {
                Ok(()) => {
                    assert!(front_end == start || nothing, "joined across a gap");
                    front.shares |= shares;
                    front.bytes.extend_from_slice(&bytes);
                    return;
                }
                Err(other) => {
                    assert!(front_end != start, "neighbours were not joined");
                    Held::Buffer(other)
                }
            },
            (_, held) => held,
        };
        self.pieces.insert(
            at + 1,
            Piece {
                held,
                bytes,
                shares,
            },
        );
    }
}
