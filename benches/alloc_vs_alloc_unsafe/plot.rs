//! The plot: `alloc` and `alloc_unsafe` over the length, and their ratio, as SVG.

use std::fmt::Write;

/// A row of the table that this benchmark prints: length, and the times of both constructors.
#[derive(Debug, PartialEq)]
pub(crate) struct Point {
    /// Bytes.
    pub(crate) len: f64,
    /// ns.
    pub(crate) alloc: f64,
    /// ns.
    pub(crate) alloc_unsafe: f64,
}

/// Reads the first table of a Markdown page whose head begins with the length and both
/// constructors.
pub(crate) fn parse(page: &str) -> Vec<Point> {
    let mut lines = page.lines();
    let is_head = |line: &str| line.starts_with("| length | `alloc` | `alloc_unsafe` |");
    if !lines.any(is_head) {
        return Vec::new();
    }
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    rows.filter_map(parse_row).collect()
}

fn parse_row(line: &str) -> Option<Point> {
    let mut cells = line.split('|').skip(1).map(str::trim);
    let (number, unit) = cells.next()?.split_once(' ')?;
    let unit = match unit {
        "B" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1_048_576.0,
        _ => return None,
    };
    let mut nanos = || {
        let cell = cells.next()?.split_whitespace().next()?;
        cell.replace(',', "").parse::<f64>().ok()
    };
    Some(Point {
        len: number.parse::<f64>().ok()? * unit,
        alloc: nanos()?,
        alloc_unsafe: nanos()?,
    })
}

/// Sizes in pixels.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 560.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 760.0;
/// Top and bottom of the upper plot (times) and of the lower one (ratio).
const TIMES: (f64, f64) = (110.0, 350.0);
const RATIO: (f64, f64) = (410.0, 510.0);

const INK: &str = "#22252a";
const FAINT: &str = "#5d636b";
const ALLOC: &str = "#d9480f";
const ALLOC_UNSAFE: &str = "#1d6fd1";

/// A logarithmic axis: its values from `low` to `high` lie between two positions.
#[derive(Clone, Copy)]
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn at(self, value: f64) -> f64 {
        let share = (value / self.low).ln() / (self.high / self.low).ln();
        self.from + (self.to - self.from) * share
    }
}

/// Returns the plot.
pub(crate) fn render(points: &[Point]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\">\n\
         <title>alloc and alloc_unsafe over the length</title>\n\
         <rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"12\" fill=\"#fcfcfa\" stroke=\"#c9cdd3\"/>\n",
        WIDTH - 1.0,
        HEIGHT - 1.0
    );
    let title = "alloc pays for zeroing, alloc_unsafe does not";
    let _ = writeln!(
        svg,
        "<text x=\"40\" y=\"40\" font-size=\"20\" font-weight=\"700\" fill=\"{INK}\">{title}</text>"
    );
    let words = "Time to allocate a buffer, write one byte and free it. Logarithmic scales. \u{2193} Lower is better.";
    draw_text(&mut svg, (40.0, 62.0), 13, FAINT, "start", words);
    let lengths = Axis {
        low: 16.0,
        high: 64.0 * 1_048_576.0,
        from: LEFT,
        to: RIGHT,
    };
    let times = Axis {
        low: 1.0,
        high: 1e6,
        from: TIMES.1,
        to: TIMES.0,
    };
    let ratios = Axis {
        low: 0.5,
        high: 1e5,
        from: RATIO.1,
        to: RATIO.0,
    };
    draw_grid(&mut svg, lengths, times, ratios);
    let line = |svg: &mut String, axis: Axis, colour, of: fn(&Point) -> f64| {
        let place = |point: &Point| (lengths.at(point.len), axis.at(of(point)));
        draw_line(svg, points.iter().map(place), colour);
    };
    line(&mut svg, times, ALLOC, |p| p.alloc);
    line(&mut svg, times, ALLOC_UNSAFE, |p| p.alloc_unsafe);
    line(&mut svg, ratios, INK, |p| p.alloc / p.alloc_unsafe);
    draw_names(&mut svg, points, lengths, times);
    let place = (LEFT, RATIO.0 - 16.0);
    let words = "alloc / alloc_unsafe: how many times as long";
    draw_text(&mut svg, place, 13, INK, "start", words);
    svg.push_str("</svg>\n");
    svg
}

