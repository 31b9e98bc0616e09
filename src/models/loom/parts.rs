//! Models of memory in parts: which part is dropped last, and which part may use the whole memory.
//!
//! The bytes of each part are a cell that loom checks: a model fails if two threads access a cell
//! without an order between the accesses.

use super::*;
use crate::buffer::raw::{RawBuffer, part};
use crate::inner::tag::{AllocTag, End};
use loom::cell::UnsafeCell;
use std::sync::Arc;

const HEAD: usize = 0;
const TAIL: usize = 1;

/// A slot in two parts or more, and the bytes of the parts.
#[derive(Clone)]
struct Split {
    rig: Rig,
    shared: NonNull<()>,
    bytes: Arc<[UnsafeCell<u8>; 3]>,
}

// SAFETY: each thread owns one part; the models check that this is sufficient.
unsafe impl Send for Split {}

impl Split {
    /// Creates a head and a tail.
    fn new(rig: Rig) -> Self {
        let start = rig.inner().alloc_slot(CLASS).unwrap();
        let tag = AllocTag::slot(rig.inner().prefix, CLASS, SLOT as usize);
        let shared = part::share(RawBuffer { start, tag }).unwrap();
        Self {
            rig,
            shared,
            bytes: Arc::new([(); 3].map(|()| UnsafeCell::new(0))),
        }
    }

    fn write(&self, part: usize) {
        // SAFETY: loom checks that no other thread accesses the byte.
        self.bytes[part].with_mut(|byte| unsafe { byte.write(1) });
    }

    fn write_all(&self) {
        (0..3).for_each(|part| self.write(part));
    }

    /// Drops a part. Returns `true` if it was the last one, and frees the slot.
    fn leave(&self, end: End) -> bool {
        let Some(whole) = part::leave(self.shared, end) else {
            return false;
        };
        self.write_all();
        assert_eq!(whole.extent().1, SLOT as usize);
        self.rig.inner().free_slot(CLASS, whole.start);
        true
    }

    /// Tries to make a part own the whole memory, as `reserve` does. Returns `true` on success; the
    /// part is a tail then.
    fn reclaim(&self, end: End) -> bool {
        let unique = part::is_unique(self.shared, end);
        if unique {
            part::extend_to_end(self.shared, end);
            self.write_all();
        }
        unique
    }
}

fn on_thread<T: 'static>(
    split: &Split,
    body: impl FnOnce(Split) -> T + Send + 'static,
) -> thread::JoinHandle<Sent<T>> {
    let split = Sent(split.clone());
    thread::spawn(move || Sent(body(split.get())))
}

#[test]
fn loom_two_parts_are_dropped_at_once() {
    model(|| {
        let rig = Rig::new(|_| ());
        let split = Split::new(rig);
        let head = on_thread(&split, |split| {
            split.write(HEAD);
            split.leave(End::Head)
        });
        split.write(TAIL);
        let last = split.leave(End::Tail);
        assert!(head.join().unwrap().get() != last, "one of them is last");
        rig.finish();
    });
}

#[test]
fn loom_both_parts_are_split_while_the_other_is() {
    model(|| {
        let rig = Rig::new(|_| ());
        let split = Split::new(rig);
        let heads = on_thread(&split, |split| {
            part::split(split.shared, End::Head);
            split.write(HEAD);
            let first = split.leave(End::Head);
            assert!(!first, "the second head is left");
            split.leave(End::Head)
        });
        part::split(split.shared, End::Tail);
        split.write(TAIL);
        assert!(!split.leave(End::Tail), "a head of it is left");
        split.write(2);
        let last = split.leave(End::Head);
        assert!(heads.join().unwrap().get() != last, "one of them is last");
        rig.finish();
    });
}

#[test]
fn loom_the_tail_is_joined_while_another_head_is_dropped() {
    model(|| {
        let rig = Rig::new(|_| ());
        let split = Split::new(rig);
        part::split(split.shared, End::Tail);
        let other = on_thread(&split, |split| {
            split.write(HEAD);
            split.leave(End::Head)
        });
        split.write(TAIL);
        let joined = part::join(split.shared, End::Head, End::Tail);
        assert_eq!(joined, End::Tail);
        split.write(2);
        let last = split.leave(joined);
        assert!(other.join().unwrap().get() != last, "one of them is last");
        rig.finish();
    });
}

#[test]
fn loom_heads_are_joined_while_the_tail_is_dropped() {
    model(|| {
        let rig = Rig::new(|_| ());
        let split = Split::new(rig);
        part::split(split.shared, End::Head);
        let tail = on_thread(&split, |split| {
            split.write(TAIL);
            split.leave(End::Tail)
        });
        split.write(HEAD);
        let joined = part::join(split.shared, End::Head, End::Head);
        assert_eq!(joined, End::Head);
        let reclaimed = split.reclaim(joined);
        let end = if reclaimed { End::Tail } else { End::Head };
        let last = split.leave(end);
        assert!(tail.join().unwrap().get() != last, "one of them is last");
        assert!(last || !reclaimed, "what is alone is last");
        rig.finish();
    });
}

#[test]
fn loom_the_tail_takes_the_memory_back_while_a_head_is_dropped() {
    model(|| {
        let rig = Rig::new(|_| ());
        let split = Split::new(rig);
        let tail = on_thread(&split, |split| {
            if split.reclaim(End::Tail) {
                // The memory is split again, in the same block.
                part::split(split.shared, End::Tail);
                assert!(!split.leave(End::Head));
            }
            split.leave(End::Tail)
        });
        split.write(HEAD);
        let last = split.leave(End::Head);
        assert!(tail.join().unwrap().get() != last, "one of them is last");
        rig.finish();
    });
}

#[test]
fn loom_a_head_takes_the_memory_back_while_the_tail_is_dropped() {
    model(|| {
        let rig = Rig::new(|_| ());
        let split = Split::new(rig);
        let head = on_thread(&split, |split| {
            // As in a `reserve` that needs more than the memory holds: the block is freed, the
            // memory stays.
            let Some(whole) = part::dissolve(split.shared, End::Head) else {
                return split.leave(End::Head);
            };
            split.write_all();
            split.rig.inner().free_slot(CLASS, whole.start);
            true
        });
        split.write(TAIL);
        let last = split.leave(End::Tail);
        assert!(head.join().unwrap().get() != last, "one of them is last");
        rig.finish();
    });
}
