//! Parts of one memory, with an owner each.
//!
//! A part has a descriptor as a large buffer has, but no mapping: the memory it lies in belongs to all parts
//! together, which are counted. So a buffer that was never split has no count and no question to answer: its
//! handle is a slot's, or its descriptor has a footprint that a thread's local cache may keep. A part's
//! footprint is larger than any lease, which sends its drop to the slow path, where it is told apart.
//!
//! # Safety
//!
//! Parts do not overlap, and a part's descriptor has one owner. The whole is given back by the owner who
//! counts the parts down to none.

use super::RawBuffer;
use crate::error::AllocFailure;
use crate::large::LargeAlloc;
use crate::sync::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};
use crate::util::heap::try_box;
use std::ptr::NonNull;

/// What the parts of one memory have in common.
struct Shared {
    parts: AtomicUsize,
    whole: RawBuffer,
}

/// The descriptor's, if it is a part's.
fn shared_of(part: NonNull<LargeAlloc>) -> Option<NonNull<Shared>> {
    Some(LargeAlloc::of(part).shared()?.cast())
}

fn of<'a>(shared: NonNull<Shared>) -> &'a Shared {
    // SAFETY: the caller owns a part, so the count is not 0 and the box is there.
    unsafe { shared.as_ref() }
}

/// Makes one part of a whole memory, whose owner has the part instead from now on.
pub(crate) fn share(whole: RawBuffer) -> Result<NonNull<LargeAlloc>, AllocFailure> {
    let (base, capacity) = whole.extent();
    let owner = whole.inner().cast();
    let shared = try_box(Shared {
        parts: AtomicUsize::new(1),
        whole,
    })?;
    LargeAlloc::part(base, capacity, owner, shared.cast()).inspect_err(|_| {
        // SAFETY: made by `try_box` above, shown to nobody.
        drop(unsafe { Box::from_raw(shared.as_ptr()) });
    })
}

/// Cuts a part in two: it ends after `at` bytes, and what is behind them is a part of its own. `None`: it is
/// no part.
pub(crate) fn cut(
    part: NonNull<LargeAlloc>,
    at: usize,
) -> Option<Result<NonNull<LargeAlloc>, AllocFailure>> {
    let shared = shared_of(part)?;
    let this = LargeAlloc::of(part);
    let rest = this.capacity().checked_sub(at)?;
    // SAFETY: `at` is at most the capacity, so the address is within the part or at its end.
    let behind = unsafe { this.base().add(at) };
    let back = LargeAlloc::part(behind, rest, this.owner(), shared.cast());
    if back.is_ok() {
        // Relaxed: the caller's own part is counted already.
        of(shared).parts.fetch_add(1, Relaxed);
        this.cut(at);
    }
    Some(back)
}

/// Puts two neighbouring parts of one whole together again: `front` has it all, `back` is gone. `false`: they are
/// no such parts, and nothing has changed.
pub(crate) fn join(front: NonNull<LargeAlloc>, back: NonNull<LargeAlloc>) -> bool {
    let (this, other) = (LargeAlloc::of(front), LargeAlloc::of(back));
    let end = this.base().addr().get() + this.capacity();
    let same = this.shared().is_some() && this.shared() == other.shared();
    if !same || end != other.base().addr().get() {
        return false;
    }
    this.cut(this.capacity() + other.capacity());
    if let Some(shared) = shared_of(back) {
        // Relaxed: not the last one, `front` is counted too.
        of(shared).parts.fetch_sub(1, Relaxed);
    }
    // SAFETY: made by `Large::part`; its owner gives it up.
    unsafe { LargeAlloc::free_part(back) };
    true
}

/// The whole memory, if this part is all that is left of it and covers it from end to end: its owner has the
/// whole instead from now on.
pub(crate) fn unshare(part: NonNull<LargeAlloc>) -> Option<RawBuffer> {
    let shared = shared_of(part)?;
    // Acquire: pairs with the Release in `leave`. With one part, ours, nobody else counts.
    if of(shared).parts.load(Acquire) != 1 {
        return None;
    }
    let (first, size) = of(shared).whole.extent();
    if LargeAlloc::of(part).base() != first || LargeAlloc::of(part).capacity() != size {
        return None;
    }
    Some(take_whole(part, shared))
}

/// Gives up a part, and with the last one the whole.
pub(crate) fn leave(part: NonNull<LargeAlloc>) {
    let Some(shared) = shared_of(part) else {
        return;
    };
    // Release: pairs with the fence below, so that the last owner's use of the memory comes after all others'.
    if of(shared).parts.fetch_sub(1, Release) != 1 {
        // SAFETY: made by `Large::part`; its owner gives it up.
        unsafe { LargeAlloc::free_part(part) };
        return;
    }
    // Acquire: pairs with the Release of every other `leave`.
    fence(Acquire);
    take_whole(part, shared).free();
}

/// Frees what made a memory one of parts.
fn take_whole(part: NonNull<LargeAlloc>, shared: NonNull<Shared>) -> RawBuffer {
    // SAFETY: made by `Large::part`, and the caller's own.
    unsafe { LargeAlloc::free_part(part) };
    // SAFETY: made by `try_box` in `share`; the caller's part was the only one left.
    unsafe { Box::from_raw(shared.as_ptr()) }.whole
}

/// Whether the whole that a part belongs to is a slot.
pub(crate) fn is_of_slot(part: NonNull<LargeAlloc>) -> bool {
    shared_of(part).is_some_and(|shared| of(shared).whole.tag.is_slot())
}
