//! The drawing: an SVG with one cell per slab and one bar per large mapping.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::svg::{self, FAINT, INK, text};
use slabuf::{PoolUsage, RegionSnapshot, SlabSnapshot, SlabState, Snapshot};

/// One picture of the pool.
pub(crate) struct Panel {
    pub(crate) title: String,
    /// What to look for.
    pub(crate) caption: String,
    pub(crate) snapshot: Snapshot,
    pub(crate) usage: PoolUsage,
    /// Bytes.
    pub(crate) rss: u64,
}

/// Sizes in pixels.
const WIDTH: usize = 1100;
const MARGIN: usize = 40;
const CELL: usize = 4;
/// Distance from one region's row to the next.
const ROW: usize = 5;
/// Distance between rows of bars, and the height of a bar.
const BAR_ROW: usize = 11;
const BAR: usize = 8;
/// Bytes per pixel of a bar.
const BYTES_PER_PIXEL: usize = 8192;

/// Empty slabs: resident, and released to the system.
const RESIDENT: &str = "#9aa0a8";
const RELEASED: &str = "#e8e6df";
/// Large mappings: of live buffers, and free ones, resident and released.
const LIVE: &str = "#2d3138";
const CACHED: &str = "#c79fc1";

/// Slots of up to 32, 128, 512, 2048 and 8192 bytes.
const HUES: [[u8; 3]; 5] = [
    [0x5b, 0x3f, 0xa8],
    [0x1f, 0x78, 0xc8],
    [0x1b, 0x96, 0x6b],
    [0xd6, 0x9a, 0x00],
    [0xc4, 0x33, 0x2b],
];
/// Strength of the hue: up to half of the slots in use, more than half, all.
const SHADES: [f64; 3] = [0.34, 0.66, 1.0];

fn hue_of(slot_size: usize) -> usize {
    let doublings = slot_size.max(16).next_power_of_two().trailing_zeros() as usize - 4;
    (doublings / 2).min(HUES.len() - 1)
}

fn colour(hue: usize, shade: usize) -> String {
    let mixed = HUES[hue].map(|part| {
        let part = f64::from(part) * SHADES[shade] + 252.0 * (1.0 - SHADES[shade]);
        part.round() as u8
    });
    format!("#{:02x}{:02x}{:02x}", mixed[0], mixed[1], mixed[2])
}

/// Returns the colour of each slab of a slab or span.
fn colours(slab: &SlabSnapshot) -> impl Iterator<Item = String> {
    slab.states().iter().map(|state| match state {
        SlabState::Empty if slab.clean => RELEASED.to_owned(),
        SlabState::Empty => RESIDENT.to_owned(),
        SlabState::Full => colour(hue_of(slab.slot_size), 2),
        SlabState::Partial => {
            let above_half = usize::from(2 * slab.slots_out > slab.slots);
            colour(hue_of(slab.slot_size), above_half)
        }
    })
}

/// Formats a number with separators between thousands.
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

/// Runs of cells by colour: row, first column and number of cells.
type Runs = BTreeMap<String, Vec<(usize, usize, usize)>>;

/// Draws one row per region. Returns the next free y.
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
    // One stroke per run; all runs of one colour are one path.
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

/// Draws one bar per large mapping, in rows. Returns the next free y.
fn draw_bars(out: &mut String, snapshot: &Snapshot, top: usize) -> usize {
    let (mut x, mut y) = (MARGIN, top);
    for mapping in &snapshot.mappings {
        let width = |bytes: usize| (bytes / BYTES_PER_PIXEL).clamp(2, WIDTH - 2 * MARGIN);
        let whole = width(mapping.bytes);
        if x + whole > WIDTH - MARGIN {
            (x, y) = (MARGIN, y + BAR_ROW);
        }
        let fill = match mapping.live {
            Some(_) => LIVE,
            None if mapping.resident > 0 => CACHED,
            None => RELEASED,
        };
        let _ = writeln!(
            out,
            r#"<rect x="{x}" y="{y}" width="{whole}" height="{BAR}" fill="{fill}"/>"#
        );
        x += whole + 2;
    }
    y + BAR_ROW
}

