//! The well-known experiment with Node.js's `Buffer`, on real memory. Fills fifteen large buffers
//! and drops them: `rss` grows and falls, heapUsed does not change. Then the same with `Vec`, then
//! small buffers and their slabs, then the cost of zeroing.
//!
//! ```text
//! cargo run --release --example memory_usage                    # 15 buffers of 200 MiB
//! cargo run --release --example memory_usage -- 16              # 15 buffers of 16 MiB
//! cargo run --release --example memory_usage -- --svg plot.svg  # draws the first two parts, too
//! ```

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::hint::black_box;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::prelude::*;
use slabuf::{Buffer, MemoryUsage, Pool, PoolUsage, memory_usage, system};

#[path = "../shared/cli.rs"]
mod cli;
mod draw;
#[path = "../shared/svg.rs"]
mod svg;
mod zeroing;

use draw::{Recording, Step};

const MIB: u64 = 1024 * 1024;
const LARGE_COUNT: u64 = 15;
const SMALL_LEN: usize = 100;

const USAGE: &str = "\
Usage: memory_usage [OPTIONS] [SIZE_IN_MIB]

Prints the memory of the process while it fills and drops fifteen large buffers, then the same with Vec,
then the slabs of small buffers and the cost of zeroing.

  SIZE_IN_MIB   size of each large buffer in MiB, at least 1 (default: 200)
  --svg FILE    draws rss, heapUsed and external of the large buffers as SVG
  -h, --help    prints this text";

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

struct Options {
    large_mib: u64,
    svg: Option<PathBuf>,
}

fn main() -> ExitCode {
    cli::main(USAGE, parse, |options| {
        run(&mut io::stdout().lock(), &options)
    })
}

/// Returns `None` if the user asks for help.
fn parse(arguments: Vec<OsString>) -> Result<Option<Options>, String> {
    let text = |error: lexopt::Error| error.to_string();
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut size, mut svg) = (None, None);
    while let Some(argument) = parser.next().map_err(text)? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("svg") => svg = Some(parser.value().map_err(text)?.into()),
            Value(given) if size.is_none() => size = Some(given),
            unknown => return Err(text(unknown.unexpected())),
        }
    }
    let large_mib = match size {
        None => 200,
        Some(given) => match given.parse() {
            Ok(0) => return Err("SIZE_IN_MIB 0: must be at least 1".to_owned()),
            Ok(large_mib) => large_mib,
            Err(error) => return Err(format!("SIZE_IN_MIB {}: {error}", given.display())),
        },
    };
    Ok(Some(Options { large_mib, svg }))
}

