//! Structs that get new fields in later versions. The caller passes the size that it was compiled
//! with.
//!
//! A new field is added at the end, and its zero means the behaviour of the versions before. An old
//! program therefore sees the beginning of the struct. A new program that runs with an old library
//! reads zeros behind the beginning, and may write nothing but zeros there.

use crate::status::{check, slabuf_status};

/// A struct of integers without padding.
///
/// # Safety
///
/// Any bytes are a valid value.
pub(crate) unsafe trait Plain: Copy {
    /// Bytes of the struct's first version.
    const FIRST: usize;
}

/// Larger than every version, so that a number that is not a size is refused.
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
/// If `from` is neither null nor misaligned, `size` bytes can be read there.
pub(crate) unsafe fn read<T: Plain>(from: *const T, size: usize) -> Result<T, slabuf_status> {
    check_size(from, size)?;
    // SAFETY: `from` is not null, and the caller guarantees `size` readable bytes; `u8` has no
    // alignment.
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), size) };
    let (known, beyond) = bytes.split_at(size.min(size_of::<T>()));
    if beyond.iter().any(|byte| *byte != 0) {
        return Err(slabuf_status::BadSize);
    }
    let mut value = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: `known` is no longer than a `T`; `value` is on this stack, so the two do not overlap.
    unsafe {
        known
            .as_ptr()
            .copy_to_nonoverlapping(value.as_mut_ptr().cast(), known.len())
    };
    // SAFETY: every byte is initialised, and `Plain` says that any bytes are a `T`.
    Ok(unsafe { value.assume_init() })
}

/// Writes a struct to `size` bytes: cut, or with zeros behind it.
///
/// # Safety
///
/// If `to` is neither null nor misaligned, `size` bytes can be written there.
pub(crate) unsafe fn write<T: Plain>(
    to: *mut T,
    size: usize,
    value: T,
) -> Result<(), slabuf_status> {
    check_size(to, size)?;
    // SAFETY: `to` is not null, and the caller guarantees `size` writable bytes.
    unsafe { write_bytes(to.cast(), size, &value) };
    Ok(())
}

/// Writes the first `capacity` of `values` to an array whose elements have `size` bytes each, and
/// the number of all of them to `count`.
///
/// # Safety
///
/// If `count` is neither null nor misaligned, it can be written; likewise `to`, if `capacity` is
/// not 0, for `capacity * size` bytes.
pub(crate) unsafe fn write_array<T: Plain>(
    to: *mut T,
    size: usize,
    capacity: usize,
    count: *mut usize,
    values: impl FnOnce() -> Result<Vec<T>, slabuf_status>,
) -> Result<(), slabuf_status> {
    check(count)?;
    // SAFETY: `count` is neither null nor misaligned, and the caller guarantees that it can be
    // written.
    unsafe { count.write(0) };
    if capacity != 0 {
        check_size(to, size)?;
        if !size.is_multiple_of(align_of::<T>()) {
            return Err(slabuf_status::BadSize);
        }
    }
    let values = values()?;
    for (index, value) in values.iter().take(capacity).enumerate() {
        let at = to.cast::<u8>().wrapping_add(index * size);
        // SAFETY: the element with this index is below `capacity`, so the caller guarantees its
        // `size` bytes.
        unsafe { write_bytes(at, size, value) };
    }
    // SAFETY: as above.
    unsafe { count.write(values.len()) };
    Ok(())
}

/// Writes a value to `size` bytes: cut, or with zeros behind it.
///
/// # Safety
///
/// `size` bytes can be written at `to`, and none of them belongs to `value`.
unsafe fn write_bytes<T: Plain>(to: *mut u8, size: usize, value: &T) {
    let known = size.min(size_of::<T>());
    // SAFETY: the caller guarantees `size` writable bytes.
    unsafe { to.write_bytes(0, size) };
    // SAFETY: `known` is within both, which do not overlap.
    unsafe {
        std::ptr::from_ref(value)
            .cast::<u8>()
            .copy_to_nonoverlapping(to, known)
    };
}
