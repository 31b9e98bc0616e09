//! Draws where a pool's memory is: 100,000 live buffers of 16 to 8191 bytes (every doubling as likely as the next),
//! replaced at random; then 98 % of them dropped; then trimmed.
//!
//! `cargo run --release --example memory_map -- map.svg` writes the drawing;
//! `cargo run --release --example memory_map -- --watch 20` shows the same pool at work for so many seconds, in place
//! on a terminal, one block a second elsewhere.

mod draw;
#[path = "../shared/rng.rs"]
mod rng;
mod watch;
mod workload;

use std::env;
use std::error::Error;
use std::fs;
use std::time::Duration;

use slabuf::{Pool, memory_usage};

use draw::Panel;
use workload::{SMALL, Workload};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    match arguments.next().as_deref() {
        Some("--watch") => {
            let seconds = arguments.next().map_or(Ok(20), |seconds| seconds.parse())?;
            watch::watch(Duration::from_secs(seconds))?;
        }
        path => {
            let path = path.unwrap_or("memory_map.svg");
            let svg = draw::draw(&panels()?);
            fs::write(path, &svg)?;
            println!("{path}: {} KiB", svg.len() / 1024);
        }
    }
    Ok(())
}

fn panels() -> Result<[Panel; 3], Box<dyn Error>> {
    let mut workload = Workload::new(Pool::builder().build()?);
    while !workload.fill(SMALL) {}
    workload.replace(10 * SMALL);
    let churned = panel(
        "1. 100,000 live buffers, a million replaced at random",
        &workload,
    );
    workload.drop_most();
    let dropped = panel("2. After dropping 98 % of them", &workload);
    workload.pool.trim();
    let trimmed = panel("3. After trim", &workload);
    Ok([churned, dropped, trimmed])
}

/// Prints the pool's figures, and takes its picture.
fn panel(title: &str, workload: &Workload) -> Panel {
    let usage = workload.pool.usage();
    println!("{title}: {} live\n{usage}\n", workload.live());
    Panel {
        title: title.to_owned(),
        snapshot: workload.pool.snapshot(),
        usage,
        rss: memory_usage().rss,
    }
}
