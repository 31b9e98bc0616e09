//! The memory of one buffer: taking it, giving it back, making it longer.
//!
//! Routes by length: up to one slab a slot, above that a mapping.
//!
//! # Safety
//!
//! A [`Memory`] owns its slot or its mapping. All of its bytes are initialised: the system zeroes what it
//! maps, and nothing but bytes is ever written there. Stale bytes are therefore a matter of secrecy, not
//! of undefined behaviour.

use crate::config::DEFAULT_REGION_SHIFT;
use crate::core::Core;
use crate::error::{AllocError, MAX_LEN, Refused};
use crate::handle::{Handle, Place, Prefix};
use crate::large::Large;
use crate::local::LocalCache;
use crate::pool::Pool;
use crate::region::owner_of;
use crate::size_class::{DefaultClasses, GRANULE, SPAN};
use crate::thread::{self, GLOBAL_ID, Thread};
use std::ptr::NonNull;

/// From this length on the stale part of a mapping is purged rather than overwritten with zeros.
const PURGE_BYTES: usize = 32 << 20;

const GLOBAL_PREFIX: Prefix = Prefix::new(GLOBAL_ID, DEFAULT_REGION_SHIFT);

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

/// What a slow path returns: two words, in two registers. Start and handle; or no start, and the refusal in
/// the handle's place.
type Taken = (Option<NonNull<u8>>, Handle);

fn pack(taken: Result<Memory, Refused>) -> Taken {
    match taken {
        Ok(memory) => (Some(memory.start), memory.handle),
        Err(refused) => (None, Handle::of_refusal(refused)),
    }
}

#[inline(always)]
fn unpack(taken: Taken) -> Result<Memory, Refused> {
    match taken {
        (Some(start), handle) => Ok(Memory { start, handle }),
        (None, refused) => Err(refused.to_refusal()),
    }
}

/// Where memory comes from.
pub(crate) trait Source: Copy {
    /// Memory for `len` bytes, which are zero if asked for.
    fn take(self, len: usize, fill: Fill) -> Result<Memory, Refused>;

    /// The same, in a mapping of its own whatever the length.
    fn take_mapping(self, len: usize, fill: Fill) -> Result<Memory, Refused>;

    /// A refusal for who asked.
    fn error(self, refused: Refused, requested: usize) -> AllocError;
}

/// The global pool, by name rather than by reference: its tables are constants.
#[derive(Clone, Copy)]
pub(crate) struct Global;

impl Source for Global {
    #[inline(always)]
    fn take(self, len: usize, fill: Fill) -> Result<Memory, Refused> {
        let Some(class) = DefaultClasses::class_of(len) else {
            return unpack(take_large_from_global(len, fill));
        };
        match thread::current().global.take(class) {
            Some(start) => {
                let size = DefaultClasses::slot_size(class);
                let handle = Handle::slot(GLOBAL_PREFIX, class, size);
                Ok(slot_memory(start, handle, len, fill))
            }
            None => unpack(take_from_global(len, fill)),
        }
    }

    fn take_mapping(self, len: usize, fill: Fill) -> Result<Memory, Refused> {
        let pool = Pool::try_global().map_err(|_| Refused::System)?;
        pool.take_mapping(len, fill)
    }

    #[cold]
    fn error(self, refused: Refused, requested: usize) -> AllocError {
        refused.into_error(requested, usize::MAX)
    }
}

impl Source for &Pool {
    #[inline(always)]
    fn take(self, len: usize, fill: Fill) -> Result<Memory, Refused> {
        let Some(class) = self.table.class_of(len) else {
            return unpack(take_large(self.core(), len, fill));
        };
        let id = self.prefix.pool_id();
        let cache = thread::current().find(id);
        match cache.and_then(|cache| cache.take_with_handle(class)) {
            Some((start, handle)) => Ok(slot_memory(start, handle, len, fill)),
            None => unpack(take_slow(self.core(), class, len, fill)),
        }
    }

    fn take_mapping(self, len: usize, fill: Fill) -> Result<Memory, Refused> {
        unpack(take_large(self.core(), len, fill))
    }

    #[cold]
    fn error(self, refused: Refused, requested: usize) -> AllocError {
        error_of(self.core(), refused, requested)
    }
}

/// A slot as a buffer's memory.
#[inline(always)]
fn slot_memory(start: NonNull<u8>, handle: Handle, len: usize, fill: Fill) -> Memory {
    if handle.is_zero_fill() {
        zero_slot(start, handle);
    } else if fill == Fill::Zero {
        zero(start, len);
    }
    Memory { start, handle }
}

/// Memory from the pool at `core`, which the caller keeps alive.
pub(crate) fn take_from(core: NonNull<Core>, len: usize, fill: Fill) -> Result<Memory, Refused> {
    match Core::of(core).table.class_of(len) {
        Some(class) => unpack(take_slow(core, class, len, fill)),
        None => unpack(take_large(core, len, fill)),
    }
}

/// A refusal of [`take_from`] for who asked.
pub(crate) fn error_of(core: NonNull<Core>, refused: Refused, requested: usize) -> AllocError {
    refused.into_error(requested, Core::of(core).config.limit)
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
    let grow = || Large::of(large).grow(&core.mapper, capacity, core.map_options());
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
    }
    grown
}

