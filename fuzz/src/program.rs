//! Programs: the operations.

mod read;

use crate::settings::Settings;
use slabuf::fake_os::Fault;

/// A constructor.
#[derive(Clone, Copy, Debug)]
pub enum Make {
    /// `try_alloc`
    Zeroed,
    /// `try_alloc_filled` with a pattern of this length, or with zeros.
    Filled(u8),
    /// `try_alloc_unsafe`
    Stale,
    /// `try_alloc_unsafe_slow`
    StaleSlow,
    /// `try_with_capacity`
    Room,
    /// `try_copy_from_slice`
    Copied,
    /// `try_concat` of three parts
    Concat,
    /// `try_concat_to_len`
    ConcatToLen(Length),
    /// `try_alloc_aligned` to this power of two, modulo 13
    Aligned(u8),
}

/// A length in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Length(pub usize);

/// A fraction with the denominator 255.
#[derive(Clone, Copy, Debug)]
pub struct Part(pub u8);

impl Part {
    /// Returns the fraction of `whole`, from 0 to `whole` inclusive.
    pub fn of(self, whole: usize) -> usize {
        match self.0 {
            255 => whole,
            // The ends are more interesting than the middle.
            254 => whole.saturating_sub(1),
            253 => whole.min(1),
            part => (whole as u128 * u128::from(part) / 255) as usize,
        }
    }
}

/// A change of one buffer.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// Writes all bytes from here on.
    Write(Part),
    /// Writes this part of the spare capacity.
    WriteSpare(Part),
    /// Reads the spare capacity.
    ReadSpare,
    /// `try_grow`
    Grow(Length),
    /// `try_resize` with zeros or with another byte
    Resize(Length, u8),
    /// `try_reserve`
    Reserve(Length),
    /// `try_reserve` of an impossible capacity
    ReserveTooMuch(u8),
    /// `extend_from_slice` after `try_reserve`
    Append(Length),
    /// `Extend` after `try_reserve`
    AppendEach(Length),
    /// `io::Write::write`
    Print(Length),
    /// `truncate`
    Truncate(Part),
    /// `set_len` to a part of the capacity
    SetLen(Part),
    /// `Buf::advance`
    Advance(Part),
    /// `clear`
    Clear,
    /// `into_raw_parts`, then `from_raw_parts` with a part of the capacity as length
    Parts(Part),
    /// `freeze`
    Freeze,
    /// One more view of the frozen bytes.
    Slice(Part, Part),
    /// One view less.
    DropView,
    /// `push` after `try_reserve`
    Push,
    /// `pop`
    Pop,
    /// `insert` after `try_reserve`
    Insert(Part),
    /// `remove`
    Remove(Part),
    /// `swap_remove`
    SwapRemove(Part),
    /// `drain`
    Drain(Part, Part),
    /// `retain` of all but one eighth of the values
    Retain(u8),
    /// `dedup`
    Dedup,
    /// `extend_from_within` after `try_reserve`
    ExtendFromWithin(Part, Part),
    /// `try_reserve_exact`
    ReserveExact(Length),
    /// `shrink_to`
    ShrinkTo(Length),
    /// Splits the buffer, or applies an operation to one of its parts.
    Cut(u8, Cut),
}

/// An operation on the parts of one memory.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// `split_to`
    SplitTo(Part),
    /// `split_off`
    SplitOff(Part),
    /// `split`
    Split,
    /// `Buf::copy_to_bytes`
    CopyToBytes(Part),
    /// `try_unsplit` with the next part
    Join,
    /// `try_reclaim`
    Reclaim(Part),
    /// Writes all bytes from here on.
    Write(Part),
    /// `extend_from_slice` of this part of the spare capacity
    Append(Part),
    /// `truncate`
    Truncate(Part),
    /// `Buf::advance`
    Advance(Part),
    /// Drops the part.
    Drop,
}

/// One operation. Numbers select pools and buffers, modulo their count.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Allocates a buffer.
    Take {
        /// The pool.
        pool: u8,
        /// The constructor.
        make: Make,
        /// The length.
        len: Length,
        /// Whether to check its spare capacity, too.
        peek: bool,
    },
    /// Requests an impossible length.
    TakeTooMuch(u8, u8),
    /// Changes a buffer.
    Change(u8, Change),
    /// Copies a buffer.
    Clone(u8),
    /// Drops a buffer.
    Drop(u8),
    /// Drops several buffers.
    DropMany(u8, u8),
    /// Drops a buffer on a thread that then ends.
    DropElsewhere(u8),
    /// Trims a pool.
    Trim(u8),
    /// Advances the clock of a pool, in milliseconds.
    Wait(u8, u16),
    /// Checks the contents of every buffer, and the counters of the process.
    CheckAll,
    /// Clones a handle of a pool.
    CloneHandle(u8),
    /// Drops a handle; the last one closes the pool.
    DropHandle(u8),
    /// Sets a plan by which the system of a pool refuses calls.
    Refuse(u8, Fault),
    /// Ends the refusals.
    Heal(u8),
}

/// A program for one thread.
#[derive(Clone, Debug)]
pub struct Program {
    /// One to three pools.
    pub pools: Vec<Settings>,
    /// Whether the second pool has the same index as the first in the threads' tables.
    pub collide: bool,
    /// Whether some lengths may be huge. Such programs are slow.
    pub huge: bool,
    /// The operations.
    pub steps: Vec<Step>,
}

/// A [`Program`] with steps that make the system refuse calls.
#[derive(Clone, Debug)]
pub struct FaultyProgram(pub Program);

/// Any settings, and the operations if they build a pool.
#[derive(Clone, Debug)]
pub struct ConfigProgram {
    /// Any settings.
    pub settings: Settings,
    /// The operations.
    pub steps: Vec<Step>,
}

/// A program for several threads.
#[derive(Clone, Debug)]
pub struct ThreadsProgram {
    /// One or two pools, and whether the main thread keeps a handle of them.
    pub pools: Vec<(Settings, bool)>,
    /// For each thread its operations in each round.
    pub threads: Vec<Vec<Vec<ThreadStep>>>,
}

/// One operation of one of several threads.
#[derive(Clone, Copy, Debug)]
pub enum ThreadStep {
    /// An operation that involves no other thread.
    Own(Step),
    /// Sends a buffer to another thread.
    Send(u8, u8),
    /// Receives what other threads have sent.
    Receive,
}
