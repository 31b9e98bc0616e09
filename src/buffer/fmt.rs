//! Printing a buffer's bytes, and printing into a buffer.

use super::Buffer;
use crate::inner::PoolInner;
use std::fmt;

/// `Debug` prints at most this many bytes.
const SHOWN: usize = 64;

/// Prints the first 64 bytes as a byte string literal, as `Bytes` does, and the length if there are
/// more. In a pool with [`zero_on_free`](crate::PoolBuilder::zero_on_free) it prints the length
/// only.
///
/// ```
/// use slabuf::{Buffer, Pool};
///
/// assert_eq!(format!("{:?}", Buffer::from(b"a\n\xff")), r#"b"a\n\xff""#);
/// let long = format!("{:?}", Buffer::alloc(1000));
/// assert!(long.starts_with(r#"b"\0\0\0"#) && long.ends_with(r#""... (1000 bytes)"#));
///
/// let secrets = Pool::builder().zero_on_free(true).build()?;
/// assert_eq!(format!("{:?}", secrets.copy_from_slice(b"key")), "Buffer { len: 3, .. }");
/// # Ok::<(), slabuf::ConfigError>(())
/// ```
impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_empty() && PoolInner::of(self.memory().inner()).config.zero_on_free {
            return f
                .debug_struct("Buffer")
                .field("len", &self.len())
                .finish_non_exhaustive();
        }
        f.write_str("b\"")?;
        for byte in self.iter().take(SHOWN) {
            match *byte {
                b'\0' => f.write_str("\\0")?,
                // `escape_ascii` escapes it, but neither `Bytes` nor a literal needs that.
                b'\'' => f.write_str("'")?,
                byte => write!(f, "{}", byte.escape_ascii())?,
            }
        }
        f.write_str("\"")?;
        if self.len() > SHOWN {
            write!(f, "... ({} bytes)", self.len())?;
        }
        Ok(())
    }
}

/// Prints all bytes, two lower-case hexadecimal digits each.
///
/// ```
/// assert_eq!(format!("{:x}", slabuf::Buffer::from(b"\x0f\xa0")), "0fa0");
/// ```
impl fmt::LowerHex for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Prints all bytes, two upper-case hexadecimal digits each.
///
/// ```
/// assert_eq!(format!("{:X}", slabuf::Buffer::from(b"\x0f\xa0")), "0FA0");
/// ```
impl fmt::UpperHex for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

/// Appends text and grows as needed. Unlike [`std::io::Write`], it cannot report the reason of a
/// failure.
///
/// ```
/// use std::fmt::Write;
///
/// let mut buffer = slabuf::Buffer::with_capacity(0);
/// write!(buffer, "{} bytes", 5)?;
/// assert_eq!(buffer, "5 bytes");
/// # Ok::<(), std::fmt::Error>(())
/// ```
///
/// # Errors
///
/// [`fmt::Error`] if the memory cannot be allocated. Text of earlier pieces of the same `write!`
/// stays in the buffer.
impl fmt::Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.try_reserve(text.len()).map_err(|_| fmt::Error)?;
        self.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
