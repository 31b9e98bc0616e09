//! Rounds, medians, and the table.

use std::time::Duration;

use crate::rows::{Bound, Row};

/// Measures all rows and prints the table.
pub(crate) fn compare(rows: &mut [Row], rounds: usize, budget: Duration) {
    let mut figures = vec![[const { Vec::new() }; 2]; rows.len()];
    for round in 0..rounds {
        for (row, of_row) in rows.iter_mut().zip(&mut figures) {
            for turn in 0..2 {
                match (round + turn) % 2 {
                    0 => of_row[0].push((row.subject)(budget)),
                    _ => of_row[1].extend(row.reference.as_mut().map(|sample| sample(budget))),
                }
            }
        }
    }
    print_heading(rounds);
    println!("| row | ns | relative to | ns | ratio | must | aim |");
    println!("|---|--:|---|--:|--:|--:|--:|");
    for (row, [subject, reference]) in rows.iter().zip(figures) {
        print_row(row, subject, reference);
    }
}

/// Prints the machine and the method.
pub(crate) fn print_heading(rounds: usize) {
    let threads = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "{}, {threads} processors; medians of {rounds} rounds.",
        processor()
    );
    println!();
}

fn print_row(row: &Row, subject: Vec<f64>, reference: Vec<f64>) {
    let ratios: Vec<f64> = subject.iter().zip(&reference).map(|(a, b)| a / b).collect();
    let nanos = median(subject);
    let (label, reference_nanos, ratio) = if ratios.is_empty() {
        ("", String::new(), None)
    } else {
        (
            row.relative_to,
            figure(median(reference)),
            Some(median(ratios)),
        )
    };
    let ratio_cell = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    let bounds = match (row.bound, ratio) {
        (Bound::Ratio { must, aim }, Some(ratio)) => {
            let aim = aim.map_or_else(String::new, |aim| aim.to_string());
            format!("{ratio_cell}{} | {must} | {aim}", verdict(ratio, must))
        }
        (Bound::Nanos(must), _) => {
            format!("{ratio_cell} | {must} ns{} | ", verdict(nanos, must))
        }
        _ => format!("{ratio_cell} | | "),
    };
    println!(
        "| {} | {} | {label} | {reference_nanos} | {bounds} |",
        row.name,
        figure(nanos)
    );
}

/// Marks a value above its bound.
pub(crate) fn verdict(value: f64, must: f64) -> &'static str {
    if value > must { " (above)" } else { "" }
}

fn figure(nanos: f64) -> String {
    match nanos {
        _ if nanos < 100.0 => format!("{nanos:.1}"),
        _ => format!("{nanos:.0}"),
    }
}

/// The middle value, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    }
}

/// The processor's name as the system gives it, or its architecture.
fn processor() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(':'))
        .map(|(_, name)| name.trim().to_owned());
    name.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}
