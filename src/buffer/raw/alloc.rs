//! Allocating a buffer's memory in the global pool, which is known by name, or in another pool.
//!
//! The length decides: up to one slab it is a slot, above that a mapping.
//!
//! # Safety
//!
//! This module writes only zeros, to slots that were just allocated and belong to the caller alone.

use crate::buffer::raw::{Fill, RawBuffer, ask, count_live, zero_large};
use crate::error::{AllocError, AllocFailure, MAX_LEN, PoolState};
use crate::inner::PoolInner;
use crate::inner::registry::GLOBAL;
use crate::inner::slots::Classes;
use crate::inner::tag::{AllocTag, Place};
use crate::large::LargeAlloc;
use crate::pool::{Pool, usage};
use crate::slab::size_class::{DefaultClasses, GRANULE};
use crate::thread::{self, cache};
use crate::util::events;
use std::ptr::NonNull;
use std::time::Duration;

/// The result of a slow path: two words, in two registers. Either the start and the tag, or no
/// start and the refusal in place of the tag.
type Taken = (Option<NonNull<u8>>, AllocTag);

fn pack(taken: Result<RawBuffer, AllocFailure>) -> Taken {
    match taken {
        Ok(memory) => (Some(memory.start), memory.tag),
        Err(refused) => (None, AllocTag::of_refusal(refused)),
    }
}

#[inline(always)]
fn unpack(taken: Taken) -> Result<RawBuffer, AllocFailure> {
    match taken {
        (Some(start), tag) => Ok(RawBuffer { start, tag }),
        (None, refused) => Err(refused.to_refusal()),
    }
}

/// A pool to allocate memory from.
pub(crate) trait Source: Copy {
    /// Allocates memory for `len` bytes, which are zero if `fill` requests it.
    fn take(self, len: usize, fill: Fill) -> Result<RawBuffer, AllocFailure>;

    /// Allocates memory for `len` bytes in its own mapping, whatever the length.
    fn take_mapping(self, len: usize, fill: Fill) -> Result<RawBuffer, AllocFailure>;

    /// Converts the internal failure into the public error.
    fn error(self, refused: AllocFailure, requested: usize) -> AllocError;
}

/// The global pool, by name instead of by reference: its tables are constants.
#[derive(Clone, Copy)]
pub(crate) struct Global;

impl Source for Global {
    #[inline(always)]
    fn take(self, len: usize, fill: Fill) -> Result<RawBuffer, AllocFailure> {
        let Some(class) = DefaultClasses::class_of(len) else {
            return unpack(take_large_from_global(len, fill));
        };
        match thread::current().global().pop(class) {
            // The global pool does not have `zero_fill`, so there is no check for it.
            Some((start, word)) => {
                if fill == Fill::Zero {
                    zero(start, len);
                }
                let tag = limited(AllocTag::slot_of_word(word), len, fill);
                Ok(RawBuffer { start, tag })
            }
            None => unpack(take_from_global(len, fill)),
        }
    }

    fn take_mapping(self, len: usize, fill: Fill) -> Result<RawBuffer, AllocFailure> {
        let pool = Pool::try_global().map_err(|_| AllocFailure::System)?;
        pool.take_mapping(len, fill)
    }

    #[cold]
    fn error(self, refused: AllocFailure, requested: usize) -> AllocError {
        if let Ok(pool) = Pool::try_global() {
            return pool.error(refused, requested);
        }
        let error = refused.into_error(requested, PoolState::default());
        tell(GLOBAL, &error);
        error
    }
}

impl Source for &Pool {
    #[inline(always)]
    fn take(self, len: usize, fill: Fill) -> Result<RawBuffer, AllocFailure> {
        let Some(class) = self.table.class_of(len) else {
            return unpack(take_large(self.inner(), len, fill));
        };
        let popped = thread::current().find(self.prefix.index()).pop(class);
        let (start, tag) = match popped {
            Some((start, word)) => (start, AllocTag::slot_of_word(word)),
            None => {
                let memory = unpack(take_slow(self.inner(), class, len))?;
                (memory.start, memory.tag)
            }
        };
        Ok(slot_memory(start, tag, len, fill))
    }

    fn take_mapping(self, len: usize, fill: Fill) -> Result<RawBuffer, AllocFailure> {
        unpack(take_large(self.inner(), len, fill))
    }

    #[cold]
    fn error(self, refused: AllocFailure, requested: usize) -> AllocError {
        error_of(self.inner(), refused, requested)
    }
}

/// Turns a slot into a buffer's memory, and zeroes it if `fill` or the pool requests it.
#[inline(always)]
pub(super) fn slot_memory(start: NonNull<u8>, tag: AllocTag, len: usize, fill: Fill) -> RawBuffer {
    if tag.is_zero_fill() {
        zero_slot(start, tag);
    } else if fill == Fill::Zero {
        zero(start, len);
    }
    let tag = limited(tag, len, fill);
    RawBuffer { start, tag }
}

