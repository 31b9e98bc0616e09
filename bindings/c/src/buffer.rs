//! Buffers by value: the parts of a Rust `Buffer`, and a seal, which is a checksum of them.
//!
//! # Safety
//!
//! A struct whose seal fits holds what `sealed` put there, and is taken for a live buffer. A copy
//! of a freed buffer has a valid seal too; the header forbids its use.

use crate::status::{check, guard, slabuf_status};
use slabuf_rust::{Buffer, RawOwner};
use std::mem::ManuallyDrop;
use std::ptr;

/// A buffer. Programs may read data, len and capacity, and write to the memory. Only this library
/// changes the fields. data is aligned to 16 bytes at least. All bytes up to the capacity may be
/// read and written; those beyond len are stale. A freed buffer is all zeros.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct slabuf_buffer {
    /// The first byte.
    data: *mut u8,
    /// The requested length in bytes.
    len: usize,
    /// Bytes that may be read and written.
    capacity: usize,
    /// The pool and place that the memory belongs to.
    owner: usize,
    /// A checksum of the other fields.
    seal: usize,
}

/// The memory of a buffer, valid until the buffer is freed or slabuf_grow moves it.
#[repr(C)]
pub struct slabuf_view {
    /// The first byte.
    data: *mut u8,
    /// The requested length in bytes.
    len: usize,
    /// Bytes that may be read and written.
    capacity: usize,
}

/// Odd, so that products with different factors differ.
const FACTORS: [usize; 2] = [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b7];
impl slabuf_buffer {
    pub(crate) const NONE: Self = Self {
        data: ptr::null_mut(),
        len: 0,
        capacity: 0,
        owner: 0,
        seal: 0,
    };

    #[inline(always)]
    fn sealed(data: *mut u8, len: usize, capacity: usize, owner: usize) -> Self {
        let mut this = Self {
            data,
            len,
            capacity,
            owner,
            seal: 0,
        };
        this.seal = this.sum();
        this
    }

    /// Computes the seal: the complement of a sum of two products, each of two fields that occupy
    /// different halves of a word. The complement makes a struct of zeros invalid.
    ///
    /// A change of one field changes the sum for certain; so does a start that moved along the
    /// length by less than 4 GiB, because the start then differs in the half that the length does
    /// not reach. Any other change goes undetected once in 2^64 times.
    #[inline(always)]
    fn sum(&self) -> usize {
        let start = self.data.addr() ^ self.len.rotate_left(usize::BITS / 2);
        let place = self.owner ^ self.capacity.rotate_left(usize::BITS / 2);
        !start
            .wrapping_mul(FACTORS[0])
            .wrapping_add(place.wrapping_mul(FACTORS[1]))
    }

    /// Converts a buffer into its parts.
    #[inline(always)]
    pub(crate) fn of(buffer: Buffer) -> Self {
        let capacity = buffer.capacity();
        let (data, len, owner) = buffer.into_raw_parts();
        Self::sealed(data, len, capacity, owner.into_ptr().expose_provenance())
    }

    /// Reads a struct and checks its seal.
    ///
    /// # Safety
    ///
    /// `from`, if not null and aligned, can be read.
    #[inline(always)]
    unsafe fn read(from: *const Self) -> Result<Self, slabuf_status> {
        check(from)?;
        // SAFETY: `from` is neither null nor misaligned; the caller guarantees the rest.
        let this = unsafe { from.read() };
        match this.seal == this.sum() {
            true => Ok(this),
            false => Err(slabuf_status::NotABuffer),
        }
    }

    /// Converts the parts into the buffer.
    ///
    /// # Safety
    ///
    /// The seal fits, and no copy of the struct was freed or grown.
    #[inline(always)]
    unsafe fn buffer(self) -> Buffer {
        let owner = RawOwner::from_ptr(ptr::with_exposed_provenance_mut(self.owner));
        // SAFETY: the seal fits, so the parts are those of one buffer, and `len` is within its
        // capacity.
        unsafe { Buffer::from_raw_parts(self.data, self.len, owner) }
    }
}

