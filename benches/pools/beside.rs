//! This build beside another build of the same program.

use std::path::Path;
use std::process::Command;

use crate::rows::Row;
use crate::table::{self, median};

/// What the global pool may cost relative to another build: must and aim.
const BOUNDS: (f64, f64) = (1.05, 0.9);

/// Runs the subject of each row in new processes of this program and of `program`, in turn, and
/// prints the table.
pub(crate) fn compare(program: &Path, rows: &[Row], rounds: usize) -> Result<(), String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let programs = [this.as_path(), program];
    let mut figures = vec![[const { Vec::new() }; 2]; rows.len()];
    for round in 0..rounds {
        for (row, of_row) in rows.iter().zip(&mut figures) {
            for turn in 0..2 {
                let index = (round + turn) % 2;
                of_row[index].push(sample(programs[index], &row.name)?);
            }
        }
    }
    table::print_heading(rounds);
    println!("| row | this build, ns | the other, ns | ratio | must | aim |");
    println!("|---|--:|--:|--:|--:|--:|");
    for (row, [ours, others]) in rows.iter().zip(figures) {
        let ratio = median(ours.iter().zip(&others).map(|(a, b)| a / b).collect());
        let (must, aim) = BOUNDS;
        println!(
            "| {} | {:.1} | {:.1} | {ratio:.2}{} | {must} | {aim} |",
            row.name,
            median(ours),
            median(others),
            table::verdict(ratio, must),
        );
    }
    Ok(())
}

fn sample(program: &Path, row: &str) -> Result<f64, String> {
    let child = Command::new(program)
        .args(["--sample", row])
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let printed = String::from_utf8_lossy(&child.stdout);
    printed
        .trim()
        .parse()
        .map_err(|_| format!("{}: no figure for {row}", program.display()))
}
