//! What each kind of pool costs beside a simpler one, in one run: `cargo bench --bench pools`.
//!
//! Every row compares a subject with a reference. In each round both run, one after the other, and
//! the order changes from round to round. The program prints the medians of both and the median of
//! the rounds' ratios, beside the ratio that the row must reach and the ratio it aims at.
//!
//! Rows of one thread are measured in the thread's own processor time, so that other programs on
//! the machine disturb less. Rows of several threads are measured in elapsed time.
//!
//! ```text
//! cargo bench --bench pools -- [--quick] [--rounds N] [TEXT...]   rows with such a name
//! cargo bench --bench pools -- --list                             the rows' names
//! cargo bench --bench pools -- --beside PROGRAM [TEXT...]         beside another build
//! ```
//!
//! With `--beside`, each sample runs in a process of its own: this program and `PROGRAM` in turn.

mod beside;
#[path = "../support/cpu_time.rs"]
mod cpu_time;
mod lengths;
mod refusal;
mod rows;
mod table;
mod threads;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::*;

/// Rounds, and time for each sample, unless set.
const ROUNDS: usize = 31;
const BUDGET: Duration = Duration::from_millis(10);
const QUICK_ROUNDS: usize = 3;
const QUICK_BUDGET: Duration = Duration::from_micros(500);

/// What the program is to do.
struct Plan {
    rounds: usize,
    budget: Duration,
    /// Rows whose names contain one of these; all rows if there are none.
    texts: Vec<String>,
    task: Task,
}

enum Task {
    /// Prints the table.
    Compare,
    /// Prints the rows' names.
    List,
    /// Prints one sample of the subject of the row with this name, in nanoseconds.
    Sample(String),
    /// Compares this build with another.
    Beside(PathBuf),
}

fn main() -> ExitCode {
    let outcome = plan().map_err(|error| error.to_string()).and_then(run);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn plan() -> Result<Plan, lexopt::Error> {
    let mut plan = Plan {
        rounds: ROUNDS,
        budget: BUDGET,
        texts: Vec::new(),
        task: Task::Compare,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            // `cargo bench` passes it.
            Long("bench") => {}
            Long("quick") => (plan.rounds, plan.budget) = (QUICK_ROUNDS, QUICK_BUDGET),
            Long("rounds") => plan.rounds = parser.value()?.parse::<usize>()?.max(1),
            Long("list") => plan.task = Task::List,
            Long("sample") => plan.task = Task::Sample(parser.value()?.string()?),
            Long("beside") => plan.task = Task::Beside(parser.value()?.into()),
            Value(text) => plan.texts.push(text.string()?),
            other => return Err(other.unexpected()),
        }
    }
    Ok(plan)
}

fn run(plan: Plan) -> Result<(), String> {
    let mut rows = rows::all();
    match &plan.task {
        Task::Sample(name) => {
            let row = rows.iter_mut().find(|row| row.name == *name);
            let row = row.ok_or_else(|| format!("no row is called {name}"))?;
            println!("{}", (row.subject)(plan.budget));
            return Ok(());
        }
        Task::List => {
            rows.iter().for_each(|row| println!("{}", row.name));
            return Ok(());
        }
        Task::Compare | Task::Beside(_) => {}
    }
    rows.retain(|row| {
        plan.texts.is_empty() || plan.texts.iter().any(|text| row.name.contains(&**text))
    });
    if rows.is_empty() {
        return Err("no row's name contains that; --list prints the names".into());
    }
    if let Task::Beside(program) = &plan.task {
        beside::compare(program, &rows, plan.rounds)
    } else {
        table::compare(&mut rows, plan.rounds, plan.budget);
        Ok(())
    }
}
