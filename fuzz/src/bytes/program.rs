//! Programs on a buffer and a `BytesMut`, and how they are read from the fuzzer's bytes.

use crate::program::{Length, Part};
use arbitrary::{Arbitrary, Result, Unstructured};

/// Maximum number of operations in a program.
const MAX_STEPS: usize = 120;

/// One operation on the pair.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A `put_` of a number.
    PutNumber(u8, u64),
    /// A write of this number of bytes, by one of several methods.
    Put(u8, Length),
    /// `chunk_mut`, then `advance_mut`.
    PutInPlace(Part),
    /// A `get_` of a number, or a `try_get_`.
    GetNumber(u8),
    /// A read of a part, by one of several methods.
    Get(u8, Part),
    /// A change of the length.
    Resize(u8, Length),
    /// Freezes both and replaces them by new ones.
    Freeze,
    /// A change of a frozen pair.
    Frozen(u8, FrozenStep),
    /// Splits the pair, or joins parts.
    Split(u8, SplitStep),
}

/// An operation on parts of the pair.
#[derive(Clone, Copy, Debug)]
pub enum SplitStep {
    /// `split_to`
    To(Part),
    /// `split_off`
    Off(Part),
    /// `unsplit` of a part.
    Unsplit,
    /// Swaps the pair and a part.
    Swap,
    /// `freeze` of a part.
    Freeze,
    /// Drops a part.
    Drop,
}

/// A change of a frozen pair.
#[derive(Clone, Copy, Debug)]
pub enum FrozenStep {
    /// `slice`
    Slice(Part, Part),
    /// `split_to`
    SplitTo(Part),
    /// `split_off`
    SplitOff(Part),
    /// `truncate`
    Truncate(Part),
    /// `advance`
    Advance(Part),
    /// `clone`
    Clone,
    /// Drops the pair.
    Drop,
    /// Converts back into a writable buffer.
    Thaw,
}

/// A program on one buffer and one `BytesMut`.
#[derive(Clone, Debug)]
pub struct Program {
    /// The initial capacity.
    pub capacity: Length,
    /// The operations.
    pub steps: Vec<Step>,
}

impl<'a> Arbitrary<'a> for FrozenStep {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.int_in_range(0..=7)? {
            0 => Self::Slice(u.arbitrary()?, u.arbitrary()?),
            1 => Self::SplitTo(u.arbitrary()?),
            2 => Self::SplitOff(u.arbitrary()?),
            3 => Self::Truncate(u.arbitrary()?),
            4 => Self::Advance(u.arbitrary()?),
            5 => Self::Clone,
            6 => Self::Drop,
            _ => Self::Thaw,
        })
    }
}

impl<'a> Arbitrary<'a> for Step {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.int_in_range(0..=15)? {
            0 | 1 => Self::PutNumber(u.arbitrary()?, u.arbitrary()?),
            2..=4 => Self::Put(u.arbitrary()?, u.arbitrary()?),
            5 => Self::PutInPlace(u.arbitrary()?),
            6 => Self::GetNumber(u.arbitrary()?),
            7..=9 => Self::Get(u.arbitrary()?, u.arbitrary()?),
            10 | 11 => Self::Resize(u.arbitrary()?, u.arbitrary()?),
            12 => Self::Freeze,
            13 | 14 => Self::Frozen(u.arbitrary()?, u.arbitrary()?),
            _ => Self::Split(u.arbitrary()?, u.arbitrary()?),
        })
    }
}

impl<'a> Arbitrary<'a> for SplitStep {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.int_in_range(0..=7)? {
            0 | 1 => Self::To(u.arbitrary()?),
            2 => Self::Off(u.arbitrary()?),
            3 | 4 => Self::Unsplit,
            5 => Self::Swap,
            6 => Self::Freeze,
            _ => Self::Drop,
        })
    }
}

impl<'a> Arbitrary<'a> for Program {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let capacity = u.arbitrary()?;
        let mut steps = Vec::new();
        while !u.is_empty() && steps.len() < MAX_STEPS {
            steps.push(u.arbitrary()?);
        }
        Ok(Self { capacity, steps })
    }
}
