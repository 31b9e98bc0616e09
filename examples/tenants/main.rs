//! One budget for many tenants: 1,000 pools with a limit of 8 MiB each, all together at most 256
//! MiB. The load moves from tenant to tenant; what the tenants before it have cached is released
//! when the next ones need it. Tasks that find no memory wait.
//!
//! ```text
//! cargo run --release --example tenants
//! cargo run --release --example tenants -- --budget 64M      # more waits
//! ```

#[path = "../shared/cli.rs"]
mod cli;
mod options;
#[path = "../shared/rng.rs"]
mod rng;
#[path = "../shared/size.rs"]
mod size;

use options::Options;
use rng::Rng;
use slabuf::{AllocError, Budget, Buffer, Pool, memory_usage};
use std::error::Error;
use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long a task holds a buffer.
const HOLD: Duration = Duration::from_millis(2);
const MIB: f64 = (1 << 20) as f64;

/// A tenant: a pool, and counters.
struct Tenant {
    pool: Pool,
    allocations: AtomicUsize,
    waits: AtomicUsize,
}

fn main() -> ExitCode {
    cli::main(options::USAGE, Options::parse, |options| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_time()
            .build()?;
        Ok(match runtime.block_on(run(&options))? {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    })
}

/// Returns `false` if the budget was exceeded, a byte was wrong, or memory was left.
async fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let budget = Budget::new(options.budget);
    let tenant = |_| {
        let pool = Pool::builder()
            .limit(options.limit)
            .budget(&budget)
            .build()?;
        Ok(Arc::new(Tenant {
            pool,
            allocations: AtomicUsize::new(0),
            waits: AtomicUsize::new(0),
        }))
    };
    let tenants: Vec<_> = (0..options.tenants)
        .map(tenant)
        .collect::<Result<_, slabuf::ConfigError>>()?;

    let mut out = io::stdout();
    writeln!(
        out,
        "{:>6} {:>16} {:>9} {:>8} {:>11} {:>9} {:>9} {:>8}",
        "phase", "tenants", "requests", "waits", "mapped MiB", "peak MiB", "rss MiB", "ms"
    )?;
    let mut wrong = 0;
    for phase in 0..options.phases {
        let first = phase * options.active % options.tenants;
        let active = tenants.iter().cycle().skip(first).take(options.active);
        let active: Vec<_> = active.cloned().collect();
        let (before, start) = (waits(&tenants), Instant::now());
        wrong += load(options, &active, phase).await?;
        let usage = budget.usage();
        writeln!(
            out,
            "{phase:>6} {:>16} {:>9} {:>8} {:>11.1} {:>9.1} {:>9.1} {:>8}",
            format!("{first}..{}", first + active.len()),
            options.active * options.tasks * options.requests,
            waits(&tenants) - before,
            usage.mapped as f64 / MIB,
            usage.peak as f64 / MIB,
            memory_usage().rss as f64 / MIB,
            start.elapsed().as_millis(),
        )?;
    }
    report(options, &budget, &tenants, wrong)
}

fn waits(tenants: &[Arc<Tenant>]) -> usize {
    tenants
        .iter()
        .map(|tenant| tenant.waits.load(Relaxed))
        .sum()
}

/// Runs the tasks of the active tenants. Returns the number of buffers with a wrong byte.
async fn load(
    options: &Options,
    active: &[Arc<Tenant>],
    phase: usize,
) -> Result<usize, Box<dyn Error>> {
    let mut tasks = JoinSet::new();
    for (number, tenant) in active.iter().enumerate() {
        for task in 0..options.tasks {
            let seed = (phase * options.active + number) * options.tasks + task + 1;
            tasks.spawn(serve(*options, tenant.clone(), Rng::new(seed as u64)));
        }
    }
    let mut wrong = 0;
    while let Some(ended) = tasks.join_next().await {
        wrong += ended??;
    }
    Ok(wrong)
}

/// Serves the requests of one task. It holds one buffer at a time, so that tasks that wait do not
/// wait for each other.
async fn serve(options: Options, tenant: Arc<Tenant>, mut rng: Rng) -> Result<usize, AllocError> {
    let mut wrong = 0;
    let doublings = (options.longest / 4096).ilog2() as usize + 1;
    for _ in 0..options.requests {
        // Short buffers are more frequent than long ones.
        let longest = 4096 << rng.below(doublings);
        let len = longest.min(options.longest) - rng.below(2048);
        let mut buffer = allocate(&tenant, len).await?;
        let byte = rng.next() as u8;
        buffer.fill(byte);
        tokio::time::sleep(HOLD).await;
        wrong += usize::from(buffer.iter().any(|other| *other != byte));
    }
    Ok(wrong)
}

/// Allocates a buffer, waits for memory if necessary, and counts both.
async fn allocate(tenant: &Tenant, len: usize) -> Result<Buffer, AllocError> {
    let mut future = pin!(tenant.pool.alloc_unsafe_async(len));
    let mut has_waited = false;
    let buffer = poll_fn(|context| {
        let polled = future.as_mut().poll(context);
        has_waited |= polled.is_pending();
        polled
    });
    let buffer = buffer.await?;
    tenant.allocations.fetch_add(1, Relaxed);
    tenant.waits.fetch_add(usize::from(has_waited), Relaxed);
    Ok(buffer)
}

/// Prints the counters, and trims all pools.
fn report(
    options: &Options,
    budget: &Budget,
    tenants: &[Arc<Tenant>],
    wrong: usize,
) -> Result<bool, Box<dyn Error>> {
    let mut out = io::stdout();
    let of_each = tenants
        .iter()
        .map(|tenant| tenant.allocations.load(Relaxed));
    let (least, most) = (of_each.clone().min(), of_each.clone().max());
    let allocations: usize = of_each.sum();
    writeln!(
        out,
        "\nallocations per tenant: {} to {}, mean {:.1}",
        least.unwrap_or(0),
        most.unwrap_or(0),
        allocations as f64 / tenants.len() as f64
    )?;
    let rss_before = memory_usage().rss;
    let trimmed = slabuf::trim_all();
    let (usage, rss) = (budget.usage(), memory_usage().rss);
    writeln!(
        out,
        "trim_all() released {:.1} MiB: rss {:.1} MiB before, {:.1} MiB after",
        trimmed as f64 / MIB,
        rss_before as f64 / MIB,
        rss as f64 / MIB
    )?;
    writeln!(
        out,
        "result tenants={} allocations={allocations} waits={} refused={} peak={} budget={} \
         mapped_at_end={} wrong={wrong}",
        tenants.len(),
        waits(tenants),
        usage.refused,
        usage.peak,
        options.budget,
        usage.mapped
    )?;
    Ok(usage.peak <= usage.limit && usage.mapped == 0 && wrong == 0)
}
