//! Programs: the operations and how they are read from the fuzzer's bytes.
//!
//! One byte chooses an operation, one or a few more its arguments, so that a mutation of the input
//! is a small change of the program. Any bytes are a valid program.

use crate::settings::Settings;
use arbitrary::{Arbitrary, Result, Unstructured};
use slabuf::fake_os::{Call, Fault};

/// Maximum number of operations in a program.
const MAX_STEPS: usize = 160;

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

impl<'a> Arbitrary<'a> for Length {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        const EDGES: [usize; 8] = [0, 16, 128, 1024, 4096, 8192, 16_384, 65_536];
        const LONG_EDGES: [usize; 4] = [262_144, 1_048_576, 2_097_152, 4_194_304];
        let near = |edge: usize, u: &mut Unstructured<'_>| {
            Ok((edge + u.int_in_range(0..=2)?).saturating_sub(1))
        };
        Ok(Self(match u.arbitrary::<u8>()? {
            0..80 => usize::from(u.arbitrary::<u8>()?),
            80..140 => usize::from(u.arbitrary::<u16>()?) % 10_000,
            140..180 => near(*u.choose(&EDGES)?, u)?,
            // Boundaries of size classes.
            180..210 => near((8192 / u.int_in_range(1..=64usize)?) & !15, u)?,
            210..245 => usize::from(u.arbitrary::<u16>()?) * 2,
            245..252 => usize::from(u.arbitrary::<u16>()?) * 16,
            252..255 => near(*u.choose(&LONG_EDGES)?, u)?,
            255 if u.arbitrary::<u8>()? < 224 => usize::from(u.arbitrary::<u16>()?) * 32,
            // From 32 MiB on, zeroing uses a purge instead of a memset.
            255 => (32 << 20) + usize::from(u.arbitrary::<u16>()?) * 16,
        }))
    }
}

impl<'a> Arbitrary<'a> for Make {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.int_in_range(0..=9)? {
            0 | 1 => Self::Stale,
            2 => Self::Zeroed,
            3 => Self::Filled(u.arbitrary()?),
            4 => Self::StaleSlow,
            5 => Self::Room,
            6 => Self::Copied,
            7 => Self::Concat,
            8 => Self::ConcatToLen(u.arbitrary()?),
            _ => Self::Aligned(u.arbitrary()?),
        })
    }
}

impl<'a> Arbitrary<'a> for Part {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(u.arbitrary()?))
    }
}

impl<'a> Arbitrary<'a> for Cut {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.int_in_range(0..=15)? {
            0..3 => Self::SplitTo(u.arbitrary()?),
            3 | 4 => Self::SplitOff(u.arbitrary()?),
            5 => Self::Split,
            6 => Self::CopyToBytes(u.arbitrary()?),
            7 | 8 => Self::Join,
            9 | 10 => Self::Reclaim(u.arbitrary()?),
            11 => Self::Write(u.arbitrary()?),
            12 => Self::Append(u.arbitrary()?),
            13 => Self::Truncate(u.arbitrary()?),
            14 => Self::Advance(u.arbitrary()?),
            _ => Self::Drop,
        })
    }
}

impl<'a> Arbitrary<'a> for Change {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.int_in_range(0..=36)? {
            0 | 1 => Self::Write(u.arbitrary()?),
            2 => Self::WriteSpare(u.arbitrary()?),
            3 => Self::ReadSpare,
            4 | 5 => Self::Grow(u.arbitrary()?),
            6 => Self::Resize(u.arbitrary()?, u.arbitrary()?),
            7 => Self::Reserve(u.arbitrary()?),
            8 => Self::ReserveTooMuch(u.arbitrary()?),
            9 => Self::Append(u.arbitrary()?),
            10 => Self::AppendEach(u.arbitrary()?),
            11 => Self::Print(u.arbitrary()?),
            12 => Self::Truncate(u.arbitrary()?),
            13 => Self::SetLen(u.arbitrary()?),
            14 => Self::Advance(u.arbitrary()?),
            15 => Self::Clear,
            16 => Self::Parts(u.arbitrary()?),
            17 => Self::Freeze,
            18 => Self::Slice(u.arbitrary()?, u.arbitrary()?),
            19 => Self::DropView,
            20 => Self::Push,
            21 => Self::Pop,
            22 => Self::Insert(u.arbitrary()?),
            23 => Self::Remove(u.arbitrary()?),
            24 => Self::SwapRemove(u.arbitrary()?),
            25 => Self::Drain(u.arbitrary()?, u.arbitrary()?),
            26 => Self::Retain(u.arbitrary()?),
            27 => Self::Dedup,
            28 => Self::ExtendFromWithin(u.arbitrary()?, u.arbitrary()?),
            29 => Self::ReserveExact(u.arbitrary()?),
            30 => Self::ShrinkTo(u.arbitrary()?),
            _ => Self::Cut(u.arbitrary()?, u.arbitrary()?),
        })
    }
}

