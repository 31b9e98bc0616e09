//! Sequences of operations on several live buffers of pools with various settings, compared with
//! `Vec<u8>`.

#[path = "../common/mod.rs"]
mod common;
mod edits;
mod invariants;
mod steps;

use bytes::{Buf, Bytes};
use common::{address, assert_all_home, is_zero};
use proptest::prelude::*;
use proptest::sample::Index;
use slabuf::{AllocError, Budget, Buffer, Pool};
use steps::{Make, Settings, Step, settings, steps};

/// The real buffers, each with its expected bytes.
struct Model {
    settings: Settings,
    budget: Option<Budget>,
    pool: Pool,
    /// Buffers of another pool with the same settings, in the same budget.
    other: Pool,
    others: Vec<Buffer>,
    live: Vec<(Buffer, Vec<u8>)>,
    views: Vec<(Bytes, Vec<u8>)>,
    turn: u8,
}

impl Model {
    fn new(settings: Settings) -> Self {
        let budget = settings.budget.map(Budget::new);
        Self {
            settings,
            pool: settings.build(budget.as_ref()),
            other: settings.build(budget.as_ref()),
            others: Vec::new(),
            budget,
            live: Vec::new(),
            views: Vec::new(),
            turn: 0,
        }
    }

    /// Asserts that only a pool with a limit or a budget fails. Returns `None` after a failure,
    /// which must change nothing.
    fn accept<T>(&self, outcome: Result<T, AllocError>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(AllocError::LimitExceeded { limit, .. })
                if limit.is_some() && self.settings.limit == limit =>
            {
                None
            }
            Err(AllocError::BudgetExceeded { limit, .. })
                if self.settings.budget == Some(limit) =>
            {
                None
            }
            Err(error) => panic!("{error:?} with {:?}", self.settings),
        }
    }

    /// Bytes that differ from step to step.
    fn fresh_bytes(&mut self, n: usize) -> Vec<u8> {
        self.turn = self.turn.wrapping_add(37);
        (0..n)
            .map(|i| (i as u8).wrapping_mul(31) ^ self.turn)
            .collect()
    }

    fn take(&mut self, make: Make, n: usize) {
        let given = self.fresh_bytes(n);
        let halves = [&given[..n / 2], &[], &given[n / 2..]];
        let pool = &self.pool;
        let (outcome, expected) = match make {
            Make::Zeroed => (pool.try_alloc(n), Some(vec![0; n])),
            Make::Filled(byte) => (pool.try_alloc_filled(n, [byte]), Some(vec![byte; n])),
            Make::Stale => (pool.try_alloc_unsafe(n), None),
            Make::StaleSlow => (pool.try_alloc_unsafe_slow(n), None),
            Make::Room => (pool.try_with_capacity(n), Some(Vec::new())),
            Make::Copied => (pool.try_copy_from_slice(&given), Some(given.clone())),
            Make::Concat => (pool.try_concat(&halves), Some(given.clone())),
            Make::ConcatToLen(len) => {
                let mut cut = given.clone();
                cut.resize(len, 0);
                (pool.try_concat_to_len(&halves, len), Some(cut))
            }
            Make::Aligned(shift) => (pool.try_alloc_aligned(n, 1 << shift), Some(vec![0; n])),
        };
        let Some(mut buffer) = self.accept(outcome) else {
            return;
        };
        let small = buffer.len().max(n) <= self.settings.slab_size;
        if matches!(make, Make::StaleSlow) {
            assert!(!buffer.is_pooled());
        } else if let Make::Aligned(shift) = make {
            assert!(buffer.alignment() >= 1 << shift && (small || !buffer.is_pooled()));
        } else if !matches!(make, Make::ConcatToLen(_)) {
            assert_eq!(buffer.is_pooled(), small);
        }
        // Stale bytes are allowed, except with these settings.
        let no_stale_byte = self.settings.zero_fill || self.settings.zero_on_free;
        let expected = expected.unwrap_or_else(|| {
            assert!(buffer.len() == n && (!no_stale_byte || is_zero(&buffer)));
            buffer.to_vec()
        });
        assert!(
            !no_stale_byte || is_zero(buffer.spare_capacity_mut()),
            "{make:?} {n}"
        );
        self.live.push((buffer, expected));
    }

    /// Removes and returns the live buffer that `at` selects.
    fn pick(&mut self, at: &Index) -> Option<(Buffer, Vec<u8>)> {
        let count = self.live.len();
        (count > 0).then(|| self.live.swap_remove(at.index(count)))
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Take(make, n) => self.take(*make, *n),
            Step::Trim => drop(self.pool.trim()),
            Step::TakeInOther(n) => {
                let outcome = self.other.try_alloc(*n);
                self.others.extend(self.accept(outcome));
            }
            Step::DropInOther => drop(self.others.pop()),
            Step::DropView(at) if !self.views.is_empty() => {
                drop(self.views.swap_remove(at.index(self.views.len())));
            }
            Step::DropView(_) => {}
            Step::Drop(at) => drop(self.pick(at)),
            Step::DropElsewhere(at) => {
                let picked = self.pick(at);
                std::thread::spawn(move || drop(picked))
                    .join()
                    .expect("dropped");
            }
            Step::Freeze(at) => {
                if let Some((buffer, expected)) = self.pick(at) {
                    let view = buffer.freeze();
                    let cut = view.len() / 3;
                    self.views
                        .push((view.slice(cut..), expected[cut..].to_vec()));
                }
            }
            Step::Clone(at) => {
                if let Some((buffer, expected)) = self.pick(at) {
                    // `clone` panics at a limit; its contents are those of a copy.
                    let copy = self.accept(self.pool.try_copy_from_slice(&buffer));
                    self.live.extend(copy.map(|copy| (copy, expected.clone())));
                    self.live.push((buffer, expected));
                }
            }
            Step::SplitTo(at, _)
            | Step::SplitOff(at, _)
            | Step::Split(at)
            | Step::CopyToBytes(at, _)
            | Step::TakeOut(at) => {
                if let Some((buffer, expected)) = self.pick(at) {
                    self.split(step, buffer, expected);
                }
            }
            Step::Unsplit(at) => self.unsplit(at),
            Step::Write(at, _)
            | Step::WriteSpare(at, _)
            | Step::Grow(at, _)
            | Step::Resize(at, ..)
            | Step::Reserve(at, _)
            | Step::Extend(at, _)
            | Step::Truncate(at, _)
            | Step::SetLen(at, _)
            | Step::Advance(at, _)
            | Step::Clear(at)
            | Step::Reclaim(at, _)
            | Step::Parts(at)
            | Step::Edit(at, _) => {
                if let Some((buffer, expected)) = self.pick(at) {
                    let changed = self.change(step, buffer, expected);
                    self.live.push(changed);
                }
            }
        }
    }

    /// Changes one buffer and its expected bytes in the same way.
    fn change(
        &mut self,
        step: &Step,
        mut buffer: Buffer,
        mut expected: Vec<u8>,
    ) -> (Buffer, Vec<u8>) {
        match step {
            Step::Write(_, byte) => {
                let middle = buffer.len() / 2;
                buffer[middle..].fill(*byte);
                expected[middle..].fill(*byte);
            }
            Step::WriteSpare(_, byte) => buffer.spare_capacity_mut().fill(*byte),
            Step::Grow(_, n) => {
                if self.accept(buffer.try_grow(*n)).is_some() {
                    expected.resize(expected.len().max(*n), 0);
                }
            }
            Step::Resize(_, n, byte) => {
                if self.accept(buffer.try_resize(*n, *byte)).is_some() {
                    expected.resize(*n, *byte);
                }
            }
            Step::Reserve(_, n) => {
                if self.accept(buffer.try_reserve(*n)).is_some() {
                    assert!(buffer.capacity() >= expected.len() + n);
                }
            }
            Step::Extend(_, n) => {
                let bytes = self.fresh_bytes(*n);
                if self.accept(buffer.try_reserve(*n)).is_some() {
                    buffer.extend_from_slice(&bytes);
                    expected.extend_from_slice(&bytes);
                }
            }
            Step::Truncate(_, to) => {
                let len = to.index(buffer.len() + 1);
                buffer.truncate(len);
                expected.truncate(len);
            }
            Step::SetLen(_, to) => set_len(&mut buffer, &mut expected, to),
            Step::Advance(_, to) => {
                let count = to.index(buffer.len() + 1);
                buffer.advance(count);
                expected.drain(..count);
            }
            Step::Clear(_) => {
                buffer.clear();
                expected.clear();
            }
            Step::Reclaim(_, to) => reclaim(&mut buffer, to),
            Step::Parts(_) => {
                let (pointer, len, handle) = buffer.into_raw_parts();
                // SAFETY: the three parts come from into_raw_parts just above and are used once.
                buffer = unsafe { Buffer::from_raw_parts(pointer, len, handle) };
            }
            Step::Edit(_, edit) => {
                let outcome = edits::apply(edit, &mut buffer, &mut expected);
                let _ = self.accept(outcome);
            }
            _ => unreachable!("not a change of one buffer: {step:?}"),
        }
        (buffer, expected)
    }

    /// Splits one buffer into two buffers, or into a view and a buffer.
    fn split(&mut self, step: &Step, mut buffer: Buffer, mut expected: Vec<u8>) {
        let (len, capacity) = (buffer.len(), buffer.capacity());
        match step {
            Step::SplitTo(_, to) => {
                let at = to.index(len + 1);
                if let Some(front) = self.accept(buffer.try_split_to(at)) {
                    self.check_capacity(&front, at);
                    self.check_capacity(&buffer, capacity - at);
                    let back = expected.split_off(at);
                    self.live
                        .push((front, std::mem::replace(&mut expected, back)));
                }
                self.live.push((buffer, expected));
            }
            Step::SplitOff(_, to) => {
                let at = to.index(capacity + 1);
                if let Some(rest) = self.accept(buffer.try_split_off(at)) {
                    // Behind the length it has memory of its own.
                    if at <= len {
                        self.check_capacity(&rest, capacity - at);
                    }
                    assert!(rest.capacity() >= capacity - at && buffer.capacity() >= at);
                    self.live.push((rest, expected.split_off(at.min(len))));
                }
                self.live.push((buffer, expected));
            }
            Step::Split(_) => {
                // As `split`, which panics at a limit.
                if let Some(taken) = self.accept(buffer.try_split_to(len)) {
                    self.check_capacity(&taken, len);
                    self.check_capacity(&buffer, capacity - len);
                    self.live.push((taken, std::mem::take(&mut expected)));
                }
                self.live.push((buffer, expected));
            }
            Step::CopyToBytes(_, to) => {
                let count = to.index(len + 1);
                let start = address(&buffer);
                // As `copy_to_bytes`, which panics at a limit.
                if let Some(front) = self.accept(buffer.try_split_to(count)) {
                    let view = front.freeze();
                    let shared = count > 0 && !self.settings.zero_on_free;
                    assert!(!shared || address(&view) == start, "no copy");
                    let back = expected.split_off(count);
                    self.views
                        .push((view, std::mem::replace(&mut expected, back)));
                }
                self.live.push((buffer, expected));
            }
            Step::TakeOut(_) => {
                let taken = Buffer::take(&mut buffer);
                assert_eq!((taken.capacity(), buffer.capacity()), (capacity, 0));
                self.live.extend([(taken, expected), (buffer, Vec::new())]);
            }
            _ => unreachable!("not a split: {step:?}"),
        }
    }

    /// Checks the capacity of a part. In a pool that wipes, splits move bytes to memory of their
    /// own, which may have more.
    fn check_capacity(&self, part: &Buffer, expected: usize) {
        let capacity = part.capacity();
        if self.settings.zero_on_free {
            assert!(capacity >= expected, "{capacity}, not {expected}");
        } else {
            assert_eq!(capacity, expected);
        }
    }

    /// Joins a buffer with its neighbour in the same memory, if there is one, otherwise with any
    /// buffer.
    fn unsplit(&mut self, at: &Index) {
        let Some((mut buffer, mut expected)) = self.pick(at) else {
            return;
        };
        let end = address(&buffer) + buffer.len();
        let is_next = |(other, _): &(Buffer, Vec<u8>)| address(other) == end && !other.is_empty();
        let next = self.live.iter().position(is_next);
        let next = next.or_else(|| (!self.live.is_empty()).then(|| at.index(self.live.len())));
        if let Some(next) = next {
            let (other, back) = self.live.swap_remove(next);
            match buffer.try_unsplit(other) {
                Ok(()) => expected.extend_from_slice(&back),
                Err(other) => self.live.push((other, back)),
            }
        }
        self.live.push((buffer, expected));
    }
}

