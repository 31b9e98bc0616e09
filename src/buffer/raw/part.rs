//! The block that the parts of one memory share.
//!
//! The first split of a buffer moves its memory into a block on the heap. Each part's tag is the
//! address of that block and a bit: a *head* ends with its buffer's length, a *tail* extends to the
//! end of the whole. At most one part is a tail. A buffer that was never split has no block.
//!
//! | | `count` | `supply` |
//! |---|---|---|
//! | each head | 1 | |
//! | the tail, if there is one | 1 + `supply` | shares for heads to come |
//!
//! A split of the tail hands out a share of its supply, without an atomic operation: only the
//! tail's owner reads and writes `supply`. A split of a head is one atomic addition, each drop one
//! subtraction.
//!
//! The block stays when one part is left. The owner of that part may use the whole memory; see
//! [`is_unique`].
//!
//! # Safety
//!
//! A block's address comes from [`share`] and is valid while a part is counted. Callers own a part
//! of the kind they pass. Parts do not overlap. [`leave`] and [`dissolve`] free the block on behalf
//! of the last part. The count starts at 2^62: a program can neither overflow it nor use up the
//! supply, even if it leaks parts.

use super::RawBuffer;
use crate::error::AllocFailure;
use crate::inner::PoolInner;
use crate::inner::tag::End;
use crate::sync::{
    AtomicUsize, CHECKED, Cell,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};
use crate::util::heap::try_box;
use std::ptr::NonNull;

const _: () = assert!(CHECKED || size_of::<Shared>() <= 64, "one cache line");

/// The part of the count that a new tail holds.
const SUPPLY: usize = 1 << 62;

/// Aligned so that its address has room for the bits of a tag.
#[repr(align(16))]
struct Shared {
    count: AtomicUsize,
    /// Read and written by the tail's owner only.
    supply: Cell<usize>,
    /// Begins at the first byte of the slot or mapping.
    whole: RawBuffer,
    size: usize,
    inner: NonNull<PoolInner>,
}

impl Shared {
    /// Returns the part of the count that the caller's part holds.
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
    // SAFETY: the caller owns a part, so the count is not 0 and the block exists.
    unsafe { shared.cast().as_ref() }
}

/// Turns a whole memory into a head and a tail, both of which the caller owns from now on.
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
    };
    Ok(try_box(shared)?.cast())
}

/// Counts a new head that is split from the caller's part.
#[inline(always)]
pub(crate) fn split(shared: NonNull<()>, end: End) {
    match end {
        End::Tail => of(shared).supply.set(of(shared).supply.get() - 1),
        // Relaxed: the caller's own part is counted already.
        End::Head => drop(of(shared).count.fetch_add(1, Relaxed)),
    }
}

/// Joins two parts that the caller owns into one, and returns its kind.
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

/// Returns whether the caller's part is the only one, so that the caller may use the whole memory.
#[inline]
pub(crate) fn is_unique(shared: NonNull<()>, end: End) -> bool {
    // Acquire: pairs with the Release in `leave`, so that the other owners' accesses happen before.
    of(shared).count.load(Acquire) == of(shared).held(end)
}

/// Makes the caller's part a tail. It is the only part.
#[inline]
pub(crate) fn extend_to_end(shared: NonNull<()>, end: End) {
    if end == End::Head {
        debug_assert!(is_unique(shared, end));
        // Relaxed: no other thread has a part. It gets one later, through synchronisation of the
        // program.
        of(shared).count.store(SUPPLY, Relaxed);
        of(shared).supply.set(SUPPLY - 1);
    }
}

/// Drops the caller's part. Returns the whole memory if it was the last one.
#[inline]
pub(crate) fn leave(shared: NonNull<()>, end: End) -> Option<RawBuffer> {
    if !is_unique(shared, end) {
        let held = of(shared).held(end);
        // Release: pairs with the Acquire below and in `is_unique`: the last owner's accesses
        // happen after.
        if of(shared).count.fetch_sub(held, Release) != held {
            return None;
        }
        // Acquire: pairs with the Release of every other `leave`.
        fence(Acquire);
    }
    Some(free(shared))
}

/// Frees the block and returns the whole memory, if the caller's part is the only one.
pub(crate) fn dissolve(shared: NonNull<()>, end: End) -> Option<RawBuffer> {
    is_unique(shared, end).then(|| free(shared))
}

/// Frees the block, of which only the caller's part is left.
fn free(shared: NonNull<()>) -> RawBuffer {
    let shared = shared.cast::<Shared>();
    // SAFETY: `try_box` in `share` made the block, and no part but the caller's refers to it any
    // more.
    unsafe { Box::from_raw(shared.as_ptr()) }.whole
}

/// Returns the pool that the memory belongs to.
pub(crate) fn inner(shared: NonNull<()>) -> NonNull<PoolInner> {
    of(shared).inner
}

/// Returns the first byte of the whole memory, and its size.
#[inline]
pub(crate) fn whole(shared: NonNull<()>) -> (NonNull<u8>, usize) {
    (of(shared).whole.start, of(shared).size)
}

/// Returns the number of bytes from `start`, which is within the whole memory or at its end, to its
/// end.
#[inline]
pub(crate) fn room_from(shared: NonNull<()>, start: NonNull<u8>) -> usize {
    let (first, size) = whole(shared);
    size - (start.addr().get() - first.addr().get())
}

/// Returns whether the whole memory is a slot.
pub(crate) fn is_of_slot(shared: NonNull<()>) -> bool {
    of(shared).whole.tag.is_slot()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::{Buffer, Pool};
    use bytes::BufMut;

    /// All raw memory operations of parts, in a test that is small enough for an interpreter.
    #[test]
    fn parts_cross_threads_join_and_reclaim() {
        for len in [100, 20_000] {
            let pool = Pool::builder().build().unwrap();
            let mut rest = pool.alloc_filled(len, "x");
            let (start, size) = (rest.as_ptr(), rest.capacity());
            let mut head = rest.split_to(40);
            let back = head.split_off(30);
            let frozen = rest.split_to(10).freeze();
            let thread = std::thread::spawn(move || {
                head.fill(b'h');
                drop(frozen);
                head
            });
            rest.fill(b'r');
            let mut head = thread.join().unwrap();
            head.unsplit(back);
            assert_eq!(
                (&head[..30], &head[30..]),
                (&[b'h'; 30][..], &[b'x'; 10][..])
            );
            drop(head);
            rest.truncate(20);
            assert!(rest.try_reclaim(size - 20));
            assert_eq!((rest.as_ptr(), &rest[..]), (start, &[b'r'; 20][..]));
            drop(rest.split());
            assert_eq!(rest.chunk_mut().len(), size);
            rest.put_u8(1);
            assert_eq!((rest.as_ptr(), rest.capacity()), (start, size));
            rest.reserve(size);
            assert_eq!((rest.len(), rest[0]), (1, 1));
            let mut empty: Buffer = rest.take();
            std::mem::swap(&mut empty, &mut rest);
            drop((empty, pool));
            rest.put_u8(2);
        }
    }
}
