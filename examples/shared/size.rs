//! Parses sizes on a command line.

use std::ffi::OsStr;

/// Parses a number of bytes with an optional suffix. `option` is the name used in error messages.
pub(crate) fn parse(option: &str, value: &OsStr) -> Result<usize, String> {
    let refuse = |reason: &str| Err(format!("{option} {}: {reason}", value.display()));
    let text = value.to_str().unwrap_or_default();
    let (digits, shift) = match text.as_bytes() {
        [rest @ .., b'K' | b'k'] => (rest, 10),
        [rest @ .., b'M' | b'm'] => (rest, 20),
        [rest @ .., b'G' | b'g'] => (rest, 30),
        [rest @ .., b'T' | b't'] => (rest, 40),
        all => (all, 0),
    };
    // `str::parse` would also accept a sign.
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return refuse(
            "not a size: a whole number of bytes, optionally with the suffix K, M, G or T",
        );
    }
    let number: Option<usize> = text[..digits.len()].parse().ok();
    match number.and_then(|number| number.checked_mul(1 << shift)) {
        Some(bytes) if bytes <= isize::MAX as usize => Ok(bytes),
        _ => refuse(&format!("too large: the maximum is {} bytes", isize::MAX)),
    }
}