/// Sets a length up to the capacity. The spare capacity that it shows joins the expected bytes.
fn set_len(buffer: &mut Buffer, expected: &mut Vec<u8>, to: &Index) {
    let len = to.index(buffer.capacity() + 1);
    expected.extend_from_slice(buffer.spare_capacity_mut());
    expected.truncate(len);
    buffer.set_len(len);
}

/// Reclaims capacity. A failure changes nothing.
fn reclaim(buffer: &mut Buffer, to: &Index) {
    let before = (address(buffer), buffer.capacity());
    let additional = to.index(2 * buffer.capacity() + 2);
    if buffer.try_reclaim(additional) {
        assert!(buffer.capacity() >= buffer.len() + additional);
    } else {
        assert_eq!((address(buffer), buffer.capacity()), before);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4000, ..ProptestConfig::default() })]

    /// After any sequence, every buffer equals its `Vec<u8>`, shares no byte with another, and is
    /// freed.
    #[test]
    fn buffers_do_what_vectors_do(settings in settings(), steps in prop::collection::vec(steps(), 1..80)) {
        let mut model = Model::new(settings);
        for step in &steps {
            model.apply(step);
            model.check();
        }
        let Model { budget, pool, other, others, live, views, .. } = model;
        drop((live, views, others));
        assert_all_home(&pool);
        assert_all_home(&other);
        drop((pool, other));
        if let Some(budget) = budget {
            assert_eq!((budget.usage().mapped, budget.usage().pools), (0, 0));
        }
    }
}
