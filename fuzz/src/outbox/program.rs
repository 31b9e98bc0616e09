//! The operations on an outbox, and the actions of its writer.

use arbitrary::{Arbitrary, Result, Unstructured};
use std::io::ErrorKind;

/// Maximum number of steps in a program.
const MAX_STEPS: usize = 120;

/// The action of a writer in one call.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// Accepts this number of bytes.
    Take(usize),
    /// Returns an error.
    Fail(ErrorKind),
    /// Is not ready.
    Wait,
    /// Claims one byte more than it was offered.
    Lie,
}

/// The kind of a piece.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A buffer.
    Buffer,
    /// A buffer whose start has moved.
    Advanced,
    /// A buffer with its own mapping.
    Mapping,
    /// A part of a frozen buffer.
    Frozen,
    /// Bytes on the heap.
    Heap,
}

/// One step.
#[derive(Clone, Debug)]
pub enum Step {
    /// The next actions of the writer.
    Script(Vec<Answer>),
    /// `write`
    Write(Kind, usize),
    /// This number of one-byte pieces.
    WriteMany(u16),
    /// `write_timeout` with a timeout of zero; `write` if that needs a runtime.
    WriteTimeout(Kind, usize),
    /// `cork`
    Cork,
    /// `uncork`
    Uncork,
    /// `drain`, with or without a timeout; a future is polled this number of times, then dropped.
    Drain(u8),
    /// `flush`, or `shutdown`, likewise.
    Flush(u8),
}

/// A program.
#[derive(Clone, Debug)]
pub struct Program {
    /// Which of the two outboxes.
    pub asynchronous: bool,
    /// Whether the writer has a vectored write.
    pub vectored: bool,
    /// Its settings.
    pub high_water_mark: usize,
    /// Maximum number of queued bytes.
    pub limit: usize,
    /// Maximum number of queued pieces.
    pub max_pieces: usize,
    /// The steps.
    pub steps: Vec<Step>,
}

fn kind(u: &mut Unstructured<'_>) -> Result<Kind> {
    Ok(match u.int_in_range(0..=5)? {
        0 => Kind::Advanced,
        1 => Kind::Mapping,
        2 => Kind::Frozen,
        3 => Kind::Heap,
        _ => Kind::Buffer,
    })
}

fn length(u: &mut Unstructured<'_>) -> Result<usize> {
    Ok(match u.int_in_range(0..=15)? {
        0 => 0,
        1 => 1,
        2 => u.int_in_range(8_190..=8_194)?,
        3 => u.int_in_range(0..=70_000)?,
        _ => usize::from(u.arbitrary::<u8>()?),
    })
}

fn bound(u: &mut Unstructured<'_>) -> Result<usize> {
    Ok(match u.int_in_range(0..=5)? {
        0 => usize::MAX,
        1 => usize::from(u.arbitrary::<u8>()?),
        2 => u.arbitrary()?,
        _ => usize::from(u.arbitrary::<u16>()?),
    })
}

fn answer(u: &mut Unstructured<'_>) -> Result<Answer> {
    Ok(match u.int_in_range(0..=11)? {
        0 => Answer::Fail(ErrorKind::Interrupted),
        1 => Answer::Fail(ErrorKind::BrokenPipe),
        2 => Answer::Fail(ErrorKind::StorageFull),
        3 | 4 => Answer::Wait,
        5 => Answer::Lie,
        6 => Answer::Take(0),
        7 => Answer::Take(1),
        8 => Answer::Take(u.int_in_range(0..=3_000)?),
        _ => Answer::Take(usize::from(u.arbitrary::<u8>()?)),
    })
}

fn step(u: &mut Unstructured<'_>) -> Result<Step> {
    Ok(match u.int_in_range(0..=15)? {
        0 | 1 => {
            let count = u.int_in_range(1..=8)?;
            Step::Script((0..count).map(|_| answer(u)).collect::<Result<_>>()?)
        }
        2..=6 => Step::Write(kind(u)?, length(u)?),
        7 => Step::WriteMany(u.int_in_range(1..=2_100)?),
        8 | 9 => Step::WriteTimeout(kind(u)?, length(u)?),
        10 | 11 => Step::Cork,
        12 => Step::Uncork,
        13 | 14 => Step::Drain(u.arbitrary()?),
        _ => Step::Flush(u.arbitrary()?),
    })
}

impl<'a> Arbitrary<'a> for Program {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut program = Self {
            asynchronous: u.arbitrary()?,
            vectored: u.ratio(3, 4)?,
            high_water_mark: bound(u)?,
            limit: bound(u)?,
            max_pieces: bound(u)?,
            steps: Vec::new(),
        };
        while !u.is_empty() && program.steps.len() < MAX_STEPS {
            program.steps.push(step(u)?);
        }
        Ok(program)
    }
}
