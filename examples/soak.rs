//! A stress test of any duration: threads that start and end, lengths from 16 bytes to 4 MiB,
//! buffers sent between threads, trims, several pools, requests that wait, pools dropped before
//! their buffers.
//!
//! ```text
//! cargo run --release --example soak -- 300
//! ```
//!
//! Every buffer holds a pattern that is checked when it is dropped. At the end all buffers are
//! dropped and the counters are compared with zero. The exit code is 1 if a byte was wrong or
//! memory is left.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rng::Rng;
use slabuf::{AllocError, Buffer, Pool, memory_usage};

#[path = "shared/cli.rs"]
mod cli;
#[path = "shared/rng.rs"]
mod rng;

const USAGE: &str = "\
Usage: soak [SECONDS]

Allocates, changes, sends and drops buffers of several pools on several threads for SECONDS (default: 60),
and checks every byte. Prints a line each second. Exit code 1 if a byte was wrong or memory is left.";

/// Above this number of live bytes, threads free buffers instead of allocating.
const LIVE_LIMIT: usize = 192 << 20;
/// Number of threads that run to the end, and of threads that are replaced when they end.
const THREADS_EACH: usize = 3;

/// Time limit of requests to the pool "waiting".
const WAIT_LIMIT: Duration = Duration::from_millis(2);

static STOP: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static TIMED_OUT: AtomicU64 = AtomicU64::new(0);
static THREADS: AtomicU64 = AtomicU64::new(0);
static FAULTS: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);

impl Rng {
    fn random_len(&mut self) -> usize {
        let most = match self.below(1000) {
            0..800 => 1 << 10,
            800..970 => 16 << 10,
            970..997 => 256 << 10,
            _ => 4 << 20,
        };
        16 + self.below(most - 15)
    }
}

/// A buffer and the seed of the pattern it must contain.
struct Marked {
    buffer: Buffer,
    seed: u64,
}

impl Marked {
    fn new(mut buffer: Buffer, seed: u64) -> Self {
        let mut pattern = Rng::new(seed);
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&pattern.next().to_le_bytes()[..chunk.len()]);
        }
        ALLOCATIONS.fetch_add(1, Relaxed);
        LIVE.fetch_add(buffer.len(), Relaxed);
        Self { buffer, seed }
    }

    /// Truncates the buffer, or moves it to a larger capacity. Its pattern stays valid.
    fn reshape(&mut self, rng: &mut Rng) {
        let len = self.buffer.len();
        if rng.below(2) == 0 {
            let shorter = rng.below(len + 1);
            self.buffer.truncate(shorter);
            LIVE.fetch_sub(len - shorter, Relaxed);
        } else {
            // If the pool is at its limit, the buffer is unchanged.
            let _ = self.buffer.try_reserve(len);
        }
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        let len = self.buffer.len();
        LIVE.fetch_sub(len, Relaxed);
        let mut pattern = Rng::new(self.seed);
        let mut chunks = self.buffer.chunks(8);
        if !chunks.all(|chunk| *chunk == pattern.next().to_le_bytes()[..chunk.len()]) {
            fault(&format!(
                "a buffer of {len} bytes does not hold its pattern"
            ));
        }
    }
}

fn fault(text: &str) {
    FAULTS.fetch_add(1, Relaxed);
    eprintln!("{text}");
}

type Pools = Vec<(&'static str, Pool)>;

/// What the threads share: the pools, and the senders to each thread.
type Shared = (Pools, Vec<SyncSender<Marked>>);

/// Allocates a buffer from `pool` with one of the constructors.
fn allocate((name, pool): &(&str, Pool), rng: &mut Rng) -> Option<Marked> {
    let len = rng.random_len();
    let zeroed = rng.below(2) == 0;
    let outcome = match (*name, zeroed) {
        ("waiting", true) => pool.alloc_timeout(len, WAIT_LIMIT),
        ("waiting", false) => pool.alloc_unsafe_timeout(len, WAIT_LIMIT),
        (_, true) => pool.try_alloc(len),
        (_, false) if rng.below(64) == 0 => pool.try_alloc_unsafe_slow(len),
        (_, false) => pool.try_alloc_unsafe(len),
    };
    if let Err(AllocError::TimedOut { .. }) = outcome {
        TIMED_OUT.fetch_add(1, Relaxed);
    }
    let buffer = outcome.ok()?;
    let scrubbed = *name == "zero_on_free";
    if (zeroed || scrubbed) && buffer.iter().any(|byte| *byte != 0) {
        fault(&format!("{len} bytes that should be zero are not"));
    }
    Some(Marked::new(buffer, rng.next()))
}

/// Runs a thread's steps. A buffer is dropped if the receiver's queue is full or the receiver has
/// ended.
fn work((pools, senders): &Shared, inbox: Option<&Receiver<Marked>>, mut rng: Rng, steps: usize) {
    let mut held: Vec<Marked> = Vec::new();
    for _ in (0..steps).take_while(|_| !STOP.load(Relaxed)) {
        held.extend(inbox.and_then(|inbox| inbox.try_recv().ok()));
        while held.len() > 2000 || (LIVE.load(Relaxed) > LIVE_LIMIT && !held.is_empty()) {
            held.swap_remove(rng.below(held.len()));
        }
        let pool = &pools[rng.below(pools.len())];
        match rng.below(100) {
            0..50 => held.extend(allocate(pool, &mut rng)),
            _ if held.is_empty() => {}
            50..80 => drop(held.swap_remove(rng.below(held.len()))),
            80..95 => {
                let sender = &senders[rng.below(senders.len())];
                let _ = sender.try_send(held.swap_remove(rng.below(held.len())));
            }
            _ => {
                let at = rng.below(held.len());
                held[at].reshape(&mut rng);
            }
        }
        if rng.below(5000) == 0 {
            pool.1.trim();
        }
    }
}

/// Builds a pool, sends its buffers to other threads, and drops the pool before them.
fn orphan_buffers((_, senders): &Shared, rng: &mut Rng) {
    let pool = (
        "orphans",
        Pool::builder().build().expect("memory for a pool"),
    );
    let marked: Vec<_> = (0..20).filter_map(|_| allocate(&pool, rng)).collect();
    drop(pool);
    for buffer in marked {
        let _ = senders[rng.below(senders.len())].try_send(buffer);
    }
}

fn start(shared: &Arc<Shared>, inbox: Option<Receiver<Marked>>) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    let mut rng = Rng::new(THREADS.fetch_add(1, Relaxed) + 1);
    thread::spawn(move || {
        if inbox.is_none() {
            orphan_buffers(&shared, &mut rng);
        }
        let steps = inbox
            .as_ref()
            .map_or(100 + rng.below(20_000), |_| usize::MAX);
        work(&shared, inbox.as_ref(), rng, steps);
    })
}

