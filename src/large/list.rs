//! The roll: every large mapping of a pool, live or cached, so that somebody can go through them.
//!
//! A mapping gets a place when it is mapped and leaves it before it is unmapped, so taking one from a cache and
//! putting it back does nothing here.
//!
//! # Safety
//!
//! A descriptor in the roll is looked at under the lock alone. Whoever owns it takes it out before freeing it.

use crate::large::{LargeAlloc, LargeView};
use crate::sync::{Mutex, lock};
use crate::util::heap::lock_with_room;
use std::ptr::NonNull;

/// Places looked at under the lock in one go.
pub(crate) const STEP: usize = 64;
/// Instead of a place: there is none.
const NOWHERE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
enum Place {
    Taken(NonNull<LargeAlloc>),
    /// And the next free one.
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

    /// Enters a mapping in a place that was left. `false`: there is none.
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

    /// Enters a mapping behind the last place, for which there is room.
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

// SAFETY: descriptors are looked at under the lock, and what is looked at in them are atomics.
unsafe impl Send for State {}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct LargeList(Mutex<State>);

impl LargeList {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State::EMPTY))
    }

    /// Enters a mapping. One that the heap has no room to enter serves all the same.
    pub(crate) fn enter(&self, large: NonNull<LargeAlloc>) {
        // A statement of its own: the list grows without the lock.
        let reused = lock(&self.0).reuse(large);
        if !reused && let Some(mut state) = lock_with_room(&self.0, |state| &mut state.places) {
            // A place may have been left meanwhile.
            if !state.reuse(large) {
                state.append(large);
            }
        }
    }

    /// Strikes a mapping off, if it is here.
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

    /// Looks at the mappings in `STEP` places from `place` on; `false`: there are no more places. A mapping that
    /// stays while somebody goes through all is seen exactly once.
    pub(crate) fn look(&self, place: usize, looks: &mut Vec<LargeView>) -> bool {
        // Here, so that the heap is not asked under the lock.
        looks.reserve(STEP);
        let state = lock(&self.0);
        let Some(places) = state.places.get(place..) else {
            return false;
        };
        for place in places.iter().take(STEP) {
            if let Place::Taken(large) = place {
                looks.push(LargeAlloc::of(*large).look());
            }
        }
        !places.is_empty()
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
        let mapper = Mapper::new(Os::native(), usize::MAX);
        let page = mapper.page_size();
        let large_list = LargeList::new();
        // More than one step, and more than two.
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
            // SAFETY: mapped above, and nobody else's.
            unsafe { LargeAlloc::unmap(large, &mapper) }.unwrap();
        }
        assert_eq!(lock(&large_list.0).places.capacity(), 0);
    }
}
