//! Parses the command line.

use super::size;
use lexopt::{Arg, Parser};
use std::error::Error;
use std::ffi::OsString;
use std::ops::RangeInclusive;

pub(crate) const USAGE: &str = "\
Usage: tenants [OPTIONS]

Runs the tasks of many tenants under one budget. Each tenant has a pool with a limit; all pools share
the budget. The load moves from tenant to tenant, in phases. Prints a line per phase and a last line
of counters. The exit code is 1 if the budget was exceeded or a byte was wrong.

  --tenants N      number of tenants [1000]
  --active N       number of tenants with a load in each phase [100]
  --phases N       number of phases [10]
  --tasks N        concurrent tasks of each active tenant [16]
  --requests N     requests of each task in a phase [10]
  --limit BYTES    limit of each tenant's pool [8M]
  --budget BYTES   budget of all tenants together [256M]
  --longest BYTES  length of the longest buffer; the shortest is 4K [1M]
  -h, --help       prints this text";

#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) tenants: usize,
    pub(crate) active: usize,
    pub(crate) phases: usize,
    pub(crate) tasks: usize,
    pub(crate) requests: usize,
    pub(crate) limit: usize,
    pub(crate) budget: usize,
    pub(crate) longest: usize,
}

impl Options {
    /// Returns `None` if the user asks for help.
    pub(crate) fn parse(arguments: Vec<OsString>) -> Result<Option<Self>, String> {
        Self::try_parse(arguments).map_err(|error| error.to_string())
    }

    fn try_parse(arguments: Vec<OsString>) -> Result<Option<Self>, Box<dyn Error>> {
        let mut options = Self {
            tenants: 1000,
            active: 100,
            phases: 10,
            tasks: 16,
            requests: 10,
            limit: 8 << 20,
            budget: 256 << 20,
            longest: 1 << 20,
        };
        let mut parser = Parser::from_args(arguments);
        while let Some(arg) = parser.next()? {
            let name = match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long(name) => name.to_owned(),
                other => return Err(other.unexpected().into()),
            };
            let (place, range) = match &*name {
                "tenants" => (&mut options.tenants, 1..=20_000),
                "active" => (&mut options.active, 1..=20_000),
                "phases" => (&mut options.phases, 1..=1_000),
                "tasks" => (&mut options.tasks, 1..=1_000),
                "requests" => (&mut options.requests, 1..=1_000_000),
                "limit" => (&mut options.limit, 1..=1 << 40),
                "budget" => (&mut options.budget, 1..=1 << 40),
                "longest" => (&mut options.longest, 4096..=1 << 30),
                _ => return Err(Arg::Long(&name).unexpected().into()),
            };
            *place = number(&name, &mut parser, range)?;
        }
        if options.active > options.tenants {
            let Self {
                active, tenants, ..
            } = options;
            return Err(format!("--active {active}: at most --tenants, {tenants}").into());
        }
        // A tenant's largest buffer has to fit into its pool beside a region of slabs.
        if options.longest > options.limit / 2 {
            let Self { longest, limit, .. } = options;
            return Err(format!("--longest {longest}: at most half of --limit {limit}").into());
        }
        Ok(Some(options))
    }
}

fn number(
    name: &str,
    parser: &mut Parser,
    range: RangeInclusive<usize>,
) -> Result<usize, Box<dyn Error>> {
    let value = parser.value()?;
    let number = size::parse(&format!("--{name}"), &value)?;
    if range.contains(&number) {
        return Ok(number);
    }
    let (least, most) = (range.start(), range.end());
    let value = value.display();
    Err(format!("--{name} {value}: not a number from {least} to {most}").into())
}
