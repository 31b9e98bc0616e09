//! The sampler: remembers where and when one in `n` allocations was made, until the buffer is
//! dropped.
//!
//! Each thread counts down to its next sample. The interval is random, from 1 to `2 n - 1`, so that
//! a program that allocates periodically is not sampled at the same phase each time.
//!
//! A sample is stored in a table by the memory's *key*: a slot's address, or the address of a large
//! buffer's descriptor. A flag in the tag or descriptor marks a sampled buffer, and only the drop
//! of a marked buffer accesses the table. A sample is removed before its memory is freed, so no
//! other buffer has the same key meanwhile.
//!
//! No lock is held while a call stack is captured, resolved or freed.

use crate::error::AllocFailure;
use crate::sync::{AtomicU32, AtomicU64, Mutex, Ordering::Relaxed, lock};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// Number of tables. Each has its own lock.
const TABLES: usize = 16;
/// A multiplier that spreads keys over the upper bits: 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// A sampled allocation.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// The requested length.
    pub(crate) len: usize,
    pub(crate) born: Instant,
    pub(crate) stack: Arc<Backtrace>,
}

thread_local! {
    // Has no destructor, so it exists until the thread's end.
    static CAPTURING: Cell<bool> = const { Cell::new(false) };
}

type Table = HashMap<usize, Sample>;

/// The sampler of one pool: see the module's text.
pub(crate) struct Sampler {
    one_in: u32,
    rng_state: AtomicU64,
    /// Number of allocations by threads without a cache until the next sample.
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
    /// Creates a sampler of one in `one_in` allocations, of each one if `one_in` is 0.
    pub(crate) fn new(one_in: usize) -> Result<Self, AllocFailure> {
        let sampler = Self {
            // Twice this value fits into a `u32` as well.
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

    /// Returns a random number of allocations until the next sample, including the sampled one.
    pub(crate) fn interval(&self) -> u32 {
        // Splitmix64: after these steps the upper bits show no pattern.
        let mut rng_state = self.rng_state.fetch_add(SPREAD, Relaxed);
        rng_state = (rng_state ^ (rng_state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        rng_state = (rng_state ^ (rng_state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let range = u64::from(2 * self.one_in - 1);
        1 + (((rng_state >> 32) * range) >> 32) as u32
    }

    /// Returns whether an allocation by a thread without a cache is to be remembered. Advances the
    /// countdown.
    pub(crate) fn is_uncached_due(&self) -> bool {
        let next = |left: u32| Some(left.checked_sub(1).unwrap_or_else(|| self.interval() - 1));
        self.uncached_countdown.fetch_update(Relaxed, Relaxed, next) == Ok(0)
    }

    fn table(&self, key: usize) -> &Mutex<Table> {
        &self.tables[(hash(key) >> 32) as usize % TABLES]
    }

    /// Remembers this allocation. Returns `false` if the calling thread is capturing a call stack
    /// already: then a hook of the heap is the caller, and the thread holds a lock of the standard
    /// library. The sample is lost if the heap has no memory for it.
    #[cold]
    #[inline(never)]
    pub(crate) fn remember(&self, key: usize, len: usize) -> bool {
        if CAPTURING.replace(true) {
            return false;
        }
        let stack = Arc::new(Backtrace::force_capture());
        CAPTURING.set(false);
        let sample = Sample {
            len,
            born: Instant::now(),
            stack,
        };
        self.insert(key, sample);
        true
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
            // The table grows outside of the lock, because the heap may have hooks, which may
            // allocate buffers.
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

    /// Moves the sample of a live buffer that has moved to other memory, for a request of `len`
    /// bytes. Its age and call stack stay the same.
    pub(crate) fn follow(&self, from: usize, to: usize, len: usize) {
        if let Some(sample) = self.remove(from) {
            self.insert(to, Sample { len, ..sample });
        }
    }

    /// Returns every sample with its key.
    pub(crate) fn samples(&self) -> Vec<(usize, Sample)> {
        let mut samples = Vec::new();
        for table in &self.tables {
            loop {
                // Reserves outside of the lock, so that the heap is not called under it.
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
        // The first key has a sample to move, the second has none.
        sampler.forget(32);
        sampler.follow(16, 32, 7);
        sampler.follow(48, 32, 8);
        assert_eq!(keys(), [(32, 7)]);
        assert_eq!(born(32), first);
        sampler.forget(32);
        assert!(keys().is_empty());
    }
}
