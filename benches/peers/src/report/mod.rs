//! The results of the rounds, as tables, as JSON and as a plot.

pub mod json;
pub mod plot;
pub mod table;

use crate::contestant::Contestant;
use crate::group::{EXPLICIT_POOL_MUST, Group, Target};
use crate::rounds::Outcome;

/// The names and outcomes of a run.
pub struct Results<'a> {
    /// The contestants' names, in the order of the times of every outcome.
    pub names: Vec<&'static str>,
    /// One for each row.
    pub outcomes: &'a [Outcome],
}

impl<'a> Results<'a> {
    /// Combines the contestants' names with their outcomes.
    #[must_use]
    pub fn new(contestants: &[Box<dyn Contestant>], outcomes: &'a [Outcome]) -> Self {
        let names = contestants
            .iter()
            .map(|contestant| contestant.name())
            .collect();
        Results { names, outcomes }
    }

    /// Returns the groups that were run, each with its rows.
    pub fn groups(&self) -> impl Iterator<Item = (Group, Vec<&'a Outcome>)> {
        let outcomes = self.outcomes;
        Group::ALL.into_iter().filter_map(move |group| {
            let rows: Vec<_> = outcomes
                .iter()
                .filter(|outcome| outcome.group() == group)
                .collect();
            (!rows.is_empty()).then_some((group, rows))
        })
    }

    /// Returns the worst row of each group, and of the explicit pool.
    #[must_use]
    pub fn worst_rows(&self) -> Vec<Worst<'a>> {
        let mut worst: Vec<Worst<'a>> = self
            .groups()
            .map(|(group, rows)| Worst {
                title: group.title(),
                target: group.target(),
                ..Worst::of(&rows, |outcome| outcome.ratio)
            })
            .collect();
        let pairs: Vec<_> = self
            .outcomes
            .iter()
            .filter(|outcome| outcome.group().is_pair())
            .collect();
        if !pairs.is_empty() {
            worst.push(Worst::of(&pairs, |outcome| outcome.explicit_ratio));
        }
        worst
    }
}

/// The row by which a group is judged.
pub struct Worst<'a> {
    /// The group's title.
    pub title: &'static str,
    /// Its target.
    pub target: Target,
    /// The worst row.
    pub outcome: &'a Outcome,
    /// Its ratio.
    pub ratio: f64,
}

impl<'a> Worst<'a> {
    fn of(rows: &[&'a Outcome], ratio: fn(&Outcome) -> f64) -> Self {
        let worst = rows.iter().max_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        let outcome = *worst.expect("a group has rows");
        Worst {
            title: "explicit pool / global pool, pair",
            target: Target {
                must: EXPLICIT_POOL_MUST,
                aim: 1.0,
            },
            outcome,
            ratio: ratio(outcome),
        }
    }
}
