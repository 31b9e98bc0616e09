//! The version of the library, at compile time and at run time.

use std::ffi::{CStr, c_char};

/// The header's major version. A new one may break programs.
pub const SLABUF_VERSION_MAJOR: u32 = 0;
/// The header's minor version. A new one has new functions, fields and statuses.
pub const SLABUF_VERSION_MINOR: u32 = 2;
/// The header's patch version.
pub const SLABUF_VERSION_PATCH: u32 = 0;

const NUMBER: u32 =
    SLABUF_VERSION_MAJOR * 1_000_000 + SLABUF_VERSION_MINOR * 1_000 + SLABUF_VERSION_PATCH;

const fn text() -> &'static CStr {
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => c"",
    }
}

/// Returns the library's version as a text, for example "0.2.0". The text lives as long as the
/// process.
#[unsafe(no_mangle)]
pub extern "C" fn slabuf_version() -> *const c_char {
    const { text() }.as_ptr()
}

/// Returns the library's version as a number to compare with SLABUF_VERSION_NUMBER, the header's.
#[unsafe(no_mangle)]
pub extern "C" fn slabuf_version_number() -> u32 {
    NUMBER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_macros_are_the_packages_version() {
        let macros = [
            SLABUF_VERSION_MAJOR,
            SLABUF_VERSION_MINOR,
            SLABUF_VERSION_PATCH,
        ];
        let package = env!("CARGO_PKG_VERSION").split('.');
        assert!(package.map(|part| part.parse()).eq(macros.map(Ok)));
        assert_eq!(text().to_str(), Ok(env!("CARGO_PKG_VERSION")));
    }
}
