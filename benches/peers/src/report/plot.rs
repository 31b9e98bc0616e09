//! A plot as SVG: one line for each row, one dot for each allocator, its cost as a multiple of the best peer's.

use std::fmt::Write;

use super::Results;

const ROW_HEIGHT: f64 = 18.0;
const HEAD_HEIGHT: f64 = 60.0;
const LABEL_WIDTH: f64 = 300.0;
const PLOT_WIDTH: f64 = 660.0;
const MARGIN: f64 = 20.0;
/// The scale, logarithmic, and its grid.
const LOWEST: f64 = 0.1;
const HIGHEST: f64 = 20.0;
const GRID: [f64; 8] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0];
const COLOURS: [&str; 9] = [
    "#d62728", "#ff9896", "#7f7f7f", "#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#bcbd22",
    "#17becf",
];

/// The whole plot.
#[must_use]
pub fn render(results: &Results<'_>) -> String {
    let width = LABEL_WIDTH + PLOT_WIDTH + MARGIN;
    let height = HEAD_HEIGHT + ROW_HEIGHT * results.outcomes.len() as f64 + MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    draw_head(&mut svg, results, height);
    for (index, outcome) in results.outcomes.iter().enumerate() {
        let y = HEAD_HEIGHT + ROW_HEIGHT * (index as f64 + 0.5);
        let label = format!("{}: {}", outcome.group().title(), outcome.row.workload);
        draw_text(&mut svg, LABEL_WIDTH - 10.0, y + 4.0, "end", &label);
        let Some(best) = outcome.nanos[outcome.best_peer] else {
            continue;
        };
        // Drawn from the last to the first, so that the crate's own dot lies on top.
        for (contestant, nanos) in outcome.nanos.iter().enumerate().rev() {
            if let Some(nanos) = nanos {
                draw_dot(&mut svg, x_of(nanos / best), y, contestant);
            }
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw_head(svg: &mut String, results: &Results<'_>, height: f64) {
    let step = (LABEL_WIDTH + PLOT_WIDTH - MARGIN) / results.names.len() as f64;
    for (index, name) in results.names.iter().enumerate() {
        let x = MARGIN + step * index as f64;
        draw_dot(svg, x, 15.0, index);
        draw_text(svg, x + 10.0, 19.0, "start", name);
    }
    draw_text(
        svg,
        LABEL_WIDTH - 10.0,
        HEAD_HEIGHT - 10.0,
        "end",
        "cost / best peer's cost",
    );
    for value in GRID {
        let (x, bottom) = (x_of(value), height - MARGIN);
        let stroke = if value == 1.0 { "black" } else { "#dddddd" };
        let _ = writeln!(
            svg,
            "<path d=\"M{x:.1} {HEAD_HEIGHT}V{bottom:.1}\" stroke=\"{stroke}\"/>"
        );
        draw_text(svg, x, HEAD_HEIGHT - 10.0, "middle", &value.to_string());
    }
}

fn x_of(ratio: f64) -> f64 {
    let share = (ratio.clamp(LOWEST, HIGHEST) / LOWEST).ln() / (HIGHEST / LOWEST).ln();
    LABEL_WIDTH + PLOT_WIDTH * share
}

// Writing to a String cannot fail.

fn draw_dot(svg: &mut String, x: f64, y: f64, contestant: usize) {
    let colour = COLOURS[contestant % COLOURS.len()];
    let radius = if contestant == 0 { 5.5 } else { 4.0 };
    let _ = writeln!(
        svg,
        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{colour}\"/>"
    );
}

fn draw_text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}
