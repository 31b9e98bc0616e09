//! The results as JSON. All names are plain ASCII without quotes, so nothing needs escaping.

use super::Results;
use super::plot::{Chart, Row};
use crate::group::Group;

/// Returns one object per row, in an array. [`parse`] reads it.
#[must_use]
pub fn render(results: &Results<'_>) -> String {
    let rows: Vec<String> = results
        .outcomes
        .iter()
        .map(|outcome| {
            let nanos = results.names.iter().zip(&outcome.nanos);
            let nanos: Vec<String> = nanos
                .map(|(name, nanos)| format!("\"{name}\": {}", nanos.map_or("null".into(), |n| format!("{n:.3}"))))
                .collect();
            let target = outcome.group().target();
            format!(
                "  {{\"group\": \"{}\", \"row\": \"{}\", \"must\": {}, \"aim\": {}, \"ratio\": {:.4}, \
                 \"explicit_ratio\": {:.4}, \"best_peer\": \"{}\", \"nanos\": {{{}}}}}",
                outcome.group().key(),
                outcome.row.workload,
                target.must,
                target.aim,
                outcome.ratio,
                outcome.explicit_ratio,
                results.names[outcome.best_peer],
                nanos.join(", "),
            )
        })
        .collect();
    format!("[\n{}\n]\n", rows.join(",\n"))
}

/// Reads what [`render`] wrote, for a plot.
///
/// # Errors
///
/// Names the first line that `render` cannot have written.
pub fn parse(text: &str) -> Result<Chart, String> {
    let mut chart = Chart {
        names: Vec::new(),
        rows: Vec::new(),
    };
    for line in text.lines().filter(|line| line.contains('{')) {
        let (names, row) =
            parse_row(line).ok_or_else(|| format!("not a row of results: {line}"))?;
        chart.names = names;
        chart.rows.push(row);
    }
    Ok(chart)
}

fn parse_row(line: &str) -> Option<(Vec<String>, Row)> {
    let (head, nanos) = line.split_once("\"nanos\": {")?;
    let field = |name: &str| {
        let (_, rest) = head.split_once(&format!("\"{name}\": \""))?;
        Some(rest.split_once('"')?.0)
    };
    let key = field("group")?;
    let group = Group::ALL.into_iter().find(|group| group.key() == key)?;
    let best_peer = field("best_peer")?;
    let mut values = Vec::new();
    for pair in nanos.split_once('}')?.0.split(", \"") {
        let (name, value) = pair.trim_start_matches('"').split_once("\": ")?;
        values.push((name.to_owned(), value.parse::<f64>().ok()));
    }
    let best = values.iter().find(|(name, _)| name == best_peer)?.1?;
    let costs = values.iter().map(|(_, nanos)| Some((*nanos)? / best));
    let row = Row {
        group: group.title().to_owned(),
        workload: field("row")?.to_owned(),
        costs: costs.collect(),
    };
    Some((values.into_iter().map(|(name, _)| name).collect(), row))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_row_of_json_becomes_a_row_of_the_plot() {
        let row = "[\n  {\"group\": \"pair-stale\", \"row\": \"64 B\", \"must\": 0.9, \"aim\": 0.5, \
                   \"ratio\": 0.7500, \"explicit_ratio\": 1.5000, \"best_peer\": \"jemalloc\", \
                   \"nanos\": {\"slabuf\": 3.000, \"jemalloc\": 4.000, \"opool\": null}}\n]\n";
        let chart = parse(row).unwrap();
        assert_eq!(chart.names, ["slabuf", "jemalloc", "opool"]);
        assert_eq!(chart.rows[0].group, "pair, stale");
        assert_eq!(chart.rows[0].workload, "64 B");
        assert_eq!(chart.rows[0].costs, [Some(0.75), Some(1.0), None]);
        assert!(parse("[\n  {\"group\": \"no-such-group\"}\n]").is_err());
    }
}
