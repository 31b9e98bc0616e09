//! Buffers by value: the parts of a Rust `Buffer`, and a seal over them.
//!
//! # Safety
//!
//! A struct whose seal fits holds what `seal` put there. It is taken for a live buffer: a copy of one that was
//! freed meanwhile can't be told from it, and the header says so.

use crate::status::{check, guard, slabuf_status};
use slabuf_rust::{Buffer, RawOwner};
use std::mem::ManuallyDrop;
use std::ptr;

/// A buffer. Read data, len and capacity as you like, which costs no call and no count, and write to the memory;
/// leave the struct's fields to this library. data is aligned to 16 bytes at least. All bytes up to the capacity may
/// be read and written; those beyond len are stale. All zeros is no buffer: that is what a freed one becomes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct slabuf_buffer {
    /// The first byte.
    data: *mut u8,
    /// Bytes asked for.
    len: usize,
    /// Bytes there are.
    capacity: usize,
    /// Where the memory belongs.
    owner: usize,
    /// Tells a buffer from other bytes.
    seal: usize,
}

/// What slabuf_buffer_view shows: the memory of a buffer, as long as that is not freed, or moved by slabuf_grow.
#[repr(C)]
pub struct slabuf_view {
    /// The first byte.
    data: *mut u8,
    /// Bytes asked for.
    len: usize,
    /// Bytes there are.
    capacity: usize,
}

/// Odd, and so are the halves of their differences: a change of one field, or of two by amounts that cancel out
/// (a moved start and a length less by as much), changes the sum for certain; any other change all but certainly.
const FACTORS: [usize; 4] = [
    0x9e37_79b9_7f4a_7c15,
    0xbf58_476d_1ce4_e5b7,
    0x94d0_49bb_1331_11e9,
    0xd6e8_feb8_6659_fd93,
];
/// So that zeros are no buffer.
const START: usize = 0xa076_1d64_78bd_642f;

impl slabuf_buffer {
    pub(crate) const NONE: Self = Self {
        data: ptr::null_mut(),
        len: 0,
        capacity: 0,
        owner: 0,
        seal: 0,
    };

    #[inline(always)]
    fn seal(data: *mut u8, len: usize, capacity: usize, owner: usize) -> Self {
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

    #[inline(always)]
    fn sum(&self) -> usize {
        let fields = [self.data.addr(), self.len, self.capacity, self.owner];
        let terms = fields.iter().zip(FACTORS).map(|(f, by)| f.wrapping_mul(by));
        terms.fold(START, usize::wrapping_add)
    }

    /// Takes a buffer apart.
    #[inline(always)]
    pub(crate) fn of(buffer: Buffer) -> Self {
        let capacity = buffer.capacity();
        let (data, len, owner) = buffer.into_raw_parts();
        Self::seal(data, len, capacity, owner.into_ptr().expose_provenance())
    }

    /// Reads a struct and checks its seal.
    ///
    /// # Safety
    ///
    /// `from`, if not null and aligned, can be read.
    #[inline(always)]
    unsafe fn read(from: *const Self) -> Result<Self, slabuf_status> {
        check(from)?;
        // SAFETY: checked as far as can be, the rest is the caller's word.
        let this = unsafe { from.read() };
        match this.seal == this.sum() {
            true => Ok(this),
            false => Err(slabuf_status::NotABuffer),
        }
    }

    /// The buffer itself.
    ///
    /// # Safety
    ///
    /// As `Buffer::from_raw_parts`; the seal fits.
    #[inline(always)]
    unsafe fn buffer(self) -> Buffer {
        let owner = RawOwner::from_ptr(ptr::with_exposed_provenance_mut(self.owner));
        // SAFETY: the seal fits, so the parts are those of one buffer and `len` is within its capacity.
        unsafe { Buffer::from_raw_parts(self.data, self.len, owner) }
    }
}

/// Fills in what C gave room for: what an allocation returned, or zeros.
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
    let (buffer, status) = match guard(allocate) {
        Ok(buffer) => (slabuf_buffer::of(buffer), slabuf_status::Ok),
        Err(status) => (slabuf_buffer::NONE, status),
    };
    // SAFETY: checked as far as can be, the rest is the caller's word.
    unsafe { to.write(buffer) };
    status
}

