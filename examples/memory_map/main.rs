//! Draws where a pool's memory is: 100,000 live buffers of 16 to 8191 bytes (each doubling equally
//! likely) are replaced at random, then 98 % of them are dropped, then the pool is trimmed.
//!
//! ```text
//! cargo run --release --example memory_map -- map.svg
//! cargo run --release --example memory_map -- --watch 20
//! ```
//!
//! The first command writes the drawing. The second shows the same pool at work for 20 seconds: in
//! place on a terminal, else as one block of text per second.

#[path = "../shared/cli.rs"]
mod cli;
mod draw;
#[path = "../shared/rng.rs"]
mod rng;
#[path = "../shared/svg.rs"]
mod svg;
mod watch;
mod workload;

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::*;
use slabuf::{Pool, memory_usage};

use draw::Panel;
use workload::{SMALL, Workload};

const USAGE: &str = "\
Usage: memory_map [FILE]
       memory_map --watch [SECONDS]

  FILE               writes the drawing as SVG to FILE (default: memory_map.svg)
  --watch [SECONDS]  shows the pool at work on the terminal (default: 20 seconds)
  -h, --help         prints this text";

enum Mode {
    Draw(PathBuf),
    Watch(Duration),
}

fn main() -> ExitCode {
    cli::main(USAGE, parse, run)
}

/// Returns `None` if the user asks for help.
fn parse(arguments: Vec<OsString>) -> Result<Option<Mode>, String> {
    let text = |error: lexopt::Error| error.to_string();
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut watch, mut value) = (false, None);
    while let Some(argument) = parser.next().map_err(text)? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("watch") => watch = true,
            Value(given) if value.is_none() => value = Some(given),
            unknown => return Err(text(unknown.unexpected())),
        }
    }
    if !watch {
        let path = value.map_or("memory_map.svg".into(), PathBuf::from);
        return Ok(Some(Mode::Draw(path)));
    }
    let seconds = match value {
        None => 20,
        Some(given) => given
            .parse()
            .map_err(|error| format!("--watch {}: {error}", given.display()))?,
    };
    Ok(Some(Mode::Watch(Duration::from_secs(seconds))))
}

fn run(mode: Mode) -> Result<ExitCode, Box<dyn Error>> {
    match mode {
        Mode::Watch(time) => watch::watch(time)?,
        Mode::Draw(path) => {
            let out = &mut io::stdout().lock();
            let svg = draw::draw(&panels(out)?);
            fs::write(&path, &svg).map_err(|error| format!("{}: {error}", path.display()))?;
            writeln!(out, "{}: {} KiB", path.display(), svg.len() / 1024)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn panels(out: &mut impl Write) -> Result<[Panel; 3], Box<dyn Error>> {
    let mut workload = Workload::new(Pool::builder().build()?);
    while !workload.fill(SMALL) {}
    workload.replace(10 * SMALL);
    let churned = panel(
        out,
        "1. 100,000 live buffers, a million replaced at random",
        "Nearly all cells are strong: the slabs are full, so little memory is lost in partial slabs.",
        &workload,
    )?;
    workload.drop_most();
    let dropped = panel(
        out,
        "2. After 98 % of them are dropped",
        "Pale cells hold a few buffers each, grey cells none. Both are still resident: rss has hardly fallen.",
        &workload,
    )?;
    workload.pool.trim();
    let trimmed = panel(
        out,
        "3. After trim()",
        "The light background is memory released to the system. Each remaining colour is a slab that a live buffer keeps.",
        &workload,
    )?;
    Ok([churned, dropped, trimmed])
}

/// Prints the pool's counters and takes a snapshot for the drawing.
fn panel(
    out: &mut impl Write,
    title: &str,
    caption: &str,
    workload: &Workload,
) -> io::Result<Panel> {
    let usage = workload.pool.usage();
    writeln!(out, "{title}: {} live\n{usage}\n", workload.live())?;
    Ok(Panel {
        title: title.to_owned(),
        caption: caption.to_owned(),
        snapshot: workload.pool.snapshot(),
        usage,
        rss: memory_usage().rss,
    })
}
