//! The classic experiment with Node.js's `Buffer`, on real memory: fill fifteen large buffers, watch
//! `rss` grow while the heap stands still, drop them and watch `rss` come back. Then the same with
//! `Vec`, then small buffers and the slabs that serve them, then what zeroing costs.
//!
//! ```text
//! cargo run --release --example memory_usage            # 15 buffers of 200 MiB
//! cargo run --release --example memory_usage -- 16      # 15 buffers of 16 MiB
//! ```

use std::error::Error;
use std::hint::black_box;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use slabuf::{Buffer, MemoryUsage, Pool, PoolUsage, memory_usage, system};

const MIB: u64 = 1024 * 1024;
const LARGE_COUNT: u64 = 15;
const SMALL_LEN: usize = 100;

const USAGE: &str = "\
Usage: memory_usage [SIZE_IN_MIB]

  SIZE_IN_MIB   size of each of the fifteen large buffers, a whole number from 1 (default: 200)";

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let large_mib = match parse_arguments(&arguments) {
        Ok(Some(large_mib)) => large_mib,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("error: {message}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&mut io::stdout().lock(), large_mib) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The size in MiB for each large buffer; `None` if help is asked for.
fn parse_arguments(arguments: &[String]) -> Result<Option<u64>, String> {
    let text = match arguments {
        [] => return Ok(Some(200)),
        [flag] if flag == "-h" || flag == "--help" => return Ok(None),
        [text] => text,
        [_, extra, ..] => return Err(format!("one argument at most, but there is also {extra:?}")),
    };
    match text.parse() {
        Ok(0) => Err("the size must be at least 1 MiB".to_owned()),
        Ok(large_mib) => Ok(Some(large_mib)),
        Err(reason) => Err(format!("{text:?} is not a size in MiB: {reason}")),
    }
}

/// Whoever reads our output has had enough (`| head`): no error of ours.
fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn run(out: &mut impl Write, asked_mib: u64) -> Outcome {
    let large_mib = fit_into_memory(out, asked_mib)?;
    let large_len = usize::try_from(large_mib * MIB)?;

    section(
        out,
        "The process at the start",
        "memory_usage(), bytes; buffers are in external and arrayBuffers, not in the heap.",
    )?;
    writeln!(out, "{}", memory_usage())?;

    large_buffers(out, large_mib, large_len)?;
    large_vecs(out, large_mib, large_len)?;
    small_buffers(out)?;
    cost_of_zeroing(out)?;

    Pool::global().trim();
    section(
        out,
        "The process at the end",
        "memory_usage() after another trim(), to compare with the start.",
    )?;
    Ok(writeln!(out, "{}", memory_usage())?)
}

/// The size to use for each large buffer: the one asked for, or less where the machine is too small.
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
    // A quarter of what is available stays free for everybody else.
    let most_mib = (available / MIB / 4 * 3 / LARGE_COUNT).max(1);
    if asked_mib <= most_mib {
        return Ok(asked_mib);
    }
    writeln!(
        out,
        "{LARGE_COUNT} buffers of {asked_mib} MiB are too much for it: scaled down to {most_mib} MiB each."
    )?;
    Ok(most_mib)
}

// 1 and 2: fifteen large blocks, off the heap and on it

fn large_buffers(out: &mut impl Write, large_mib: u64, large_len: usize) -> Outcome {
    section(
        out,
        &format!("1. {LARGE_COUNT} x {large_mib} MiB as `Buffer`: off the heap"),
        "Each large buffer is a memory mapping of its own. `alloc` costs no rss: the system\n\
         hands out zeroed pages as they are first written. Watch heapUsed: it stands still.",
    )?;
    table_head(out)?;
    let start = table_row(out, "start")?;
    let held = take_and_fill(out, || Ok(Buffer::try_alloc(large_len)?))?;
    let peak = memory_usage();
    drop(held);
    table_row(out, "all dropped")?;
    let given_back = Pool::global().trim();
    let end = table_row(out, "trim()")?;

    verdicts(out, start, peak, end)?;
    let given_back = in_mib(given_back as u64);
    explain(
        out,
        &format!(
            "Dropped mappings go back to the system, but for a bounded cache: trim() then gave back the {given_back:.1} MiB in it."
        ),
    )?;
    writeln!(out, "\n  memory_usage() at the peak, bytes:\n{peak}")?;
    Ok(())
}

fn large_vecs(out: &mut impl Write, large_mib: u64, large_len: usize) -> Outcome {
    section(
        out,
        &format!("2. {LARGE_COUNT} x {large_mib} MiB as `Vec<u8>`, for contrast: on the heap"),
        "The same bytes from the global allocator. Now heapTotal and heapUsed grow with rss, and\n\
         external and arrayBuffers know nothing: buffers and everything else are one figure.",
    )?;
    if memory_usage().heap_total == 0 {
        explain(out, "(This system has no heap figures: they stay 0.)")?;
    }
    table_head(out)?;
    let start = table_row(out, "start")?;
    let held = take_and_fill(out, || Ok(vec![0_u8; large_len]))?;
    let peak = memory_usage();
    drop(held);
    let end = table_row(out, "all dropped")?;

    Ok(verdicts(out, start, peak, end)?)
}

/// Takes and fills fifteen blocks, a row of the table each; the first in two steps.
fn take_and_fill<B: AsMut<[u8]>>(
    out: &mut impl Write,
    take: impl Fn() -> Outcome<B>,
) -> Outcome<Vec<B>> {
    let mut held = Vec::with_capacity(LARGE_COUNT as usize);
    for number in 1..=LARGE_COUNT {
        let mut block = take()?;
        if number == 1 {
            table_row(out, " 1 taken, untouched")?;
        }
        black_box(block.as_mut()).fill(0x5a);
        held.push(block);
        table_row(out, &format!("{number:>2} filled"))?;
    }
    Ok(held)
}

// 3: small buffers

fn small_buffers(out: &mut impl Write) -> Outcome {
    section(
        out,
        &format!("3. {SMALL_LEN}-byte buffers: many share one slab"),
        "A fresh pool of its own. It maps a region, cuts it into slabs, and a slab into equal slots.",
    )?;
    let pool = Pool::builder().build()?;
    pool_table_head(out)?;
    pool_table_row(out, "fresh pool", &pool)?;

    let first = pool.try_alloc_unsafe(SMALL_LEN)?;
    let slab_size = pool_table_row(out, "1 buffer", &pool)?.array_buffers;
    let mut held = vec![first];
    // A second slab shows in array_buffers as soon as the first has no slot left.
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
    let given_back = pool.trim();
    pool_table_row(out, "trim()", &pool)?;

    writeln!(out)?;
    explain(
        out,
        &format!(
            "One slab served {served} buffers of {SMALL_LEN} bytes, {spacing} bytes apart; the next one began a second slab.\n\
             A slab costs array_buffers {slab_size} bytes with its first buffer; the others in it cost +0.\n\
             external is all that is mapped, whole regions and their headers: never below array_buffers.\n\
             Dropped slots wait in this thread's magazines (their slabs still count) and in empty slabs;\n\
             trim() gave {given_back} bytes back to the system."
        ),
    )?;
    Ok(())
}

/// The distance from one buffer to the next of those that share a slab.
fn spacing_of(buffers: &[Buffer]) -> usize {
    let addresses = || buffers.iter().map(|buffer| buffer.as_ptr().addr());
    let span = addresses().max().unwrap_or(0) - addresses().min().unwrap_or(0);
    span / (buffers.len() - 1).max(1)
}

// 4: alloc against alloc_unsafe

fn cost_of_zeroing(out: &mut impl Write) -> Outcome {
    section(
        out,
        "4. `alloc` (zeroed) against `alloc_unsafe` (stale bytes)",
        "Take one buffer, write its first byte, drop it; ns each, best of nine rounds.\n\
         Each take gets memory used before, so `alloc` must zero it: the longer, the dearer.",
    )?;
    writeln!(
        out,
        "\n  {:>10}{:>16}{:>20}{:>10}",
        "length", "alloc, ns", "alloc_unsafe, ns", "ratio"
    )?;
    for power in 0..10 {
        let len = 64 << (2 * power);
        let (zeroed, stale) = compare_constructors(len);
        writeln!(
            out,
            "  {:>10}{zeroed:>16.1}{stale:>20.1}{:>10.1}",
            length_text(len),
            zeroed / stale
        )?;
    }
    Ok(())
}

/// ns for one `alloc` and one `alloc_unsafe` of this length; the rounds take turns, so that whatever
/// else the machine does meets both.
fn compare_constructors(len: usize) -> (f64, f64) {
    let zeroed_count = iterations_for(len, Buffer::alloc);
    let stale_count = iterations_for(len, Buffer::alloc_unsafe);
    let mut best = (f64::INFINITY, f64::INFINITY);
    for _ in 0..9 {
        best.0 = best.0.min(nanoseconds(len, zeroed_count, Buffer::alloc));
        best.1 = best
            .1
            .min(nanoseconds(len, stale_count, Buffer::alloc_unsafe));
    }
    best
}

/// How many iterations fill about four milliseconds.
fn iterations_for(len: usize, take: impl Fn(usize) -> Buffer + Copy) -> u32 {
    let mut count = 4;
    while nanoseconds(len, count, take) * f64::from(count) < 4e6 && count < 1 << 24 {
        count *= 2;
    }
    count
}

/// ns for one of `count` iterations.
fn nanoseconds(len: usize, count: u32, take: impl Fn(usize) -> Buffer) -> f64 {
    let start = Instant::now();
    for _ in 0..count {
        let mut buffer = take(black_box(len));
        buffer[0] = 1;
        black_box(&mut buffer);
    }
    start.elapsed().as_nanos() as f64 / f64::from(count)
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

fn table_row(out: &mut impl Write, step: &str) -> io::Result<MemoryUsage> {
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

/// A signed difference, in KiB below one MiB.
fn change(from: u64, to: u64) -> String {
    let difference = i128::from(to) - i128::from(from);
    if difference.unsigned_abs() < u128::from(MIB) {
        format!("{:+} KiB", difference / 1024)
    } else {
        format!("{:+} MiB", difference / i128::from(MIB))
    }
}

fn length_text(len: usize) -> String {
    match len {
        0..1024 => format!("{len} B"),
        1024..0x10_0000 => format!("{} KiB", len / 1024),
        _ => format!("{} MiB", len / 0x10_0000),
    }
}
