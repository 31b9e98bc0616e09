//! The traits of `std::io`: reading removes bytes from the front, writing appends bytes.

use std::io::{Error, ErrorKind, IoSlice, IoSliceMut, Read, Result, Write};

use crate::buffer::Buffer;
use crate::error::AllocError;

/// Removes bytes from the front. An empty buffer is at its end, until more is written.
///
/// Reading makes no system call, and never returns [`ErrorKind::Interrupted`]. If they fail,
/// [`Read::read_exact`] has emptied the buffer, and [`Read::read_to_string`] has removed nothing,
/// as with a slice of bytes.
///
/// ```
/// use slabuf::Buffer;
/// use std::io::Read;
///
/// let mut buffer = Buffer::copy_from_slice(b"hello, world");
/// let mut word = [0; 5];
/// buffer.read_exact(&mut word)?;
/// assert_eq!(&word, b"hello");
/// assert_eq!(buffer, b", world");
/// # Ok::<(), std::io::Error>(())
/// ```
impl Read for Buffer {
    #[inline]
    fn read(&mut self, target: &mut [u8]) -> Result<usize> {
        let len = target.len().min(self.len());
        target[..len].copy_from_slice(&self[..len]);
        self.advance_start(len);
        Ok(len)
    }

    fn read_vectored(&mut self, targets: &mut [IoSliceMut<'_>]) -> Result<usize> {
        let before = self.len();
        for target in targets {
            if self.read(target)? < target.len() {
                break;
            }
        }
        Ok(before - self.len())
    }

    fn read_exact(&mut self, target: &mut [u8]) -> Result<()> {
        if self.read(target)? < target.len() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    fn read_to_end(&mut self, target: &mut Vec<u8>) -> Result<usize> {
        let len = self.len();
        target.try_reserve(len)?;
        target.extend_from_slice(self);
        self.advance_start(len);
        Ok(len)
    }

    fn read_to_string(&mut self, target: &mut String) -> Result<usize> {
        let len = self.len();
        let text =
            std::str::from_utf8(self).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
        target.try_reserve(len)?;
        target.push_str(text);
        self.advance_start(len);
        Ok(len)
    }
}

/// Appends bytes and grows as needed. Each write appends all of its bytes, or nothing.
///
/// ```
/// use slabuf::Buffer;
/// use std::io::Write;
///
/// let mut buffer = Buffer::with_capacity(0);
/// write!(buffer, "{} bytes", 5)?;
/// assert_eq!(buffer, b"5 bytes");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::OutOfMemory`], which wraps the [`AllocError`], if the memory cannot be allocated:
/// the pool's limit has no room, or the system refuses. The buffer is unchanged.
///
/// ```
/// use slabuf::{AllocError, Pool};
/// use std::io::{ErrorKind, Write};
///
/// let pool = Pool::builder().limit(1 << 20).build()?;
/// let mut buffer = pool.copy_from_slice(b"kept");
/// let error = buffer.write(&vec![0; 2 << 20]).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::OutOfMemory);
/// assert!(error.get_ref().is_some_and(|inner| inner.is::<AllocError>()));
/// assert_eq!(buffer, b"kept");
/// # Ok::<(), slabuf::ConfigError>(())
/// ```
impl Write for Buffer {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.try_reserve(bytes.len())?;
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> Result<usize> {
        // Slices may overlap, so the sum of their lengths may exceed what any buffer can hold.
        let len = slices
            .iter()
            .map(|slice| slice.len())
            .fold(0, usize::saturating_add);
        self.try_reserve(len)?;
        for slice in slices {
            self.extend_from_slice(slice);
        }
        Ok(len)
    }

    /// Does nothing: what was written is in the buffer.
    #[inline]
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Wraps the [`AllocError`] in an error of kind [`ErrorKind::OutOfMemory`], also if a pool's limit
/// has no room: that is a limit of memory.
impl From<AllocError> for Error {
    fn from(error: AllocError) -> Error {
        Error::new(ErrorKind::OutOfMemory, error)
    }
}
