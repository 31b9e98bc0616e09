//! The drawing: an SVG with one cell for each slab and one bar for each large mapping.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use slabuf::{PoolUsage, RegionSnapshot, SlabSnapshot, SlabState, Snapshot};

/// One picture of the pool.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) snapshot: Snapshot,
    pub(crate) usage: PoolUsage,
    /// Bytes.
    pub(crate) rss: u64,
}

/// Sizes in pixels.
const WIDTH: usize = 1100;
const MARGIN: usize = 40;
const CELL: usize = 4;
/// From one region's row to the next.
const ROW: usize = 5;
/// From one row of bars to the next, and how high they are.
const BAR_ROW: usize = 11;
const BAR: usize = 8;
/// Bytes to a pixel of a bar.
const BYTES_PER_PIXEL: usize = 8192;

const BACKGROUND: &str = "#fcfcfa";
const INK: &str = "#22252a";
const FAINT: &str = "#5d636b";
/// Empty slabs: with memory of the system's, and without.
const STALE: &str = "#b9bdc3";
const CLEAN: &str = "#e4e2db";
const CACHED: &str = "#b9bdc3";
const LIVE: &str = "#6b4c9a";

/// For slots up to 16, 32, ... 8192 bytes.
const HUES: [[u8; 3]; 10] = [
    [0x6a, 0x3d, 0x9a],
    [0x4a, 0x50, 0xb8],
    [0x2b, 0x74, 0xc8],
    [0x1a, 0x96, 0xbf],
    [0x12, 0x9e, 0x8c],
    [0x2f, 0x99, 0x46],
    [0x86, 0x9c, 0x1a],
    [0xd1, 0x9a, 0x00],
    [0xdf, 0x6a, 0x1c],
    [0xc0, 0x2a, 0x2a],
];
/// How much of the hue is left: up to a quarter of the slots out, half, three quarters, nearly all, all.
const SHADES: [f64; 5] = [0.46, 0.58, 0.70, 0.83, 1.0];

fn hue_of(slot_size: usize) -> usize {
    let doublings = slot_size.max(16).next_power_of_two().trailing_zeros() as usize - 4;
    doublings.min(HUES.len() - 1)
}

fn colour(hue: usize, shade: usize) -> String {
    let mixed = HUES[hue].map(|part| {
        let part = f64::from(part) * SHADES[shade] + 252.0 * (1.0 - SHADES[shade]);
        part.round() as u8
    });
    format!("#{:02x}{:02x}{:02x}", mixed[0], mixed[1], mixed[2])
}

/// The colour of each slab of a slab or span.
fn colours(slab: &SlabSnapshot) -> impl Iterator<Item = String> {
    slab.states().iter().map(|state| match state {
        SlabState::Empty if slab.clean => CLEAN.to_owned(),
        SlabState::Empty => STALE.to_owned(),
        SlabState::Full => colour(hue_of(slab.slot_size), SHADES.len() - 1),
        SlabState::Partial => {
            let quarter = 4 * slab.slots_out / (slab.slots + 1);
            colour(hue_of(slab.slot_size), quarter as usize)
        }
    })
}

fn text(out: &mut String, x: usize, y: usize, size: usize, fill: &str, more: &str, text: &str) {
    let _ = writeln!(
        out,
        r#"<text x="{x}" y="{y}" font-size="{size}" fill="{fill}"{more}>{text}</text>"#
    );
}

/// Thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Runs of cells of one colour: where each begins and how many they are.
type Runs = BTreeMap<String, Vec<(usize, usize, usize)>>;

