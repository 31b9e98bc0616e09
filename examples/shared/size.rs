//! Sizes on a command line.

use std::ffi::OsStr;

/// A number of bytes with or without a suffix. `option` is what the message calls it.
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
    // `str::parse` would take a sign too.
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return refuse("not a size: a whole number of bytes, or one with K, M, G or T behind it");
    }
    let number: Option<usize> = text[..digits.len()].parse().ok();
    match number.and_then(|number| number.checked_mul(1 << shift)) {
        Some(bytes) if bytes <= isize::MAX as usize => Ok(bytes),
        _ => refuse(&format!("too large: {} bytes are the most", isize::MAX)),
    }
}
