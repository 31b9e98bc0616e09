//! Copies a file of any size in the memory of a few buffers. A thread reads, a thread writes, and the pool between them
//! holds the faster one back: at its limit the reader waits until the writer has dropped a buffer.
//!
//! ```text
//! cargo run --release --example copy -- big.iso /mnt/backup/big.iso
//! cargo run --release --example copy -- --limit 4M --write-rate 100M big.iso slow.iso
//! cargo run --release --example copy -- --no-backpressure --write-rate 100M big.iso slow.iso
//! ```
//!
//! The last one shows what it saves from: the queue, `external` and `rss` grow with the file.

mod args;
mod failure;
mod figures;
mod files;
mod flow;
#[path = "../shared/size.rs"]
mod size;
mod watch;

use std::process::ExitCode;
use std::sync::mpsc::channel;

use slabuf::Pool;

use crate::args::{Options, USAGE};
use crate::failure::Failure;
use crate::figures::Figures;
use crate::files::{Destination, Source};
use crate::watch::Flow;

fn main() -> ExitCode {
    let options = match args::parse(std::env::args_os().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
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
    let figures = Figures::new().map_err(|error| Failure::new(error.to_string()))?;
    let source = Source::open(&options.source)?;
    let destination = Destination::create(&options.destination, &source)?;

    let written = write_all(options, &source, &destination, &figures)?;
    let compared = match options.verify {
        true => Some(compare_all(options, &source, &destination, &figures)?),
        false => None,
    };
    destination.finish(&source, options.fsync)?;
    report(options, &figures, &written, compared.as_ref());
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
    figures: &Figures,
) -> Result<Flow, Failure> {
    let pool = &pool(options.limit)?;
    let (sender, queue) = channel();
    watch::run(
        source.len(),
        figures,
        || flow::read(source.as_read(), (pool, options.chunk), sender, figures),
        || flow::write(destination.as_written(), queue, options.write_rate, figures),
    )
}

/// Compares both files in the same bounded way, whatever the copy was bounded by.
fn compare_all(
    options: &Options,
    source: &Source,
    destination: &Destination,
    figures: &Figures,
) -> Result<Flow, Failure> {
    let least = args::DEFAULT_LIMIT.max(2 * options.chunk);
    let pool = &pool(Some(options.limit.unwrap_or(least)))?;
    // Taken before the reader takes the rest.
    let scratch = pool.try_alloc_unsafe(options.chunk);
    let scratch = scratch.map_err(|error| Failure::new(error.to_string()))?;
    source.rewind()?;
    let copy = destination.reopen()?;
    let (sender, queue) = channel();
    watch::run(
        source.len(),
        figures,
        || flow::read(source.as_read(), (pool, options.chunk), sender, figures),
        || flow::compare((destination.path(), &copy), queue, scratch, figures),
    )
}

fn report(options: &Options, figures: &Figures, written: &Flow, compared: Option<&Flow>) {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let bytes = written.bytes;
    let seconds = written.took.as_secs_f64();
    println!("copied                {bytes} bytes in {seconds:.3} s");
    println!("throughput            {:.1} MiB/s", mib(bytes) / seconds);
    println!(
        "reader waited         {:.3} s",
        written.waited.as_secs_f64()
    );
    match options.limit {
        Some(limit) => println!("limit                 {limit} bytes"),
        None => println!("limit                 none"),
    }
    for (name, bytes) in [
        ("peak queue", figures.peak_queued()),
        ("peak external", figures.peak_external()),
        ("rss at the start", figures.rss_at_start()),
        ("peak rss above start", figures.peak_rss_above_start()),
    ] {
        println!("{name:<22}{bytes} bytes ({:.1} MiB)", mib(bytes));
    }
    match compared {
        Some(Flow { bytes, took, .. }) => println!(
            "files equal           yes, {bytes} bytes compared in {:.3} s",
            took.as_secs_f64()
        ),
        None => println!("files equal           not compared"),
    }
}
