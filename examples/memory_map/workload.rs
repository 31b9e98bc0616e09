//! The workload that is looked at: many live buffers of mixed lengths, replaced at random.

use crate::rng::Rng;
use slabuf::{Buffer, Pool};

/// Live buffers of 16 to 8191 bytes.
pub(crate) const SMALL: usize = 100_000;
/// Live buffers of 16 KiB to 4 MiB.
pub(crate) const LARGE: usize = 40;

impl Rng {
    /// A length below `high`, every doubling from `low` on as likely as the next.
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

    /// Takes a buffer and writes to all of it, so that the system has to find the memory.
    fn take(&mut self, low: f64, high: f64) -> Buffer {
        let mut buffer = self.pool.alloc_unsafe(self.rng.log_uniform(low, high));
        buffer.fill(0xAB);
        buffer
    }

    fn take_small(&mut self) -> Buffer {
        self.take(16.0, 8192.0)
    }

    fn take_large(&mut self) -> Buffer {
        self.take(16e3, 4.0 * 1024.0 * 1024.0)
    }

    /// Takes some more, until there are as many as there are to be; `true` then.
    pub(crate) fn fill(&mut self, steps: usize) -> bool {
        for _ in 0..steps {
            if self.small.len() == SMALL {
                return true;
            }
            let one = self.take_small();
            self.small.push(one);
            if self.large.len() < self.small.len() * LARGE / SMALL {
                let one = self.take_large();
                self.large.push(one);
            }
        }
        self.small.len() == SMALL
    }

    /// Replaces buffers chosen at random.
    pub(crate) fn replace(&mut self, steps: usize) {
        for step in 0..steps {
            let place = self.rng.below(self.small.len());
            self.small[place] = self.take_small();
            if step % (SMALL / LARGE) == 0 && !self.large.is_empty() {
                let place = self.rng.below(self.large.len());
                self.large[place] = self.take_large();
            }
        }
    }

    /// Drops all but one in fifty, chosen at random.
    pub(crate) fn drop_most(&mut self) {
        let Self {
            rng, small, large, ..
        } = self;
        small.retain(|_| rng.below(50) == 0);
        large.truncate(LARGE / 10);
    }
}
