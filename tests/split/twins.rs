//! Random programs of all that splits, joins and reclaims, for a `Buffer` and a `BytesMut` of the
//! same capacity.

use bytes::{Buf, BytesMut};
use proptest::prelude::*;
use proptest::sample::Index;
use slabuf::{Buffer, Pool};

use crate::common::{assert_all_home, fresh_pool};

/// A step for one pair, or for two.
#[derive(Clone, Debug)]
enum Step {
    Make(usize),
    Split(Index),
    SplitTo(Index, Index),
    SplitOff(Index, Index),
    TryUnsplit(Index, Index),
    UnsplitEmpty(Index, bool),
    TryReclaim(Index, usize),
    /// Fills the room that both have.
    Fill(Index),
    Extend(Index, usize),
    Advance(Index, Index),
    Drop(Index),
}

fn steps() -> impl Strategy<Value = Step> {
    let which = any::<Index>;
    prop_oneof![
        1 => prop_oneof![1..=200_usize, 8000..=8192_usize].prop_map(Step::Make),
        3 => which().prop_map(Step::Split),
        2 => (which(), which()).prop_map(|(at, to)| Step::SplitTo(at, to)),
        2 => (which(), which()).prop_map(|(at, to)| Step::SplitOff(at, to)),
        3 => (which(), which()).prop_map(|(at, with)| Step::TryUnsplit(at, with)),
        1 => (which(), any::<bool>()).prop_map(|(at, front)| Step::UnsplitEmpty(at, front)),
        4 => (which(), 0..=300_usize).prop_map(|(at, n)| Step::TryReclaim(at, n)),
        2 => which().prop_map(Step::Fill),
        2 => (which(), 0..=100_usize).prop_map(|(at, n)| Step::Extend(at, n)),
        2 => (which(), which()).prop_map(|(at, to)| Step::Advance(at, to)),
        3 => which().prop_map(Step::Drop),
    ]
}

type Twins = (Buffer, BytesMut);

fn make(pool: &Pool, capacity: usize) -> Twins {
    let twins = (
        pool.with_capacity(capacity),
        BytesMut::with_capacity(capacity),
    );
    assert_eq!(twins.0.capacity(), twins.1.capacity());
    twins
}

/// The room that both have behind their bytes.
fn room((buffer, twin): &Twins) -> usize {
    let room = (
        buffer.capacity() - buffer.len(),
        twin.capacity() - twin.len(),
    );
    room.0.min(room.1)
}

fn extend((buffer, twin): &mut Twins, count: usize, seed: usize) {
    let bytes: Vec<u8> = (0..count).map(|n| (n * 7 + seed) as u8).collect();
    buffer.extend_from_slice(&bytes);
    twin.extend_from_slice(&bytes);
}

/// A reclaim that succeeds for a `BytesMut` succeeds for a `Buffer` that has memory.
fn try_reclaim((buffer, twin): &mut Twins, additional: usize) {
    // A part that was split off without bytes and room has no memory.
    let has_memory = buffer.is_pooled();
    if !has_memory {
        return;
    }
    let before = (buffer.as_ptr(), buffer.capacity());
    let reclaimed = buffer.try_reclaim(additional);
    if twin.try_reclaim(additional) {
        assert!(reclaimed, "{additional} bytes");
    }
    if reclaimed {
        assert!(buffer.capacity() - buffer.len() >= additional);
    } else {
        assert_eq!((buffer.as_ptr(), buffer.capacity()), before);
    }
}

fn apply(step: &Step, live: &mut Vec<Twins>, pool: &Pool, seed: usize) {
    if let Step::Make(capacity) = step {
        return live.push(make(pool, *capacity));
    }
    if live.is_empty() {
        return;
    }
    let count = live.len();
    let pick = |at: &Index| at.index(count);
    match step {
        Step::Make(_) => {}
        Step::Split(at) => {
            let (buffer, twin) = &mut live[pick(at)];
            let parts = (buffer.split(), twin.split());
            live.push(parts);
        }
        Step::SplitTo(at, to) => {
            let (buffer, twin) = &mut live[pick(at)];
            let to = to.index(buffer.len() + 1);
            let parts = (buffer.split_to(to), twin.split_to(to));
            live.push(parts);
        }
        Step::SplitOff(at, to) => {
            let (buffer, twin) = &mut live[pick(at)];
            let to = to.index(buffer.len() + 1);
            let parts = (buffer.split_off(to), twin.split_off(to));
            live.push(parts);
        }
        Step::TryUnsplit(at, with) => {
            let mut front = live.swap_remove(pick(at));
            if live.is_empty() {
                return live.push(front);
            }
            let back = live.swap_remove(with.index(live.len()));
            let had_memory = front.0.is_pooled();
            let joined = (front.0.try_unsplit(back.0), front.1.try_unsplit(back.1));
            match joined {
                (Ok(()), Ok(())) => live.push(front),
                (Err(buffer), Err(twin)) => live.extend([front, (buffer, twin)]),
                // A `Buffer` without memory becomes the other one. An empty `Buffer` may have taken
                // room back that the `BytesMut` has not. The two have different memory from now on.
                (Ok(()), Err(_)) => assert!(!had_memory, "joined only here"),
                // Parts that are neighbours in one memory are not in two: either type may have
                // moved one of them, to reclaim room or to get more.
                (Err(_), Ok(())) => {}
            }
        }
        Step::UnsplitEmpty(at, true) => {
            let (buffer, twin) = &mut live[pick(at)];
            let (full, full_twin) = (buffer.take(), std::mem::take(twin));
            buffer.unsplit(full);
            twin.unsplit(full_twin);
        }
        Step::UnsplitEmpty(at, false) => {
            let (buffer, twin) = &mut live[pick(at)];
            let before = (buffer.as_ptr(), buffer.capacity());
            buffer.unsplit(pool.buffer());
            // An empty `BytesMut` would lose its room here.
            if !twin.is_empty() {
                twin.unsplit(BytesMut::new());
            }
            assert_eq!((buffer.as_ptr(), buffer.capacity()), before);
        }
        Step::TryReclaim(at, additional) => try_reclaim(&mut live[pick(at)], *additional),
        Step::Fill(at) => {
            let twins = &mut live[pick(at)];
            extend(twins, room(twins), seed);
        }
        Step::Extend(at, additional) => {
            let twins = &mut live[pick(at)];
            extend(twins, room(twins).min(*additional), seed);
        }
        Step::Advance(at, to) => {
            let (buffer, twin) = &mut live[pick(at)];
            let to = to.index(buffer.len() + 1);
            buffer.advance(to);
            twin.advance(to);
        }
        Step::Drop(at) => drop(live.swap_remove(pick(at))),
    }
}

proptest! {
    #[test]
    fn buffers_split_join_and_reclaim_as_bytes_mut(
        capacity in 1..=200_usize,
        steps in prop::collection::vec(steps(), 1..60),
    ) {
        let pool = fresh_pool();
        let mut live = vec![make(&pool, capacity)];
        for (seed, step) in steps.iter().enumerate() {
            apply(step, &mut live, &pool, seed);
            for (buffer, twin) in &live {
                assert_eq!(buffer, twin, "after {step:?}");
            }
        }
        drop(live);
        assert_all_home(&pool);
    }
}
