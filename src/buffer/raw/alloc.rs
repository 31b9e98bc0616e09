//! Where memory comes from: the global pool, which is known by name, or a pool of one's own.
//!
//! Routes by length: up to one slab a slot, above that a mapping.
//!
//! # Safety
//!
//! What is written here is zeros, to slots that were taken just now and belong to the caller alone.

use crate::buffer::raw::{Fill, Memory, ask, local, zero_large};
use crate::config::DEFAULT_REGION_SHIFT;
use crate::error::{AllocError, MAX_LEN, Refused};
use crate::inner::Core;
use crate::inner::tag::{Handle, Place, Prefix};
use crate::large::Large;
use crate::pool::Pool;
use crate::slab::size_class::{DefaultClasses, GRANULE};
use crate::thread::cache::gated;
use crate::thread::{self, GLOBAL_ID, Thread};
use crate::util::events;
use std::ptr::NonNull;

const GLOBAL_PREFIX: Prefix = Prefix::new(GLOBAL_ID, DEFAULT_REGION_SHIFT);

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
        let error = refused.into_error(requested, usize::MAX);
        tell(GLOBAL_ID, &error);
        error
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
        let (start, handle) = match cache.and_then(|cache| cache.take_with_handle(class)) {
            Some(taken) => taken,
            None => {
                let memory = unpack(take_slow(self.core(), class, len))?;
                (memory.start, memory.handle)
            }
        };
        Ok(slot_memory(start, handle, len, fill))
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
        Some(class) => {
            let Memory { start, handle } = unpack(take_slow(core, class, len))?;
            Ok(slot_memory(start, handle, len, fill))
        }
        None => unpack(take_large(core, len, fill)),
    }
}

/// Memory with room for `capacity` bytes, none of them in view, on behalf of a request for `asked`.
pub(crate) fn take_room(
    core: NonNull<Core>,
    capacity: usize,
    asked: usize,
) -> Result<Memory, Refused> {
    if Core::of(core).marks.is_none() {
        let memory = take_from(core, capacity, Fill::Reserve)?;
        if let Place::Large(large) = memory.handle.place() {
            ask(core, large, asked);
        }
        return Ok(memory);
    }
    match Core::of(core).table.class_of(capacity) {
        Some(_) => take_from(core, capacity, Fill::Reserve),
        // Not counted with the capacity at first: that would raise "over" for what nobody asked for.
        None => take_counted(core, capacity, asked, Fill::Reserve),
    }
}

/// A refusal of [`take_from`] for who asked.
pub(crate) fn error_of(core: NonNull<Core>, refused: Refused, requested: usize) -> AllocError {
    let error = refused.into_error(requested, Core::of(core).config.limit);
    tell(Core::of(core).id, &error);
    error
}

fn tell(pool: u64, error: &AllocError) {
    match *error {
        AllocError::LimitExceeded { requested, limit } => {
            events::refused(pool, requested, Some(limit));
        }
        AllocError::OutOfMemory { requested } => events::refused(pool, requested, None),
        AllocError::TooLarge { .. } | AllocError::TimedOut { .. } => {}
    }
}

#[cold]
#[inline(never)]
fn take_from_global(len: usize, fill: Fill) -> Taken {
    let pool = Pool::try_global().map_err(|_| Refused::System);
    pack(pool.and_then(|pool| take_from(pool.core(), len, fill)))
}

/// A slot that is not on top of an ungated pool's magazine. In a gated pool this is the fast path.
#[inline(never)]
fn take_slow(at: NonNull<Core>, class: usize, len: usize) -> Taken {
    if let Some(cache) = thread::current().find(Core::of(at).key)
        && let Some((start, handle)) = cache.take_entered(class)
    {
        return (Some(start), handle);
    }
    take_slower(at, class, len)
}

#[cold]
#[inline(never)]
fn take_slower(at: NonNull<Core>, class: usize, len: usize) -> Taken {
    let core = Core::of(at);
    let slot = take_slot(thread::current(), at, class, len);
    events::emit();
    let handle = Handle::slot(core.prefix, class, core.table.get(class).slot_size as usize);
    pack(slot.map(|start| Memory { start, handle }))
}

fn take_slot(
    thread: &Thread,
    at: NonNull<Core>,
    class: usize,
    len: usize,
) -> Result<NonNull<u8>, Refused> {
    let core = Core::of(at);
    let cache = thread.find(core.key).filter(|cache| cache.is_of(at));
    if core.config.gated {
        let cache = cache.or_else(|| thread.find_or_attach(at));
        let slot = gated::take(cache, core, class)?;
        gated::sample(cache, core, slot.addr().get(), len);
        return Ok(slot);
    }
    if let Some(slot) = cache.and_then(|cache| cache.take_from_previous(class)) {
        return Ok(slot);
    }
    match thread.find_or_attach(at) {
        Some(cache) => cache.take_slow(core, class),
        None => core.take_slot_or_relieve(class),
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
    take_counted(at, len, len, fill)
}

/// A mapping of at least `len` bytes, counted as a buffer of `asked`.
#[inline(always)]
fn take_counted(
    at: NonNull<Core>,
    len: usize,
    asked: usize,
    fill: Fill,
) -> Result<Memory, Refused> {
    if len > MAX_LEN {
        return Err(Refused::Length);
    }
    let memory = take_mapped(at, len, asked, fill);
    events::emit();
    memory
}

#[inline(always)]
fn take_mapped(at: NonNull<Core>, len: usize, asked: usize, fill: Fill) -> Result<Memory, Refused> {
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
        Some(cache) => cache.magazines.large_live.add(asked),
        None => core.count_large_live(asked as u64),
    }
    let memory = large_memory(core, large, len, fill);
    Large::of(large).set_asked(asked);
    if let Some(marks) = &core.marks {
        marks.add(asked);
    }
    gated::sample(cache, core, large.addr().get(), asked);
    Ok(memory)
}

#[inline(always)]
fn large_memory(core: &Core, large: NonNull<Large>, len: usize, fill: Fill) -> Memory {
    let this = Large::of(large);
    this.set_asked(len);
    if core.prefix.is_zero_fill() {
        zero_large(core, this, this.capacity());
    } else if fill == Fill::Zero {
        zero_large(core, this, len);
    }
    if fill != Fill::Reserve {
        this.expose(len);
    }
    Memory::of_large(large)
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
