//! The list of every large mapping of a pool, live or cached, for snapshots.
//!
//! A mapping gets a place when it is mapped and leaves it before it is unmapped. So moving it into
//! a cache or out of it does not change the list.
//!
//! # Safety
//!
//! A descriptor in the list is accessed through it under the lock alone. Its owner removes it from
//! the list before freeing it.

use crate::large::{LargeAlloc, LargeView};
use crate::sync::{Mutex, lock};
use crate::util::heap::lock_with_room;
use std::ptr::NonNull;

/// Number of places examined under the lock at a time.
pub(crate) const STEP: usize = 64;
/// Value of a mapping's `place` while it has none.
const NOWHERE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
enum Place {
    Taken(NonNull<LargeAlloc>),
    /// A free place, with the next free one.
    Free(u32),
}

#[derive(Debug)]
struct State {
    places: Vec<Place>,
    free: u32,
    taken: usize,
}

impl State {
    const EMPTY: Self = Self {
        places: Vec::new(),
        free: NOWHERE,
        taken: 0,
    };

    /// Enters a mapping in a free place. Returns `false` if there is none.
    fn reuse(&mut self, large: NonNull<LargeAlloc>) -> bool {
        let place = self.free;
        let Some(Place::Free(next)) = self.places.get(place as usize).copied() else {
            return false;
        };
        self.free = next;
        self.places[place as usize] = Place::Taken(large);
        self.taken += 1;
        LargeAlloc::of(large).place.set(place);
        true
    }

    /// Enters a mapping behind the last place. The caller has reserved room for it.
    fn append(&mut self, large: NonNull<LargeAlloc>) {
        debug_assert!(self.places.len() < self.places.capacity());
        let place = u32::try_from(self.places.len()).unwrap_or(NOWHERE);
        if place != NOWHERE {
            self.places.push(Place::Taken(large));
            self.taken += 1;
            LargeAlloc::of(large).place.set(place);
        }
    }
}

// SAFETY: descriptors are accessed under the lock, and the fields that are read are atomics.
unsafe impl Send for State {}

/// The list of a pool's large mappings: see the module's text.
#[derive(Debug)]
pub(crate) struct LargeList(Mutex<State>);

impl LargeList {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State::EMPTY))
    }

    /// Enters a mapping. A mapping for which the heap has no room here is used all the same.
    pub(crate) fn enter(&self, large: NonNull<LargeAlloc>) {
        // A separate statement: the lock is released before the list grows.
        let reused = lock(&self.0).reuse(large);
        if !reused && let Some(mut state) = lock_with_room(&self.0, |state| &mut state.places) {
            // Another thread may have left a place meanwhile.
            if !state.reuse(large) {
                state.append(large);
            }
        }
    }

    /// Removes a mapping, if it is in the list.
    pub(crate) fn strike(&self, large: NonNull<LargeAlloc>) {
        let place = LargeAlloc::of(large).place.replace(NOWHERE);
        if place == NOWHERE {
            return;
        }
        let mut state = lock(&self.0);
        state.places[place as usize] = Place::Free(state.free);
        state.free = place;
        state.taken -= 1;
        if state.taken == 0 {
            let places = std::mem::replace(&mut *state, State::EMPTY);
            drop(state);
            drop(places);
        }
    }

    /// Appends the state of the mappings in `STEP` places from `place` on to `looks`. Returns
    /// `false` if there are no more places. A walk through all places sees each mapping that stays
    /// in the list exactly once.
    pub(crate) fn look(&self, place: usize, looks: &mut Vec<LargeView>) -> bool {
        // Reserved before the lock is acquired, so that the heap is not called under it.
        looks.reserve(STEP);
        self.each(place, |view| looks.push(view))
    }

    /// Passes the state of the mappings in `STEP` places from `place` on to `each`, under the lock.
    /// Returns `false` if there are no more places.
    fn each(&self, place: usize, each: impl FnMut(LargeView)) -> bool {
        let state = lock(&self.0);
        let Some(places) = state.places.get(place..) else {
            return false;
        };
        let taken = places.iter().take(STEP).filter_map(|place| match place {
            Place::Taken(large) => Some(LargeAlloc::of(*large).look()),
            Place::Free(_) => None,
        });
        taken.for_each(each);
        !places.is_empty()
    }

    /// Returns the sum of `bytes` over all mappings. Calls `bytes` under the lock.
    pub(crate) fn sum(&self, bytes: impl Fn(LargeView) -> usize) -> usize {
        let (mut sum, mut place) = (0, 0);
        while self.each(place, |view| sum += bytes(view)) {
            place += STEP;
        }
        sum
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::large::MapOptions;
    use crate::os::Os;
    use crate::os::mapping::Mapper;

    fn map(mapper: &Mapper, pages: usize) -> NonNull<LargeAlloc> {
        let options = MapOptions {
            huge_pages: false,
            guard_pages: false,
        };
        let owner = NonNull::dangling();
        LargeAlloc::map(mapper, pages * mapper.page_size(), options, owner).unwrap()
    }

    fn lengths(large_list: &LargeList) -> Vec<usize> {
        let (mut looks, mut place) = (Vec::new(), 0);
        while large_list.look(place, &mut looks) {
            place += STEP;
        }
        let mut lengths: Vec<_> = looks.iter().map(|look| look.capacity).collect();
        lengths.sort_unstable();
        lengths
    }

    #[test]
    fn shows_each_mapping_once_and_uses_places_again() {
        let mapper = Mapper::new(Os::native(), usize::MAX, None);
        let page = mapper.page_size();
        let large_list = LargeList::new();
        // More than two steps.
        let all: Vec<_> = (1..=2 * STEP + 2).map(|n| map(&mapper, n)).collect();
        all.iter().for_each(|large| large_list.enter(*large));
        let expected: Vec<_> = (1..=all.len()).map(|n| n * page).collect();
        assert_eq!(lengths(&large_list), expected);
        for large in all.iter().step_by(2) {
            large_list.strike(*large);
        }
        let odd: Vec<_> = expected.iter().skip(1).step_by(2).copied().collect();
        assert_eq!(lengths(&large_list), odd);
        let places = lock(&large_list.0).places.len();
        for large in all.iter().step_by(2).rev() {
            large_list.enter(*large);
        }
        assert_eq!(lengths(&large_list), expected);
        assert_eq!(lock(&large_list.0).places.len(), places);
        for large in all {
            large_list.strike(large);
            // SAFETY: mapped above, and owned by this test.
            unsafe { LargeAlloc::unmap(large, &mapper) }.unwrap();
        }
        assert_eq!(lock(&large_list.0).places.capacity(), 0);
    }
}