fn take(u: &mut Unstructured<'_>) -> Result<Step> {
    let choice: u8 = u.arbitrary()?;
    Ok(Step::Take {
        pool: choice >> 1,
        make: u.arbitrary()?,
        len: u.arbitrary()?,
        peek: choice & 1 == 1,
    })
}

fn fault(u: &mut Unstructured<'_>) -> Result<Fault> {
    const CALLS: [Option<Call>; 9] = [
        None,
        Some(Call::Map),
        Some(Call::Align),
        Some(Call::Unmap),
        Some(Call::Purge),
        Some(Call::Remap),
        Some(Call::AdviseHuge),
        Some(Call::AdviseSmall),
        Some(Call::Protect),
    ];
    Ok(Fault {
        call: *u.choose(&CALLS)?,
        first: u.int_in_range(0..=11)?,
        count: *u.choose(&[1, 2, 5, u64::MAX])?,
    })
}

fn step(u: &mut Unstructured<'_>) -> Result<Step> {
    Ok(match u.int_in_range(0..=47)? {
        0..16 => take(u)?,
        16..32 => Step::Change(u.arbitrary()?, u.arbitrary()?),
        32..38 => Step::Drop(u.arbitrary()?),
        38 => Step::DropMany(u.arbitrary()?, u.arbitrary()?),
        39 => Step::DropElsewhere(u.arbitrary()?),
        40 | 41 => Step::Trim(u.arbitrary()?),
        42 => Step::Wait(u.arbitrary()?, u.arbitrary()?),
        43 => Step::CheckAll,
        44 => Step::CloneHandle(u.arbitrary()?),
        45 => Step::DropHandle(u.arbitrary()?),
        46 => Step::TakeTooMuch(u.arbitrary()?, u.arbitrary()?),
        _ => Step::Clone(u.arbitrary()?),
    })
}

fn faulty_step(u: &mut Unstructured<'_>) -> Result<Step> {
    Ok(match u.int_in_range(0..=9)? {
        0..8 => step(u)?,
        8 => Step::Refuse(u.arbitrary()?, fault(u)?),
        _ => Step::Heal(u.arbitrary()?),
    })
}

fn lane_step(u: &mut Unstructured<'_>) -> Result<ThreadStep> {
    Ok(match u.int_in_range(0..=9)? {
        0..7 => ThreadStep::Own(step(u)?),
        7 | 8 => ThreadStep::Send(u.arbitrary()?, u.arbitrary()?),
        _ => ThreadStep::Receive,
    })
}

fn until_empty<T>(
    u: &mut Unstructured<'_>,
    most: usize,
    next: fn(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut all = Vec::new();
    while !u.is_empty() && all.len() < most {
        all.push(next(u)?);
    }
    Ok(all)
}

fn program(
    u: &mut Unstructured<'_>,
    next: fn(&mut Unstructured<'_>) -> Result<Step>,
) -> Result<Program> {
    let shape: u8 = u.arbitrary()?;
    let pools = (0..=shape % 3).map(|_| Settings::valid(u));
    Ok(Program {
        pools: pools.collect::<Result<_>>()?,
        collide: shape & 0x80 != 0,
        huge: shape & 0x78 == 0x78,
        steps: until_empty(u, MAX_STEPS, next)?,
    })
}

impl<'a> Arbitrary<'a> for Program {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        program(u, step)
    }
}

impl<'a> Arbitrary<'a> for FaultyProgram {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        program(u, faulty_step).map(Self)
    }
}

impl<'a> Arbitrary<'a> for ConfigProgram {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self {
            settings: Settings::any(u)?,
            steps: until_empty(u, MAX_STEPS / 4, step)?,
        })
    }
}

impl<'a> Arbitrary<'a> for ThreadsProgram {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let shape: u8 = u.arbitrary()?;
        let count = 2 + usize::from(shape >> 4 & 1);
        let rounds = 1 + usize::from(shape >> 5 & 3);
        let mut pools = Vec::new();
        for number in 0..=shape & 1 {
            pools.push((Settings::valid(u)?, shape >> (1 + number) & 1 == 0));
        }
        let mut threads = vec![vec![Vec::new(); rounds]; count];
        // Distributed round robin, so that a short input has steps for every thread.
        for (n, step) in until_empty(u, MAX_STEPS, lane_step)?
            .into_iter()
            .enumerate()
        {
            threads[n % count][n / count / 8 % rounds].push(step);
        }
        Ok(Self { pools, threads })
    }
}
