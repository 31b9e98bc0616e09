//! What the crate asks of the operating system: a handful of primitives, each with its contract.
//!
//! A pool carries an [`Os`] by value. The real one is chosen by target; the fake one is backed by the
//! heap, refuses calls by a plan, and stands in wherever mappings cannot be had.
//!
//! # Safety
//!
//! The primitives that take an address are unsafe: the caller owns the range and nobody uses what is
//! taken away. The layer above ([`crate::os::mapping`]) is the only one that calls them.

use crate::sync;
use std::ptr::NonNull;

#[cfg(any(test, miri, not(unix), feature = "fake-os"))]
#[allow(unreachable_pub)]
pub(crate) mod fake;
pub(crate) mod mapping;
#[cfg(unix)]
mod unix;

/// The system said no. The number is the system's own (`errno`), for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OsError(pub(crate) i32);

/// A handle to the operating system.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Os {
    #[cfg(all(unix, not(miri)))]
    Real,
    #[cfg(any(test, miri, not(unix), feature = "fake-os"))]
    Fake(&'static fake::FakeOs),
}

macro_rules! dispatch {
    ($self:ident, $real:expr, $fake:ident => $on_fake:expr) => {
        match $self {
            #[cfg(all(unix, not(miri)))]
            Os::Real => $real,
            #[cfg(any(test, miri, not(unix), feature = "fake-os"))]
            Os::Fake($fake) => $on_fake,
        }
    };
}

impl Os {
    /// The system this program runs on.
    pub(crate) fn native() -> Self {
        #[cfg(all(unix, not(miri)))]
        return Self::Real;
        #[cfg(any(miri, not(unix)))]
        return Self::Fake(fake::shared());
    }

    /// Bytes in a page; a power of two.
    pub(crate) fn page_size(self) -> usize {
        dispatch!(self, unix::page_size(), _fake => fake::PAGE_SIZE)
    }

    /// Maps `len` zeroed bytes at a multiple of `align`.
    ///
    /// `len` is a multiple of the page size and not 0, `align` a power of two and at least a page.
    /// The bytes are readable and writable, take no memory until they are touched, and are the
    /// caller's alone.
    pub(crate) fn map(self, len: usize, align: usize) -> Result<NonNull<u8>, OsError> {
        debug_assert!(len > 0 && len.is_multiple_of(self.page_size()));
        dispatch!(self, unix::map(len, align), fake => fake.map(len, align))
    }

    /// Gives a whole mapping back. If the system refuses (a process has only so many map areas),
    /// the mapping stays as it was.
    ///
    /// # Safety
    ///
    /// `base` and `len` are those of a mapping of this system, and nobody uses it afterwards.
    pub(crate) unsafe fn unmap(self, base: NonNull<u8>, len: usize) -> Result<(), OsError> {
        // SAFETY: the same contract.
        dispatch!(self, unsafe { unix::unmap(base, len) }, fake => unsafe { fake.unmap(base, len) })
    }

    /// Gives the memory of a range back and keeps the range: it reads as zero afterwards.
    /// If the system refuses, the bytes are as they were.
    ///
    /// # Safety
    ///
    /// The range is whole pages within a mapping of this system, and nobody else uses it meanwhile.
    pub(crate) unsafe fn purge(self, base: NonNull<u8>, len: usize) -> Result<(), OsError> {
        // SAFETY: the same contract.
        dispatch!(self, unsafe { unix::purge(base, len) }, fake => unsafe { fake.purge(base, len) })
    }

    /// Makes a mapping longer, at another address if need be. Its bytes keep their values, new ones are
    /// zero. If the system refuses, the mapping is as it was.
    ///
    /// # Safety
    ///
    /// As for [`unmap`](Self::unmap), and the old address is not used after success.
    pub(crate) unsafe fn remap(
        self,
        base: NonNull<u8>,
        len: usize,
        new_len: usize,
    ) -> Result<NonNull<u8>, OsError> {
        dispatch!(
            self,
            // SAFETY: the same contract.
            unsafe { unix::remap(base, len, new_len) },
            // SAFETY: the same contract.
            fake => unsafe { fake.remap(base, len, new_len) }
        )
    }

    /// Asks for huge pages in a range. Advice: nothing breaks when the system declines.
    ///
    /// # Safety
    ///
    /// The range is whole pages within a mapping of this system.
    pub(crate) unsafe fn advise_huge(self, base: NonNull<u8>, len: usize) -> Result<(), OsError> {
        // SAFETY: the same contract.
        dispatch!(self, unsafe { unix::advise_huge(base, len) }, fake => fake.advise_huge())
    }

    /// Makes every access to a range a fault.
    ///
    /// # Safety
    ///
    /// The range is whole pages within a mapping of this system, and nobody uses it again.
    pub(crate) unsafe fn protect(self, base: NonNull<u8>, len: usize) -> Result<(), OsError> {
        // SAFETY: the same contract.
        dispatch!(self, unsafe { unix::protect(base, len) }, fake => fake.protect())
    }

    /// Prepares [`fence_heavy`](Self::fence_heavy). Returns `false` where there is no such fence.
    pub(crate) fn register_fences(self) -> bool {
        dispatch!(self, sync::register_fences(), fake => fake.register_fences())
    }

    /// A full fence on every processor that runs a thread of this process (see [`sync`]). Returns `false` if the
    /// system refuses; then nothing is ordered.
    pub(crate) fn fence_heavy(self) -> bool {
        dispatch!(self, sync::fence_heavy(), fake => fake.fence_heavy())
    }

    /// Milliseconds on a clock that never goes back, good to about ten of them, cheap to read.
    pub(crate) fn now_ms(self) -> u64 {
        dispatch!(self, unix::now_ms(), fake => fake.now_ms())
    }
}
