//! The memory of one buffer: where it begins, making it longer, giving it back.
//!
//! # Safety
//!
//! A [`Memory`] owns its slot or its mapping. All of its bytes are initialised: the system zeroes what it
//! maps, and nothing but bytes is ever written there. Stale bytes are therefore a matter of secrecy, not
//! of undefined behaviour.

use crate::error::Refused;
use crate::inner::tag::{Handle, Place};
use crate::inner::{Core, GATED};
use crate::large::Large;
use crate::slab::region::owner_of;
use crate::slab::size_class::SPAN;
use crate::thread::cache::{LocalCache, gated};
use crate::thread::{self, Thread};
use crate::util::events::{self, Event};
use std::ptr::NonNull;

pub(crate) mod alloc;
pub(crate) mod part;

/// From this length on the stale part of a mapping is purged rather than overwritten with zeros.
const PURGE_BYTES: usize = 32 << 20;

/// What the bytes of a new buffer are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill {
    /// Zero.
    Zero,
    /// Left over from earlier use.
    Stale,
    /// As with `Stale`, and none of them is in view yet.
    Reserve,
}

/// Start and owner of a buffer's memory.
pub(crate) struct Memory {
    pub(crate) start: NonNull<u8>,
    pub(crate) handle: Handle,
}

/// Makes a live large buffer at least `capacity` bytes long without a copy, on behalf of a request for
/// `asked`. `false`: that cannot be done, and nothing has changed.
pub(crate) fn grow_large(
    at: NonNull<Core>,
    large: NonNull<Large>,
    capacity: usize,
    asked: usize,
) -> bool {
    let core = Core::of(at);
    let before = Large::of(large).footprint();
    let grow = || {
        let grown = Large::of(large).grow(&core.mapper, capacity, core.map_options());
        if matches!(grown, Some(Err(Refused::System))) {
            // Counted as mapped for a moment, and free again.
            core.notify();
        }
        grown
    };
    let grown = match grow() {
        Some(Err(Refused::Limit)) => {
            thread::current().flush(at);
            core.relieve();
            grow()
        }
        first => first,
    };
    let grown = matches!(grown, Some(Ok(())));
    if grown {
        ask(at, large, asked);
        let more = Large::of(large).footprint().saturating_sub(before);
        events::note(core.id, Event::MappingsGrown, 1, more);
    }
    events::emit();
    grown
}

/// Sets the length that a live large buffer is counted with.
pub(crate) fn ask(at: NonNull<Core>, large: NonNull<Large>, asked: usize) {
    let before = Large::of(large).asked();
    Large::of(large).set_asked(asked);
    let more = asked.wrapping_sub(before);
    if let Some(marks) = &Core::of(at).marks {
        if asked > before {
            marks.add(more);
        } else {
            marks.subtract(before - asked);
        }
    }
    match local(thread::current(), at) {
        Some(cache) => cache.magazines.large_live.add(more),
        None => Core::of(at).count_large_live(more as u64),
    }
}

/// This thread's local cache of the pool, made if need be.
#[inline(always)]
pub(crate) fn local(thread: &Thread, at: NonNull<Core>) -> Option<&LocalCache> {
    let core = Core::of(at);
    match thread.find(core.key) {
        Some(cache) if cache.is_of(at) => Some(cache),
        _ => thread.find_or_attach(at),
    }
}

/// Zeroes the first `len` bytes of a large buffer, as far as they may be anything else.
#[inline(never)]
pub(crate) fn zero_large(core: &Core, large: &Large, len: usize) {
    let stale = large.dirty().min(len);
    if stale >= PURGE_BYTES && large.purge(&core.mapper) {
        return;
    }
    // SAFETY: `dirty` is within the mapping, which the caller owns.
    unsafe { large.base().write_bytes(0, stale) };
    if large.dirty() <= len {
        large.set_dirty(0);
    }
}

impl Memory {
    pub(crate) fn of_large(large: NonNull<Large>) -> Self {
        Self {
            start: Large::of(large).base(),
            handle: Handle::large(large),
        }
    }

    /// The pool this memory belongs to.
    pub(crate) fn core(&self) -> NonNull<Core> {
        let owner = match self.handle.place() {
            Place::Large(large) => Large::of(large).owner(),
            // SAFETY: the memory is a slot that is out, and the handle tells its region's size.
            Place::Slot => unsafe { owner_of(self.start, self.handle.region_shift()) },
        };
        owner.cast()
    }

    /// The first byte of the slot or mapping, and how many bytes it has.
    #[inline]
    pub(crate) fn extent(&self) -> (NonNull<u8>, usize) {
        match self.handle.place() {
            Place::Large(large) => (Large::of(large).base(), Large::of(large).capacity()),
            Place::Slot if self.handle.is_advanced() => {
                (self.slot_start(), self.handle.slot_size())
            }
            Place::Slot => (self.start, self.handle.slot_size()),
        }
    }

    /// The start of the slot that `start` has moved away from.
    #[cold]
    fn slot_start(&self) -> NonNull<u8> {
        let core = Core::of(self.core());
        let class = core.table.get(self.handle.class());
        // Slabs and spans are aligned to their sizes, as they lie in aligned regions.
        let size = core.table.slab_size * if class.spans { SPAN } else { 1 };
        let offset = self.start.addr().get() & (size - 1);
        let past = offset - class.slot_of_offset(offset) * class.slot_size as usize;
        // SAFETY: the slot begins `past` bytes below a byte of it (or its end, see `Buffer::advance`).
        unsafe { self.start.sub(past) }
    }

