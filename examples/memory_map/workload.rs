//! The workload to draw: many live buffers of mixed lengths, replaced at random.

use crate::rng::Rng;
use slabuf::{Buffer, Pool};

/// Number of live buffers of 16 to 8191 bytes.
pub(crate) const SMALL: usize = 100_000;
/// Number of live buffers of 16 KiB to 4 MiB.
pub(crate) const LARGE: usize = 40;

impl Rng {
    /// Returns a length from `low` to below `high`; each doubling is equally likely.
    fn log_uniform(&mut self, low: f64, high: f64) -> usize {
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        (low * (high / low).powf(unit)) as usize
    }
}

pub(crate) struct Workload {
    pub(crate) pool: Pool,
    rng: Rng,
    small: Vec<Buffer>,
    large: Vec<Buffer>,
}

impl Workload {
    pub(crate) fn new(pool: Pool) -> Self {
        Self {
            pool,
            rng: Rng::new(1),
            small: Vec::new(),
            large: Vec::new(),
        }
    }

    pub(crate) fn live(&self) -> usize {
        self.small.len() + self.large.len()
    }

    /// Allocates a buffer and writes all of it, so that its pages become resident.
    fn alloc(&mut self, low: f64, high: f64) -> Buffer {
        let mut buffer = self.pool.alloc_unsafe(self.rng.log_uniform(low, high));
        buffer.fill(0xAB);
        buffer
    }

    fn alloc_small(&mut self) -> Buffer {
        self.alloc(16.0, 8192.0)
    }

    fn alloc_large(&mut self) -> Buffer {
        self.alloc(16e3, 4.0 * 1024.0 * 1024.0)
    }

    /// Allocates up to `steps` more buffers. Returns `true` when the workload is complete.
    pub(crate) fn fill(&mut self, steps: usize) -> bool {
        for _ in 0..steps {
            if self.small.len() == SMALL {
                return true;
            }
            let buffer = self.alloc_small();
            self.small.push(buffer);
            if self.large.len() < self.small.len() * LARGE / SMALL {
                let buffer = self.alloc_large();
                self.large.push(buffer);
            }
        }
        self.small.len() == SMALL
    }

    /// Replaces buffers chosen at random.
    pub(crate) fn replace(&mut self, steps: usize) {
        for step in 0..steps {
            let place = self.rng.below(self.small.len());
            self.small[place] = self.alloc_small();
            if step % (SMALL / LARGE) == 0 && !self.large.is_empty() {
                let place = self.rng.below(self.large.len());
                self.large[place] = self.alloc_large();
            }
        }
    }

    /// Drops all but one buffer in fifty, chosen at random.
    pub(crate) fn drop_most(&mut self) {
        let Self {
            rng, small, large, ..
        } = self;
        small.retain(|_| rng.below(50) == 0);
        large.truncate(LARGE / 10);
    }
}
