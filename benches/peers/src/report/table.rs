//! Markdown tables with aligned columns.

use super::Results;

/// Rows of cells; the first row is the head, the first column is set to the left.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates an empty table with this head.
    pub fn new<S: Into<String>>(head: impl IntoIterator<Item = S>) -> Self {
        Table {
            rows: vec![head.into_iter().map(Into::into).collect()],
        }
    }

    /// Adds a row with as many cells as the head.
    pub fn push<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        assert_eq!(
            cells.len(),
            self.rows[0].len(),
            "a row is as long as the head"
        );
        self.rows.push(cells);
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let column_width = |column: usize| {
            self.rows
                .iter()
                .map(|row| row[column].chars().count())
                .max()
        };
        let widths: Vec<usize> = (0..self.rows[0].len()).filter_map(column_width).collect();
        for (index, row) in self.rows.iter().enumerate() {
            write!(f, "| {:<width$} |", row[0], width = widths[0])?;
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                write!(f, " {cell:>width$} |")?;
            }
            writeln!(f)?;
            if index == 0 {
                write!(f, "|{:-<width$}|", "", width = widths[0] + 2)?;
                for width in &widths[1..] {
                    write!(f, "{:->width$}|", ":", width = width + 2)?;
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

/// Prints one table per group, then the table of the worst rows.
pub fn print(results: &Results<'_>) {
    for (group, rows) in results.groups() {
        println!("\n### {}: ns for {}\n", group.title(), group.operation());
        let head = ["row"].into_iter().chain(results.names.iter().copied());
        let mut table = Table::new(head.chain(["best peer", "ratio"]));
        for outcome in rows {
            let nanos = outcome
                .nanos
                .iter()
                .map(|nanos| nanos.map_or("-".into(), significant));
            let cells = [outcome.row.workload.to_string()].into_iter().chain(nanos);
            let best = results.names[outcome.best_peer].to_string();
            table.push(cells.chain([best, format!("{:.2}", outcome.ratio)]));
        }
        print!("{table}");
    }
    println!("\n### Worst row of each group: cost as a ratio to the best peer of the same round\n");
    let mut table = Table::new(["group", "must", "aim", "measured", "worst row", "reached"]);
    for worst in results.worst_rows() {
        table.push([
            worst.title.to_string(),
            format!("{:.2}", worst.target.must),
            format!("{:.2}", worst.target.aim),
            format!("{:.2}", worst.ratio),
            worst.outcome.row.workload.to_string(),
            worst.target.verdict(worst.ratio).to_string(),
        ]);
    }
    print!("{table}");
}

/// Formats three significant digits, with separators between thousands.
#[must_use]
pub fn significant(value: f64) -> String {
    match value {
        _ if value < 10.0 => format!("{value:.2}"),
        _ if value < 100.0 => format!("{value:.1}"),
        _ if value < 10_000.0 => format!("{value:.0}"),
        _ => grouped(value.round() as u64),
    }
}

fn grouped(value: u64) -> String {
    match value {
        0..1000 => value.to_string(),
        _ => format!("{},{:03}", grouped(value / 1000), value % 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, significant};

    #[test]
    fn figures_have_three_digits_or_separators() {
        assert_eq!(significant(4.126), "4.13");
        assert_eq!(significant(41.26), "41.3");
        assert_eq!(significant(9999.4), "9999");
        assert_eq!(significant(1_234_567.8), "1,234,568");
        assert_eq!(significant(1_000_002.0), "1,000,002");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["row", "ns"]);
        table.push(["64 B", "1234"]);
        assert_eq!(
            table.to_string(),
            "| row  |   ns |\n|------|-----:|\n| 64 B | 1234 |\n"
        );
    }
}
