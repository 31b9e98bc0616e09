//! The medians that criterion left in its directory, as Markdown.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The highest throughput that is shown, in GB/s: a core's first-level cache can be filled at about as much.
const BELIEVABLE: f64 = 200.0;

/// Prints a table for each group, of the figures written since `start`. A length that a filter kept from running for
/// every constructor has no row, and a group without rows no table.
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

/// One line, if criterion has new figures for every constructor.
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

/// Time, and throughput as the length over it (a byte a nanosecond is a GB a second). A figure that no memory reaches
/// only says that the bytes were left alone, and is left out.
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

/// Thousands apart.
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

/// The median in the `estimates.json` that criterion writes for each benchmark.
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

/// Criterion puts an underscore for what a file's name had better not contain.
fn directory_name(name: &str) -> String {
    name.replace(['?', '"', '/', '\\', '*', '<', '>', ':', '|', '^'], "_")
}

/// Where criterion writes: as told, or beside the build directory this program was started from.
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