/// One row for each region. Returns the next free y.
fn draw_map(out: &mut String, snapshot: &Snapshot, top: usize) -> usize {
    let mut runs = Runs::new();
    for (row, region) in snapshot.regions.iter().enumerate() {
        for (column, colour) in region.slabs.iter().flat_map(colours).enumerate() {
            let of_colour = runs.entry(colour).or_default();
            match of_colour.last_mut() {
                Some((y, x, count)) if *y == row && *x + *count == column => *count += 1,
                _ => of_colour.push((row, column, 1)),
            }
        }
    }
    // A stroke of one unit for each run; all of one colour are one path.
    let middle = (top + CELL / 2) as f64 / ROW as f64;
    let _ = writeln!(
        out,
        r#"<g transform="translate({MARGIN} 0) scale({CELL} {ROW}) translate(0 {middle})" stroke-width="0.8" fill="none">"#
    );
    for (colour, runs) in &runs {
        let _ = write!(out, r#"<path stroke="{colour}" d=""#);
        let (mut row, mut end) = (usize::MAX, 0);
        for (y, x, count) in runs {
            if *y == row {
                let _ = write!(out, "m{} 0h{count}", x - end);
            } else {
                let _ = write!(out, "M{x} {y}h{count}");
            }
            (row, end) = (*y, x + count);
        }
        out.push_str("\"/>\n");
    }
    out.push_str("</g>\n");
    top + snapshot.regions.len() * ROW
}

/// A bar for each large mapping, in rows. Returns the next free y.
fn draw_bars(out: &mut String, snapshot: &Snapshot, top: usize) -> usize {
    let (mut x, mut y) = (MARGIN, top);
    for mapping in &snapshot.mappings {
        let width = |bytes: usize| (bytes / BYTES_PER_PIXEL).clamp(2, WIDTH - 2 * MARGIN);
        let whole = width(mapping.bytes);
        if x + whole > WIDTH - MARGIN {
            (x, y) = (MARGIN, y + BAR_ROW);
        }
        let fill = if mapping.live.is_some() { LIVE } else { CACHED };
        let _ = writeln!(
            out,
            r#"<rect x="{x}" y="{y}" width="{whole}" height="{BAR}" fill="{fill}"/>"#
        );
        x += whole + 2;
    }
    y + BAR_ROW
}

fn draw_legend(out: &mut String, top: usize) -> usize {
    let label = |out: &mut String, x, y, words: &str| text(out, x, y, 13, INK, "", words);
    let swatch = |out: &mut String, x: usize, y: usize, width: usize, fill: &str| {
        let _ = writeln!(
            out,
            r#"<rect x="{x}" y="{y}" width="{width}" height="14" fill="{fill}"/>"#
        );
    };
    label(out, MARGIN, top + 12, "slots up to");
    let (first, step) = (MARGIN + 160, 61);
    for hue in 0..HUES.len() {
        let x = first + hue * step;
        let size = grouped(16 << hue);
        let middle = r#" text-anchor="middle""#;
        text(out, x + step / 2 - 1, top + 12, 13, INK, middle, &size);
        for shade in 0..SHADES.len() {
            let y = top + 20 + shade * 16;
            swatch(out, x, y, step - 2, &colour(hue, shade));
        }
    }
    label(out, first + HUES.len() * step + 6, top + 12, "bytes");
    let shades = [
        "a quarter out at most",
        "half",
        "three quarters",
        "nearly all",
        "all: full",
    ];
    for (shade, words) in shades.iter().enumerate() {
        label(out, MARGIN, top + 31 + shade * 16, words);
    }
    let x = first + HUES.len() * step + 40;
    for (place, (fill, words)) in [
        (STALE, "empty, holds memory"),
        (CLEAN, "empty, takes no memory"),
        (LIVE, "large buffer"),
        (CACHED, "large mapping kept for reuse"),
    ]
    .iter()
    .enumerate()
    {
        let y = top + 24 + place * 20;
        swatch(out, x, y, 24, fill);
        label(out, x + 32, y + 12, words);
    }
    top + 20 + SHADES.len() * 16
}

fn draw_panel(out: &mut String, panel: &Panel, top: usize) -> usize {
    let usage = &panel.usage;
    text(
        out,
        MARGIN,
        top,
        17,
        INK,
        r#" font-weight="600""#,
        &panel.title,
    );
    let figures = format!(
        "rss {} · external {} · in_use {} · cached {} · slabs: {} full, {} partial, {} empty",
        mib(panel.rss),
        mib(usage.external),
        mib(usage.in_use),
        mib(usage.cached),
        grouped(usage.slabs_full),
        grouped(usage.slabs_partial),
        grouped(usage.slabs_empty),
    );
    text(out, MARGIN, top + 20, 13, FAINT, "", &figures);
    let regions = &panel.snapshot.regions;
    let is_of_spans = |region: &&RegionSnapshot| region.slabs.iter().any(|s| s.states().len() > 1);
    let spans = regions.iter().filter(is_of_spans).count();
    let regions = format!(
        "regions of 2 MiB, a row each: {} of single slabs, then {spans} of spans (four slabs that larger slots \
         are cut from)",
        regions.len() - spans
    );
    text(out, MARGIN, top + 44, 12, FAINT, "", &regions);
    let bottom = draw_map(out, &panel.snapshot, top + 52);
    let (mappings, live) = (&panel.snapshot.mappings, usage.large_live);
    let large = format!(
        "{} mappings of large buffers, a pixel for 8 KiB: {} live in {}; {} kept for reuse",
        mappings.len(),
        mib(live),
        mappings
            .iter()
            .filter(|mapping| mapping.live.is_some())
            .count(),
        mib(usage.large_cached),
    );
    text(out, MARGIN, bottom + 18, 12, FAINT, "", &large);
    draw_bars(out, &panel.snapshot, bottom + 26)
}

/// The whole drawing as an SVG, with a background of its own.
pub(crate) fn draw(panels: &[Panel]) -> String {
    let mut body = String::new();
    let bold = r#" font-weight="700""#;
    text(
        &mut body,
        MARGIN,
        52,
        24,
        INK,
        bold,
        "Where a pool's memory is",
    );
    let words = "One cell is one slab of 8 KiB. Its colour is the size class it belongs to; the \
                 stronger, the more of its slots are out, with buffers or in magazines.";
    text(&mut body, MARGIN, 76, 13, FAINT, "", words);
    let mut y = draw_legend(&mut body, 96);
    for panel in panels {
        y = draw_panel(&mut body, panel, y + 46);
    }
    let height = y + 24;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\">\n\
         <title>Where a pool's memory is</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"12\" fill=\"{BACKGROUND}\"/>\n{body}</svg>\n"
    )
}
