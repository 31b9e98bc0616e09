//! Times slabuf and its peers at the same work, in interleaved rounds.

use std::process::ExitCode;

use peers::allocators::contestants;
use peers::arguments::{HELP, Request, RunRequest, parse};
use peers::report::{Results, json, plot, table};
use peers::rounds;

fn main() -> ExitCode {
    let outcome = parse(std::env::args().skip(1)).and_then(|request| match request {
        Request::Run(request) => run(&request),
        Request::FirstTouch { allocator, len } => first_touch(&allocator, len),
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
    let write = |path: &std::path::Path, text: String| {
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    };
    if let Some(path) = &request.json {
        write(path, json::render(&results))?;
    }
    if let Some(path) = &request.svg {
        write(path, plot::render(&results))?;
    }
    Ok(())
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
