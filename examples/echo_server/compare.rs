//! Runs the pool's server and `BytesMut`'s alternately, each in a separate process with its own
//! client.

use crate::counters::parse;
use crate::options::Options;
use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::process::{Command, Stdio};

const SERVERS: [(&str, bool); 2] = [("slabuf", false), ("BytesMut", true)];
/// Heading, name in the server's report, and divisor.
const COLUMNS: [(&str, &str, f64); 7] = [
    ("requests/s", "rate", 1.0),
    ("cpu us/request", "cpu_us", 1.0),
    ("slowest ms", "longest_ms", 1.0),
    ("peak rss MiB", "peak_rss", 1048576.0),
    ("peak external MiB", "peak_external", 1048576.0),
    ("waits", "waits", 1.0),
    ("dropped", "dropped", 1.0),
];

/// Returns `false` if a server reported an error.
pub(crate) fn run(options: &Options, rounds: usize) -> Result<bool, Box<dyn Error>> {
    let out = &mut io::stdout().lock();
    writeln!(
        out,
        "{} connections, messages of {} bytes, reads of {}, limit {}, {rounds} rounds of {} s",
        options.connections,
        options.message,
        options.read,
        options.limit,
        options.duration.as_secs()
    )?;
    let mut counters: [[Vec<f64>; COLUMNS.len()]; 2] = Default::default();
    let mut ratios = Vec::new();
    let mut good = true;
    for round in 0..rounds {
        let mut rates = [0.0; 2];
        // The order alternates.
        for which in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            let (name, bytes_mut) = SERVERS[which];
            let (line, ok) = serve(bytes_mut)?;
            good &= ok;
            let numbers = parse(&line);
            let number = |name| numbers.get(name).copied().unwrap_or(f64::NAN);
            writeln!(out, "round {}: {name:<8} {line}", round + 1)?;
            rates[which] = number("rate");
            for (column, (_, key, unit)) in COLUMNS.iter().enumerate() {
                counters[which][column].push(number(key) / unit);
            }
        }
        ratios.push(rates[0] / rates[1]);
    }
    print_table(out, &mut counters)?;
    writeln!(
        out,
        "\nrequests/s, slabuf to BytesMut, median of the rounds' ratios: {:.3}",
        median(&mut ratios)
    )?;
    Ok(good)
}

fn print_table(
    out: &mut impl Write,
    counters: &mut [[Vec<f64>; COLUMNS.len()]; 2],
) -> io::Result<()> {
    let headings: String = COLUMNS
        .iter()
        .map(|(name, ..)| format!(" {name} |"))
        .collect();
    writeln!(out, "\n| server   |{headings}")?;
    let rules = COLUMNS
        .iter()
        .map(|(name, ..)| format!("{}:|", "-".repeat(name.len() + 1)));
    writeln!(out, "|----------|{}", rules.collect::<String>())?;
    for ((name, _), columns) in SERVERS.iter().zip(counters) {
        let cells = columns.iter_mut().zip(COLUMNS).map(|(all, (heading, ..))| {
            let number = median(all);
            let text = match number {
                _ if number.is_nan() => "-".to_owned(),
                _ if number < 1000.0 && number.fract() != 0.0 => format!("{number:.1}"),
                _ => format!("{number:.0}"),
            };
            format!(" {text:>width$} |", width = heading.len())
        });
        writeln!(out, "| {name:<8} |{}", cells.collect::<String>())?;
    }
    Ok(())
}

/// Runs a server with the same options. Returns its report and whether it succeeded.
fn serve(bytes_mut: bool) -> Result<(String, bool), Box<dyn Error>> {
    let output = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .arg("--server")
        .args(bytes_mut.then_some("--bytes-mut"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().find_map(|line| line.strip_prefix("result "));
    let line = line.ok_or_else(|| format!("a server ended with {}", output.status))?;
    Ok((line.to_owned(), output.status.success()))
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() % 2 {
        0 => (numbers[middle - 1] + numbers[middle]) / 2.0,
        _ => numbers[middle],
    }
}
