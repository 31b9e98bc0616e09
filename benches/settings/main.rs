//! The cost of each setting of a pool: the table in `docs/settings.md`.
//!
//! `cargo bench --bench settings` runs each row's pool in turn, seven rounds, and prints medians as
//! a table. Times are processor times of the thread, including the kernel.

#[path = "../support/cpu_time.rs"]
mod cpu_time;

use std::hint::black_box;
use std::time::Duration;

use slabuf::{Pool, PoolBuilder, memory_usage};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const ROUNDS: usize = 7;

type Setting = (&'static str, fn(PoolBuilder) -> PoolBuilder);

const SETTINGS: [Setting; 12] = [
    ("defaults", |pool| pool),
    ("slab_size(4 KiB)", |pool| pool.slab_size(4 * KIB)),
    ("slab_size(64 KiB)", |pool| pool.slab_size(64 * KIB)),
    ("slab_size(1 MiB)", |pool| pool.slab_size(MIB)),
    ("limit(1 GiB)", |pool| pool.limit(1 << 30)),
    ("high_water_mark(1 GiB)", |pool| {
        pool.high_water_mark(1 << 30)
    }),
    ("cache_limit(0)", |pool| pool.cache_limit(0)),
    ("decay(0)", |pool| pool.decay(Duration::ZERO)),
    ("huge_pages(false)", |pool| pool.huge_pages(false)),
    ("zero_on_free(true)", |pool| pool.zero_on_free(true)),
    ("zero_fill(true)", |pool| pool.zero_fill(true)),
    ("guard_pages(true)", |pool| pool.guard_pages(true)),
];

/// A column: its head, and the function that measures a pool.
type Column = (&'static str, fn(&Pool) -> f64);

const COLUMNS: [Column; 8] = [
    ("64 B, ns", |pool| pair(pool, 64, 20_000)),
    ("4000 B, ns", |pool| pair(pool, 4000, 20_000)),
    ("12 KiB, ns", |pool| pair(pool, 12 * KIB, 2_000)),
    ("256 KiB, ns", |pool| pair(pool, 256 * KIB, 500)),
    ("4 MiB, ns", |pool| pair(pool, 4 * MIB, 30)),
    ("grow, µs", grow),
    ("fill 64 MiB, ms", fill),
    ("kept, MiB", kept),
];

fn main() {
    let mut values = vec![[const { Vec::new() }; COLUMNS.len()]; SETTINGS.len()];
    for _ in 0..ROUNDS {
        for ((_, setting), row) in SETTINGS.iter().zip(&mut values) {
            let pool = setting(Pool::builder()).build();
            let pool = pool.expect("settings of the table are valid");
            for ((_, measure), cell) in COLUMNS.iter().zip(row) {
                measure(&pool);
                cell.push(measure(&pool));
                pool.trim();
            }
        }
    }
    let heads: Vec<_> = COLUMNS.iter().map(|(head, _)| *head).collect();
    println!("| setting | {} |", heads.join(" | "));
    println!("|---|{}", "--:|".repeat(COLUMNS.len()));
    for ((name, _), row) in SETTINGS.iter().zip(values) {
        let cells: Vec<_> = row.into_iter().map(|cell| show(median(cell))).collect();
        println!("| `{name}` | {} |", cells.join(" | "));
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Formats three digits.
fn show(value: f64) -> String {
    match value {
        _ if value < 10.0 => format!("{value:.1}"),
        _ if value < 1000.0 => format!("{value:.0}"),
        _ => format!("{:.0}", (value / 10.0).round() * 10.0),
    }
}

/// Returns the nanoseconds of `alloc_unsafe`, one write and the drop.
fn pair(pool: &Pool, len: usize, count: u32) -> f64 {
    let len = black_box(len);
    let start = cpu_time::now();
    for _ in 0..count {
        let mut buffer = pool.alloc_unsafe(len);
        buffer[0] = 1;
        black_box(buffer.as_ptr());
    }
    (cpu_time::now() - start).as_nanos() as f64 / f64::from(count)
}

/// Returns the microseconds of a buffer that doubles from 64 KiB to 16 MiB, with one byte written
/// per step.
fn grow(pool: &Pool) -> f64 {
    let start = cpu_time::now();
    let mut buffer = pool.with_capacity(64 * KIB);
    for shift in 16..=24 {
        buffer.reserve((1 << shift) - buffer.len());
        buffer.set_len(1 << shift);
        buffer[(1 << shift) - 1] = 1;
    }
    black_box(buffer.as_ptr());
    drop(buffer);
    (cpu_time::now() - start).as_nanos() as f64 / 1e3
}

/// Returns the milliseconds of a new mapping of 64 MiB, all of it written.
fn fill(pool: &Pool) -> f64 {
    pool.trim();
    let start = cpu_time::now();
    let mut buffer = pool.alloc_unsafe(64 * MIB);
    buffer.fill(1);
    black_box(buffer.as_ptr());
    (cpu_time::now() - start).as_nanos() as f64 / 1e6
}

/// Returns the MiB that stay resident after 128 MiB in buffers of 1 MiB were written and dropped.
fn kept(pool: &Pool) -> f64 {
    pool.trim();
    let before = memory_usage().rss;
    let held: Vec<_> = (0..128).map(|_| pool.alloc_filled(MIB, "x")).collect();
    drop(held);
    memory_usage().rss.saturating_sub(before) as f64 / MIB as f64
}
