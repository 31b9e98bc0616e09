//! How programs are read from the fuzzer's bytes.
//!
//! One byte chooses an operation, one or a few more its arguments, so that a mutation of the input
//! is a small change of the program. Any bytes are a valid program.

use super::{
    Change, ConfigProgram, Cut, FaultyProgram, Length, Make, Part, Program, Step, ThreadStep,
    ThreadsProgram,
};
use crate::settings::Settings;
use arbitrary::{Arbitrary, Result, Unstructured};
use slabuf::fake_os::{Call, Fault};

/// Maximum number of operations in a program.
const MAX_STEPS: usize = 160;

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

fn thread_step(u: &mut Unstructured<'_>) -> Result<ThreadStep> {
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
        for (n, step) in until_empty(u, MAX_STEPS, thread_step)?
            .into_iter()
            .enumerate()
        {
            threads[n % count][n / count / 8 % rounds].push(step);
        }
        Ok(Self { pools, threads })
    }
}
