//! The block that the parts of one memory share.
//!
//! The first split of a buffer moves its memory into a block on the heap, `{ count, whole }`. Each part's
//! tag is the address of that block and a bit: a *head* ends with its buffer's length, a *tail* extends to the
//! end of the whole. So a further split is one addition, a drop one subtraction, and a buffer
//! that was never split has neither a block nor a question to answer.
//!
//! The block stays when one part is left. That part's owner may use the whole memory; see [`is_unique`].
//!
//! # Safety
//!
//! A block's address comes from [`share`] and is valid as long as a part of it is counted: callers hold a part. Parts
//! do not overlap. [`leave`] and [`dissolve`] free the block, for the owner of the last part. A counter of 64
//! bits does not overflow, even if parts are leaked.

use super::RawBuffer;
use crate::error::AllocFailure;
use crate::inner::PoolInner;
use crate::sync::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};
use crate::util::heap::try_box;
use std::ptr::NonNull;

/// Aligned so that its address has room for the bits of a tag.
#[repr(align(16))]
struct Shared {
    parts: AtomicUsize,
    /// Begins at the first byte of the slot or mapping.
    whole: RawBuffer,
    size: usize,
    inner: NonNull<PoolInner>,
    scrubbed: bool,
}

fn of<'a>(shared: NonNull<()>) -> &'a Shared {
    // SAFETY: the caller owns a part, so the count is not 0 and the block is there.
    unsafe { shared.cast().as_ref() }
}

/// Makes two parts of a whole memory, whose owner has them instead from now on.
pub(crate) fn share(whole: RawBuffer) -> Result<NonNull<()>, AllocFailure> {
    let (start, size) = whole.extent();
    let inner = whole.inner();
    let shared = Shared {
        parts: AtomicUsize::new(2),
        whole: RawBuffer {
            start,
            tag: whole.tag.at_start(),
        },
        size,
        inner,
        scrubbed: PoolInner::of(inner).config.zero_on_free,
    };
    Ok(try_box(shared)?.cast())
}

/// Counts one more part.
#[inline]
pub(crate) fn add(shared: NonNull<()>) {
    // Relaxed: the caller's own part is counted already.
    of(shared).parts.fetch_add(1, Relaxed);
}

/// Counts one part less, which another part of the caller's has taken in.
pub(crate) fn join(shared: NonNull<()>) {
    // Relaxed: not the last one, and the caller's other part will be released after it.
    of(shared).parts.fetch_sub(1, Relaxed);
}

/// Whether the caller's part is the only one, so that all of the memory is the caller's.
#[inline]
pub(crate) fn is_unique(shared: NonNull<()>) -> bool {
    // Acquire: pairs with the Release in `leave`, so that the others' use of the memory comes first.
    of(shared).parts.load(Acquire) == 1
}

/// Gives up a part. The last one gets the whole memory.
#[inline]
pub(crate) fn leave(shared: NonNull<()>) -> Option<RawBuffer> {
    if !is_unique(shared) {
        // Release: pairs with the Acquire below and in `is_unique`, so that the last owner's use of
        // the memory comes after all others'.
        if of(shared).parts.fetch_sub(1, Release) != 1 {
            return None;
        }
        // Acquire: pairs with the Release of every other `leave`.
        fence(Acquire);
    }
    Some(free(shared))
}

/// Takes the whole memory out of its block, if the caller's part is the only one: the caller has the whole instead.
pub(crate) fn dissolve(shared: NonNull<()>) -> Option<RawBuffer> {
    is_unique(shared).then(|| free(shared))
}

/// Frees the block. The caller's part is the last one, or was.
fn free(shared: NonNull<()>) -> RawBuffer {
    let shared = shared.cast::<Shared>();
    // SAFETY: made by `try_box` in `share`, and no part but the caller's leads here any more.
    unsafe { Box::from_raw(shared.as_ptr()) }.whole
}

/// The pool that the memory belongs to.
pub(crate) fn inner(shared: NonNull<()>) -> NonNull<PoolInner> {
    of(shared).inner
}

/// The first byte of the whole memory, and how many bytes it has.
#[inline]
pub(crate) fn whole(shared: NonNull<()>) -> (NonNull<u8>, usize) {
    (of(shared).whole.start, of(shared).size)
}

/// Bytes from `start`, which is within the whole memory or at its end, to the end.
#[inline]
pub(crate) fn room_from(shared: NonNull<()>, start: NonNull<u8>) -> usize {
    let (first, size) = whole(shared);
    size - (start.addr().get() - first.addr().get())
}

/// Whether the whole memory is a slot.
pub(crate) fn is_of_slot(shared: NonNull<()>) -> bool {
    of(shared).whole.tag.is_slot()
}

/// Whether parts are zeroed when they are dropped.
#[inline]
pub(crate) fn is_scrubbed(shared: NonNull<()>) -> bool {
    of(shared).scrubbed
}
