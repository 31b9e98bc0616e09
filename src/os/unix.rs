//! The real system: memmap2 creates the mappings, libc makes the calls that memmap2 does not have.
//!
//! # Safety
//!
//! Each function passes a range to the kernel under the contract of the function of the same name
//! in [`super`]. This module reads and writes no mapped memory.

use super::{MapRefusal, OsError, Stranded};
use memmap2::MmapOptions;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::OnceLock;

fn last_error() -> OsError {
    OsError(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

fn check(result: libc::c_int) -> Result<(), OsError> {
    if result == 0 {
        Ok(())
    } else {
        Err(last_error())
    }
}

pub(super) fn page_size() -> usize {
    static PAGE_SIZE: OnceLock<usize> = OnceLock::new();
    *PAGE_SIZE.get_or_init(|| {
        // SAFETY: sysconf reads no memory of this crate.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(size).unwrap_or(4096)
    })
}

fn map_anywhere(len: usize) -> Result<NonNull<u8>, OsError> {
    let map = MmapOptions::new()
        .len(len)
        .map_anon()
        .map_err(|error| OsError(error.raw_os_error().unwrap_or(0)))?;
    // From here on `unmap` frees the range, which can report a refusal; memmap2's drop cannot.
    let mut map = ManuallyDrop::new(map);
    NonNull::new(map.as_mut_ptr()).ok_or(OsError(libc::ENOMEM))
}

/// Maps at a multiple of `align`. Tries the address that the kernel chooses, then the next aligned
/// address below, which is usually free where mappings grow downwards, then a padded reservation.
pub(super) fn map(len: usize, align: usize) -> Result<NonNull<u8>, MapRefusal> {
    let base = map_anywhere(len)?;
    if base.addr().get().is_multiple_of(align) {
        return Ok(base);
    }
    give_back(base, len)?;
    let below = base.addr().get() & !(align - 1);
    let base = map_with(below, len, libc::PROT_READ | libc::PROT_WRITE)?;
    if base.addr().get().is_multiple_of(align) {
        return Ok(base);
    }
    give_back(base, len)?;
    map_padded(len, align)
}

/// Maps at `hint` if that range is free, otherwise elsewhere.
fn map_with(hint: usize, len: usize, access: libc::c_int) -> Result<NonNull<u8>, OsError> {
    let hint = std::ptr::without_provenance_mut(hint);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
    // SAFETY: without `MAP_FIXED` a new mapping replaces no other.
    let base = unsafe { libc::mmap(hint, len, access, flags, -1, 0) };
    if base == libc::MAP_FAILED {
        return Err(last_error());
    }
    NonNull::new(base.cast()).ok_or(OsError(libc::ENOMEM))
}

/// Reserves a larger range of addresses, makes the aligned part accessible and unmaps the rest. The
/// excess is only addresses, which cannot be accessed.
fn map_padded(len: usize, align: usize) -> Result<NonNull<u8>, MapRefusal> {
    let padded = len
        .checked_add(align - page_size())
        .ok_or(OsError(libc::ENOMEM))?;
    let base = map_with(0, padded, libc::PROT_NONE)?;
    let head = base.addr().get().next_multiple_of(align) - base.addr().get();
    // SAFETY: `head` is below `align`, so the aligned address lies within the padded mapping.
    let aligned = unsafe { base.add(head) };
    // SAFETY: `head + len` is at most `padded`, the end of the mapping.
    let tail = unsafe { aligned.add(len) };
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the range is part of the mapping created above, which is not shared yet.
    if let Err(error) = check(unsafe { libc::mprotect(aligned.as_ptr().cast(), len, access) }) {
        give_back(base, padded)?;
        return Err(error.into());
    }
    // Unmapping a part can need one map area more than the process may have. Unmapping the whole
    // usually needs none.
    if let Err(refused) = give_back(base, head) {
        give_back(base, padded)?;
        return Err(refused.error.into());
    }
    if let Err(refused) = give_back(tail, padded - head - len) {
        give_back(aligned, padded - head)?;
        return Err(refused.error.into());
    }
    Ok(aligned)
}

/// Unmaps a range that was mapped just now. If the system refuses, the range is stranded.
fn give_back(base: NonNull<u8>, len: usize) -> Result<(), MapRefusal> {
    if len == 0 {
        return Ok(());
    }
    // SAFETY: the range was mapped by the caller, and is not shared yet.
    unsafe { unmap(base, len) }.map_err(|error| MapRefusal {
        error,
        stranded: Some(Stranded { base, len }),
    })
}

pub(super) unsafe fn unmap(base: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: the caller owns the range and gives it up.
    check(unsafe { libc::munmap(base.as_ptr().cast(), len) })
}

/// Purges with MADV_DONTNEED, never MADV_FREE: a page that is freed lazily can change between two
/// reads.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) unsafe fn purge(base: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: the caller owns the range; private anonymous pages read as zero afterwards
    // (madvise(2)).
    check(unsafe { libc::madvise(base.as_ptr().cast(), len, libc::MADV_DONTNEED) })
}

/// Purges by mapping the range anew, because MADV_DONTNEED guarantees nothing on this system.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) unsafe fn purge(base: NonNull<u8>, len: usize) -> Result<(), OsError> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the caller owns the range, and gets it back zeroed at the same address.
    let result = unsafe { libc::mmap(base.as_ptr().cast(), len, access, flags, -1, 0) };
    if result == libc::MAP_FAILED {
        Err(last_error())
    } else {
        Ok(())
    }
}

