//! The command lines of the two programs.

use std::path::PathBuf;
use std::time::Duration;

use crate::group::Group;
use crate::rounds::Plan;
use crate::workload::{Row, fresh};

/// What `peers` does.
#[derive(Debug)]
pub enum Request {
    /// Runs a plan and reports it.
    Run(RunRequest),
    /// Takes one sample of first touch, as a child process of such a run.
    FirstTouch {
        /// The allocator's name.
        allocator: String,
        /// The length of each block.
        len: usize,
    },
    /// Draws the plot of an earlier run.
    Redraw {
        /// The JSON of that run.
        json: PathBuf,
        /// The file for the plot.
        svg: PathBuf,
    },
    /// Prints the usage.
    Help,
}

/// A run of `peers`.
#[derive(Debug)]
pub struct RunRequest {
    /// What to measure.
    pub plan: Plan,
    /// The file for the results as JSON.
    pub json: Option<PathBuf>,
    /// The file for the plot.
    pub svg: Option<PathBuf>,
}

/// The usage of `peers`.
pub const HELP: &str = "\
Times slabuf and its peers in alternating rounds.

  --quick        3 short rounds
  --rounds N     number of rounds (15)
  --group NAME   only this group; can be repeated
  --json FILE    writes the results as JSON
  --svg FILE     writes a plot of the results
  --from FILE    runs nothing; draws the --svg plot from the JSON of an earlier run";

const ROUNDS: usize = 15;
const QUICK_ROUNDS: usize = 3;
const BUDGET: Duration = Duration::from_millis(12);
const QUICK_BUDGET: Duration = Duration::from_millis(4);

/// Reads the arguments of `peers`.
///
/// # Errors
///
/// Returns a sentence that names the wrong argument.
pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Request, String> {
    let mut groups = Vec::new();
    let mut rounds = None;
    let mut quick = false;
    let (mut json, mut svg, mut from) = (None, None, None);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--quick" => quick = true,
            "--rounds" => rounds = Some(positive(&value()?)?),
            "--group" => groups.push(group(&value()?)?),
            "--json" => json = Some(PathBuf::from(value()?)),
            "--svg" => svg = Some(PathBuf::from(value()?)),
            "--from" => from = Some(PathBuf::from(value()?)),
            fresh::CHILD_FLAG => {
                let (allocator, len) = (value()?, positive(&value()?)?);
                return Ok(Request::FirstTouch { allocator, len });
            }
            "--help" | "-h" => return Ok(Request::Help),
            _ => return Err(format!("unknown argument {argument}; see --help")),
        }
    }
    if let Some(json) = from {
        let svg = svg.ok_or("--from needs --svg")?;
        return Ok(Request::Redraw { json, svg });
    }
    if groups.is_empty() {
        groups = Group::ALL.to_vec();
    }
    let plan = Plan {
        rows: groups.into_iter().flat_map(Row::of).collect(),
        rounds: rounds.unwrap_or(if quick { QUICK_ROUNDS } else { ROUNDS }),
        budget: if quick { QUICK_BUDGET } else { BUDGET },
    };
    Ok(Request::Run(RunRequest { plan, json, svg }))
}

fn positive(value: &str) -> Result<usize, String> {
    let number = value.parse().ok().filter(|&number| number > 0);
    number.ok_or(format!("{value} is not a positive number"))
}

fn group(value: &str) -> Result<Group, String> {
    let known = Group::ALL.into_iter().find(|group| group.key() == value);
    known.ok_or_else(|| {
        format!(
            "no group {value}; the groups are {}",
            Group::ALL.map(Group::key).join(", ")
        )
    })
}