/// Writes the allocated buffer, or zeros if the allocation fails.
///
/// # Safety
///
/// `to`, if not null and aligned, can be written.
#[inline(always)]
pub(crate) unsafe fn fill_in(
    to: *mut slabuf_buffer,
    allocate: impl FnOnce() -> Result<Buffer, slabuf_status>,
) -> slabuf_status {
    if let Err(status) = check(to) {
        return status;
    }
    let (buffer, status) = match guard(|| allocate().map(slabuf_buffer::of)) {
        Ok(buffer) => (buffer, slabuf_status::Ok),
        Err(status) => (slabuf_buffer::NONE, status),
    };
    // SAFETY: `to` is neither null nor misaligned; the caller guarantees the rest.
    unsafe { to.write(buffer) };
    status
}

/// Frees a buffer unless `refuse` returns an error.
///
/// # Safety
///
/// `at`, if not null and aligned, can be read and written, and is not a copy of a freed buffer.
#[inline(always)]
pub(crate) unsafe fn free_unless(
    at: *mut slabuf_buffer,
    refuse: impl FnOnce(&Buffer) -> Result<(), slabuf_status>,
) -> slabuf_status {
    // SAFETY: the caller guarantees that `at` can be read.
    let parts = match unsafe { slabuf_buffer::read(at) } {
        Ok(parts) => parts,
        Err(status) => return status,
    };
    // SAFETY: the seal fits, and the caller guarantees that no copy was freed.
    let buffer = ManuallyDrop::new(unsafe { parts.buffer() });
    slabuf_status::of(guard(|| {
        refuse(&buffer)?;
        // SAFETY: `read` checked the pointer, and the caller guarantees that it can be written.
        unsafe { at.write(slabuf_buffer::NONE) };
        drop(ManuallyDrop::into_inner(buffer));
        Ok(())
    }))
}

/// Allocates len zeros from the global pool.
///
/// # Safety
///
/// buffer can be written. Its contents are overwritten: a live buffer in it would be leaked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_alloc(len: usize, buffer: *mut slabuf_buffer) -> slabuf_status {
    // SAFETY: the caller guarantees that `buffer` can be written.
    unsafe { fill_in(buffer, || Ok(Buffer::try_alloc(len)?)) }
}

/// Allocates len stale bytes from the global pool: the contents of an earlier buffer.
///
/// The bytes are defined and may be read, but may be another part's secrets: write every byte
/// before you pass the buffer on.
///
/// # Safety
///
/// buffer can be written. Its contents are overwritten: a live buffer in it would be leaked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_alloc_unsafe(
    len: usize,
    buffer: *mut slabuf_buffer,
) -> slabuf_status {
    // SAFETY: the caller guarantees that `buffer` can be written.
    unsafe { fill_in(buffer, || Ok(Buffer::try_alloc_unsafe(len)?)) }
}

/// Frees a buffer of any pool and sets the struct to zeros, so that freeing it again returns
/// SLABUF_STATUS_NOT_A_BUFFER.
///
/// # Safety
///
/// buffer can be read and written, and is not a copy of a buffer that was freed or grown through
/// another struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_free(buffer: *mut slabuf_buffer) -> slabuf_status {
    // SAFETY: the caller guarantees what `free_unless` requires.
    unsafe { free_unless(buffer, |_| Ok(())) }
}

/// Checks a buffer and sets *view to its memory. The view holds no reference, so there is nothing
/// to free.
///
/// # Safety
///
/// buffer can be read and view can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_buffer_view(
    buffer: *const slabuf_buffer,
    view: *mut slabuf_view,
) -> slabuf_status {
    if let Err(status) = check(view) {
        return status;
    }
    // SAFETY: the caller guarantees that `buffer` can be read.
    let (parts, status) = match unsafe { slabuf_buffer::read(buffer) } {
        Ok(parts) => (parts, slabuf_status::Ok),
        Err(status) => (slabuf_buffer::NONE, status),
    };
    let shown = slabuf_view {
        data: parts.data,
        len: parts.len,
        capacity: parts.capacity,
    };
    // SAFETY: `view` is neither null nor misaligned; the caller guarantees the rest.
    unsafe { view.write(shown) };
    status
}

