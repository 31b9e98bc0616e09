//! The order of runs: in each round all contestants run each row, one after another; the first one
//! changes per round.

use std::time::Duration;

use crate::allocator::Role;
use crate::contestant::Contestant;
use crate::group::Group;
use crate::workload::Row;

/// The amount of work.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The rows.
    pub rows: Vec<Row>,
    /// How often each contestant runs each row.
    pub rounds: usize,
    /// The time of one run of a row.
    pub budget: Duration,
}

/// The result of one row.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The row.
    pub row: Row,
    /// Median nanoseconds of each contestant, in their order; `None` if one cannot run the row.
    pub nanos: Vec<Option<f64>>,
    /// Median over the rounds: cost of the global pool divided by that of the best peer of the
    /// round.
    pub ratio: f64,
    /// Median over the rounds: cost of the explicit pool divided by that of the global pool.
    pub explicit_ratio: f64,
    /// The peer that was best in most rounds, as an index of the contestants.
    pub best_peer: usize,
}

impl Outcome {
    /// Returns the group of the row.
    #[must_use]
    pub fn group(&self) -> Group {
        self.row.group
    }
}

/// Runs the plan. Progress goes to standard error.
#[must_use]
pub fn run(plan: &Plan, contestants: &[Box<dyn Contestant>]) -> Vec<Outcome> {
    let mut rounds_of_rows: Vec<Vec<Round>> = vec![Vec::new(); plan.rows.len()];
    for round in 0..plan.rounds {
        eprintln!("round {} of {}", round + 1, plan.rounds);
        for (rounds, row) in rounds_of_rows.iter_mut().zip(&plan.rows) {
            rounds.push(run_row(row, round, plan.budget, contestants));
        }
    }
    let outcomes = plan.rows.iter().zip(&rounds_of_rows);
    outcomes
        .map(|(&row, rounds)| conclude(row, rounds, contestants))
        .collect()
}

/// Returns the nanoseconds of each contestant in one round of one row.
type Round = Vec<Option<f64>>;

fn run_row(
    row: &Row,
    first: usize,
    budget: Duration,
    contestants: &[Box<dyn Contestant>],
) -> Round {
    let mut nanos = vec![None; contestants.len()];
    for turn in 0..contestants.len() {
        let index = (first + turn) % contestants.len();
        nanos[index] = contestants[index].sample(row.workload, budget);
    }
    nanos
}

fn conclude(row: Row, rounds: &[Round], contestants: &[Box<dyn Contestant>]) -> Outcome {
    let position = |role| {
        contestants
            .iter()
            .position(|contestant| contestant.role() == role)
    };
    let subject = position(Role::Subject).expect("the crate itself takes part");
    let variant = position(Role::Variant).expect("the crate itself takes part");
    let best_of = |round: &Round| -> (usize, f64) {
        let peers = (0..contestants.len()).filter(|&index| contestants[index].role() == Role::Peer);
        let known = peers.filter_map(|index| Some((index, round[index]?)));
        known
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .expect("at least one peer can do every row")
    };
    let nanos_of = |round: &Round, index: usize| round[index].expect("the crate can do every row");

    let mut wins = vec![0; contestants.len()];
    rounds.iter().for_each(|round| wins[best_of(round).0] += 1);
    let each_median =
        (0..contestants.len()).map(|index| median(rounds.iter().filter_map(|round| round[index])));
    let ratios = rounds
        .iter()
        .map(|round| nanos_of(round, subject) / best_of(round).1);
    let explicit_ratios = rounds
        .iter()
        .map(|round| nanos_of(round, variant) / nanos_of(round, subject));
    Outcome {
        row,
        nanos: each_median.collect(),
        ratio: median(ratios).expect("there is at least one round"),
        explicit_ratio: median(explicit_ratios).expect("there is at least one round"),
        best_peer: (0..wins.len())
            .max_by_key(|&index| wins[index])
            .expect("there are contestants"),
    }
}

/// Returns the middle value, or the mean of the two middle values.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}
