//! The memory of one buffer: its start, growing it, freeing it.
//!
//! # Safety
//!
//! A [`RawBuffer`] owns its slot or its mapping. All of its bytes are initialised: the system
//! zeroes what it maps, and only bytes are ever written there. Stale bytes are therefore a matter
//! of secrecy, not of undefined behaviour.

use crate::depot::cache::ThreadCache;
use crate::error::AllocFailure;
use crate::inner::PoolInner;
use crate::inner::tag::{AllocTag, End, Place};
use crate::large::LargeAlloc;
use crate::pool::Pool;
use crate::slab::region::owner_of;
use crate::slab::size_class::SPAN;
use crate::thread::{self, cache};
use crate::util::events::{self, Event};
use std::ptr::NonNull;

pub(crate) mod aligned;
pub(crate) mod alloc;
pub(crate) mod part;

/// From this length on the stale part of a mapping is purged rather than overwritten with zeros.
const PURGE_BYTES: usize = 32 << 20;

/// The contents of a new buffer's bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill {
    /// Zero.
    Zero,
    /// Left over from earlier use.
    Stale,
    /// As `Stale`, and the length of the buffer is 0.
    Reserve,
}

/// The start and the tag of a buffer's memory.
pub(crate) struct RawBuffer {
    pub(crate) start: NonNull<u8>,
    pub(crate) tag: AllocTag,
}

/// Makes a live large buffer at least `capacity` bytes long without a copy, for a request of
/// `requested_len` bytes. Returns `false` if that is impossible; then nothing has changed.
pub(crate) fn grow_large(
    at: NonNull<PoolInner>,
    large: NonNull<LargeAlloc>,
    capacity: usize,
    requested_len: usize,
) -> bool {
    let inner = PoolInner::of(at);
    let before = LargeAlloc::of(large).footprint();
    let grow = || {
        let grown = LargeAlloc::of(large).grow(&inner.mapper, capacity, inner.map_options());
        if matches!(grown, Some(Err(AllocFailure::System))) {
            // The bytes were counted as mapped for a moment, and are free again.
            drop(inner.carry());
            inner.notify();
        }
        grown
    };
    let grown = match grow() {
        Some(Err(failure)) if failure.is_limit() => Some(inner.with_reclaim(|_| match grow() {
            Some(grown) => grown,
            None => Err(AllocFailure::Length),
        })),
        first => first,
    };
    let grown = matches!(grown, Some(Ok(())));
    if grown {
        ask(at, large, requested_len);
        let more = LargeAlloc::of(large).footprint().saturating_sub(before);
        events::note(inner.index as u64, Event::MappingsGrown, 1, more);
    }
    events::emit();
    grown
}

/// Sets the length with which a live large buffer is counted.
pub(crate) fn ask(at: NonNull<PoolInner>, large: NonNull<LargeAlloc>, requested_len: usize) {
    let before = LargeAlloc::of(large).requested_len();
    LargeAlloc::of(large).set_requested_len(requested_len);
    let inner = PoolInner::of(at);
    let cache = thread::current().find_or_attach(at);
    if requested_len > before {
        count_live(inner, cache, requested_len - before);
        inner.count_large(requested_len - before);
    } else {
        count_live(inner, cache, requested_len.wrapping_sub(before));
        inner.count_freed(before - requested_len);
    }
}

/// Adds to the lengths of live large buffers. Pass the two's complement to subtract.
fn count_live(inner: &PoolInner, cache: Option<&ThreadCache>, requested_len: usize) {
    match cache {
        Some(cache) => cache.large_live.add(requested_len),
        None => inner.count_large_live(requested_len),
    }
}

/// Zeroes the first `len` bytes of a large buffer, unless they are known to be zero.
#[inline(never)]
pub(crate) fn zero_large(inner: &PoolInner, large: &LargeAlloc, len: usize) {
    let stale = large.dirty().min(len);
    if stale >= PURGE_BYTES && large.purge(&inner.mapper) {
        return;
    }
    // SAFETY: `dirty` is within the mapping, which the caller owns.
    unsafe { large.base().write_bytes(0, stale) };
    if large.dirty() <= len {
        large.set_zeroed();
    }
}

impl RawBuffer {
    pub(crate) fn of_large(large: NonNull<LargeAlloc>) -> Self {
        Self {
            start: LargeAlloc::of(large).base(),
            tag: AllocTag::large(large),
        }
    }