/// Sets the length of a buffer, up to its capacity. Added bytes are stale. If the call fails, the
/// buffer stays unchanged.
///
/// # Safety
///
/// As for slabuf_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_set_len(buffer: *mut slabuf_buffer, len: usize) -> slabuf_status {
    // SAFETY: the caller guarantees that `buffer` can be read.
    let parts = match unsafe { slabuf_buffer::read(buffer) } {
        Ok(parts) => parts,
        Err(status) => return status,
    };
    if len > parts.capacity {
        return slabuf_status::BadLength;
    }
    // `into_raw_parts` has marked the whole capacity as written.
    let parts = slabuf_buffer::sealed(parts.data, len, parts.capacity, parts.owner);
    // SAFETY: `read` checked the pointer, and the caller guarantees that it can be written.
    unsafe { buffer.write(parts) };
    slabuf_status::Ok
}

/// Grows a buffer to len bytes if it is shorter. Added bytes are zero. The memory may move, which
/// invalidates views and copies. Large buffers grow without a copy. If the call fails, the buffer
/// stays unchanged.
///
/// # Safety
///
/// As for slabuf_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_grow(buffer: *mut slabuf_buffer, len: usize) -> slabuf_status {
    // SAFETY: the caller guarantees that `buffer` can be read.
    let parts = match unsafe { slabuf_buffer::read(buffer) } {
        Ok(parts) => parts,
        Err(status) => return status,
    };
    // SAFETY: the seal fits, and the caller guarantees that no copy was freed.
    let mut grown = ManuallyDrop::new(unsafe { parts.buffer() });
    let (parts, done) = match guard(|| Ok(grown.try_grow(len))) {
        Ok(done) => (
            slabuf_buffer::of(ManuallyDrop::into_inner(grown)),
            done.map_err(slabuf_status::from),
        ),
        // The panic has leaked the buffer.
        Err(panicked) => (slabuf_buffer::NONE, Err(panicked)),
    };
    // SAFETY: `read` checked the pointer, and the caller guarantees that it can be written.
    unsafe { buffer.write(parts) };
    slabuf_status::of(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(buffer: slabuf_buffer) -> bool {
        buffer.seal == buffer.sum()
    }

    #[test]
    fn a_change_of_any_field_breaks_the_seal() {
        let whole = slabuf_buffer::of(Buffer::try_alloc(100).expect("memory"));
        assert!(fits(whole) && !fits(slabuf_buffer::NONE));
        for bit in 0..usize::BITS {
            let by = 1usize << bit;
            let mut others = [whole; 5];
            others[0].data = whole.data.wrapping_add(by);
            others[1].len ^= by;
            others[2].capacity ^= by;
            others[3].owner ^= by;
            others[4].seal ^= by;
            assert!(!others.into_iter().any(fits), "bit {bit}");
        }
        // SAFETY: sealed above, freed here.
        drop(unsafe { whole.buffer() });
    }

    #[test]
    fn a_start_moved_along_the_length_breaks_the_seal() {
        let whole = slabuf_buffer::of(Buffer::try_alloc(10_000).expect("memory"));
        for by in 1..=10_000 {
            let mut moved = whole;
            moved.data = whole.data.wrapping_add(by);
            moved.len -= by;
            assert!(!fits(moved), "{by} bytes");
            moved.capacity -= by;
            assert!(!fits(moved), "{by} bytes, and the capacity");
        }
        // SAFETY: sealed above, freed here.
        drop(unsafe { whole.buffer() });
    }
}
