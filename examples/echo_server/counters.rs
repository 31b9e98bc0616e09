//! Counters of a server: a line per second while it runs, and a report at the end.

use crate::options::Options;
use slabuf::{Pool, memory_usage};
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const MIB: f64 = (1 << 20) as f64;
/// Names in a report that only a server with a pool has.
const OF_A_POOL: [&str; 6] = [
    "limit",
    "peak_external",
    "peak_in_use",
    "waits",
    "mean_wait_ms",
    "longest_wait_ms",
];
/// Interval at which the pool is sampled.
const SAMPLE: Duration = Duration::from_millis(10);

/// Counters of the connections, and the pool that they allocate from.
pub(crate) struct Counters {
    pool: Option<Pool>,
    message: u64,
    pub(crate) connections: AtomicUsize,
    /// Bytes read and written back.
    pub(crate) echoed: AtomicU64,
    /// Connections that wait for memory at the moment.
    pub(crate) waiting: AtomicUsize,
    waits: AtomicU64,
    waited_us: AtomicU64,
    longest_wait_us: AtomicU64,
    /// Connections closed because the client did not read.
    pub(crate) cut: AtomicUsize,
    peak_external: AtomicU64,
    peak_in_use: AtomicU64,
    peak_connections: AtomicUsize,
    /// Set when a line cannot be printed. The server then ends.
    pub(crate) output_closed: AtomicBool,
}

impl Counters {
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
            output_closed: AtomicBool::new(false),
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

    /// Updates the peaks. Returns the pool's external and live bytes.
    fn sample(&self) -> (u64, u64) {
        let Some(pool) = &self.pool else {
            return (0, 0);
        };
        let usage = pool.usage();
        self.peak_external.fetch_max(usage.external, Relaxed);
        self.peak_in_use.fetch_max(usage.in_use, Relaxed);
        (usage.external, usage.in_use)
    }

    /// Prints one line. `echoed` is the value of the counter at the previous line, `time` the time
    /// since.
    fn print(&self, second: u64, echoed: u64, time: Duration) -> io::Result<()> {
        let (external, in_use) = self.sample();
        let requests = (self.echoed.load(Relaxed) - echoed) as f64 / self.message as f64;
        writeln!(
            io::stdout(),
            "{second:>4} s {:>6} connections {:>9.0} requests/s {:>7.2} MiB external {:>7.2} in use {:>5} waiting {:>8} waits {:>7.1} rss",
            self.connections.load(Relaxed),
            requests / time.as_secs_f64(),
            external as f64 / MIB,
            in_use as f64 / MIB,
            self.waiting.load(Relaxed),
            self.waits.load(Relaxed),
            memory_usage().rss as f64 / MIB,
        )
    }
}

/// A thread that samples the pool and prints a line each second, until it is stopped or the output
/// is closed.
pub(crate) struct Sampler {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Sampler {
    pub(crate) fn start(counters: Arc<Counters>) -> Self {
        let (stop, stopped) = channel();
        let thread = thread::spawn(move || {
            let (mut second, mut echoed, mut last) = (0, 0, Instant::now());
            while stopped.recv_timeout(SAMPLE) == Err(RecvTimeoutError::Timeout) {
                counters.sample();
                if last.elapsed() >= Duration::from_secs(1) {
                    second += 1;
                    if counters.print(second, echoed, last.elapsed()).is_err() {
                        counters.output_closed.store(true, Relaxed);
                        break;
                    }
                    echoed = counters.echoed.load(Relaxed);
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

/// Numbers by name, printed as `name=number` on one line.
pub(crate) struct Report {
    numbers: Vec<(&'static str, f64)>,
    good: bool,
}

impl Report {
    /// Combines the server's counters and the client's line.
    pub(crate) fn new(options: &Options, counters: &Counters, client: &str) -> Self {
        let client = parse(client);
        let of = |name| client.get(name).copied().unwrap_or(0.0);
        let requests = of("requests");
        let waits = counters.waits.load(Relaxed) as f64;
        let peak_external = counters.peak_external.load(Relaxed);
        let mut numbers = vec![
            (
                "connections",
                counters.peak_connections.load(Relaxed) as f64,
            ),
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
                counters.waited_us.load(Relaxed) as f64 / 1e3 / waits.max(1.0),
            ),
            (
                "longest_wait_ms",
                counters.longest_wait_us.load(Relaxed) as f64 / 1e3,
            ),
            ("limit", options.limit as f64),
            ("peak_external", peak_external as f64),
            ("peak_in_use", counters.peak_in_use.load(Relaxed) as f64),
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
            && counters.cut.load(Relaxed) == options.stuck
            && (options.bytes_mut || peak_external <= options.limit as u64);
        Self { numbers, good }
    }

    /// Prints the report as one line. Returns whether the run was correct.
    pub(crate) fn print(&self) -> io::Result<bool> {
        let numbers = self.numbers.iter().map(|(name, number)| {
            let places = if number.fract() == 0.0 { 0 } else { 2 };
            format!(" {name}={number:.places$}")
        });
        writeln!(io::stdout(), "result{}", numbers.collect::<String>())?;
        Ok(self.good)
    }
}

/// Parses a line of `name=number`.
pub(crate) fn parse(line: &str) -> HashMap<&str, f64> {
    let pairs = line
        .split_whitespace()
        .filter_map(|word| word.split_once('='));
    pairs
        .filter_map(|(name, number)| Some((name, number.parse().ok()?)))
        .collect()
}

/// Returns the peak resident memory of this process in bytes, or 0 if the system does not report
/// it.
fn peak_rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Returns the processor time of this process, user and kernel.
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
