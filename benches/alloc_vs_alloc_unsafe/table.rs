//! The medians from criterion's directory, as Markdown.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The highest throughput that is printed, in GB/s: about the rate at which a core fills its
/// first-level cache.
const BELIEVABLE: f64 = 200.0;

/// Prints one table per group, of the medians written since `start`. A length that did not run for
/// every constructor (because of a filter) has no row, and a group without rows no table.
pub(crate) fn print(groups: &[&str], constructors: &[&str], lengths: &[usize], start: SystemTime) {
    let Some(home) = criterion_home() else { return };
    for group in groups {
        let rows: Vec<String> = lengths
            .iter()
            .filter_map(|&len| row(&home.join(group), constructors, len, start))
            .collect();
        if rows.is_empty() {
            continue;
        }
        println!("\n{group}: ns (GB/s)\n");
        println!(
            "| length | {} | `alloc` / `alloc_unsafe` |",
            head(constructors)
        );
        println!("|---:|{}---:|", "---:|".repeat(constructors.len()));
        rows.iter().for_each(|row| println!("{row}"));
    }
}

fn head(constructors: &[&str]) -> String {
    let names: Vec<String> = constructors
        .iter()
        .map(|name| format!("`{name}`"))
        .collect();
    names.join(" | ")
}

/// Returns one line, if criterion has new medians for every constructor.
fn row(group: &Path, constructors: &[&str], len: usize, start: SystemTime) -> Option<String> {
    let nanos: Option<Vec<f64>> = constructors
        .iter()
        .map(|constructor| median_nanos(&group.join(directory_name(constructor)), len, start))
        .collect();
    let nanos = nanos?;
    let cells: Vec<String> = nanos.iter().map(|&nanos| cell(nanos, len)).collect();
    let ratio = nanos[0] / nanos[1];
    Some(format!(
        "| {} | {} | {ratio:.2} |",
        length(len),
        cells.join(" | ")
    ))
}

/// Formats a time, and the throughput as length over time (one byte per ns is one GB/s). A
/// throughput that no memory reaches only shows that the bytes were not accessed, and is omitted.
fn cell(nanos: f64, len: usize) -> String {
    let throughput = len as f64 / nanos;
    let nanos = match nanos {
        _ if nanos < 100.0 => format!("{nanos:.1}"),
        _ => grouped(nanos.round() as u64),
    };
    match throughput {
        _ if throughput < BELIEVABLE => format!("{nanos} ({throughput:.1})"),
        _ => nanos,
    }
}

/// Formats a number with separators between thousands.
fn grouped(value: u64) -> String {
    match value {
        0..1000 => value.to_string(),
        _ => format!("{},{:03}", grouped(value / 1000), value % 1000),
    }
}

fn length(len: usize) -> String {
    match len {
        _ if len >= 1 << 20 => format!("{} MiB", len >> 20),
        _ if len >= 1 << 10 => format!("{} KiB", len >> 10),
        _ => format!("{len} B"),
    }
}

/// Returns the median from the `estimates.json` that criterion writes for each benchmark.
fn median_nanos(constructor: &Path, len: usize, start: SystemTime) -> Option<f64> {
    let estimates = constructor.join(len.to_string()).join("new/estimates.json");
    let written = fs::metadata(&estimates).ok()?.modified().ok()?;
    if written < start {
        return None;
    }
    let estimates = fs::read_to_string(estimates).ok()?;
    let (_, median) = estimates.split_once("\"median\":")?;
    let (_, point) = median.split_once("\"point_estimate\":")?;
    let end = point.find([',', '}'])?;
    point[..end].trim().parse().ok()
}

/// Replaces characters that criterion does not use in file names by underscores.
fn directory_name(name: &str) -> String {
    name.replace(['?', '"', '/', '\\', '*', '<', '>', ':', '|', '^'], "_")
}

/// Returns criterion's directory: `CRITERION_HOME`, or the one beside the build directory of this
/// program.
fn criterion_home() -> Option<PathBuf> {
    if let Some(home) = std::env::var_os("CRITERION_HOME") {
        return Some(PathBuf::from(home));
    }
    let program = std::env::current_exe().ok()?;
    let homes = program
        .ancestors()
        .map(|directory| directory.join("criterion"));
    homes.into_iter().find(|home| home.is_dir())
}
