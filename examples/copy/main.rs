//! Copies a file of any size in the memory of a few buffers. One thread reads, one writes. The
//! pool's limit slows the faster thread: at the limit the reader waits until the writer drops a
//! buffer.
//!
//! ```text
//! cargo run --release --example copy -- big.iso /mnt/backup/big.iso
//! cargo run --release --example copy -- --limit 4M --write-rate 100M big.iso slow.iso
//! cargo run --release --example copy -- --no-backpressure --write-rate 100M big.iso slow.iso
//! cargo run --release --example copy -- --direct big.iso /mnt/backup/big.iso
//! ```
//!
//! The third command shows the same without a limit: the queue, `external` and `rss` grow with the
//! file. The last command bypasses the page cache.

mod args;
mod counters;
mod direct;
mod failure;
mod files;
mod flow;
#[path = "../shared/size.rs"]
mod size;
mod watch;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc::channel;

use slabuf::Pool;

use crate::args::{Options, USAGE};
use crate::counters::Counters;
use crate::direct::Named;
use crate::failure::Failure;
use crate::files::{Destination, Source};
use crate::watch::Flow;

fn main() -> ExitCode {
    let options = match args::parse(std::env::args_os().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            let _ = writeln!(io::stdout(), "{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("error: {message}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match copy(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn copy(options: &Options) -> Result<(), Failure> {
    let counters = Counters::new().map_err(|error| Failure::new(error.to_string()))?;
    let source = Source::open(&options.source)?;
    let destination = Destination::create(&options.destination, &source)?;

    let written = write_all(options, &source, &destination, &counters)?;
    let compared = match options.verify {
        true => Some(compare_all(options, &source, &destination, &counters)?),
        false => None,
    };
    destination.finish(&source, options.fsync)?;
    let report = report(options, &counters, &written, compared.as_ref());
    // The output may be closed (`| head`). The copy is complete all the same.
    let _ = io::stdout().write_all(report.as_bytes());
    Ok(())
}

fn pool(limit: Option<usize>) -> Result<Pool, Failure> {
    let builder = Pool::builder();
    let builder = match limit {
        Some(limit) => builder.limit(limit),
        None => builder,
    };
    let pool = builder.build();
    pool.map_err(|error| Failure::new(error.to_string()))
}

fn write_all(
    options: &Options,
    source: &Source,
    destination: &Destination,
    counters: &Counters,
) -> Result<Flow, Failure> {
    let pool = &pool(options.limit)?;
    let (sender, queue) = channel();
    let read = source.as_read(options.direct);
    let written = destination.as_written(options.direct);
    counters.note_direct(&[&read, &written]);
    watch::run(
        source.len(),
        counters,
        move || flow::read(&read, (pool, options.chunk), sender, counters),
        move || flow::write(&written, queue, options.write_rate, counters),
    )
}

/// Compares both files with bounded memory, even if the copy had no limit.
fn compare_all(
    options: &Options,
    source: &Source,
    destination: &Destination,
    counters: &Counters,
) -> Result<Flow, Failure> {
    let least = args::DEFAULT_LIMIT.max(2 * options.chunk);
    let pool = &pool(Some(options.limit.unwrap_or(least)))?;
    // Allocated before the reader allocates the rest.
    let scratch = pool.try_alloc_unsafe_aligned(options.chunk, direct::BLOCK);
    let scratch = scratch.map_err(|error| Failure::new(error.to_string()))?;
    source.rewind()?;
    let copy = destination.reopen()?;
    let (sender, queue) = channel();
    let read = source.as_read(options.direct);
    let copy = Named::new(destination.path(), &copy, options.direct);
    watch::run(
        source.len(),
        counters,
        move || flow::read(&read, (pool, options.chunk), sender, counters),
        move || flow::compare(&copy, queue, scratch, counters),
    )
}

fn report(
    options: &Options,
    counters: &Counters,
    written: &Flow,
    compared: Option<&Flow>,
) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let size = |bytes: u64| format!("{bytes} bytes ({:.1} MiB)", mib(bytes));
    let Flow {
        bytes,
        took,
        waited,
    } = written;
    let limit = options
        .limit
        .map_or("none".to_owned(), |limit| size(limit as u64));
    let equal = compared.map_or("not compared".to_owned(), |flow| {
        format!("yes, {} bytes compared in {:.3?}", flow.bytes, flow.took)
    });
    let throughput = mib(*bytes) / took.as_secs_f64();
    [
        ("copied", format!("{bytes} bytes in {took:.3?}")),
        ("throughput", format!("{throughput:.1} MiB/s")),
        ("reader waited", format!("{waited:.3?} for memory")),
        ("limit", limit),
        ("direct I/O", counters.direct().to_owned()),
        ("peak queue", size(counters.peak_queued())),
        ("peak external", size(counters.peak_external())),
        ("rss at the start", size(counters.rss_at_start())),
        (
            "peak rss above start",
            size(counters.peak_rss_above_start()),
        ),
        ("files equal", equal),
    ]
    .iter()
    .map(|(name, value)| format!("{name:<22}{value}\n"))
    .collect()
}
