//! Counters of a running copy: bytes done, bytes queued, peaks, signals.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use slabuf::{MemoryUsage, Pool, memory_usage};

use crate::direct::Named;
use crate::failure::Failure;

pub(crate) struct Counters {
    signal: Arc<AtomicUsize>,
    /// Bytes written, or compared.
    done: AtomicU64,
    /// Bytes read and not yet done.
    queued: AtomicU64,
    peak_queued: AtomicU64,
    peak_external: AtomicU64,
    peak_rss: AtomicU64,
    rss_at_start: u64,
    direct: OnceLock<&'static str>,
}

impl Counters {
    /// Creates the counters. From now on SIGINT and SIGTERM do not end the process; `check_signal`
    /// reports them.
    pub(crate) fn new() -> io::Result<Self> {
        let signal = Arc::new(AtomicUsize::new(0));
        for number in [SIGINT, SIGTERM] {
            signal_hook::flag::register_usize(number, Arc::clone(&signal), number as usize)?;
        }
        Ok(Self {
            signal,
            done: AtomicU64::new(0),
            queued: AtomicU64::new(0),
            peak_queued: AtomicU64::new(0),
            peak_external: AtomicU64::new(0),
            peak_rss: AtomicU64::new(0),
            rss_at_start: memory_usage().rss,
            direct: OnceLock::new(),
        })
    }

    pub(crate) fn check_signal(&self) -> Result<(), Failure> {
        match self.signal.load(Relaxed) {
            0 => Ok(()),
            signal => Err(Failure::Interrupted(signal)),
        }
    }

    pub(crate) fn enqueue(&self, len: usize) {
        let queued = self.queued.fetch_add(len as u64, Relaxed) + len as u64;
        self.peak_queued.fetch_max(queued, Relaxed);
    }

    pub(crate) fn dequeue(&self, len: usize) {
        self.queued.fetch_sub(len as u64, Relaxed);
        self.done.fetch_add(len as u64, Relaxed);
    }

    /// Records the peak of `external`. To be called after each allocation, since nothing else maps
    /// memory.
    pub(crate) fn note_external(&self, pool: &Pool) {
        self.peak_external.fetch_max(pool.usage().external, Relaxed);
    }

    /// Returns the bytes done, the bytes queued, and the memory of the process.
    pub(crate) fn now(&self) -> (u64, u64, MemoryUsage) {
        let memory = memory_usage();
        self.peak_rss.fetch_max(memory.rss, Relaxed);
        (self.done.load(Relaxed), self.queued.load(Relaxed), memory)
    }

    /// Records which of the two files bypass the page cache.
    pub(crate) fn note_direct(&self, [read, written]: &[&Named<'_>; 2]) {
        let text = match (read.is_direct(), written.is_direct()) {
            (true, true) => "reads and writes",
            (true, false) => "reads",
            (false, true) => "writes",
            (false, false) => "none",
        };
        let _ = self.direct.set(text);
    }

    pub(crate) fn direct(&self) -> &'static str {
        self.direct.get().copied().unwrap_or("none")
    }

    /// Resets the counters for the next flow.
    pub(crate) fn restart(&self) {
        self.done.store(0, Relaxed);
        self.queued.store(0, Relaxed);
    }

    pub(crate) fn rss_at_start(&self) -> u64 {
        self.rss_at_start
    }

    pub(crate) fn peak_queued(&self) -> u64 {
        self.peak_queued.load(Relaxed)
    }

    pub(crate) fn peak_external(&self) -> u64 {
        self.peak_external.load(Relaxed)
    }

    /// Returns the peak that the kernel recorded, or the highest value seen if it records none.
    pub(crate) fn peak_rss_above_start(&self) -> u64 {
        let (_, _, memory) = self.now();
        let seen = self.peak_rss.load(Relaxed).max(memory.rss);
        recorded_peak_rss()
            .unwrap_or(seen)
            .saturating_sub(self.rss_at_start)
    }
}

fn recorded_peak_rss() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
