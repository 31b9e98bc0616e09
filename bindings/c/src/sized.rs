//! Structs that grow with the library's versions: who calls says how large his is.
//!
//! A field that is added comes at the end, and its zero means what was the case before. So an old program sees the
//! beginning of the struct, and a new program that runs with an old library sees zeros behind it, and may set
//! there nothing but zeros.

use crate::status::{check, slabuf_status};

/// A struct of integers without padding, so that any bytes are one.
///
/// # Safety
///
/// It is that.
pub(crate) unsafe trait Plain: Copy {
    /// Bytes of the struct's first version.
    const FIRST: usize;
}

/// No version is larger; so a size that is none at all is not taken for a struct's.
const MAXIMUM: usize = 4096;

fn check_size<T: Plain>(at: *const T, size: usize) -> Result<(), slabuf_status> {
    check(at)?;
    match (T::FIRST..=MAXIMUM).contains(&size) {
        true => Ok(()),
        false => Err(slabuf_status::BadSize),
    }
}

/// Reads a struct of `size` bytes.
///
/// # Safety
///
/// `from`, if not null and aligned, leads to `size` bytes that can be read.
pub(crate) unsafe fn read<T: Plain>(from: *const T, size: usize) -> Result<T, slabuf_status> {
    check_size(from, size)?;
    // SAFETY: the caller's word.
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), size) };
    let (known, beyond) = bytes.split_at(size.min(size_of::<T>()));
    if beyond.iter().any(|byte| *byte != 0) {
        return Err(slabuf_status::BadSize);
    }
    let mut value = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: `known` is no longer than a `T`, and `value` is not part of what C gave.
    unsafe {
        known
            .as_ptr()
            .copy_to_nonoverlapping(value.as_mut_ptr().cast(), known.len())
    };
    // SAFETY: any bytes are a `T`.
    Ok(unsafe { value.assume_init() })
}

/// Writes a struct, cut or with zeros behind it, to `size` bytes.
///
/// # Safety
///
/// `to`, if not null and aligned, leads to `size` bytes that can be written.
pub(crate) unsafe fn write<T: Plain>(
    to: *mut T,
    size: usize,
    value: T,
) -> Result<(), slabuf_status> {
    check_size(to, size)?;
    let known = size.min(size_of::<T>());
    // SAFETY: `size` bytes can be written, the caller's word.
    unsafe { to.cast::<u8>().write_bytes(0, size) };
    // SAFETY: `known` is no longer than either, and `value` is not part of what C gave.
    unsafe {
        (&raw const value)
            .cast::<u8>()
            .copy_to_nonoverlapping(to.cast(), known)
    };
    Ok(())
}