/// Names the two upper lines where they are far apart, and explains the last point.
fn draw_names(svg: &mut String, points: &[Point], lengths: Axis, times: Axis) {
    let Some(point) = points.iter().find(|point| point.len >= 1_048_576.0) else {
        return;
    };
    let x = lengths.at(point.len);
    let place = (x - 12.0, times.at(point.alloc) - 6.0);
    draw_text(svg, place, 14, ALLOC, "end", "alloc (zeroed)");
    let place = (x, times.at(point.alloc_unsafe) - 10.0);
    draw_text(
        svg,
        place,
        14,
        ALLOC_UNSAFE,
        "middle",
        "alloc_unsafe (stale)",
    );
    if let Some(last) = points
        .last()
        .filter(|last| last.alloc < 2.0 * last.alloc_unsafe)
    {
        let place = (lengths.at(last.len) + 14.0, times.at(last.alloc));
        draw_text(svg, place, 11, FAINT, "start", "not cached: new");
        let place = (place.0, place.1 + 14.0);
        draw_text(svg, place, 11, FAINT, "start", "mapping, zeroed");
        let place = (place.0, place.1 + 14.0);
        draw_text(svg, place, 11, FAINT, "start", "by the kernel");
    }
}

fn draw_grid(svg: &mut String, lengths: Axis, times: Axis, ratios: Axis) {
    let grid = |svg: &mut String, axis: Axis, ticks: &[(f64, &str)]| {
        for (value, label) in ticks {
            let y = axis.at(*value);
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#e1e4e8\"/>"
            );
            draw_text(svg, (LEFT - 10.0, y + 4.0), 11, FAINT, "end", label);
        }
    };
    let ticks = [
        (1.0, "1 ns"),
        (10.0, "10 ns"),
        (100.0, "100 ns"),
        (1e3, "1 \u{b5}s"),
        (1e4, "10 \u{b5}s"),
        (1e5, "100 \u{b5}s"),
        (1e6, "1 ms"),
    ];
    grid(svg, times, &ticks);
    let ticks = [(1.0, "1 x"), (100.0, "100 x"), (1e4, "10,000 x")];
    grid(svg, ratios, &ticks);
    for (len, label) in [
        (16.0, "16 B"),
        (256.0, "256 B"),
        (4096.0, "4 KiB"),
        (65_536.0, "64 KiB"),
        (1_048_576.0, "1 MiB"),
        (16_777_216.0, "16 MiB"),
    ] {
        let x = lengths.at(len);
        for (top, bottom) in [TIMES, RATIO] {
            let _ = writeln!(
                svg,
                "<path d=\"M{x:.1} {top}V{bottom}\" stroke=\"#eef0f2\"/>"
            );
        }
        draw_text(svg, (x, RATIO.1 + 20.0), 11, FAINT, "middle", label);
    }
    let place = ((LEFT + RIGHT) / 2.0, RATIO.1 + 38.0);
    draw_text(svg, place, 12, FAINT, "middle", "length of the buffer");
}

// Writing to a String cannot fail.

fn draw_line(svg: &mut String, places: impl Iterator<Item = (f64, f64)>, colour: &str) {
    let (mut path, mut dots) = (String::new(), String::new());
    for (x, y) in places {
        let command = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{command}{x:.1} {y:.1}");
        let _ = write!(
            dots,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"
        );
    }
    let _ = writeln!(
        svg,
        "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.2\"/>\n{dots}"
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
