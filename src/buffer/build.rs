//! The implementation of the constructors, for any pool.

use super::Buffer;
use super::capacity::fail;
use crate::buffer::raw::Fill;
use crate::buffer::raw::RawBuffer;
use crate::buffer::raw::alloc::Source;
use crate::error::{AllocError, AllocFailure, MAX_LEN};

/// Returns a buffer of `len` bytes, or the error of a request for `requested` bytes.
#[inline(always)]
fn finish(
    source: impl Source,
    taken: Result<RawBuffer, AllocFailure>,
    requested: usize,
    len: usize,
) -> Result<Buffer, AllocError> {
    match taken {
        Ok(memory) => Ok(Buffer::of_memory(memory, len)),
        Err(refused) => Err(source.error(refused, requested)),
    }
}

/// Returns a buffer, or panics with the error. The plain constructors do not call their `try_`
/// twins: a buffer in a `Result` beside an error of three words is built in memory and copied from
/// there. That took a batch of 64 from 4.5 ns for each buffer to 9.
#[inline(always)]
#[track_caller]
pub(super) fn finish_or_panic(
    source: impl Source,
    taken: Result<RawBuffer, AllocFailure>,
    requested: usize,
    len: usize,
) -> Buffer {
    match taken {
        Ok(memory) => Buffer::of_memory(memory, len),
        Err(refused) => refuse(source, refused, requested),
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn refuse(source: impl Source, refused: AllocFailure, requested: usize) -> ! {
    fail(&source.error(refused, requested))
}

#[inline(always)]
pub(super) fn alloc(source: impl Source, len: usize) -> Result<Buffer, AllocError> {
    finish(source, source.take(len, Fill::Zero), len, len)
}

#[inline(always)]
pub(super) fn alloc_unsafe(source: impl Source, len: usize) -> Result<Buffer, AllocError> {
    finish(source, source.take(len, Fill::Stale), len, len)
}

pub(super) fn alloc_unsafe_slow(source: impl Source, len: usize) -> Result<Buffer, AllocError> {
    finish(source, source.take_mapping(len, Fill::Stale), len, len)
}

#[inline(always)]
pub(super) fn with_capacity(source: impl Source, capacity: usize) -> Result<Buffer, AllocError> {
    finish(source, source.take(capacity, Fill::Reserve), capacity, 0)
}

#[inline(always)]
pub(super) fn copy_from_slice(source: impl Source, bytes: &[u8]) -> Result<Buffer, AllocError> {
    let mut buffer = alloc_unsafe(source, bytes.len())?;
    buffer.copy_from_slice(bytes);
    Ok(buffer)
}

pub(super) fn alloc_filled(
    source: impl Source,
    len: usize,
    pattern: impl AsRef<[u8]>,
) -> Result<Buffer, AllocError> {
    let pattern = pattern.as_ref();
    if pattern.iter().all(|byte| *byte == 0) {
        return alloc(source, len);
    }
    let mut buffer = alloc_unsafe(source, len)?;
    if let [byte] = pattern {
        buffer.fill(*byte);
        return Ok(buffer);
    }
    let first = pattern.len().min(len);
    buffer[..first].copy_from_slice(&pattern[..first]);
    // The filled bytes are copied behind themselves, twice as many each time. They are whole
    // patterns, so the next copy continues where this one ends.
    let mut filled = first;
    while filled < len {
        let more = filled.min(len - filled);
        buffer.copy_within(..more, filled);
        filled += more;
    }
    Ok(buffer)
}

pub(super) fn concat<T: AsRef<[u8]>>(
    source: impl Source,
    parts: &[T],
) -> Result<Buffer, AllocError> {
    let mut len = 0usize;
    for part in parts {
        len = len.saturating_add(part.as_ref().len());
    }
    concat_to_len(source, parts, len)
}

pub(super) fn concat_to_len<T: AsRef<[u8]>>(
    source: impl Source,
    parts: &[T],
    len: usize,
) -> Result<Buffer, AllocError> {
    if len > MAX_LEN {
        return Err(AllocError::TooLarge {
            requested: len,
            maximum: MAX_LEN,
        });
    }
    let mut buffer = alloc_unsafe(source, len)?;
    let mut rest = &mut buffer[..];
    for part in parts {
        // A part may return another length in the second call: then it is cut, or zeros follow it.
        let part = part.as_ref();
        let (here, behind) = rest.split_at_mut(part.len().min(rest.len()));
        here.copy_from_slice(&part[..here.len()]);
        rest = behind;
    }
    rest.fill(0);
    Ok(buffer)
}
