//! A file that is read and written past the page cache (`O_DIRECT`), if it is asked for and the
//! file system allows it. Direct I/O needs addresses, offsets and lengths that are multiples of the
//! block size. Chunks are; where a file ends between two blocks, the rest goes through the cache.

use std::cell::Cell;
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::path::Path;

/// A multiple of the block size of every common file system.
pub(crate) const BLOCK: usize = 4096;

/// A file, and what it is called in messages.
pub(crate) struct Named<'a> {
    pub(crate) path: &'a Path,
    file: &'a File,
    direct: Cell<bool>,
}

impl<'a> Named<'a> {
    pub(crate) fn new(path: &'a Path, file: &'a File, direct: bool) -> Self {
        let this = Self {
            path,
            file,
            direct: Cell::new(direct),
        };
        if direct && let Err(error) = set_direct(file, true) {
            this.refused(&error);
        }
        this
    }

    pub(crate) fn is_direct(&self) -> bool {
        self.direct.get()
    }

    /// Says that the file system refused, and continues without.
    fn refused(&self, error: &Error) {
        eprintln!(
            "note: no direct I/O for {}: {error}; continuing without it",
            self.path.display()
        );
        self.leave_direct();
    }

    /// Continues through the page cache.
    fn leave_direct(&self) {
        if self.direct.replace(false) {
            // It was set before, so the system knows it.
            let _ = set_direct(self.file, false);
        }
    }

    /// Whether a call failed because the file system, or the device below it, takes no direct I/O
    /// after all.
    fn is_refusal(&self, error: &Error) -> bool {
        self.direct.get() && error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error())
    }

    /// Reads until the buffer is full or the file at its end. Returns how many bytes it read.
    pub(crate) fn fill(&self, buffer: &mut [u8]) -> Result<usize> {
        let mut file = self.file;
        let mut len = 0;
        while len < buffer.len() {
            if !len.is_multiple_of(BLOCK) || !buffer.len().is_multiple_of(BLOCK) {
                self.leave_direct();
            }
            match file.read(&mut buffer[len..]) {
                Ok(0) => break,
                Ok(count) => len += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) if self.is_refusal(&error) => self.refused(&error),
                Err(error) => return Err(error),
            }
        }
        Ok(len)
    }

    /// Writes all of it: whole blocks first, and what is left of the last one through the page
    /// cache.
    pub(crate) fn write_all(&self, bytes: &[u8]) -> Result<()> {
        let mut file = self.file;
        let mut written = 0;
        while written < bytes.len() {
            let mut rest = &bytes[written..];
            if self.direct.get() {
                rest = &rest[..rest.len() / BLOCK * BLOCK];
                if rest.is_empty() || !written.is_multiple_of(BLOCK) {
                    self.leave_direct();
                    continue;
                }
            }
            match file.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) if self.is_refusal(&error) => self.refused(&error),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn set_direct(file: &File, on: bool) -> Result<()> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, on);
    Ok(fcntl_setfl(file, flags)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn set_direct(_file: &File, _on: bool) -> Result<()> {
    Err(ErrorKind::Unsupported.into())
}
