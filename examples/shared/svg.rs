//! Text and numbers in drawings.

use std::fmt::{Display, Write as _};

/// Colours of drawings: a light card with dark text, which reads well on light and on dark pages.
pub(crate) const BACKGROUND: &str = "#fcfcfa";
pub(crate) const BORDER: &str = "#c9cdd3";
pub(crate) const INK: &str = "#22252a";
pub(crate) const FAINT: &str = "#5d636b";

/// Appends a text. `more` holds further attributes.
pub(crate) fn text(
    out: &mut String,
    (x, y): (impl Display, impl Display),
    size: u32,
    fill: &str,
    more: &str,
    text: &str,
) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        out,
        r#"<text x="{x}" y="{y}" font-size="{size}" fill="{fill}"{more}>{text}</text>"#
    );
}

/// Returns the whole document: a card of the given size, with a title for screen readers.
pub(crate) fn document(width: usize, height: usize, title: &str, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\">\n<title>{title}</title>\n\
         <rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"12\" fill=\"{BACKGROUND}\" stroke=\"{BORDER}\"/>\n{body}</svg>\n",
        width - 1,
        height - 1
    )
}
