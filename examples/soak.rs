//! Everything at once, for as long as you like: threads that come and go, sizes from 16 bytes to 4 MiB,
//! buffers handed from thread to thread, trims, several pools, requests that wait, pools that are dropped before their
//! buffers.
//!
//! `cargo run --release --example soak -- 300`
//!
//! Every buffer carries a pattern that is checked when it is dropped. In the end everything is dropped and
//! recounted; the exit code is 1 if a byte was wrong or a byte is left.

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rng::Rng;
use slabuf::{AllocError, Buffer, Pool, memory_usage};

#[path = "shared/rng.rs"]
mod rng;

/// Bytes that all threads together may hold, before they drop instead of taking.
const LIVE_LIMIT: usize = 192 << 20;
/// Threads that last, and as many that come and go.
const THREADS_EACH: usize = 3;

/// How long a request for memory of the pool "waiting" waits.
const PATIENCE: Duration = Duration::from_millis(2);

static STOP: AtomicBool = AtomicBool::new(false);
static TAKES: AtomicU64 = AtomicU64::new(0);
static TIMED_OUT: AtomicU64 = AtomicU64::new(0);
static THREADS: AtomicU64 = AtomicU64::new(0);
static FAULTS: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);

impl Rng {
    fn mostly_small_len(&mut self) -> usize {
        let most = match self.below(1000) {
            0..800 => 1 << 10,
            800..970 => 16 << 10,
            970..997 => 256 << 10,
            _ => 4 << 20,
        };
        16 + self.below(most - 15)
    }
}

