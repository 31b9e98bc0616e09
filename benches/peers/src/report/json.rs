//! The figures as JSON. Every name in it is plain ASCII without quotes, so nothing needs escaping.

use super::Results;

/// One object for each row, in an array.
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
