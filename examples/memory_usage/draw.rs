//! The drawing: memory of the process at each step of the experiment, one panel per kind of buffer.

use std::fmt::Write as _;

use slabuf::MemoryUsage;

use crate::svg::{self, FAINT, INK, text};

/// The steps of one experiment, in time order.
pub(crate) struct Recording {
    pub(crate) title: String,
    /// What to look for.
    pub(crate) caption: &'static str,
    pub(crate) steps: Vec<Step>,
}

pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) usage: MemoryUsage,
}

/// Sizes in pixels.
const WIDTH: usize = 1000;
const HEIGHT: usize = 440;
const TOP: f64 = 150.0;
const BOTTOM: f64 = 380.0;
const PLOT_WIDTH: f64 = 400.0;
/// Left edges of the panels' plots.
const LEFTS: [f64; 2] = [70.0, 560.0];

/// Name, colour, stroke width and counter. Wide strokes come first, so that lines that coincide are
/// all visible.
type Line = (&'static str, &'static str, f64, fn(&MemoryUsage) -> u64);
const LINES: [Line; 3] = [
    ("external (mapped by slabuf)", "#7db8ea", 9.0, |u| {
        u.external
    }),
    ("heapUsed (malloc heap)", "#d9480f", 5.0, |u| u.heap_used),
    ("rss (resident memory)", "#22252a", 1.8, |u| u.rss),
];

/// Returns the drawing of both recordings as an SVG.
pub(crate) fn draw(title: &str, recordings: &[Recording; 2]) -> String {
    let mut out = String::new();
    let bold = r#" font-weight="700""#;
    text(&mut out, (40, 44), 22, INK, bold, title);
    let mut x = 40.0;
    for (name, colour, width, _) in LINES {
        let _ = writeln!(
            out,
            r#"<path d="M{x} 70h30" stroke="{colour}" stroke-width="{width}"/>"#
        );
        text(&mut out, (x + 38.0, 75), 13, INK, "", name);
        x += 60.0 + 7.5 * name.len() as f64;
    }
    let counters = |recording: &Recording| {
        let all = recording.steps.iter();
        all.flat_map(|step| LINES.map(|(.., counter)| counter(&step.usage)))
            .max()
    };
    let peak = recordings.iter().filter_map(counters).max().unwrap_or(1);
    let unit = grid_unit(peak);
    let highest = peak.div_ceil(unit) * unit;
    for (recording, left) in recordings.iter().zip(LEFTS) {
        draw_panel(&mut out, recording, left, highest, unit);
    }
    svg::document(WIDTH, HEIGHT, title, &out)
}

/// Returns the distance of grid lines in bytes: a power of two of MiB, four to eight lines below
/// `peak`.
fn grid_unit(peak: u64) -> u64 {
    (peak / 4).max(1 << 20).next_power_of_two() / 2
}

fn draw_panel(out: &mut String, recording: &Recording, left: f64, highest: u64, unit: u64) {
    let bold = r#" font-weight="600""#;
    text(out, (left, TOP - 40.0), 16, INK, bold, &recording.title);
    text(out, (left, TOP - 20.0), 13, FAINT, "", recording.caption);
    let y_of = |bytes: u64| BOTTOM - (BOTTOM - TOP) * bytes as f64 / highest as f64;
    for bytes in (0..=highest).step_by(unit as usize) {
        let y = y_of(bytes);
        let _ = writeln!(
            out,
            "<path d=\"M{left} {y:.1}h{PLOT_WIDTH}\" stroke=\"#dfe2e6\"/>"
        );
        let end = r#" text-anchor="end""#;
        let label = match bytes {
            0 => "0".to_owned(),
            _ if highest >= 2 << 30 => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
            _ => format!("{} MiB", bytes >> 20),
        };
        text(out, (left - 8.0, y + 4.0), 11, FAINT, end, &label);
    }
    let distance = PLOT_WIDTH / (recording.steps.len() - 1).max(1) as f64;
    let x_of = |index: usize| left + distance * index as f64;
    for (_, colour, width, counter) in LINES {
        let _ = write!(
            out,
            r#"<path fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round" d=""#
        );
        for (index, step) in recording.steps.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            let (x, y) = (x_of(index), y_of(counter(&step.usage)));
            let _ = write!(out, "{command}{x:.1} {y:.1}");
        }
        out.push_str("\"/>\n");
    }
    for (index, step) in recording.steps.iter().enumerate() {
        // The steps in between are evenly spaced and need no name.
        if index < 1 || index + 4 > recording.steps.len() && !step.name.starts_with("14") {
            let (x, y) = (x_of(index), BOTTOM + 10.0);
            let turned = format!(r#" text-anchor="end" transform="rotate(-35 {x:.1} {y})""#);
            text(out, (format!("{x:.1}"), y), 11, FAINT, &turned, &step.name);
        }
    }
    let middle = r#" text-anchor="middle""#;
    let place = (left + PLOT_WIDTH / 2.0, BOTTOM + 20.0);
    text(out, place, 11, FAINT, middle, "steps, in time order →");
}