/// A buffer that knows what it has to contain.
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
        TAKES.fetch_add(1, Relaxed);
        LIVE.fetch_add(buffer.len(), Relaxed);
        Self { buffer, seed }
    }

    /// Cuts the buffer, or moves it to a larger capacity; either way its pattern stays.
    fn reshape(&mut self, rng: &mut Rng) {
        let len = self.buffer.len();
        if rng.below(2) == 0 {
            let shorter = rng.below(len + 1);
            self.buffer.truncate(shorter);
            LIVE.fetch_sub(len - shorter, Relaxed);
        } else {
            // Refused by a pool at its limit, the buffer stays as it is.
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

/// What the threads share: the pools, and the ways to hand a buffer over.
type Stage = (Pools, Vec<SyncSender<Marked>>);

/// One buffer from `pool`, by one of the constructors.
fn take((name, pool): &(&str, Pool), rng: &mut Rng) -> Option<Marked> {
    let len = rng.mostly_small_len();
    let zeroed = rng.below(2) == 0;
    let taken = match (*name, zeroed) {
        ("waiting", true) => pool.alloc_timeout(len, PATIENCE),
        ("waiting", false) => pool.alloc_unsafe_timeout(len, PATIENCE),
        (_, true) => pool.try_alloc(len),
        (_, false) if rng.below(64) == 0 => pool.try_alloc_unsafe_slow(len),
        (_, false) => pool.try_alloc_unsafe(len),
    };
    if let Err(AllocError::TimedOut { .. }) = taken {
        TIMED_OUT.fetch_add(1, Relaxed);
    }
    let buffer = taken.ok()?;
    let scrubbed = *name == "zero_on_free";
    if (zeroed || scrubbed) && buffer.iter().any(|byte| *byte != 0) {
        fault(&format!("{len} bytes that should be zero are not"));
    }
    Some(Marked::new(buffer, rng.next()))
}

/// A thread's work. What finds a queue full, or nobody there, is dropped here.
fn work((pools, doors): &Stage, inbox: Option<&Receiver<Marked>>, mut rng: Rng, steps: usize) {
    let mut held: Vec<Marked> = Vec::new();
    for _ in (0..steps).take_while(|_| !STOP.load(Relaxed)) {
        held.extend(inbox.and_then(|inbox| inbox.try_recv().ok()));
        while held.len() > 2000 || (LIVE.load(Relaxed) > LIVE_LIMIT && !held.is_empty()) {
            held.swap_remove(rng.below(held.len()));
        }
        let pool = &pools[rng.below(pools.len())];
        match rng.below(100) {
            0..50 => held.extend(take(pool, &mut rng)),
            _ if held.is_empty() => {}
            50..80 => drop(held.swap_remove(rng.below(held.len()))),
            80..95 => {
                let door = &doors[rng.below(doors.len())];
                let _ = door.try_send(held.swap_remove(rng.below(held.len())));
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

/// A pool whose buffers outlive it, on other threads too.
fn orphan_buffers((_, doors): &Stage, rng: &mut Rng) {
    let pool = (
        "orphans",
        Pool::builder().build().expect("memory for a pool"),
    );
    let marked: Vec<_> = (0..20).filter_map(|_| take(&pool, rng)).collect();
    drop(pool);
    for one in marked {
        let _ = doors[rng.below(doors.len())].try_send(one);
    }
}

fn start(stage: &Arc<Stage>, inbox: Option<Receiver<Marked>>) -> JoinHandle<()> {
    let stage = Arc::clone(stage);
    let mut rng = Rng::new(THREADS.fetch_add(1, Relaxed) + 1);
    thread::spawn(move || {
        if inbox.is_none() {
            orphan_buffers(&stage, &mut rng);
        }
        let steps = inbox
            .as_ref()
            .map_or(100 + rng.below(20_000), |_| usize::MAX);
        work(&stage, inbox.as_ref(), rng, steps);
    })
}

/// Runs the threads for `seconds`. All have ended, and all their buffers are dropped, when it returns.
fn run(pools: &Pools, seconds: u64) {
    let (doors, inboxes): (Vec<_>, Vec<_>) = (0..THREADS_EACH).map(|_| sync_channel(64)).unzip();
    let stage = Arc::new((pools.clone(), doors));
    let long = inboxes.into_iter().map(|inbox| start(&stage, Some(inbox)));
    let (long, mut short): (Vec<_>, Vec<_>) = (long.collect(), Vec::new());
    let (begin, mut second) = (Instant::now(), 0);
    while second < seconds {
        let (ended, running) = short.into_iter().partition(JoinHandle::is_finished);
        join(ended);
        short = running;
        while short.len() < THREADS_EACH {
            short.push(start(&stage, None));
        }
        thread::sleep(Duration::from_millis(5));
        if begin.elapsed().as_secs() > second {
            second = begin.elapsed().as_secs();
            let (takes, usage) = (TAKES.load(Relaxed), memory_usage());
            let (external, rss) = (usage.external >> 20, usage.rss >> 20);
            println!("{second:>5} s: takes {takes}, external {external} MiB, rss {rss} MiB");
        }
    }
    STOP.store(true, Relaxed);
    join(short);
    join(long);
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap_or_else(|_| fault("a thread panicked"));
    }
}

/// Finds what is not as it was before the first buffer.
fn recount(pools: &Pools, start_rss: u64) {
    for (name, pool) in pools {
        pool.trim();
        let usage = pool.usage();
        if (usage.in_use, usage.array_buffers) != (0, 0) {
            fault(&format!("pool {name} is not empty: {usage:?}"));
        }
        if pool.is_over_high_water() {
            fault(&format!("pool {name} is over its mark with nothing in it"));
        }
    }
    let end = memory_usage();
    println!("rss {start_rss} before, {} after", end.rss);
    if end.array_buffers != 0 || LIVE.load(Relaxed) != 0 {
        fault(&format!("buffers are left: {end}"));
    }
    if end.rss > start_rss + (64 << 20) {
        fault("rss is not back within 64 MiB of its start");
    }
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let seconds = env::args().nth(1).map_or(Ok(60), |text| text.parse())?;
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
    run(&pools, seconds);
    recount(&pools, start_rss);
    let counts = [&TAKES, &TIMED_OUT, &THREADS, &FAULTS];
    let [takes, timed_out, threads, faults] = counts.map(|n| n.load(Relaxed));
    println!("{takes} takes, {timed_out} waits in vain, {threads} threads, {faults} faults");
    Ok(ExitCode::from(u8::from(faults != 0)))
}