/// Frees a buffer unless `refuse` has a reason not to.
///
/// # Safety
///
/// `at`, if not null and aligned, can be read and written, and is no copy of a buffer freed before.
#[inline(always)]
pub(crate) unsafe fn give(
    at: *mut slabuf_buffer,
    refuse: impl FnOnce(&Buffer) -> Result<(), slabuf_status>,
) -> slabuf_status {
    // SAFETY: the caller's word.
    let parts = match unsafe { slabuf_buffer::read(at) } {
        Ok(parts) => parts,
        Err(status) => return status,
    };
    // SAFETY: the seal fits, and the caller's word that it was not freed under another name.
    let buffer = ManuallyDrop::new(unsafe { parts.buffer() });
    slabuf_status::of(guard(|| {
        refuse(&buffer)?;
        // SAFETY: `read` checked it, and the caller's word that it can be written.
        unsafe { at.write(slabuf_buffer::NONE) };
        drop(ManuallyDrop::into_inner(buffer));
        Ok(())
    }))
}

/// Allocates len zeros from the global pool.
///
/// # Safety
///
/// buffer can be written. What it holds is overwritten: a live buffer in it would be lost.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_alloc(len: usize, buffer: *mut slabuf_buffer) -> slabuf_status {
    // SAFETY: as above.
    unsafe { fill_in(buffer, || Ok(Buffer::try_alloc(len)?)) }
}

/// Allocates len stale bytes from the global pool: what an earlier buffer left there. They are defined and may be
/// read, but may be anyone's secrets: write every byte before anyone sees them.
///
/// # Safety
///
/// buffer can be written. What it holds is overwritten: a live buffer in it would be lost.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_alloc_unsafe(
    len: usize,
    buffer: *mut slabuf_buffer,
) -> slabuf_status {
    // SAFETY: as above.
    unsafe { fill_in(buffer, || Ok(Buffer::try_alloc_unsafe(len)?)) }
}

/// Gives a buffer of any pool back, and leaves zeros in the struct, so that freeing that once more is
/// SLABUF_STATUS_NOT_A_BUFFER.
///
/// # Safety
///
/// buffer can be read and written, and is no copy of a buffer that was freed, or made longer, through another
/// struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_free(buffer: *mut slabuf_buffer) -> slabuf_status {
    // SAFETY: as above.
    unsafe { give(buffer, |_| Ok(())) }
}

/// Shows the memory of a buffer, after a look whether it is one. Takes no reference: there is nothing to give back.
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
    // SAFETY: as above.
    let (parts, status) = match unsafe { slabuf_buffer::read(buffer) } {
        Ok(parts) => (parts, slabuf_status::Ok),
        Err(status) => (slabuf_buffer::NONE, status),
    };
    let shown = slabuf_view {
        data: parts.data,
        len: parts.len,
        capacity: parts.capacity,
    };
    // SAFETY: checked as far as can be, the rest is the caller's word.
    unsafe { view.write(shown) };
    status
}

/// Sets the length of a buffer, up to its capacity. Bytes that come into view are stale. When it fails the buffer is
/// as it was.
///
/// # Safety
///
/// As with slabuf_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_set_len(buffer: *mut slabuf_buffer, len: usize) -> slabuf_status {
    // SAFETY: as above.
    let parts = match unsafe { slabuf_buffer::read(buffer) } {
        Ok(parts) => parts,
        Err(status) => return status,
    };
    if len > parts.capacity {
        return slabuf_status::BadLength;
    }
    // All of the capacity counts as written since the buffer was taken apart: nothing else to note.
    let parts = slabuf_buffer::seal(parts.data, len, parts.capacity, parts.owner);
    // SAFETY: `read` checked it, and the caller's word that it can be written.
    unsafe { buffer.write(parts) };
    slabuf_status::Ok
}

/// Makes a buffer len bytes long if it is shorter; new bytes are zero. Its memory may move: views of it end. Large
/// buffers grow without a copy. When it fails the buffer is as it was.
///
/// # Safety
///
/// As with slabuf_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_grow(buffer: *mut slabuf_buffer, len: usize) -> slabuf_status {
    // SAFETY: as above.
    let parts = match unsafe { slabuf_buffer::read(buffer) } {
        Ok(parts) => parts,
        Err(status) => return status,
    };
    // SAFETY: the seal fits, and the caller's word that it was not freed under another name.
    let mut grown = ManuallyDrop::new(unsafe { parts.buffer() });
    let (parts, done) = match guard(|| Ok(grown.try_grow(len))) {
        Ok(done) => (
            slabuf_buffer::of(ManuallyDrop::into_inner(grown)),
            done.map_err(slabuf_status::from),
        ),
        // What a panic left behind is nobody's any more.
        Err(panicked) => (slabuf_buffer::NONE, Err(panicked)),
    };
    // SAFETY: `read` checked it, and the caller's word that it can be written.
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
    fn a_change_of_any_field_is_seen() {
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
    fn a_start_moved_along_the_length_is_seen() {
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
