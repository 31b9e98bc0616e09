//! Finds a leak with a sampled pool: the pool records one allocation in ten, and the tables show
//! which call sites hold the live memory.
//!
//! ```text
//! cargo run --release --example who_holds
//! ```
//!
//! The program allocates request buffers in bursts and frees them. One request in a hundred also
//! opens a session, and a bug keeps every session in a list for ever. The sessions hold few bytes,
//! but each keeps a slab of 8 KiB in use nearly alone.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use slabuf::{Buffer, LiveSample, Pool};

#[path = "shared/cli.rs"]
mod cli;
#[path = "shared/sample_table.rs"]
mod sample_table;

use sample_table::{SampleTable, bytes_held};

/// The pool samples one allocation in this many.
const INTERVAL: usize = 10;
const BURSTS: usize = 10;
/// Requests in progress at once in a burst.
const REQUESTS: usize = 4_000;

const USAGE: &str = "\
Usage: who_holds

Runs a program with a leak on a pool that samples one allocation in ten. Prints the live memory summed
by call site, the oldest samples, and the samples that keep a slab in use nearly alone.";

#[inline(never)]
fn read_request(pool: &Pool) -> Buffer {
    pool.alloc(600)
}

#[inline(never)]
fn open_session(pool: &Pool) -> Buffer {
    pool.copy_from_slice(&[b'x'; 600])
}

#[inline(never)]
fn load_index(pool: &Pool) -> Buffer {
    pool.alloc(1 << 20)
}

fn main() -> ExitCode {
    cli::main(USAGE, cli::none, |()| run(&mut io::stdout().lock()))
}

fn run(out: &mut impl Write) -> Result<ExitCode, Box<dyn Error>> {
    let pool = Pool::builder().sample(INTERVAL).build()?;
    let indexes: Vec<_> = (0..40).map(|_| load_index(&pool)).collect();
    thread::sleep(Duration::from_millis(50));

    let mut sessions = Vec::new();
    for _ in 0..BURSTS {
        let mut in_progress = Vec::new();
        for number in 0..REQUESTS {
            in_progress.push(read_request(&pool));
            if number % 100 == 0 {
                sessions.push(open_session(&pool));
            }
        }
    }

    writeln!(out, "{}\n", pool.usage())?;
    let samples = pool.live_samples();
    writeln!(
        out,
        "{} live samples, one allocation in {INTERVAL}\n",
        samples.len()
    )?;
    print_call_sites(out, &samples)?;
    writeln!(out, "\nThe oldest:\n{}", SampleTable::oldest(&samples, 5))?;
    writeln!(
        out,
        "\nNearly alone in their slab:\n{}",
        SampleTable::lonely(&samples, 5)
    )?;
    drop((indexes, sessions));
    Ok(ExitCode::SUCCESS)
}

/// The samples of one call site.
#[derive(Default)]
struct CallSite {
    samples: usize,
    /// Requested bytes.
    len: usize,
    /// Bytes of slots and mappings, and of the rest of each slab divided among its live slots.
    held: usize,
}

impl CallSite {
    fn add(&mut self, sample: &LiveSample) {
        self.samples += 1;
        self.len += sample.len;
        self.held += match &sample.slab {
            Some(slab) => bytes_held(sample, slab),
            None => sample.capacity,
        };
    }
}

/// Prints one row for each call site, the site that holds most memory first. Each sample stands for
/// `INTERVAL` allocations, so the estimates are the sums times `INTERVAL`.
fn print_call_sites(out: &mut impl Write, samples: &[LiveSample]) -> io::Result<()> {
    let mut sites: HashMap<String, CallSite> = HashMap::new();
    for sample in samples {
        sites.entry(sample.site()).or_default().add(sample);
    }
    let mut sites: Vec<_> = sites.into_iter().collect();
    sites.sort_by(|(name_a, a), (name_b, b)| (b.held, name_a).cmp(&(a.held, name_b)));

    writeln!(out, "By call site (estimates from the samples):")?;
    writeln!(
        out,
        "{:>8}  {:>13}  {:>13}  {:>13}  call site",
        "samples", "live buffers", "live bytes", "memory held"
    )?;
    for (name, site) in sites {
        writeln!(
            out,
            "{:>8}  {:>13}  {:>13}  {:>13}  {name}",
            site.samples,
            site.samples * INTERVAL,
            mib(site.len * INTERVAL),
            mib(site.held * INTERVAL)
        )?;
    }
    Ok(())
}

fn mib(bytes: usize) -> String {
    format!("{:.2} MiB", bytes as f64 / f64::from(1 << 20))
}