    /// Returns the pool that the memory belongs to.
    pub(crate) fn inner(&self) -> NonNull<PoolInner> {
        let owner = match self.tag.place() {
            Place::Large(large) => LargeAlloc::of(large).owner(),
            // SAFETY: the memory is a slot that is out of its slab, and the tag contains the size
            // of its region.
            Place::Slot => unsafe { owner_of(self.start, self.tag.region_shift()) },
            Place::Part(shared, _) => return part::inner(shared),
            Place::Empty(Some(inner)) => return inner,
            Place::Empty(None) => return Pool::global().inner(),
        };
        owner.cast()
    }

    /// Returns the pool of the buffer, also if it has no memory. The global pool may have to be
    /// created for that.
    pub(crate) fn try_inner(&self) -> Result<NonNull<PoolInner>, AllocFailure> {
        if matches!(self.tag.place(), Place::Empty(None)) {
            let pool = Pool::try_global().map_err(|_| AllocFailure::System)?;
            return Ok(pool.inner());
        }
        Ok(self.inner())
    }

    /// Returns the first byte of the slot or mapping, and the capacity from there. A part begins at
    /// the start of its buffer. The capacity of a head is its buffer's length, which is unknown
    /// here: 0.
    #[inline]
    pub(crate) fn extent(&self) -> (NonNull<u8>, usize) {
        match self.tag.place() {
            Place::Large(large) => (
                LargeAlloc::of(large).base(),
                LargeAlloc::of(large).capacity(),
            ),
            Place::Slot if self.tag.is_advanced() => (self.slot_start(), self.tag.capacity()),
            Place::Slot => (self.start, self.tag.capacity()),
            Place::Part(shared, End::Tail) => (self.start, part::room_from(shared, self.start)),
            Place::Part(..) | Place::Empty(_) => (self.start, 0),
        }
    }

    /// Returns the start of the slot that `start` lies in.
    #[cold]
    fn slot_start(&self) -> NonNull<u8> {
        let inner = PoolInner::of(self.inner());
        let class = inner.table.get(self.tag.class());
        // Slabs and spans are aligned to their sizes, as they lie in aligned regions.
        let size = inner.table.slab_size * if class.spans { SPAN } else { 1 };
        let offset = self.start.addr().get() & (size - 1);
        let past = offset - class.slot_of_offset(offset) * class.slot_size as usize;
        // SAFETY: the slot begins `past` bytes below a byte of it (or its end, see
        // `Buffer::advance_start`).
        unsafe { self.start.sub(past) }
    }

    /// Raises the capacity of a slot to its size, if it is at least `capacity` bytes from the
    /// slot's start. Returns whether it is.
    pub(crate) fn raise_capacity(&mut self, capacity: usize) -> bool {
        let table = PoolInner::of(self.inner()).table;
        let size = table.get(self.tag.class()).slot_size as usize;
        if capacity <= size {
            self.tag = self.tag.with_capacity(size);
        }
        capacity <= size
    }

    /// Returns the key of this memory in the pool's sampler.
    fn key(&self) -> usize {
        match self.tag.place() {
            Place::Large(large) => large.addr().get(),
            _ => self.extent().0.addr().get(),
        }
    }

    /// Returns whether the sampler has recorded the allocation.
    fn is_sampled(&self) -> bool {
        match self.tag.place() {
            Place::Large(large) => LargeAlloc::of(large).is_sampled(),
            Place::Slot => self.tag.is_sampled(),
            // The sample stays with the whole memory of the parts.
            Place::Part(..) | Place::Empty(_) => false,
        }
    }

    /// Moves the sample of this memory to other memory of the pool, which serves a request for
    /// `len` bytes of the same buffer.
    pub(crate) fn moves_to(&self, other: &mut RawBuffer, len: usize) {
        if !self.is_sampled() {
            return;
        }
        let inner = PoolInner::of(self.inner());
        let Some(sampler) = &inner.sampler else {
            return;
        };
        if other.is_sampled() {
            sampler.forget(other.key());
        }
        sampler.follow(self.key(), other.key(), len);
        match other.tag.place() {
            Place::Large(large) => LargeAlloc::of(large).set_sampled(true),
            Place::Slot => other.tag = other.tag.sampled(),
            Place::Part(..) | Place::Empty(_) => {}
        }
    }

