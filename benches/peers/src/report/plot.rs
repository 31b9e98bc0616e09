//! A plot as SVG: one line per row, one mark per allocator, its cost as a multiple of the best
//! peer's.

use std::fmt::Write;

use super::Results;

/// The rows of a plot, from a run or from the JSON of an earlier one.
#[derive(Debug, PartialEq)]
pub struct Chart {
    /// The allocators' names. The first is the crate's, the second its explicit pool's.
    pub names: Vec<String>,
    /// One for each row.
    pub rows: Vec<Row>,
}

/// A row of a plot.
#[derive(Debug, PartialEq)]
pub struct Row {
    /// The title of its group.
    pub group: String,
    /// Its workload.
    pub workload: String,
    /// The allocators' costs as multiples of the best peer's, in the order of the names.
    pub costs: Vec<Option<f64>>,
}

impl Chart {
    /// Returns the chart of a run.
    #[must_use]
    pub fn of(results: &Results<'_>) -> Self {
        let rows = results.outcomes.iter().filter_map(|outcome| {
            let best = outcome.nanos[outcome.best_peer]?;
            let costs = outcome.nanos.iter().map(|nanos| Some((*nanos)? / best));
            Some(Row {
                group: outcome.group().title().to_owned(),
                workload: outcome.row.workload.to_string(),
                costs: costs.collect(),
            })
        });
        Chart {
            names: results.names.iter().map(|&name| name.to_owned()).collect(),
            rows: rows.collect(),
        }
    }
}

/// Sizes in pixels.
const ROW_HEIGHT: f64 = 20.0;
const HEAD_HEIGHT: f64 = 150.0;
const FOOT_HEIGHT: f64 = 40.0;
const LEFT: f64 = 270.0;
const PLOT_WIDTH: f64 = 660.0;
const MARGIN: f64 = 40.0;
/// Marks closer than this are drawn above each other.
const MARK: f64 = 8.0;
/// The scale is logarithmic.
const LOWEST: f64 = 0.1;
const HIGHEST: f64 = 20.0;
const GRID: [f64; 8] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0];
/// Distinct on a light card. The crate and its explicit pool share the first.
const COLOURS: [&str; 8] = [
    "#d6202a", "#6b7280", "#1d6fd1", "#0f9d58", "#8e44ad", "#7a4a1e", "#c99700", "#00a3b4",
];
const INK: &str = "#22252a";
const FAINT: &str = "#5d636b";