/// Allocates a slot of one of `classes`, preferably the first, which is also the first choice of a
/// thread's magazine.
pub(super) fn take_aligned(
    pool: &Pool,
    classes: Classes,
    len: usize,
    fill: Fill,
) -> Result<RawBuffer, AllocFailure> {
    let cache = thread::current().find_any(pool.prefix.index());
    let (start, tag) = match cache.pop(classes.first) {
        Some((start, word)) => (start, AllocTag::slot_of_word(word)),
        None => {
            let memory = take_of(pool.inner(), classes, len)?;
            (memory.start, memory.tag)
        }
    };
    Ok(slot_memory(start, tag, len, fill))
}

/// Limits a slot's capacity to the `len` bytes that were requested as capacity.
#[inline(always)]
fn limited(tag: AllocTag, len: usize, fill: Fill) -> AllocTag {
    match fill {
        Fill::Reserve => tag.with_capacity(len),
        Fill::Zero | Fill::Stale => tag,
    }
}

/// Allocates memory from the pool `inner`, which the caller keeps alive.
pub(crate) fn take_from(
    inner: NonNull<PoolInner>,
    len: usize,
    fill: Fill,
) -> Result<RawBuffer, AllocFailure> {
    match PoolInner::of(inner).table.class_of(len) {
        Some(class) => {
            let RawBuffer { start, tag } = unpack(take_slow(inner, class, len))?;
            Ok(slot_memory(start, tag, len, fill))
        }
        None => unpack(take_large(inner, len, fill)),
    }
}

/// Allocates memory with room for `capacity` bytes and length 0, for a request of `requested_len`
/// bytes.
pub(crate) fn take_room(
    inner: NonNull<PoolInner>,
    capacity: usize,
    requested_len: usize,
) -> Result<RawBuffer, AllocFailure> {
    match PoolInner::of(inner).table.class_of(capacity) {
        Some(_) => take_from(inner, capacity, Fill::Reserve),
        None if PoolInner::of(inner).watermarks.is_none() => {
            let memory = take_from(inner, capacity, Fill::Reserve)?;
            if let Place::Large(large) = memory.tag.place() {
                ask(inner, large, requested_len);
            }
            Ok(memory)
        }
        // The capacity is not counted first: that could raise "over" for bytes that were not
        // requested.
        None => take_counted(inner, capacity, requested_len, Fill::Reserve),
    }
}

/// Converts a refusal of [`take_from`] into the public error.
pub(crate) fn error_of(
    inner: NonNull<PoolInner>,
    refused: AllocFailure,
    requested: usize,
) -> AllocError {
    let inner = PoolInner::of(inner);
    inner.count_refusal(refused);
    let error = refused.into_error(requested, state_of(inner, requested));
    tell(inner.index, &error);
    error
}

/// Converts the end of a wait without memory into the public error.
pub(crate) fn timed_out(inner: &PoolInner, requested: usize, waited: Duration) -> AllocError {
    inner.count_timeout();
    let state = state_of(inner, requested);
    AllocError::TimedOut {
        requested,
        rounded: state.rounded,
        in_use: state.in_use,
        mapped: state.mapped,
        limit: state.limit,
        budget: state.budget.map(|(limit, _)| limit),
        waited,
    }
}

/// Returns the pool's counters for an error about a request for `requested` bytes.
fn state_of(inner: &PoolInner, requested: usize) -> PoolState {
    let pages = || requested.checked_next_multiple_of(inner.mapper.page_size());
    let usage = usage::of_pool(inner);
    PoolState {
        rounded: match inner.table.class_of(requested) {
            Some(class) => inner.table.get(class).slot_size as usize,
            None => pages().unwrap_or(usize::MAX),
        },
        in_use: usage.in_use as usize,
        mapped: usage.external as usize,
        limit: inner.config.limit,
        budget: inner.budget.as_ref().map(|budget| {
            let quota = &budget.inner().quota;
            (quota.limit(), quota.mapped())
        }),
    }
}

fn tell(pool: usize, error: &AllocError) {
    match *error {
        AllocError::LimitExceeded {
            requested, limit, ..
        } => events::refused(pool as u64, requested, limit),
        AllocError::BudgetExceeded {
            requested, limit, ..
        } => events::refused_by_budget(pool as u64, requested, limit),
        AllocError::OutOfMemory { requested, .. } => events::refused(pool as u64, requested, None),
        AllocError::TooLarge { .. }
        | AllocError::TimedOut { .. }
        | AllocError::InvalidAlignment { .. } => {}
    }
}

