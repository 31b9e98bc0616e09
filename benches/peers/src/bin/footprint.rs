//! Measures what each allocator keeps resident, each in a separate process. No timing.

use std::process::{Command, ExitCode};

use peers::allocators::contestants;
use peers::footprint::{Footprint, Scenario};
use peers::report::table::Table;

/// The part of each scenario that `--quick` runs.
const QUICK_SCALE: u32 = 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        [] => compare(1),
        ["--quick"] => compare(QUICK_SCALE),
        ["--child", allocator, scenario, scale] => measure(allocator, scenario, scale),
        _ => Err(
            "Measures what each allocator keeps resident.\n\n  --quick   a tenth of the work"
                .into(),
        ),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn measure(allocator: &str, scenario: &str, scale: &str) -> Result<(), String> {
    let contestants = contestants();
    let named = contestants
        .iter()
        .find(|contestant| contestant.name() == allocator);
    let contestant = named.ok_or(format!("no allocator is called {allocator}"))?;
    let scenario = Scenario::from_key(scenario).ok_or(format!("{scenario} is no scenario"))?;
    let scale = scale
        .parse()
        .map_err(|_| format!("{scale} is not a number"))?;
    let footprint = contestant
        .footprint(scenario, scale)
        .map_err(|error| error.to_string())?;
    println!(
        "{} {} {}",
        footprint.live, footprint.resident, footprint.purged
    );
    Ok(())
}

fn compare(scale: u32) -> Result<(), String> {
    let mut table = Table::new([
        "allocator",
        "churn: resident / live",
        "after a peak: MiB",
        "purged",
        "one survivor in 64: MiB",
        "purged",
        "purged / live",
    ]);
    for contestant in contestants()
        .iter()
        .filter(|contestant| contestant.takes_any_length())
    {
        eprintln!("{}", contestant.name());
        let [churn, peak, survivors] =
            Scenario::ALL.map(|scenario| in_new_process(contestant.name(), scenario, scale));
        let (churn, peak, survivors) = (churn?, peak?, survivors?);
        table.push([
            contestant.name().to_string(),
            format!("{:.2}", churn.resident as f64 / churn.live as f64),
            mebibytes(peak.resident),
            mebibytes(peak.purged),
            mebibytes(survivors.resident),
            mebibytes(survivors.purged),
            format!("{:.2}", survivors.purged as f64 / survivors.live as f64),
        ]);
    }
    print!("{table}");
    Ok(())
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

fn in_new_process(allocator: &str, scenario: Scenario, scale: u32) -> Result<Footprint, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let arguments = ["--child", allocator, scenario.key(), &scale.to_string()];
    let child = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| error.to_string())?;
    let usage = || {
        format!(
            "{allocator}, {}: {}",
            scenario.key(),
            String::from_utf8_lossy(&child.stderr)
        )
    };
    let printed = String::from_utf8_lossy(&child.stdout);
    let values: Vec<u64> = printed
        .split_ascii_whitespace()
        .filter_map(|value| value.parse().ok())
        .collect();
    match values[..] {
        [live, resident, purged] => Ok(Footprint {
            live,
            resident,
            purged,
        }),
        _ => Err(usage()),
    }
}