fn draw_legend(out: &mut String, top: usize) -> usize {
    let label = |out: &mut String, x, y, words: &str| text(out, (x, y), 13, INK, "", words);
    let swatch = |out: &mut String, x: usize, y: usize, width: usize, fill: &str| {
        let _ = writeln!(
            out,
            r#"<rect x="{x}" y="{y}" width="{width}" height="14" fill="{fill}"/>"#
        );
    };
    label(out, MARGIN, top + 12, "slots of up to, in bytes");
    let (first, step) = (MARGIN + 180, 76);
    for hue in 0..HUES.len() {
        let x = first + hue * step;
        let size = grouped(32 << (2 * hue));
        let middle = r#" text-anchor="middle""#;
        text(out, (x + step / 2 - 1, top + 12), 13, INK, middle, &size);
        for shade in 0..SHADES.len() {
            let y = top + 20 + shade * 18;
            swatch(out, x, y, step - 2, &colour(hue, shade));
        }
    }
    let shades = [
        "up to half in use",
        "more than half in use",
        "all in use (full)",
    ];
    for (shade, words) in shades.iter().enumerate() {
        label(out, MARGIN, top + 32 + shade * 18, words);
    }
    let x = first + HUES.len() * step + 36;
    for (place, (fill, words)) in [
        (RESIDENT, "empty slab, cached (resident)"),
        (RELEASED, "empty slab or mapping without memory: not cached"),
        (LIVE, "large buffer, live"),
        (CACHED, "large mapping, cached (resident)"),
    ]
    .iter()
    .enumerate()
    {
        let y = top + 2 + place * 19;
        swatch(out, x, y, 24, fill);
        label(out, x + 32, y + 12, words);
    }
    top + 20 + SHADES.len() * 18
}

fn draw_panel(out: &mut String, panel: &Panel, top: usize) -> usize {
    let usage = &panel.usage;
    let bold = r#" font-weight="600""#;
    text(out, (MARGIN, top), 17, INK, bold, &panel.title);
    text(out, (MARGIN, top + 21), 14, INK, "", &panel.caption);
    let counters = format!(
        "rss {} · external {} · in_use {} · cached {} · slabs: {} full, {} partial, {} empty",
        mib(panel.rss),
        mib(usage.external),
        mib(usage.in_use),
        mib(usage.cached),
        grouped(usage.slabs_full),
        grouped(usage.slabs_partial),
        grouped(usage.slabs_empty),
    );
    text(out, (MARGIN, top + 41), 13, FAINT, "", &counters);
    let regions = &panel.snapshot.regions;
    let is_of_spans = |region: &&RegionSnapshot| region.slabs.iter().any(|s| s.states().len() > 1);
    let spans = regions.iter().filter(is_of_spans).count();
    let regions = format!(
        "one row per region of 2 MiB: {} regions of single slabs, then {spans} of spans (four slabs, cut into \
         larger slots)",
        regions.len() - spans
    );
    text(out, (MARGIN, top + 63), 12, FAINT, "", &regions);
    let bottom = draw_map(out, &panel.snapshot, top + 71);
    let (mappings, live) = (&panel.snapshot.mappings, usage.large_live);
    let large = format!(
        "{} mappings of large buffers, one pixel per 8 KiB: {} live in {}; {} cached",
        mappings.len(),
        mib(live),
        mappings
            .iter()
            .filter(|mapping| mapping.live.is_some())
            .count(),
        mib(usage.large_cached),
    );
    text(out, (MARGIN, bottom + 18), 12, FAINT, "", &large);
    draw_bars(out, &panel.snapshot, bottom + 26)
}

/// Returns the whole drawing as an SVG with its own background.
pub(crate) fn draw(panels: &[Panel]) -> String {
    const TITLE: &str = "Where a pool's memory is";
    let mut body = String::new();
    let bold = r#" font-weight="700""#;
    text(&mut body, (MARGIN, 52), 24, INK, bold, TITLE);
    let words = "One cell is one slab of 8 KiB. The colour shows the size of its slots, the strength \
                 how many of them are in use by buffers or held in magazines.";
    text(&mut body, (MARGIN, 76), 13, FAINT, "", words);
    let mut y = draw_legend(&mut body, 96);
    for panel in panels {
        y = draw_panel(&mut body, panel, y + 46);
    }
    svg::document(WIDTH, y + 24, TITLE, &body)
}
