//! The terminal view: the process's memory and the pool's slabs, while a thread uses the pool.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use slabuf::{Pool, SlabState, Snapshot, memory_usage};

use crate::workload::Workload;

/// Characters in a bar.
const BAR: usize = 24;

/// What the working thread does at the moment.
struct Stage(Mutex<&'static str>);

impl Stage {
    fn set(&self, stage: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    fn get(&self) -> &'static str {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fills, replaces, drops and trims, again and again, until `stop` is set.
fn work(pool: Pool, stage: &Stage, stop: &AtomicBool) {
    let mut workload = Workload::new(pool);
    let pause = || thread::sleep(Duration::from_millis(1500));
    while !stop.load(Relaxed) {
        stage.set("filling");
        while !workload.fill(2000) && !stop.load(Relaxed) {
            thread::sleep(Duration::from_millis(40));
        }
        stage.set("replacing at random");
        for _ in 0..30 {
            if !stop.load(Relaxed) {
                workload.replace(5000);
                thread::sleep(Duration::from_millis(80));
            }
        }
        workload.drop_most();
        stage.set("98 % dropped");
        pause();
        workload.pool.trim();
        stage.set("trimmed");
        pause();
    }
}

/// Runs the workload and shows it for the given time.
pub(crate) fn watch(time: Duration) -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::builder().build()?;
    let (stage, stop) = (Stage(Mutex::new("starting")), AtomicBool::new(false));
    thread::scope(|scope| {
        let worker = pool.clone();
        let (stage, stop) = (&stage, &stop);
        scope.spawn(move || work(worker, stage, stop));
        let shown = show(&pool, stage, time);
        stop.store(true, Relaxed);
        shown
    })?;
    Ok(())
}

fn show(pool: &Pool, stage: &Stage, time: Duration) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let in_place = out.is_terminal();
    let pause = Duration::from_millis(if in_place { 200 } else { 1000 });
    let start = Instant::now();
    let mut lines = 0;
    while start.elapsed() < time {
        let text = screen(pool, stage.get(), start.elapsed());
        if in_place {
            // Moves the cursor up to the previous block; each line is overwritten and its rest
            // deleted.
            if lines > 0 {
                write!(out, "\x1b[{lines}A")?;
            }
            for line in text.lines() {
                writeln!(out, "{}\x1b[K", line.trim_end())?;
            }
        } else {
            for line in text.lines() {
                writeln!(out, "{}", line.trim_end())?;
            }
            writeln!(out)?;
        }
        out.flush()?;
        lines = text.lines().count();
        thread::sleep(pause.min(time.saturating_sub(start.elapsed())));
    }
    Ok(())
}

fn screen(pool: &Pool, stage: &str, time: Duration) -> String {
    let process = memory_usage();
    let mut text = format!("{:5.1} s  {stage}\n\n", time.as_secs_f64());
    let counters = [
        ("rss", process.rss),
        ("heap_total", process.heap_total),
        ("heap_used", process.heap_used),
        ("external", process.external),
        ("array_buffers", process.array_buffers),
    ];
    let most = counters.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
    for (name, bytes) in counters {
        let bar = "█".repeat(share(bytes, most, BAR));
        let mib = bytes as f64 / f64::from(1 << 20);
        text += &format!("{name:<14}{mib:>8.1} MiB  {bar}\n");
    }
    text += &states(&pool.snapshot());
    text
}

/// Returns the number of characters, out of `whole`, that represent `part` of `all`.
fn share(part: u64, all: u64, whole: usize) -> usize {
    match all {
        0 => 0,
        _ => (part as f64 / all as f64 * whole as f64).round() as usize,
    }
}

/// Returns one row per doubling of the slot size, and one for slabs without a class.
fn states(snapshot: &Snapshot) -> String {
    const ROWS: usize = 11;
    // Slabs that are empty, partial and full; slots in use; all slots.
    let mut rows = [([0u64; 3], 0u64, 0u64); ROWS];
    for slab in snapshot.regions.iter().flat_map(|region| &region.slabs) {
        let doublings = slab.slot_size.max(16).next_power_of_two().trailing_zeros() as usize - 4;
        let row = if slab.slot_size == 0 {
            ROWS - 1
        } else {
            doublings
        };
        let (states, out, slots) = &mut rows[row.min(ROWS - 1)];
        for state in slab.states() {
            states[*state as usize] += 1;
        }
        *out += u64::from(slab.slots_out);
        *slots += u64::from(slab.slots);
    }
    let all = |(states, ..): &([u64; 3], u64, u64)| states.iter().sum::<u64>();
    let most = rows[..ROWS - 1].iter().map(all).max().unwrap_or(0);
    let mut text = format!(
        "\nslots up to      full  partial    empty     in use  {:<BAR$}\n",
        "█ full  ▒ partial  · empty"
    );
    for (row, ([empty, partial, full], out, slots)) in rows.iter().enumerate() {
        let (name, bar) = match row {
            _ if row == ROWS - 1 => ("no class".to_owned(), String::new()),
            _ => (
                format!("{} bytes", 16 << row),
                [("█", full), ("▒", partial), ("·", empty)]
                    .map(|(cell, count)| cell.repeat(share(*count, most, BAR)))
                    .concat(),
            ),
        };
        let percent = match slots {
            0 => String::new(),
            _ => format!("{} %", out * 100 / slots),
        };
        text += &format!("{name:<12}{full:>9}{partial:>9}{empty:>9}{percent:>11}  {bar}\n");
    }
    let live = snapshot
        .mappings
        .iter()
        .filter(|mapping| mapping.live.is_some());
    text += &format!(
        "{:<12}{:>9}{:>9}{:>9}\n",
        "all",
        snapshot.slabs_in(SlabState::Full),
        snapshot.slabs_in(SlabState::Partial),
        snapshot.slabs_in(SlabState::Empty)
    );
    text + &format!(
        "{} regions; {} large mappings, {} live\n",
        snapshot.regions.len(),
        snapshot.mappings.len(),
        live.count()
    )
}
