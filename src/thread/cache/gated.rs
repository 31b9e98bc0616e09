//! Taking and giving slots in a gated pool (see `gate`).
//!
//! The same magazines as everywhere, but their owner enters before it touches them, and nobody fills them
//! while anybody waits for memory: then each slot goes straight to its slab.

use super::LocalCache;
use crate::depot::Refill;
use crate::depot::magazine::Magazine;
use crate::error::Refused;
use crate::inner::Core;
use crate::inner::tag::Handle;
use crate::slab::EmptySlabs;
use std::ptr::NonNull;

/// A slot of a gated pool, for a thread with or without a local cache. May make a system call.
pub(crate) fn take(
    cache: Option<&LocalCache>,
    core: &Core,
    class: usize,
) -> Result<NonNull<u8>, Refused> {
    let slot = match cache.and_then(|cache| cache.take_gated(core, class)) {
        Some(slot) => slot,
        None => core.take_slot_or_relieve(class)?,
    };
    if let Some(marks) = &core.marks {
        marks.add(core.table.get(class).slot_size as usize);
    }
    Ok(slot)
}

/// Gives a slot back, likewise.
pub(crate) fn give(cache: Option<&LocalCache>, core: &Core, class: usize, slot: NonNull<u8>) {
    if !cache.is_some_and(|cache| cache.give_gated(core, class, slot)) {
        core.give_slot(class, slot);
    }
    if let Some(marks) = &core.marks {
        marks.subtract(core.table.get(class).slot_size as usize);
    }
}

/// Remembers this take if it is its turn. `key`: see `sampler`.
#[inline]
pub(crate) fn sample(cache: Option<&LocalCache>, core: &Core, key: usize, len: usize) {
    let Some(sampler) = &core.sampler else { return };
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
fn is_wanted(core: &Core) -> bool {
    !core.waiting.is_empty() || core.is_closed()
}

impl LocalCache {
    /// The slot on top of the magazine, with its handle, unless something is unusual.
    #[inline(always)]
    pub(crate) fn take_entered(&self, class: usize) -> Option<(NonNull<u8>, Handle)> {
        if self.watched.get() || !self.magazines.gate.enter() {
            return None;
        }
        let taken = self.take_with_handle(class);
        self.magazines.gate.leave();
        taken
    }

    /// Puts a slot on top of the magazine, unless something is unusual.
    #[inline(always)]
    pub(crate) fn give_entered(&self, class: usize, slot: NonNull<u8>) -> bool {
        let Some(core) = self.core() else {
            return false;
        };
        if self.watched.get() || !self.magazines.gate.enter() {
            return false;
        }
        // The magazine's own capacity: 0 before it has blocks.
        let given = !is_wanted(core) && self.magazines.get(class).give(slot);
        self.magazines.gate.leave();
        given
    }

    /// A slot from the magazine, or from the slabs that the class has. `None`: there is none, or others
    /// wait for memory.
    #[inline(always)]
    fn take_gated(&self, core: &Core, class: usize) -> Option<NonNull<u8>> {
        let _inside = core.enter(&self.magazines);
        let magazine = self.magazines.get(class);
        match magazine.take() {
            None => refill(core, class, magazine),
            slot => slot,
        }
    }

    /// Puts a slot into the magazine. `false`: it is to go to its slab.
    #[inline(always)]
    fn give_gated(&self, core: &Core, class: usize, slot: NonNull<u8>) -> bool {
        let inside = core.enter(&self.magazines);
        if is_wanted(core) {
            return false;
        }
        let magazine = self.magazines.get(class);
        let capacity = core.table.get(class).magazine_capacity;
        if magazine.has_blocks() && magazine.give_up_to(capacity, slot) {
            return true;
        }
        let mut spare = EmptySlabs::default();
        let given =
            make_room(core, class, magazine, &mut spare) && magazine.give_up_to(capacity, slot);
        drop(inside);
        // Outside: this may make a system call.
        core.give_slabs(class, spare);
        given
    }
}

/// Takes a slot from the previous block, or from one that the depot has or fills.
#[cold]
#[inline(never)]
fn refill(core: &Core, class: usize, magazine: &Magazine) -> Option<NonNull<u8>> {
    if is_wanted(core) || !install(core, class, magazine) {
        return None;
    }
    if magazine.previous_height() > 0 {
        magazine.swap();
        return magazine.take();
    }
    let refill = |block| match core.depot.refill(class, block) {
        Refill::Block(block) => Ok(block),
        Refill::NeedsSlab(_) => Err(()),
    };
    magazine.exchange_loaded(refill).ok()?;
    magazine.take()
}

/// Loads a block that is not full. Slabs that become empty by that are the caller's.
#[cold]
#[inline(never)]
fn make_room(core: &Core, class: usize, magazine: &Magazine, spare: &mut EmptySlabs) -> bool {
    let capacity = core.table.get(class).magazine_capacity;
    if !magazine.has_blocks() {
        return install(core, class, magazine);
    }
    magazine.swap();
    if magazine.height() < capacity {
        return true;
    }
    // Both full. The one that was previous is the colder one; its slots go.
    let exchange = |block| {
        let (empty, slabs) = core.exchange_full(class, block);
        *spare = slabs;
        Ok::<_, Refused>(empty)
    };
    magazine.exchange_loaded(exchange).is_ok()
}

/// Gives the magazine blocks, if it has none. `false`: there is no memory for them.
fn install(core: &Core, class: usize, magazine: &Magazine) -> bool {
    if !magazine.has_blocks() && !super::install(magazine) {
        return false;
    }
    magazine.set_capacity(core.table.get(class).magazine_capacity);
    true
}
