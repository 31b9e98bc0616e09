//! `Arbitrary`: buffers out of a fuzzer's bytes.

use ::arbitrary::{Arbitrary, Error, Result, Unstructured};

use crate::buffer::Buffer;

/// A buffer of the global pool, with contents and length as the input has them, as `&[u8]` has.
///
/// ```
/// use arbitrary::{Arbitrary, Unstructured};
/// use slabuf::Buffer;
///
/// let buffer = Buffer::arbitrary_take_rest(Unstructured::new(b"from a fuzzer"))?;
/// assert_eq!(buffer, b"from a fuzzer");
/// # Ok::<(), arbitrary::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::IncorrectFormat`] where the memory cannot be had: the fuzzer goes on to its next input.
impl<'a> Arbitrary<'a> for Buffer {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let len = u.arbitrary_len::<u8>()?;
        copy(u.bytes(len)?)
    }

    fn arbitrary_take_rest(u: Unstructured<'a>) -> Result<Self> {
        copy(u.take_rest())
    }

    fn size_hint(_depth: usize) -> (usize, Option<usize>) {
        (0, None)
    }
}

fn copy(bytes: &[u8]) -> Result<Buffer> {
    Buffer::try_copy_from_slice(bytes).map_err(|_| Error::IncorrectFormat)
}