fn run(out: &mut impl Write, options: &Options) -> Outcome<ExitCode> {
    let large_mib = fit_into_memory(out, options.large_mib)?;
    let large_len = usize::try_from(large_mib * MIB)?;

    section(
        out,
        "The process at the start",
        "memory_usage() in bytes. Buffers count as external and arrayBuffers, not as heap.",
    )?;
    writeln!(out, "{}", memory_usage())?;

    let recordings = [
        large_buffers(out, large_mib, large_len)?,
        large_vecs(out, large_mib, large_len)?,
    ];
    if let Some(path) = &options.svg {
        let title =
            format!("{LARGE_COUNT} x {large_mib} MiB: buffers of slabuf do not grow the heap");
        fs::write(path, draw::draw(&title, &recordings))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    small_buffers(out)?;
    zeroing::cost_of_zeroing(out)?;

    Pool::global().trim();
    section(
        out,
        "The process at the end",
        "memory_usage() after another trim(), for comparison with the start.",
    )?;
    writeln!(out, "{}", memory_usage())?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the size to use for each large buffer: `asked_mib`, or less on a small machine.
fn fit_into_memory(out: &mut impl Write, asked_mib: u64) -> Outcome<u64> {
    let (Some(total), Some(available)) = (system::total_memory(), system::available_memory())
    else {
        return Ok(asked_mib);
    };
    writeln!(
        out,
        "This machine: {} MiB of memory, {} MiB available to this process.",
        total / MIB,
        available / MIB
    )?;
    // A quarter of the available memory stays free.
    let most_mib = (available / MIB / 4 * 3 / LARGE_COUNT).max(1);
    if asked_mib <= most_mib {
        return Ok(asked_mib);
    }
    writeln!(
        out,
        "{LARGE_COUNT} buffers of {asked_mib} MiB do not fit: scaled down to {most_mib} MiB each."
    )?;
    Ok(most_mib)
}

// 1 and 2: fifteen large blocks, off the heap and on it

fn large_buffers(out: &mut impl Write, large_mib: u64, large_len: usize) -> Outcome<Recording> {
    section(
        out,
        &format!("1. {LARGE_COUNT} x {large_mib} MiB as `Buffer`: off the heap"),
        "Each large buffer has its own memory mapping. `alloc` costs no rss: the system provides\n\
         zeroed pages when they are first written. heapUsed does not change.",
    )?;
    table_head(out)?;
    let mut steps = Vec::new();
    let start = table_row(out, &mut steps, "start")?;
    let held = alloc_and_fill(out, &mut steps, || Ok(Buffer::try_alloc(large_len)?))?;
    let peak = memory_usage();
    drop(held);
    table_row(out, &mut steps, "all dropped")?;
    let released = Pool::global().trim();
    let end = table_row(out, &mut steps, "trim()")?;

    verdicts(out, start, peak, end)?;
    let released = in_mib(released as u64);
    explain(
        out,
        &format!(
            "Dropped mappings return to the system, except a bounded cache: trim() released its {released:.1} MiB."
        ),
    )?;
    writeln!(out, "\n  memory_usage() at the peak, bytes:\n{peak}")?;
    Ok(Recording {
        title: format!("{LARGE_COUNT} x Buffer::alloc"),
        caption: "external and rss grow and fall; heapUsed stays at 0",
        steps,
    })
}

fn large_vecs(out: &mut impl Write, large_mib: u64, large_len: usize) -> Outcome<Recording> {
    section(
        out,
        &format!("2. {LARGE_COUNT} x {large_mib} MiB as `Vec<u8>`, for comparison: on the heap"),
        "The same bytes from the global allocator. heapTotal and heapUsed grow with rss; external and\n\
         arrayBuffers do not: the heap counters cannot tell buffers from other objects.",
    )?;
    if memory_usage().heap_total == 0 {
        explain(
            out,
            "(This system does not report heap sizes: they stay 0.)",
        )?;
    }
    table_head(out)?;
    let mut steps = Vec::new();
    let start = table_row(out, &mut steps, "start")?;
    let held = alloc_and_fill(out, &mut steps, || Ok(vec![0_u8; large_len]))?;
    let peak = memory_usage();
    drop(held);
    let end = table_row(out, &mut steps, "all dropped")?;

    verdicts(out, start, peak, end)?;
    Ok(Recording {
        title: format!("{LARGE_COUNT} x vec![0; len], for comparison"),
        caption: "heapUsed and rss grow and fall; external stays at 0",
        steps,
    })
}

/// Allocates and fills fifteen blocks and prints a row after each; the first in two steps.
fn alloc_and_fill<B: AsMut<[u8]>>(
    out: &mut impl Write,
    steps: &mut Vec<Step>,
    alloc: impl Fn() -> Outcome<B>,
) -> Outcome<Vec<B>> {
    let mut held = Vec::with_capacity(LARGE_COUNT as usize);
    for number in 1..=LARGE_COUNT {
        let mut block = alloc()?;
        if number == 1 {
            table_row(out, steps, " 1 allocated")?;
        }
        black_box(block.as_mut()).fill(0x5a);
        held.push(block);
        table_row(out, steps, &format!("{number:>2} filled"))?;
    }
    Ok(held)
}

// 3: small buffers

fn small_buffers(out: &mut impl Write) -> Outcome {
    section(
        out,
        &format!("3. {SMALL_LEN}-byte buffers: many share one slab"),
        "A new pool maps a region, divides it into slabs, and a slab into equal slots.",
    )?;
    let pool = Pool::builder().build()?;
    pool_table_head(out)?;
    pool_table_row(out, "new pool", &pool)?;

    let first = pool.try_alloc_unsafe(SMALL_LEN)?;
    let slab_size = pool_table_row(out, "1 buffer", &pool)?.array_buffers;
    let mut held = vec![first];
    // array_buffers grows by a second slab as soon as the first has no free slot.
    while pool.usage().array_buffers == slab_size {
        held.push(pool.try_alloc_unsafe(SMALL_LEN)?);
    }
    let served = held.len() - 1;
    let spacing = spacing_of(&held[..served]);
    pool_table_row(out, &format!("{} buffers", served + 1), &pool)?;

    while held.len() < 10_000 {
        held.push(pool.try_alloc_unsafe(SMALL_LEN)?);
    }
    pool_table_row(out, "10000 buffers", &pool)?;
    drop(held);
    pool_table_row(out, "all dropped", &pool)?;
    let released = pool.trim();
    pool_table_row(out, "trim()", &pool)?;

    writeln!(out)?;
    explain(
        out,
        &format!(
            "One slab served {served} buffers of {SMALL_LEN} bytes, {spacing} bytes apart; the next buffer used a second slab.\n\
             The first buffer of a slab adds its {slab_size} bytes to array_buffers; the others add 0.\n\
             external counts all mapped bytes, with whole regions and their headers.\n\
             Freed slots stay in this thread's magazines (their slabs still count) and in empty slabs;\n\
             trim() released {released} bytes to the system."
        ),
    )?;
    Ok(())
}

/// Returns the average distance of neighbouring buffers in one slab.
fn spacing_of(buffers: &[Buffer]) -> usize {
    let addresses = || buffers.iter().map(|buffer| buffer.as_ptr().addr());
    let span = addresses().max().unwrap_or(0) - addresses().min().unwrap_or(0);
    span / (buffers.len() - 1).max(1)
}

// Printing

fn section(out: &mut impl Write, title: &str, explanation: &str) -> io::Result<()> {
    writeln!(out, "\n{title}\n{}", "-".repeat(title.chars().count()))?;
    explain(out, explanation)
}

fn explain(out: &mut impl Write, text: &str) -> io::Result<()> {
    text.lines().try_for_each(|line| writeln!(out, "  {line}"))
}

fn table_head(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "\n  {:<20}{:>10}{:>11}{:>10}{:>10}{:>14}   (MiB)",
        "step", "rss", "heapTotal", "heapUsed", "external", "arrayBuffers"
    )
}

/// Prints and records the memory of the process.
fn table_row(out: &mut impl Write, steps: &mut Vec<Step>, step: &str) -> io::Result<MemoryUsage> {
    let usage = memory_usage();
    writeln!(
        out,
        "  {step:<20}{:>10.1}{:>11.1}{:>10.1}{:>10.1}{:>14.1}",
        in_mib(usage.rss),
        in_mib(usage.heap_total),
        in_mib(usage.heap_used),
        in_mib(usage.external),
        in_mib(usage.array_buffers)
    )?;
    steps.push(Step {
        name: step.trim().to_owned(),
        usage,
    });
    Ok(usage)
}

fn verdicts(
    out: &mut impl Write,
    start: MemoryUsage,
    peak: MemoryUsage,
    end: MemoryUsage,
) -> io::Result<()> {
    writeln!(out)?;
    for (span, usage) in [("start to peak", peak), ("start to end ", end)] {
        writeln!(
            out,
            "  {span}: rss {}, heapUsed {}, arrayBuffers {}",
            change(start.rss, usage.rss),
            change(start.heap_used, usage.heap_used),
            change(start.array_buffers, usage.array_buffers)
        )?;
    }
    Ok(())
}

fn pool_table_head(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "\n  {:<15}{:>14}{:>10}{:>10}{:>10}{:>14}   (bytes; slabs: count)",
        "step", "array_buffers", "external", "in_use", "cached", "slabs in use"
    )
}

fn pool_table_row(out: &mut impl Write, step: &str, pool: &Pool) -> io::Result<PoolUsage> {
    let usage = pool.usage();
    writeln!(
        out,
        "  {step:<15}{:>14}{:>10}{:>10}{:>10}{:>14}",
        usage.array_buffers,
        usage.external,
        usage.in_use,
        usage.cached,
        usage.slabs_full + usage.slabs_partial
    )?;
    Ok(usage)
}

fn in_mib(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}

/// Formats a signed difference, in KiB if it is below one MiB.
fn change(from: u64, to: u64) -> String {
    let difference = i128::from(to) - i128::from(from);
    if difference.unsigned_abs() < u128::from(MIB) {
        format!("{:+} KiB", difference / 1024)
    } else {
        format!("{:+} MiB", difference / i128::from(MIB))
    }
}
