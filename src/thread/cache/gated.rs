//! Taking and giving slots in a gated pool (see `gate`).
//!
//! The same magazines as everywhere, but their owner enters before it touches them, and nobody fills them
//! while anybody waits for memory: then each slot goes straight to its slab.

use super::LocalCache;
use crate::depot::Refill;
use crate::depot::magazine::Magazine;
use crate::error::AllocFailure;
use crate::inner::PoolInner;
use crate::inner::tag::AllocTag;
use crate::slab::EmptySlabs;
use std::ptr::NonNull;

/// A slot of a gated pool, for a thread with or without a local cache. May make a system call.
pub(crate) fn take(
    cache: Option<&LocalCache>,
    inner: &PoolInner,
    class: usize,
) -> Result<NonNull<u8>, AllocFailure> {
    let slot = match cache.and_then(|cache| cache.take_gated(inner, class)) {
        Some(slot) => slot,
        None => inner.take_slot_or_relieve(class)?,
    };
    if let Some(watermarks) = &inner.watermarks {
        watermarks.add(inner.table.get(class).slot_size as usize);
    }
    Ok(slot)
}

/// Gives a slot back, likewise.
pub(crate) fn give(cache: Option<&LocalCache>, inner: &PoolInner, class: usize, slot: NonNull<u8>) {
    if !cache.is_some_and(|cache| cache.give_gated(inner, class, slot)) {
        inner.give_slot(class, slot);
    }
    if let Some(watermarks) = &inner.watermarks {
        watermarks.subtract(inner.table.get(class).slot_size as usize);
    }
}

/// Remembers this take if it is its turn. `key`: see `sampler`.
#[inline]
pub(crate) fn sample(cache: Option<&LocalCache>, inner: &PoolInner, key: usize, len: usize) {
    let Some(sampler) = &inner.sampler else {
        return;
    };
    let Some(cache) = cache else {
        if sampler.is_stray_due() {
            sampler.remember(key, len);
        }
        return;
    };
    match cache.unsampled.get().checked_sub(1) {
        Some(less) => cache.unsampled.set(less),
        None => {
            cache.unsampled.set(sampler.interval() - 1);
            sampler.remember(key, len);
        }
    }
}

/// Whether magazines are not to be filled. Asked inside the gate: either whoever came to wait, or closed the
/// pool, since then finds in the magazine what we put there, or we see them.
#[inline(always)]
fn is_wanted(inner: &PoolInner) -> bool {
    !inner.waiting.is_empty() || inner.is_closed()
}

impl LocalCache {
    /// The slot on top of the magazine, with its handle, unless something is unusual.
    #[inline(always)]
    pub(crate) fn take_entered(&self, class: usize) -> Option<(NonNull<u8>, AllocTag)> {
        if self.watched.get() || !self.magazines.gate.enter() {
            return None;
        }
        let taken = self.pop_with_tag(class);
        self.magazines.gate.leave();
        taken
    }

    /// Puts a slot on top of the magazine, unless something is unusual.
    #[inline(always)]
    pub(crate) fn give_entered(&self, class: usize, slot: NonNull<u8>) -> bool {
        let Some(inner) = self.inner() else {
            return false;
        };
        if self.watched.get() || !self.magazines.gate.enter() {
            return false;
        }
        // The magazine's own capacity: 0 before it has blocks.
        let given = !is_wanted(inner) && self.magazines.get(class).give(slot);
        self.magazines.gate.leave();
        given
    }

    /// A slot from the magazine, or from the slabs that the class has. `None`: there is none, or others
    /// wait for memory.
    #[inline(always)]
    fn take_gated(&self, inner: &PoolInner, class: usize) -> Option<NonNull<u8>> {
        let _inside = inner.enter(&self.magazines);
        let magazine = self.magazines.get(class);
        match magazine.take() {
            None => refill(inner, class, magazine),
            slot => slot,
        }
    }

    /// Puts a slot into the magazine. `false`: it is to go to its slab.
    #[inline(always)]
    fn give_gated(&self, inner: &PoolInner, class: usize, slot: NonNull<u8>) -> bool {
        let inside = inner.enter(&self.magazines);
        if is_wanted(inner) {
            return false;
        }
        let magazine = self.magazines.get(class);
        let capacity = inner.table.get(class).magazine_capacity;
        if magazine.has_blocks() && magazine.give_up_to(capacity, slot) {
            return true;
        }
        let mut spare = EmptySlabs::default();
        let given =
            make_room(inner, class, magazine, &mut spare) && magazine.give_up_to(capacity, slot);
        drop(inside);
        // Outside: this may make a system call.
        inner.give_slabs(class, spare);
        given
    }
}

/// Takes a slot from the previous block, or from one that the depot has or fills.
#[cold]
#[inline(never)]
fn refill(inner: &PoolInner, class: usize, magazine: &Magazine) -> Option<NonNull<u8>> {
    if is_wanted(inner) || !install(inner, class, magazine) {
        return None;
    }
    if magazine.previous_height() > 0 {
        magazine.swap();
        return magazine.take();
    }
    let refill = |block| match inner.depot.refill(class, block) {
        Refill::Block(block) => Ok(block),
        Refill::NeedsSlab(_) => Err(()),
    };
    magazine.exchange_loaded(refill).ok()?;
    magazine.take()
}

/// Loads a block that is not full. Slabs that become empty by that are the caller's.
#[cold]
#[inline(never)]
fn make_room(inner: &PoolInner, class: usize, magazine: &Magazine, spare: &mut EmptySlabs) -> bool {
    let capacity = inner.table.get(class).magazine_capacity;
    if !magazine.has_blocks() {
        return install(inner, class, magazine);
    }
    magazine.swap();
    if magazine.height() < capacity {
        return true;
    }
    // Both full. The one that was previous is the colder one; its slots go.
    let exchange = |block| {
        let (empty, slabs) = inner.exchange_full(class, block);
        *spare = slabs;
        Ok::<_, AllocFailure>(empty)
    };
    magazine.exchange_loaded(exchange).is_ok()
}

/// Gives the magazine blocks, if it has none. `false`: there is no memory for them.
fn install(inner: &PoolInner, class: usize, magazine: &Magazine) -> bool {
    if !magazine.has_blocks() && !super::install(magazine) {
        return false;
    }
    magazine.set_capacity(inner.table.get(class).magazine_capacity);
    true
}
