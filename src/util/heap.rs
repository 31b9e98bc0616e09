//! Fallible allocation of the pool's own structures on the Rust heap, where `Box::new` would abort
//! the process.

use crate::error::AllocFailure;
use crate::sync::{Mutex, MutexGuard, lock};
use std::ptr::NonNull;

/// Allocates a box and leaks it. `Box::from_raw` restores it.
pub(crate) fn try_box<T>(value: T) -> Result<NonNull<T>, AllocFailure> {
    let mut one = Vec::new();
    one.try_reserve_exact(1).map_err(|_| AllocFailure::System)?;
    one.push(value);
    let boxed: Box<[T; 1]> = one.try_into().map_err(|_| AllocFailure::System)?;
    // An array of one element has the layout of the element.
    Ok(NonNull::from(Box::leak(boxed)).cast())
}

/// Locks `mutex` with room for one more element in the list that `list` finds in it. Returns `None`
/// if the heap has no memory for it.
///
/// The list grows without the lock: the process's allocator may have a hook that allocates a
/// buffer, and would wait for a lock that its own thread holds.
pub(crate) fn lock_with_room<'a, S, T>(
    mutex: &'a Mutex<S>,
    list: impl Fn(&mut S) -> &mut Vec<T>,
) -> Option<MutexGuard<'a, S>> {
    const FIRST: usize = 16;
    loop {
        let mut guard = lock(mutex);
        let old = list(&mut guard);
        if old.len() < old.capacity() {
            return Some(guard);
        }
        let room = FIRST.max(2 * old.capacity());
        drop(guard);
        let mut larger = Vec::new();
        larger.try_reserve_exact(room).ok()?;
        let mut guard = lock(mutex);
        let old = list(&mut guard);
        // Another thread may have added elements meanwhile.
        if old.capacity() < larger.capacity() {
            larger.append(old);
            std::mem::swap(old, &mut larger);
        }
        drop(guard);
        // The old list is freed here, outside of the lock.
        drop(larger);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_list_grows_and_keeps_its_elements() {
        let mutex = Mutex::new(Vec::new());
        for n in 0..1000 {
            let mut list = lock_with_room(&mutex, |list| list).unwrap();
            let before = list.capacity();
            list.push(n);
            assert_eq!(list.capacity(), before, "grown under the lock");
        }
        assert!(lock(&mutex).iter().copied().eq(0..1000));
    }
}