/// Moves the pages, not the bytes. The kernel chooses the address. Recent kernels align lengths of
/// whole huge pages to huge pages by themselves. An address that this crate chose (`MREMAP_FIXED`)
/// could belong to another mapping by the time the call fails.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) unsafe fn remap(
    base: NonNull<u8>,
    len: usize,
    new_len: usize,
) -> Result<NonNull<u8>, OsError> {
    let old = base.as_ptr().cast();
    // SAFETY: the caller owns the mapping and uses the returned address from now on.
    let new = unsafe { libc::mremap(old, len, new_len, libc::MREMAP_MAYMOVE) };
    if new == libc::MAP_FAILED {
        return Err(last_error());
    }
    NonNull::new(new.cast()).ok_or(OsError(libc::ENOMEM))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) unsafe fn remap(
    _base: NonNull<u8>,
    _len: usize,
    _new_len: usize,
) -> Result<NonNull<u8>, OsError> {
    Err(OsError(libc::ENOSYS))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) unsafe fn advise_huge(base: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: advice about a range the caller owns; its contents do not change.
    check(unsafe { libc::madvise(base.as_ptr().cast(), len, libc::MADV_HUGEPAGE) })
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) unsafe fn advise_huge(_base: NonNull<u8>, _len: usize) -> Result<(), OsError> {
    Err(OsError(libc::ENOSYS))
}

/// Asks for small pages. Where huge pages are enabled for all mappings, the first access to a
/// region would commit 2 MiB, and the kernel would join small pages into huge ones again after a
/// purge.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) unsafe fn advise_small(base: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: advice about a range the caller owns; its contents do not change.
    check(unsafe { libc::madvise(base.as_ptr().cast(), len, libc::MADV_NOHUGEPAGE) })
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) unsafe fn advise_small(_base: NonNull<u8>, _len: usize) -> Result<(), OsError> {
    Err(OsError(libc::ENOSYS))
}

pub(super) unsafe fn protect(base: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: the caller owns the range and will not use it again.
    check(unsafe { libc::mprotect(base.as_ptr().cast(), len, libc::PROT_NONE) })
}

pub(super) fn now_ms() -> u64 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC_COARSE;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place for the result.
    if unsafe { libc::clock_gettime(CLOCK, &mut time) } != 0 {
        return 0;
    }
    (time.tv_sec as u64) * 1000 + (time.tv_nsec as u64) / 1_000_000
}

#[cfg(all(test, not(loom), not(miri)))]
mod tests {
    use super::*;

    fn exercise(base: NonNull<u8>, len: usize) {
        assert!(base.addr().get().is_multiple_of(len));
        // SAFETY: the first byte of the mapping created above.
        assert_eq!(unsafe { base.read() }, 0);
        // SAFETY: as above.
        unsafe { base.write(7) };
        // SAFETY: the last byte of the mapping.
        let last = unsafe { base.add(len - 1) };
        // SAFETY: as above.
        unsafe { last.write(7) };
        // SAFETY: the whole mapping, which no other thread uses.
        unsafe { purge(base, len) }.unwrap();
        // SAFETY: as above; purging keeps the range.
        assert_eq!(unsafe { base.read() }, 0);
        // SAFETY: as above, and no thread uses it again.
        unsafe { unmap(base, len) }.unwrap();
    }

    #[test]
    fn maps_at_the_alignment_and_reads_as_zero() {
        for align in [page_size(), 64 << 10, 2 << 20, 16 << 20] {
            exercise(map(align, align).unwrap(), align);
            exercise(map_padded(align, align).unwrap(), align);
        }
    }

    #[test]
    fn refuses_what_no_address_space_holds() {
        assert!(map(1 << 47, page_size()).is_err());
        assert!(map_padded(1 << 47, 2 << 20).is_err());
    }
}
