//! `Arbitrary`: buffers from a fuzzer's input.

use ::arbitrary::{Arbitrary, Error, Result, Unstructured};

use crate::buffer::Buffer;

/// Creates a buffer of the global pool, with contents and length from the input, as for `&[u8]`.
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
/// [`Error::IncorrectFormat`] if the memory cannot be allocated: the fuzzer continues with its next
/// input.
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
