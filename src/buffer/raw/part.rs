//! The block that the parts of one memory share.
//!
//! The first split of a buffer moves its memory into a block on the heap. Each part's tag is the address of that
//! block and a bit: a *head* ends with its buffer's length, a *tail* extends to the end of the whole. At
//! most one part is a tail. A buffer that was never split has neither a block nor a question to answer.
//!
//! | | `count` | `supply` |
//! |---|---|---|
//! | each head | 1 | |
//! | the tail, while there is one | 1 + `supply` | shares that later heads will have |
//!
//! So a split of the tail hands a share of its supply out, without an atomic operation; only the tail's owner
//! reads and writes `supply`. A split of a head is one atomic addition, a drop one subtraction.
//!
//! The block stays when one part is left. That part's owner may use the whole memory; see [`is_unique`].
//!
//! # Safety
//!
//! A block's address comes from [`share`] and is valid while a part of it is counted: callers hold a part, of the
//! kind they name. Parts do not overlap. [`leave`] and [`dissolve`] free the block, for the owner of the last
//! part. The count starts at 2^62, and neither overflows nor runs out of shares in the time a program has, even if parts
//! are leaked.

use super::RawBuffer;
use crate::error::AllocFailure;
use crate::inner::PoolInner;
use crate::inner::tag::End;
use crate::sync::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};
use crate::util::heap::try_box;
use std::cell::Cell;
use std::ptr::NonNull;

/// What a tail holds of the count at first.
const SUPPLY: usize = 1 << 62;

/// Aligned so that its address has room for the bits of a tag.
#[repr(align(16))]
struct Shared {
    count: AtomicUsize,
    /// The tail owner's alone.
    supply: Cell<usize>,
    /// Begins at the first byte of the slot or mapping.
    whole: RawBuffer,
    size: usize,
    inner: NonNull<PoolInner>,
    scrubbed: bool,
}

impl Shared {
    /// How much of the count the caller's part is.
    #[inline(always)]
    fn held(&self, end: End) -> usize {
        match end {
            End::Head => 1,
            End::Tail => 1 + self.supply.get(),
        }
    }
}

#[inline(always)]
fn of<'a>(shared: NonNull<()>) -> &'a Shared {
    // SAFETY: the caller owns a part, so the count is not 0 and the block is there.
    unsafe { shared.cast().as_ref() }
}

/// Makes a head and a tail of a whole memory, whose owner has them instead from now on.
pub(crate) fn share(whole: RawBuffer) -> Result<NonNull<()>, AllocFailure> {
    let (start, size) = whole.extent();
    let inner = whole.inner();
    let tag = whole.tag.at_start();
    let shared = Shared {
        count: AtomicUsize::new(SUPPLY + 1),
        supply: Cell::new(SUPPLY - 1),
        whole: RawBuffer { start, tag },
        size,
        inner,
        scrubbed: PoolInner::of(inner).config.zero_on_free,
    };
    Ok(try_box(shared)?.cast())
}

/// Makes a head and a part of the same kind of the caller's part.
#[inline(always)]
pub(crate) fn split(shared: NonNull<()>, end: End) {
    match end {
        End::Tail => of(shared).supply.set(of(shared).supply.get() - 1),
        // Relaxed: the caller's own part is counted already.
        End::Head => drop(of(shared).count.fetch_add(1, Relaxed)),
    }
}

/// Makes one part of two of the caller's, and returns its kind.
#[inline]
pub(crate) fn join(shared: NonNull<()>, front: End, back: End) -> End {
    if front == End::Head && back == End::Head {
        // Relaxed: not the last part, as the caller's other one stays.
        of(shared).count.fetch_sub(1, Relaxed);
        return End::Head;
    }
    of(shared).supply.set(of(shared).supply.get() + 1);
    End::Tail
}

/// Whether the caller's part is the only one, so that all of the memory is the caller's.
#[inline]
pub(crate) fn is_unique(shared: NonNull<()>, end: End) -> bool {
    // Acquire: pairs with the Release in `leave`, so that the others' use of the memory comes first.
    of(shared).count.load(Acquire) == of(shared).held(end)
}

/// Makes the only part, which is the caller's, a tail.
#[inline]
pub(crate) fn extend_to_end(shared: NonNull<()>, end: End) {
    if end == End::Head {
        debug_assert!(is_unique(shared, end));
        // Relaxed: another thread gets to see the block with a part that is split off later, in an ordered way.
        of(shared).count.store(SUPPLY, Relaxed);
        of(shared).supply.set(SUPPLY - 1);
    }
}

/// Gives up a part. The last one gets the whole memory.
#[inline]
pub(crate) fn leave(shared: NonNull<()>, end: End) -> Option<RawBuffer> {
    if !is_unique(shared, end) {
        let held = of(shared).held(end);
        // Release: pairs with the Acquire below and in `is_unique`, so that the last owner's use of
        // the memory comes after all others'.
        if of(shared).count.fetch_sub(held, Release) != held {
            return None;
        }
        // Acquire: pairs with the Release of every other `leave`.
        fence(Acquire);
    }
    Some(free(shared))
}

/// Takes the whole memory out of its block, if the caller's part is the only one: the caller has the whole instead.
pub(crate) fn dissolve(shared: NonNull<()>, end: End) -> Option<RawBuffer> {
    is_unique(shared, end).then(|| free(shared))
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
