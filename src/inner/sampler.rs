//! The sampler: of one in so many takes it remembers where it was made, and when, until the buffer is dropped.
//!
//! Each thread counts down to its next sample. How far is drawn by lot, from 1 to `2 n - 1`, so that a program
//! that takes in a rhythm does not always show the same beat.
//!
//! What is remembered lies in a table by the memory's *key*: a slot's address, or that of a large buffer's descriptor. A
//! sampled buffer's tag or descriptor says so, and only its drop consults the table. A sample leaves before its memory
//! is freed, so no other buffer has the same key meanwhile.
//!
//! No lock is held while a call stack is captured, made readable or freed.

use crate::error::AllocFailure;
use crate::sync::{AtomicU32, AtomicU64, Mutex, Ordering::Relaxed, lock};
use std::backtrace::Backtrace;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// Tables, each under a lock of its own.
const TABLES: usize = 16;
/// A multiplier that spreads keys over the upper bits: 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// What is remembered of a take.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// The length asked for.
    pub(crate) len: usize,
    pub(crate) born: Instant,
    pub(crate) stack: Arc<Backtrace>,
}

type Table = HashMap<usize, Sample>;

/// See the module's text.
pub(crate) struct Sampler {
    one_in: u32,
    rng_state: AtomicU64,
    /// Takes of threads without a local cache until the next sample.
    uncached_countdown: AtomicU32,
    tables: Vec<Mutex<Table>>,
}

fn hash(key: usize) -> u64 {
    (key as u64).wrapping_mul(SPREAD)
}

fn filled<T>(count: usize, value: impl FnMut() -> T) -> Result<Vec<T>, AllocFailure> {
    let mut all = Vec::new();
    all.try_reserve_exact(count)
        .map_err(|_| AllocFailure::System)?;
    all.resize_with(count, value);
    Ok(all)
}

impl Sampler {
    /// Samples one in `one_in` takes, at least one.
    pub(crate) fn new(one_in: usize) -> Result<Self, AllocFailure> {
        let sampler = Self {
            // So that twice as many fit as well.
            one_in: one_in.clamp(1, 1 << 30) as u32,
            rng_state: AtomicU64::new(1),
            uncached_countdown: AtomicU32::new(0),
            tables: filled(TABLES, || Mutex::new(Table::new()))?,
        };
        sampler
            .uncached_countdown
            .store(sampler.interval() - 1, Relaxed);
        Ok(sampler)
    }

    /// Takes from here to the next sample, that one included.
    pub(crate) fn interval(&self) -> u32 {
        // Splitmix64: what is added has no pattern in the upper bits after this.
        let mut rng_state = self.rng_state.fetch_add(SPREAD, Relaxed);
        rng_state = (rng_state ^ (rng_state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        rng_state = (rng_state ^ (rng_state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let range = u64::from(2 * self.one_in - 1);
        1 + (((rng_state >> 32) * range) >> 32) as u32
    }

    /// Whether a take of a thread without a local cache is to be remembered.
    pub(crate) fn is_uncached_due(&self) -> bool {
        let next = |left: u32| Some(left.checked_sub(1).unwrap_or_else(|| self.interval() - 1));
        self.uncached_countdown.fetch_update(Relaxed, Relaxed, next) == Ok(0)
    }

    fn table(&self, key: usize) -> &Mutex<Table> {
        &self.tables[(hash(key) >> 32) as usize % TABLES]
    }

    /// Remembers this take. Does nothing if the heap has no room for it.
    #[cold]
    #[inline(never)]
    pub(crate) fn remember(&self, key: usize, len: usize) {
        let sample = Sample {
            len,
            born: Instant::now(),
            stack: Arc::new(Backtrace::force_capture()),
        };
        self.insert(key, sample);
    }

    fn insert(&self, key: usize, sample: Sample) {
        let mut larger = Table::new();
        loop {
            let mut table = lock(self.table(key));
            let count = table.len();
            if count < table.capacity() {
                let before = table.insert(key, sample);
                debug_assert!(before.is_none(), "a buffer was dropped unseen");
                return;
            }
            if count < larger.capacity() {
                larger.extend(table.drain());
                std::mem::swap(&mut *table, &mut larger);
                continue;
            }
            // Not under the lock: the heap may have hooks, which may allocate buffers.
            drop(table);
            if larger.try_reserve(2 * count + 8).is_err() {
                return;
            }
        }
    }

    /// Forgets a sampled buffer that is about to be dropped.
    #[cold]
    pub(crate) fn forget(&self, key: usize) {
        drop(self.remove(key));
    }

    fn remove(&self, key: usize) -> Option<Sample> {
        lock(self.table(key)).remove(&key)
    }

    /// A live buffer has moved to other memory, on behalf of a request for `len` bytes: it is as old as it was,
    /// and was taken where it was.
    pub(crate) fn follow(&self, from: usize, to: usize, len: usize) {
        if let Some(sample) = self.remove(from) {
            self.insert(to, Sample { len, ..sample });
        }
    }

    /// Every sample with its key.
    pub(crate) fn samples(&self) -> Vec<(usize, Sample)> {
        let mut samples = Vec::new();
        for table in &self.tables {
            loop {
                // Outside of the lock, so that the heap is not asked under it.
                let count = lock(table).len();
                samples.reserve(count);
                let table = lock(table);
                if table.len() <= samples.capacity() - samples.len() {
                    samples.extend(table.iter().map(|(key, sample)| (*key, sample.clone())));
                    break;
                }
            }
        }
        samples
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn intervals_lie_around_their_mean() {
        assert!((0..100).all(|_| Sampler::new(1).unwrap().interval() == 1));
        let sampler = Sampler::new(100).unwrap();
        let all: Vec<_> = (0..100_000).map(|_| sampler.interval()).collect();
        assert_eq!(all.iter().min(), Some(&1));
        assert_eq!(all.iter().max(), Some(&199));
        let sum: u32 = all.iter().sum();
        assert!((9_900_000..10_100_000).contains(&sum), "{sum}");
    }

    #[test]
    fn strays_are_sampled_like_others() {
        let every = Sampler::new(1).unwrap();
        assert!((0..10).all(|_| every.is_uncached_due()));
        let some = Sampler::new(10).unwrap();
        let count = (0..10_000).filter(|_| some.is_uncached_due()).count();
        assert!((900..1100).contains(&count), "{count}");
    }

    #[test]
    fn a_sample_follows_its_buffer_and_goes_with_it() {
        let sampler = Sampler::new(1).unwrap();
        let keys = || {
            let mut keys: Vec<_> = sampler.samples().into_iter().collect();
            keys.sort_unstable_by_key(|(key, _)| *key);
            keys.iter()
                .map(|(key, sample)| (*key, sample.len))
                .collect::<Vec<_>>()
        };
        for key in 1..=100 {
            sampler.remember(16 * key, key);
        }
        assert_eq!(keys().len(), 100);
        (3..=100).for_each(|key| sampler.forget(16 * key));
        sampler.forget(5);
        assert_eq!(keys(), [(16, 1), (32, 2)]);
        let born = |at| {
            let samples = sampler.samples();
            samples.iter().find(|(key, _)| *key == at).unwrap().1.born
        };
        let first = born(16);
        // From a place that was sampled, and from one that was not.
        sampler.forget(32);
        sampler.follow(16, 32, 7);
        sampler.follow(48, 32, 8);
        assert_eq!(keys(), [(32, 7)]);
        assert_eq!(born(32), first);
        sampler.forget(32);
        assert!(keys().is_empty());
    }
}