/// Returns the whole plot.
#[must_use]
pub fn render(chart: &Chart) -> String {
    let width = LEFT + PLOT_WIDTH + MARGIN;
    let bottom = HEAD_HEIGHT + ROW_HEIGHT * chart.rows.len() as f64;
    let height = bottom + FOOT_HEIGHT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\">\n\
         <title>{}</title>\n<rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"12\" fill=\"#fcfcfa\" \
         stroke=\"#c9cdd3\"/>\n",
        title(chart),
        width - 1.0,
        height - 1.0
    );
    draw_head(&mut svg, chart);
    draw_grid(&mut svg, bottom);
    let mut group = "";
    for (index, row) in chart.rows.iter().enumerate() {
        let top = HEAD_HEIGHT + ROW_HEIGHT * index as f64;
        let y = top + ROW_HEIGHT / 2.0;
        if row.group != group {
            group = &row.group;
            let x = MARGIN / 2.0;
            let _ = writeln!(
                svg,
                "<path d=\"M{x} {top:.1}H{:.1}\" stroke=\"#d3d6db\"/>",
                LEFT + PLOT_WIDTH
            );
            draw_text(&mut svg, (x, y + 4.0), 11, INK, "start", group);
        }
        let place = (LEFT - 14.0, y + 4.0);
        draw_text(&mut svg, place, 11, FAINT, "end", &row.workload);
        draw_row(&mut svg, row, y);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Returns the result in a sentence.
fn title(chart: &Chart) -> String {
    let ours = chart.rows.iter().filter_map(|row| row.costs[0]);
    let ahead = ours.filter(|cost| *cost < 1.0).count();
    format!(
        "slabuf costs less than every peer in {ahead} of {} rows",
        chart.rows.len()
    )
}

fn draw_head(svg: &mut String, chart: &Chart) {
    let _ = writeln!(
        svg,
        "<text x=\"{MARGIN}\" y=\"40\" font-size=\"20\" font-weight=\"700\" fill=\"{INK}\">{}</text>",
        title(chart)
    );
    let text = "Time of each allocator as a multiple of the best peer's (the line at 1). \u{2190} Left is better. \
                A triangle is beyond the scale.";
    draw_text(svg, (MARGIN, 62.0), 13, FAINT, "start", text);
    let mut x = MARGIN + 6.0;
    for (index, name) in chart.names.iter().enumerate() {
        draw_mark(svg, (x, 90.0), index);
        draw_text(svg, (x + 12.0, 94.0), 12, INK, "start", name);
        x += 34.0 + 7.2 * name.len() as f64;
    }
}

fn draw_grid(svg: &mut String, bottom: f64) {
    for value in GRID {
        let x = x_of(value);
        let (stroke, width) = match value {
            1.0 => (INK, 1.5),
            _ => ("#e1e4e8", 1.0),
        };
        let _ = writeln!(
            svg,
            "<path d=\"M{x:.1} {HEAD_HEIGHT}V{bottom:.1}\" stroke=\"{stroke}\" stroke-width=\"{width}\"/>"
        );
        let label = format!("{value} x");
        draw_text(svg, (x, HEAD_HEIGHT - 10.0), 11, FAINT, "middle", &label);
        draw_text(svg, (x, bottom + 18.0), 11, FAINT, "middle", &label);
    }
}

/// Draws the marks of a row. Marks that would overlap are moved up and down in turn.
fn draw_row(svg: &mut String, row: &Row, y: f64) {
    let marks = row.costs.iter().enumerate();
    let mut marks: Vec<(usize, f64)> = marks
        .filter_map(|(index, cost)| Some((index, (*cost)?)))
        .collect();
    marks.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    let mut placed: Vec<(f64, f64)> = Vec::new();
    for (index, cost) in marks {
        let x = x_of(cost);
        let is_free = |shift: &f64| {
            let mut near = placed.iter().filter(|(other, _)| (x - other).abs() < MARK);
            near.all(|(_, taken)| (taken - shift).abs() > 4.0)
        };
        let shifts = [0.0, -6.0, 6.0];
        let shift = shifts.into_iter().find(is_free).unwrap_or(0.0);
        placed.push((x, shift));
        let place = (x, y + shift);
        if cost > HIGHEST {
            draw_triangle(svg, place, 6.0, index);
        } else if cost < LOWEST {
            draw_triangle(svg, place, -6.0, index);
        } else {
            draw_mark(svg, place, index);
        }
    }
}

fn x_of(ratio: f64) -> f64 {
    let share = (ratio.clamp(LOWEST, HIGHEST) / LOWEST).ln() / (HIGHEST / LOWEST).ln();
    LEFT + PLOT_WIDTH * share
}

fn colour(contestant: usize) -> &'static str {
    COLOURS[contestant.saturating_sub(1) % COLOURS.len()]
}

// Writing to a String cannot fail.

/// Draws a dot: large for the crate, a ring for its explicit pool, small for a peer.
fn draw_mark(svg: &mut String, (x, y): (f64, f64), contestant: usize) {
    let colour = colour(contestant);
    let (radius, style) = match contestant {
        0 => (5.5, format!("fill=\"{colour}\"")),
        1 => (
            3.8,
            format!("fill=\"#fcfcfa\" stroke=\"{colour}\" stroke-width=\"2\""),
        ),
        _ => (3.8, format!("fill=\"{colour}\"")),
    };
    let _ = writeln!(
        svg,
        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" {style}/>"
    );
}

/// Draws a triangle that points out of the scale.
fn draw_triangle(svg: &mut String, (x, y): (f64, f64), length: f64, contestant: usize) {
    let _ = writeln!(
        svg,
        "<path d=\"M{x:.1} {:.1}v9l{:.1} -4.5z\" fill=\"{}\"/>",
        y - 4.5,
        length * 1.4,
        colour(contestant)
    );
}

fn draw_text(
    svg: &mut String,
    (x, y): (f64, f64),
    size: u32,
    fill: &str,
    anchor: &str,
    text: &str,
) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{fill}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}
