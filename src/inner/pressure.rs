//! Counters that a pool updates on slow paths: live bytes for its watermarks, allocations for its
//! sampler, requests that fail.

use super::PoolInner;
use crate::depot::cache::ThreadCache;
use crate::error::AllocFailure;
use crate::pressure::watermark::Change;
use std::sync::atomic::Ordering::Relaxed;

impl PoolInner {
    /// Counts a request that failed.
    pub(crate) fn count_refusal(&self, failure: AllocFailure) {
        if failure != AllocFailure::Length {
            self.refused.fetch_add(1, Relaxed);
        }
        if failure == AllocFailure::Budget
            && let Some(shared) = self.shared()
        {
            shared.refused.fetch_add(1, Relaxed);
        }
    }

    /// Counts a request that waited and timed out.
    pub(crate) fn count_timeout(&self) {
        self.timed_out.fetch_add(1, Relaxed);
        if let Some(shared) = self.shared() {
            shared.timed_out.fetch_add(1, Relaxed);
        }
    }

    /// Counts slots that left the depot and the slabs, and slots that came back with a block. Wakes
    /// no thread, so the caller may be inside a gate.
    #[inline]
    pub(super) fn count_slots(&self, class: usize, out: u32, back: u32) {
        if let Some(watermarks) = &self.watermarks {
            let size = self.table.get(class).slot_size as usize;
            watermarks.add(out as usize * size);
            watermarks.subtract(back as usize * size);
        }
    }

    /// Compares the live bytes with the watermarks after an allocation of slots or of a large
    /// buffer. May make system calls and run wakers.
    #[inline]
    pub(crate) fn check_watermarks(&self) {
        if let Some(watermarks) = &self.watermarks {
            self.follow(watermarks.check());
        }
    }

    /// Counts bytes that were freed past the magazines, and compares with the watermarks. May make
    /// system calls and run wakers.
    #[inline]
    pub(crate) fn count_freed(&self, bytes: usize) {
        if let Some(watermarks) = &self.watermarks {
            self.follow(watermarks.free(bytes));
        }
    }

    /// Counts the bytes of a large buffer that was allocated or grew, and compares with the
    /// watermarks. May make system calls and run wakers.
    #[inline]
    pub(crate) fn count_large(&self, bytes: usize) {
        if let Some(watermarks) = &self.watermarks {
            watermarks.add(bytes);
            self.follow(watermarks.check());
        }
    }

    #[inline]
    fn follow(&self, mut change: Option<Change>) {
        let Some(watermarks) = &self.watermarks else {
            return;
        };
        while let Some(next) = change.take() {
            match next {
                Change::CountExactly => {
                    self.count_exactly();
                    watermarks.is_exact_now();
                }
                Change::CountBlocks => {
                    self.count_blocks();
                    change = watermarks.is_by_blocks_now();
                }
            }
        }
    }

    /// Returns whether the sampler is to remember the allocation that the calling thread has just
    /// made. Advances the countdown to the next sample.
    pub(crate) fn is_sample_due(&self, cache: Option<&ThreadCache>) -> bool {
        let Some(sampler) = &self.sampler else {
            return false;
        };
        let Some(cache) = cache else {
            return sampler.is_uncached_due();
        };
        let less = cache.sample_countdown.get().checked_sub(1);
        cache
            .sample_countdown
            .set(less.unwrap_or_else(|| sampler.interval() - 1));
        less.is_none()
    }

    /// Remembers an allocation and returns whether it did: see
    /// [`Sampler::remember`](super::sampler::Sampler::remember).
    pub(crate) fn remember(&self, key: usize, len: usize) -> bool {
        self.sampler
            .as_ref()
            .is_some_and(|sampler| sampler.remember(key, len))
    }
}