    /// Frees the memory.
    #[inline(always)]
    pub(crate) fn free(self) {
        let offset = self.tag.magazine_offset();
        if self.tag.is_plain_global() {
            if thread::current().global().push(offset, self.start) {
                return;
            }
        } else if self.tag.is_plain() {
            let cache = thread::current().find(self.tag.index());
            if cache.push(offset, self.start) {
                return;
            }
        }
        self.free_other();
    }

    #[inline(never)]
    fn free_other(self) {
        match self.tag.place() {
            Place::Large(large) => free_large(large),
            Place::Slot => self.free_other_slot(),
            Place::Part(..) | Place::Empty(_) => self.free_share(),
        }
    }

    /// Frees a part, or releases the reference of a buffer without memory. Separate from
    /// `free_other`, which stays small: it is on the fast path of large buffers.
    #[inline(never)]
    fn free_share(self) {
        match self.tag.place() {
            Place::Part(shared, end) => {
                if let Some(whole) = part::leave(shared, end) {
                    whole.free();
                }
            }
            Place::Empty(Some(inner)) => PoolInner::release(inner),
            _ => {}
        }
    }

    /// Frees a slot that the inlined fast path did not. Separate from `free_other`, which stays
    /// small: it is on the fast path of large buffers.
    #[inline(never)]
    fn free_other_slot(self) {
        let class = self.tag.class();
        if self.tag.is_plain_but_scrubbed() {
            scrub(self.start, self.tag.capacity());
            let cache = thread::current().find_any(self.tag.index());
            if cache.push(self.tag.magazine_offset(), self.start) {
                return;
            }
        } else if self.tag.is_plain() {
            let cache = thread::current().find_any(self.tag.index());
            if cache.push_or_swap(class, self.start) {
                return;
            }
        }
        self.free_slot();
    }

    #[cold]
    #[inline(never)]
    fn free_slot(self) {
        let (slot, size) = self.extent();
        let class = self.tag.class();
        if self.tag.is_scrubbed() && !self.tag.is_plain_but_scrubbed() {
            scrub(slot, size);
        }
        let at = self.inner();
        let inner = PoolInner::of(at);
        // The slot may be the last to keep the pool alive, and is about to be freed.
        inner.retain();
        if let Some(sampler) = &inner.sampler
            && self.tag.is_sampled()
        {
            sampler.forget(slot.addr().get());
        }
        let cache = thread::current().find_or_attach(at);
        cache::free_slot(inner, cache, class, slot);
        PoolInner::release(at);
        events::emit();
    }
}

/// Zeroes freed memory. The compiler cannot remove the stores as dead: later owners can reach the
/// memory through the magazine or the mapping cache.
fn scrub(start: NonNull<u8>, len: usize) {
    // SAFETY: the caller owns the memory, and does not use it afterwards.
    unsafe { start.write_bytes(0, len) };
}

/// Frees a large buffer. Not marked cold: this is the fast path of large buffers.
#[inline(never)]
fn free_large(large: NonNull<LargeAlloc>) {
    let this = LargeAlloc::of(large);
    let at: NonNull<PoolInner> = this.owner().cast();
    let inner = PoolInner::of(at);
    let requested_len = this.end_requested_len();
    if inner.config.zero_on_free {
        zero_large(inner, this, this.capacity());
    }
    if inner.watermarks.is_none() && !this.is_sampled() {
        let cache = thread::current().find_any(inner.index);
        if cache.pool() == Some(at.cast()) {
            // Before the mapping is in the cache, where the thread that closes the pool may find
            // it.
            cache.large_live.subtract(requested_len);
            if cache.push_kept(large) {
                return;
            }
            cache.large_live.add(requested_len);
        }
    }
    free_large_slow(at, large, requested_len);
}

#[inline(never)]
fn free_large_slow(at: NonNull<PoolInner>, large: NonNull<LargeAlloc>, requested_len: usize) {
    let inner = PoolInner::of(at);
    // The mapping may be the last to keep the pool alive, and is about to be freed.
    inner.retain();
    if LargeAlloc::of(large).is_sampled() {
        LargeAlloc::of(large).set_sampled(false);
        if let Some(sampler) = &inner.sampler {
            sampler.forget(large.addr().get());
        }
    }
    let cache = thread::current().find_or_attach(at);
    count_live(inner, cache, requested_len.wrapping_neg());
    cache::free_large(inner, cache, large);
    inner.count_freed(requested_len);
    PoolInner::release(at);
    events::emit();
}
