//! Resident memory of this process.

/// Returns the resident bytes.
///
/// # Errors
///
/// If the system has no `/proc/self/statm` in the format of Linux.
pub fn resident_bytes() -> std::io::Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|field| field.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| std::io::Error::other("statm has no resident field"))?;
    Ok(pages * page_bytes())
}

/// Returns the size of a page.
#[must_use]
pub fn page_bytes() -> u64 {
    // SAFETY: takes no pointer; the system knows the name.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(page).expect("the page size is a positive number")
}
