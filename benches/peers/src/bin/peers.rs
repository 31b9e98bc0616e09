//! Times slabuf and its peers at the same work, in alternating rounds.

use std::path::Path;
use std::process::ExitCode;

use peers::allocators::contestants;
use peers::arguments::{HELP, Request, RunRequest, parse};
use peers::report::plot::{Chart, render};
use peers::report::{Results, json, table};
use peers::rounds;

fn main() -> ExitCode {
    let outcome = parse(std::env::args().skip(1)).and_then(|request| match request {
        Request::Run(request) => run(&request),
        Request::FirstTouch { allocator, len } => first_touch(&allocator, len),
        Request::Redraw { json, svg } => redraw(&json, &svg),
        Request::Help => {
            println!("{HELP}");
            Ok(())
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run(request: &RunRequest) -> Result<(), String> {
    let contestants = contestants();
    let outcomes = rounds::run(&request.plan, &contestants);
    let results = Results::new(&contestants, &outcomes);
    table::print(&results);
    if let Some(path) = &request.json {
        write(path, json::render(&results))?;
    }
    if let Some(path) = &request.svg {
        write(path, render(&Chart::of(&results)))?;
    }
    Ok(())
}

fn write(path: &Path, text: String) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Draws the plot of an earlier run.
fn redraw(json: &Path, svg: &Path) -> Result<(), String> {
    let text =
        std::fs::read_to_string(json).map_err(|error| format!("{}: {error}", json.display()))?;
    write(svg, render(&json::parse(&text)?))
}

fn first_touch(allocator: &str, len: usize) -> Result<(), String> {
    let contestants = contestants();
    let named = contestants
        .iter()
        .find(|contestant| contestant.name() == allocator);
    let contestant = named.ok_or(format!("no allocator is called {allocator}"))?;
    println!("{}", contestant.first_touch(len));
    Ok(())
}
