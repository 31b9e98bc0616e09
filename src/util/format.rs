//! Formatting of byte counts.

use std::fmt;

/// A number of bytes, displayed in the largest binary unit that leaves at least 1 before the
/// decimal point. Respects width and alignment of the format.
pub(crate) struct Binary(pub(crate) u64);

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let Binary(bytes) = *self;
        if bytes < 1024 {
            return f.pad(&format!("{bytes} B  "));
        }
        // 1023.95 KiB and more would be printed as 1024.0.
        let tenths =
            |unit: usize| (u128::from(bytes) * 10 + (1 << (10 * unit + 9))) >> (10 * (unit + 1));
        let unit = (0..UNITS.len() - 1)
            .find(|unit| tenths(*unit) < 10_240)
            .unwrap_or(UNITS.len() - 1);
        let tenths = tenths(unit);
        f.pad(&format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_boundary_has_the_unit_below_and_above_it() {
        let text = |bytes| Binary(bytes).to_string();
        assert_eq!(text(0), "0 B  ");
        assert_eq!(text(1023), "1023 B  ");
        assert_eq!(text(1024), "1.0 KiB");
        assert_eq!(text(1536), "1.5 KiB");
        assert_eq!(text((1 << 20) - 1), "1.0 MiB");
        assert_eq!(text((1 << 20) - 52), "1023.9 KiB");
        assert_eq!(text(1 << 20), "1.0 MiB");
        assert_eq!(text(5 << 30), "5.0 GiB");
        assert_eq!(text(u64::MAX), "16.0 EiB");
        assert_eq!(format!("{:>10}|", Binary(1 << 20)), "   1.0 MiB|");
    }
}