    /// What the pool's sampler knows this memory by.
    fn key(&self) -> usize {
        match self.handle.place() {
            Place::Large(large) => large.addr().get(),
            Place::Slot => self.extent().0.addr().get(),
        }
    }

    /// Tells the sampler that a buffer moves from here to other memory of the pool, on behalf of a request for
    /// `len` bytes.
    pub(crate) fn moves_to(&self, other: &Memory, len: usize) {
        if let Some(sampler) = &Core::of(self.core()).sampler {
            sampler.follow(self.key(), other.key(), len);
        }
    }

    /// Gives the memory back.
    #[inline(always)]
    pub(crate) fn give(self) {
        let class = self.handle.class();
        if self.handle.is_plain_global() {
            if thread::current().global.give(class, self.start) {
                return;
            }
        } else if self.handle.is_plain()
            && let Some(cache) = thread::current().find(self.handle.pool_id())
            && cache.give(class, self.start)
        {
            return;
        }
        self.give_other();
    }

    #[inline(never)]
    fn give_other(self) {
        match self.handle.place() {
            Place::Large(large) => give_large(large),
            Place::Slot => self.give_other_slot(),
        }
    }

    /// In a gated pool this is the fast path. Apart from `give_other`, which is a large buffer's.
    #[inline(never)]
    fn give_other_slot(self) {
        if self.handle.is_plain()
            && let Some(cache) = thread::current().find(self.handle.pool_id() | GATED)
            && cache.give_entered(self.handle.class(), self.start)
        {
            return;
        }
        self.give_slot();
    }

    #[cold]
    #[inline(never)]
    fn give_slot(self) {
        let (slot, size) = self.extent();
        let class = self.handle.class();
        if self.handle.is_scrubbed() {
            scrub(slot, size);
        }
        let at = self.core();
        let core = Core::of(at);
        let thread = thread::current();
        // First without `find_or_attach`: a cache that has room has nothing to hear (see `local`).
        let cache = thread.find(core.key).filter(|cache| cache.is_of(at));
        if core.config.gated {
            give_gated(thread, cache, at, class, slot);
            events::emit();
            return;
        }
        let give =
            |cache: &LocalCache| cache.give(class, slot) || cache.give_to_previous(class, slot);
        if cache.is_some_and(give) {
            return;
        }
        // The slot may be what keeps the pool alive, and is about to go.
        core.retain();
        match thread.find_or_attach(at) {
            Some(cache) => cache.give_slow(core, class, slot),
            None => core.give_slot(class, slot),
        }
        Core::release(at);
        events::emit();
    }
}

/// The rest of [`Memory::give_slot`] in a gated pool.
fn give_gated(
    thread: &Thread,
    cache: Option<&LocalCache>,
    at: NonNull<Core>,
    class: usize,
    slot: NonNull<u8>,
) {
    let core = Core::of(at);
    let cache = match cache {
        // Attached, so the pool stays while we are here.
        Some(cache) if !core.is_closed() => Some(cache),
        _ => thread.find_or_attach(at),
    };
    if let Some(sampler) = &core.sampler {
        sampler.forget(slot.addr().get());
    }
    if cache.is_some() {
        return gated::give(cache, core, class, slot);
    }
    // The slot may be what keeps the pool alive, and is about to go.
    core.retain();
    gated::give(None, core, class, slot);
    Core::release(at);
}

/// Zeroes freed memory. The stores stay: the memory is reachable by others afterwards, through the
/// magazine or the mapping cache, so the compiler cannot take them for dead.
fn scrub(start: NonNull<u8>, len: usize) {
    // SAFETY: the caller owns the memory and gives it up.
    unsafe { start.write_bytes(0, len) };
}

/// Not marked cold: for large buffers this is the fast path.
#[inline(never)]
fn give_large(large: NonNull<Large>) {
    let this = Large::of(large);
    let at: NonNull<Core> = this.owner().cast();
    let core = Core::of(at);
    let asked = this.end_asked();
    if core.config.zero_on_free {
        zero_large(core, this, this.capacity());
    }
    if let Some(cache) = thread::current().find(core.id)
        && cache.is_of(at)
        && cache.keep(core, large)
    {
        cache.magazines.large_live.subtract(asked);
        return;
    }
    give_large_slow(at, large, asked);
}

#[inline(never)]
fn give_large_slow(at: NonNull<Core>, large: NonNull<Large>, asked: usize) {
    if Large::of(large).shared().is_some() {
        return part::leave(large);
    }
    let core = Core::of(at);
    // The mapping may be what keeps the pool alive, and is about to go.
    core.retain();
    if let Some(sampler) = &core.sampler {
        sampler.forget(large.addr().get());
    }
    match local(thread::current(), at) {
        Some(cache) => {
            cache.magazines.large_live.subtract(asked);
            cache.give_large(core, large);
        }
        None => {
            core.count_large_live((asked as u64).wrapping_neg());
            core.give_large(large);
        }
    }
    if let Some(marks) = &core.marks {
        marks.subtract(asked);
    }
    Core::release(at);
    events::emit();
}