#[cold]
#[inline(never)]
fn take_from_global(len: usize, fill: Fill) -> Taken {
    let pool = Pool::try_global().map_err(|_| AllocFailure::System);
    pack(pool.and_then(|pool| take_from(pool.inner(), len, fill)))
}

/// Allocates a slot when the inlined fast path cannot.
#[inline(never)]
fn take_slow(at: NonNull<PoolInner>, class: usize, len: usize) -> Taken {
    let cache = thread::current().find_any(PoolInner::of(at).index);
    if let Some((start, word)) = cache.pop_or_swap(class) {
        return (Some(start), AllocTag::slot_of_word(word));
    }
    take_slower(at, class, len)
}

#[cold]
#[inline(never)]
fn take_slower(at: NonNull<PoolInner>, class: usize, len: usize) -> Taken {
    pack(take_of(at, Classes::from(class), len))
}

/// Allocates a slot of one of `classes`, preferably the first, for a request of `len` bytes.
fn take_of(
    at: NonNull<PoolInner>,
    classes: Classes,
    len: usize,
) -> Result<RawBuffer, AllocFailure> {
    let inner = PoolInner::of(at);
    let cache = thread::current().find_or_attach(at);
    let memory = cache::alloc_slot(inner, cache, classes).map(|(start, class)| {
        let size = inner.table.get(class).slot_size as usize;
        let mut tag = AllocTag::slot(inner.prefix, class, size);
        if inner.is_sample_due(cache) && inner.remember(start.addr().get(), len) {
            tag = tag.sampled();
        }
        RawBuffer { start, tag }
    });
    events::emit();
    memory
}

/// Allocates a large buffer. Not marked cold: this is the fast path of large buffers.
#[inline(never)]
fn take_large_from_global(len: usize, fill: Fill) -> Taken {
    let cache = thread::current().global();
    if let Some(large) = cache.pop_kept(len)
        && let Some(at) = cache.pool()
    {
        cache.large_live.add(len);
        return pack(Ok(large_memory(PoolInner::of(at.cast()), large, len, fill)));
    }
    let pool = Pool::try_global().map_err(|_| AllocFailure::System);
    pack(pool.and_then(|pool| take_counted(pool.inner(), len, len, fill)))
}

#[inline(never)]
fn take_large(at: NonNull<PoolInner>, len: usize, fill: Fill) -> Taken {
    let inner = PoolInner::of(at);
    let cache = thread::current().find_any(inner.index);
    if inner.watermarks.is_none()
        && let Some(large) = cache.pop_kept(len)
    {
        cache.large_live.add(len);
        return pack(Ok(large_memory(inner, large, len, fill)));
    }
    pack(take_counted(at, len, len, fill))
}

/// Allocates a mapping of at least `len` bytes, counted as a buffer of `requested_len` bytes.
#[inline(never)]
fn take_counted(
    at: NonNull<PoolInner>,
    len: usize,
    requested_len: usize,
    fill: Fill,
) -> Result<RawBuffer, AllocFailure> {
    if len > MAX_LEN {
        return Err(AllocFailure::Length);
    }
    let inner = PoolInner::of(at);
    let cache = thread::current().find_or_attach(at);
    let large = cache::alloc_large(inner, cache, len);
    let memory = large.map(|large| {
        count_live(inner, cache, requested_len);
        let memory = large_memory(inner, large, len, fill);
        LargeAlloc::of(large).set_requested_len(requested_len);
        if inner.is_sample_due(cache) {
            let remembered = inner.remember(large.addr().get(), requested_len);
            LargeAlloc::of(large).set_sampled(remembered);
        }
        inner.count_large(requested_len);
        memory
    });
    events::emit();
    memory
}

#[inline(always)]
fn large_memory(
    inner: &PoolInner,
    large: NonNull<LargeAlloc>,
    len: usize,
    fill: Fill,
) -> RawBuffer {
    let this = LargeAlloc::of(large);
    this.set_requested_len(len);
    if inner.prefix.is_zero_fill() {
        zero_large(inner, this, this.capacity());
    } else if fill == Fill::Zero {
        zero_large(inner, this, len);
    }
    if fill != Fill::Reserve {
        this.expose(len);
    }
    RawBuffer::of_large(large)
}

#[cold]
#[inline(never)]
fn zero_slot(start: NonNull<u8>, tag: AllocTag) {
    zero(start, tag.capacity());
}

/// Zeroes the start of a slot.
#[inline(always)]
fn zero(start: NonNull<u8>, len: usize) {
    // The size of a slot is a multiple of 16 bytes, so whole granules can be zeroed.
    let len = len.next_multiple_of(GRANULE);
    // SAFETY: the slot belongs to the caller, is aligned to a granule and at least this long.
    unsafe { start.write_bytes(0, len) };
}