/// Runs the threads for `seconds`. When it returns, all have ended and all their buffers are
/// dropped.
fn run(pools: &Pools, seconds: u64) -> io::Result<()> {
    let (senders, inboxes): (Vec<_>, Vec<_>) = (0..THREADS_EACH).map(|_| sync_channel(64)).unzip();
    let shared = Arc::new((pools.clone(), senders));
    let long = inboxes.into_iter().map(|inbox| start(&shared, Some(inbox)));
    let (long, mut short): (Vec<_>, Vec<_>) = (long.collect(), Vec::new());
    let (begin, mut second) = (Instant::now(), 0);
    let mut outcome = Ok(());
    while second < seconds && outcome.is_ok() {
        let (ended, running) = short.into_iter().partition(JoinHandle::is_finished);
        join(ended);
        short = running;
        while short.len() < THREADS_EACH {
            short.push(start(&shared, None));
        }
        thread::sleep(Duration::from_millis(5));
        if begin.elapsed().as_secs() > second {
            second = begin.elapsed().as_secs();
            let (allocations, usage) = (ALLOCATIONS.load(Relaxed), memory_usage());
            let (external, rss) = (usage.external >> 20, usage.rss >> 20);
            outcome = writeln!(
                io::stdout(),
                "{second:>5} s: {allocations} allocations, external {external} MiB, rss {rss} MiB"
            );
        }
    }
    STOP.store(true, Relaxed);
    join(short);
    join(long);
    outcome
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap_or_else(|_| fault("a thread panicked"));
    }
}

/// Checks that no buffer and no memory is left. Returns the number of faults of the whole run.
fn recount(pools: &Pools, start_rss: u64) -> io::Result<u64> {
    for (name, pool) in pools {
        pool.trim();
        let usage = pool.usage();
        if (usage.in_use, usage.array_buffers) != (0, 0) {
            fault(&format!("pool {name} is not empty: {usage:?}"));
        }
        if pool.is_over_high_water() {
            fault(&format!(
                "pool {name} is over its mark without live buffers"
            ));
        }
    }
    let end = memory_usage();
    if end.array_buffers != 0 || LIVE.load(Relaxed) != 0 {
        fault(&format!("buffers are left: {end}"));
    }
    if end.rss > start_rss + (64 << 20) {
        fault("rss did not return to within 64 MiB of its start");
    }
    writeln!(io::stdout(), "rss {start_rss} before, {} after", end.rss)?;
    Ok(FAULTS.load(Relaxed))
}

fn main() -> ExitCode {
    cli::main(USAGE, parse, soak)
}

/// Returns the number of seconds; `None` if the user asks for help.
fn parse(arguments: Vec<OsString>) -> Result<Option<u64>, String> {
    let Some(seconds) = cli::at_most_one(arguments)? else {
        return Ok(None);
    };
    let text = seconds.as_deref().unwrap_or("60");
    match text.parse() {
        Ok(seconds) => Ok(Some(seconds)),
        Err(error) => Err(format!("SECONDS {text}: {error}")),
    }
}

fn soak(seconds: u64) -> Result<ExitCode, Box<dyn Error>> {
    let pools: Pools = vec![
        ("global", Pool::global().clone()),
        ("limit", Pool::builder().limit(16 << 20).build()?),
        ("zero_on_free", Pool::builder().zero_on_free(true).build()?),
        (
            "waiting",
            Pool::builder()
                .limit(8 << 20)
                .high_water_mark(4 << 20)
                .build()?,
        ),
    ];
    let start_rss = memory_usage().rss;
    let outcome = run(&pools, seconds);
    let faults = recount(&pools, start_rss)?;
    outcome?;
    let counts = [&ALLOCATIONS, &TIMED_OUT, &THREADS];
    let [allocations, timed_out, threads] = counts.map(|n| n.load(Relaxed));
    writeln!(
        io::stdout(),
        "{allocations} allocations, {timed_out} timed out, {threads} threads, {faults} faults"
    )?;
    Ok(ExitCode::from(u8::from(faults != 0)))
}
