//! Memory whose start is a multiple of a requested alignment.

use super::alloc::{Source, slot_memory, take_of};
use super::{Fill, RawBuffer};
use crate::error::AllocFailure;
use crate::inner::PoolInner;
use crate::pool::Pool;
use crate::slab::size_class::SPAN;
use std::ptr::NonNull;

/// Allocates memory for `len` bytes at a multiple of `alignment`, a power of two up to the page
/// size: a slot if the pool has a class for it, otherwise a mapping.
pub(crate) fn alloc(
    pool: &Pool,
    len: usize,
    alignment: usize,
    fill: Fill,
) -> Result<RawBuffer, AllocFailure> {
    let Some(class) = aligned_class(PoolInner::of(pool.inner()), len, alignment) else {
        return pool.take_mapping(len, fill);
    };
    // A class is chosen by its slot size, so its slots are aligned. Only the requested bytes are
    // zeroed.
    let slot_size = PoolInner::of(pool.inner()).table.get(class).slot_size as usize;
    let mut memory = pool.take(slot_size, Fill::Stale)?;
    if !memory.start.addr().get().is_multiple_of(alignment) {
        // A larger class has served the request.
        memory.free();
        let RawBuffer { start, tag } = take_of(pool.inner(), class..=class, len)?;
        memory = slot_memory(start, tag, slot_size, Fill::Stale);
    }
    if fill == Fill::Zero {
        zero(memory.start, len);
    }
    Ok(memory)
}

/// Returns the class of the smallest slot that holds `len` bytes and starts at a multiple of
/// `alignment`. Slots lie side by side from the start of their slab or span, which is aligned to
/// its size.
fn aligned_class(inner: &PoolInner, len: usize, alignment: usize) -> Option<usize> {
    let table = inner.table;
    let mut classes = table.class_of(len)?..table.count();
    classes.find(|class| {
        let class = table.get(*class);
        let range = table.slab_size * if class.spans { SPAN } else { 1 };
        (class.slot_size as usize).is_multiple_of(alignment) && range.is_multiple_of(alignment)
    })
}

fn zero(start: NonNull<u8>, len: usize) {
    // SAFETY: the slot belongs to the caller, and is at least `len` bytes long.
    unsafe { start.write_bytes(0, len) };
}