/// Sets the length that a live large buffer is counted with.
pub(crate) fn ask(at: NonNull<Core>, large: NonNull<Large>, asked: usize) {
    let more = asked.wrapping_sub(Large::of(large).asked.replace(asked));
    match local(thread::current(), at) {
        Some(cache) => cache.magazines.large_live.add(more),
        None => Core::of(at).count_large_live(more as u64),
    }
}

#[cold]
#[inline(never)]
fn take_from_global(len: usize, fill: Fill) -> Taken {
    let pool = Pool::try_global().map_err(|_| Refused::System);
    pack(pool.and_then(|pool| take_from(pool.core(), len, fill)))
}

#[cold]
#[inline(never)]
fn take_slow(at: NonNull<Core>, class: usize, len: usize, fill: Fill) -> Taken {
    let core = Core::of(at);
    let slot = take_slot(thread::current(), at, class);
    let handle = Handle::slot(core.prefix, class, core.table.get(class).slot_size as usize);
    pack(slot.map(|start| slot_memory(start, handle, len, fill)))
}

fn take_slot(thread: &Thread, at: NonNull<Core>, class: usize) -> Result<NonNull<u8>, Refused> {
    let core = Core::of(at);
    let cache = thread.find(core.id).filter(|cache| cache.is_of(at));
    if let Some(slot) = cache.and_then(|cache| cache.take_from_previous(class)) {
        return Ok(slot);
    }
    match thread.find_or_attach(at) {
        Some(cache) => cache.take_slow(core, class),
        None => core.take_slot(class).or_else(|_| {
            core.relieve();
            core.take_slot(class)
        }),
    }
}

/// This thread's local cache of the pool, made if need be.
#[inline(always)]
fn local(thread: &Thread, at: NonNull<Core>) -> Option<&LocalCache> {
    let core = Core::of(at);
    match thread.find(core.id) {
        Some(cache) if cache.is_of(at) => Some(cache),
        _ => thread.find_or_attach(at),
    }
}

/// Not marked cold: for large buffers this is the fast path.
#[inline(never)]
fn take_large_from_global(len: usize, fill: Fill) -> Taken {
    let cache = &thread::current().global;
    if let Some(large) = cache.take_kept(len)
        && let Some(core) = cache.core()
    {
        cache.magazines.large_live.add(len);
        return pack(Ok(large_memory(core, large, len, fill)));
    }
    let pool = Pool::try_global().map_err(|_| Refused::System);
    pack(pool.and_then(|pool| take_large_slow(pool.core(), len, fill)))
}

#[inline(never)]
fn take_large(at: NonNull<Core>, len: usize, fill: Fill) -> Taken {
    let core = Core::of(at);
    if let Some(cache) = thread::current().find(core.id)
        && let Some(large) = cache.take_kept(len)
    {
        cache.magazines.large_live.add(len);
        return pack(Ok(large_memory(core, large, len, fill)));
    }
    pack(take_large_slow(at, len, fill))
}

#[inline(never)]
fn take_large_slow(at: NonNull<Core>, len: usize, fill: Fill) -> Result<Memory, Refused> {
    if len > MAX_LEN {
        return Err(Refused::Length);
    }
    let core = Core::of(at);
    let cache = local(thread::current(), at);
    let large = match cache {
        Some(cache) => cache.take_large(core, len),
        None => core.take_large(len).or_else(|_| {
            core.relieve();
            core.take_large(len)
        }),
    };
    let large = large?;
    match cache {
        Some(cache) => cache.magazines.large_live.add(len),
        None => core.count_large_live(len as u64),
    }
    Ok(large_memory(core, large, len, fill))
}

#[inline(always)]
fn large_memory(core: &Core, large: NonNull<Large>, len: usize, fill: Fill) -> Memory {
    let this = Large::of(large);
    this.asked.set(len);
    if core.prefix.is_zero_fill() {
        zero_large(core, this, this.capacity());
    } else if fill == Fill::Zero {
        zero_large(core, this, len);
    }
    if fill != Fill::Reserve {
        this.expose(len);
    }
    Memory {
        start: this.base(),
        handle: Handle::large(large),
    }
}

/// Zeroes the first `len` bytes of a large buffer, as far as they may be anything else.
#[inline(never)]
fn zero_large(core: &Core, large: &Large, len: usize) {
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

#[cold]
#[inline(never)]
fn zero_slot(start: NonNull<u8>, handle: Handle) {
    zero(start, handle.slot_size());
}

/// Zeroes the start of a slot.
#[inline(always)]
fn zero(start: NonNull<u8>, len: usize) {
    // A slot is a multiple of 16 bytes, and so may be zeroed in whole granules.
    let len = len.next_multiple_of(GRANULE);
    // SAFETY: the slot is the caller's, aligned to a granule and at least this long.
    unsafe { start.write_bytes(0, len) };
}

impl Memory {
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
            Place::Slot => self.give_slot(),
        }
    }

    #[cold]
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
        let cache = thread.find(core.id).filter(|cache| cache.is_of(at));
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
    }
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
    let asked = this.asked.replace(0);
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
    let core = Core::of(at);
    // The mapping may be what keeps the pool alive, and is about to go.
    core.retain();
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
    Core::release(at);
}
