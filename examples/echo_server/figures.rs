//! Figures of a server: while it runs, each second, and at the end.

use crate::options::Options;
use slabuf::{Pool, memory_usage};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const MIB: f64 = (1 << 20) as f64;
/// Numbers of a report that only a server with a pool has.
const OF_A_POOL: [&str; 6] = [
    "limit",
    "peak_external",
    "peak_in_use",
    "waits",
    "mean_wait_ms",
    "longest_wait_ms",
];
/// How often the pool is looked at.
const SAMPLE: Duration = Duration::from_millis(10);

/// What connections count, and the pool they take from.
pub(crate) struct Figures {
    pool: Option<Pool>,
    message: u64,
    pub(crate) connections: AtomicUsize,
    /// Bytes read and written again.
    pub(crate) echoed: AtomicU64,
    /// Connections that wait for memory now.
    pub(crate) waiting: AtomicUsize,
    waits: AtomicU64,
    waited_us: AtomicU64,
    longest_wait_us: AtomicU64,
    /// Connections closed because the client did not read.
    pub(crate) cut: AtomicUsize,
    peak_external: AtomicU64,
    peak_in_use: AtomicU64,
    peak_connections: AtomicUsize,
}

impl Figures {
    pub(crate) fn new(options: &Options, pool: Option<Pool>) -> Self {
        Self {
            pool,
            message: options.message as u64,
            connections: AtomicUsize::new(0),
            echoed: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            waits: AtomicU64::new(0),
            waited_us: AtomicU64::new(0),
            longest_wait_us: AtomicU64::new(0),
            cut: AtomicUsize::new(0),
            peak_external: AtomicU64::new(0),
            peak_in_use: AtomicU64::new(0),
            peak_connections: AtomicUsize::new(0),
        }
    }

    pub(crate) fn connected(&self) {
        let now = self.connections.fetch_add(1, Relaxed) + 1;
        self.peak_connections.fetch_max(now, Relaxed);
    }

    pub(crate) fn waited(&self, time: Duration) {
        let us = time.as_micros() as u64;
        self.waits.fetch_add(1, Relaxed);
        self.waited_us.fetch_add(us, Relaxed);
        self.longest_wait_us.fetch_max(us, Relaxed);
    }

    /// The pool's external and live bytes.
    fn look(&self) -> (u64, u64) {
        let Some(pool) = &self.pool else {
            return (0, 0);
        };
        let usage = pool.usage();
        self.peak_external.fetch_max(usage.external, Relaxed);
        self.peak_in_use.fetch_max(usage.in_use, Relaxed);
        (usage.external, usage.in_use)
    }

    /// One line; `echoed` is what had been echoed at the line before, `time` since then.
    fn print(&self, second: u64, echoed: u64, time: Duration) {
        let (external, in_use) = self.look();
        let requests = (self.echoed.load(Relaxed) - echoed) as f64 / self.message as f64;
        println!(
            "{second:>4} s {:>6} connections {:>9.0} requests/s {:>7.2} MiB external {:>7.2} in use {:>5} waiting {:>8} waits {:>7.1} rss",
            self.connections.load(Relaxed),
            requests / time.as_secs_f64(),
            external as f64 / MIB,
            in_use as f64 / MIB,
            self.waiting.load(Relaxed),
            self.waits.load(Relaxed),
            memory_usage().rss as f64 / MIB,
        );
    }
}

/// A thread that looks at the pool often and prints a line each second.
pub(crate) struct Sampler {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Sampler {
    pub(crate) fn start(figures: Arc<Figures>) -> Self {
        let (stop, stopped) = channel();
        let thread = thread::spawn(move || {
            let (mut second, mut echoed, mut last) = (0, 0, Instant::now());
            while stopped.recv_timeout(SAMPLE) == Err(RecvTimeoutError::Timeout) {
                figures.look();
                if last.elapsed() >= Duration::from_secs(1) {
                    second += 1;
                    figures.print(second, echoed, last.elapsed());
                    echoed = figures.echoed.load(Relaxed);
                    last = Instant::now();
                }
            }
        });
        Self { stop, thread }
    }

    pub(crate) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            eprintln!("the sampling thread has panicked");
        }
    }
}

/// Numbers by name, printed as `name=number`, one line.
pub(crate) struct Report {
    numbers: Vec<(&'static str, f64)>,
    good: bool,
}

impl Report {
    /// From the server's figures and the client's line.
    pub(crate) fn new(options: &Options, figures: &Figures, client: &str) -> Self {
        let client = parse(client);
        let of = |name| client.get(name).copied().unwrap_or(0.0);
        let requests = of("requests");
        let waits = figures.waits.load(Relaxed) as f64;
        let peak_external = figures.peak_external.load(Relaxed);
        let mut numbers = vec![
            ("connections", figures.peak_connections.load(Relaxed) as f64),
            ("done", of("done")),
            ("dropped", of("dropped")),
            ("wrong", of("wrong")),
            ("cut", of("cut")),
            ("requests", requests),
            ("rate", of("in_time") / (of("elapsed_us") / 1e6).max(1e-6)),
            ("longest_ms", of("longest_us") / 1e3),
            ("waits", waits),
            (
                "mean_wait_ms",
                figures.waited_us.load(Relaxed) as f64 / 1e3 / waits.max(1.0),
            ),
            (
                "longest_wait_ms",
                figures.longest_wait_us.load(Relaxed) as f64 / 1e3,
            ),
            ("limit", options.limit as f64),
            ("peak_external", peak_external as f64),
            ("peak_in_use", figures.peak_in_use.load(Relaxed) as f64),
            ("peak_rss", peak_rss() as f64),
            ("cpu_us", cpu().as_secs_f64() * 1e6 / requests.max(1.0)),
        ];
        if options.bytes_mut {
            numbers.retain(|(name, _)| !OF_A_POOL.contains(name));
        }
        let expected = options.connections - options.stuck - options.idle;
        let good = of("done") == expected as f64
            && of("cut") == options.stuck as f64
            && of("dropped") == 0.0
            && of("wrong") == 0.0
            && figures.cut.load(Relaxed) == options.stuck
            && (options.bytes_mut || peak_external <= options.limit as u64);
        Self { numbers, good }
    }

    pub(crate) fn print(&self) -> bool {
        let numbers = self.numbers.iter().map(|(name, number)| {
            let places = if number.fract() == 0.0 { 0 } else { 2 };
            format!(" {name}={number:.places$}")
        });
        println!("result{}", numbers.collect::<String>());
        self.good
    }
}

/// The numbers of a line of `name=number`.
pub(crate) fn parse(line: &str) -> HashMap<&str, f64> {
    let pairs = line
        .split_whitespace()
        .filter_map(|word| word.split_once('='));
    pairs
        .filter_map(|(name, number)| Some((name, number.parse().ok()?)))
        .collect()
}

/// The most resident memory this process has had, in bytes; 0 where the system does not tell.
fn peak_rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Processor time of this process, in the kernel too.
#[cfg(unix)]
fn cpu() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes one `timespec`, which `time` is.
    if unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) } != 0 {
        return Duration::ZERO;
    }
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(not(unix))]
fn cpu() -> Duration {
    Duration::ZERO
}
