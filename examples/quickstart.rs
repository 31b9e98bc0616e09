//! A short tour: the constructors, `freeze`, a pool with a limit, the counters.
//!
//! ```text
//! cargo run --example quickstart
//! ```

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use slabuf::{AllocError, Buffer, Pool, memory_usage};

#[path = "shared/cli.rs"]
mod cli;

const USAGE: &str = "\
Usage: quickstart

Prints what the constructors, freeze() and a pool with a limit return, and the memory counters.";

fn main() -> ExitCode {
    cli::main(USAGE, cli::none, |()| run(&mut io::stdout().lock()))
}

fn run(out: &mut impl Write) -> Result<ExitCode, Box<dyn Error>> {
    constructors(out)?;
    freeze(out)?;
    pool_with_a_limit(out)?;
    writeln!(out, "The whole process, all pools:\n{}", memory_usage())?;
    Ok(ExitCode::SUCCESS)
}

fn constructors(out: &mut impl Write) -> io::Result<()> {
    let zeroed = Buffer::alloc(5);
    let filled = Buffer::alloc_filled(5, "ab");
    let copied = Buffer::from("hello");
    let joined = Buffer::concat(&[&copied[..], b", ", b"world"]);
    writeln!(out, "alloc(5)               {:?}", &zeroed[..])?;
    writeln!(out, "alloc_filled(5, \"ab\")  {}", text(&filled))?;
    writeln!(out, "concat                 {}", text(&joined))?;

    // Not zeroed: may contain bytes of an earlier buffer until the program overwrites them.
    let mut scratch = Buffer::alloc_unsafe(5);
    scratch.copy_from_slice(b"12345");
    writeln!(out, "alloc_unsafe, written  {}", text(&scratch))?;

    // Grows like a `Vec`.
    let mut growing = Buffer::with_capacity(16);
    growing.extend_from_slice(b"grows ");
    growing.extend_from_slice(&copied);
    writeln!(out, "with_capacity, grown   {}\n", text(&growing))?;
    Ok(())
}

fn freeze(out: &mut impl Write) -> io::Result<()> {
    let message = Buffer::from("header|body");
    let before = message.as_ptr();
    let frozen = message.freeze();
    let body = frozen.slice(7..);
    writeln!(
        out,
        "freeze                 {} and its slice {}; copied: {}\n",
        text(&frozen),
        text(&body),
        before != frozen.as_ptr()
    )?;
    Ok(())
}

fn pool_with_a_limit(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder().limit(8 * 1024 * 1024).build()?;
    let mut held = Vec::new();
    let error = loop {
        match pool.try_alloc(1024 * 1024) {
            Ok(buffer) => held.push(buffer),
            Err(error) => break error,
        }
    };
    writeln!(
        out,
        "limit of 8 MiB         {} buffers of 1 MiB",
        held.len()
    )?;
    writeln!(out, "then                   {error}")?;
    assert!(matches!(error, AllocError::LimitExceeded { .. }));

    held.pop();
    held.push(pool.try_alloc(1024 * 1024)?);
    let usage = pool.usage();
    writeln!(
        out,
        "one freed, one alloc   array_buffers {}, external {}",
        usage.array_buffers, usage.external
    )?;

    drop(held);
    let released = pool.trim();
    let external = pool.usage().external;
    writeln!(
        out,
        "all dropped, trim()    {released} bytes released, external {external}\n"
    )?;
    Ok(())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the example uses ASCII only")
}
