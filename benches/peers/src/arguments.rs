//! The command lines of the two programs.

use std::path::PathBuf;
use std::time::Duration;

use crate::group::Group;
use crate::rounds::Plan;
use crate::workload::{Row, fresh};

/// What `peers` can be asked for.
#[derive(Debug)]
pub enum Request {
    /// Run a plan and report it.
    Run(RunRequest),
    /// Take one sample of first touch, as a child of such a run.
    FirstTouch {
        /// The allocator's name.
        allocator: String,
        /// The length of each block.
        len: usize,
    },
    /// Print how it is used.
    Help,
}

/// A run of `peers`.
#[derive(Debug)]
pub struct RunRequest {
    /// What to measure.
    pub plan: Plan,
    /// Where the figures go as JSON.
    pub json: Option<PathBuf>,
    /// Where the plot goes.
    pub svg: Option<PathBuf>,
}

/// How `peers` is used.
pub const HELP: &str = "\
Times slabuf and its peers in interleaved rounds.

  --quick        3 short rounds
  --rounds N     that many rounds (15)
  --group NAME   only that group; may be given again
  --json FILE    the figures as JSON
  --svg FILE     a plot of them";

const ROUNDS: usize = 15;
const QUICK_ROUNDS: usize = 3;
const BUDGET: Duration = Duration::from_millis(12);
const QUICK_BUDGET: Duration = Duration::from_millis(4);

/// Reads the arguments of `peers`.
///
/// # Errors
///
/// A sentence that says which argument is wrong.
pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Request, String> {
    let mut groups = Vec::new();
    let mut rounds = None;
    let mut quick = false;
    let (mut json, mut svg) = (None, None);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--quick" => quick = true,
            "--rounds" => rounds = Some(positive(&value()?)?),
            "--group" => groups.push(group(&value()?)?),
            "--json" => json = Some(PathBuf::from(value()?)),
            "--svg" => svg = Some(PathBuf::from(value()?)),
            fresh::CHILD_FLAG => {
                let (allocator, len) = (value()?, positive(&value()?)?);
                return Ok(Request::FirstTouch { allocator, len });
            }
            "--help" | "-h" => return Ok(Request::Help),
            _ => return Err(format!("{argument} is not known; --help tells what is")),
        }
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
            "{value} is no group; there are {}",
            Group::ALL.map(Group::key).join(", ")
        )
    })
}
