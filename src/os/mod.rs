//! The primitives that the crate needs from the operating system, each with its contract.
//!
//! A pool holds an [`Os`] by value. The real system is chosen by target. The simulated one is
//! backed by the heap, refuses calls according to a plan, and is used wherever there are no
//! mappings.
//!
//! # Safety
//!
//! The primitives that have an address as parameter are unsafe: the caller owns the range, and no
//! thread uses memory that is unmapped. Only the layer above ([`crate::os::mapping`]) calls them.

use crate::sync;
use std::ptr::NonNull;

#[cfg(any(test, miri, not(unix), feature = "fake-os"))]
#[allow(unreachable_pub)]
pub(crate) mod fake;
pub(crate) mod mapping;
pub(crate) mod quota;
#[cfg(unix)]
mod unix;

/// A refusal by the system. The number is the system's own (`errno`), for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OsError(pub(crate) i32);

/// A range that was mapped on the way to an aligned mapping, and that the system refused to unmap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stranded {
    pub(crate) base: NonNull<u8>,
    pub(crate) len: usize,
}

// SAFETY: the range belongs to the holder of this value, and no thread uses its memory.
unsafe impl Send for Stranded {}

/// A refused [`Os::map`].
#[derive(Debug)]
pub(crate) struct MapRefusal {
    pub(crate) error: OsError,
    /// A range that is mapped nevertheless. The caller owns it, and passes it to [`Os::unmap`]
    /// later.
    pub(crate) stranded: Option<Stranded>,
}

impl From<OsError> for MapRefusal {
    fn from(error: OsError) -> Self {
        Self {
            error,
            stranded: None,
        }
    }
}

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
    /// Returns the system that this program runs on.
    pub(crate) fn native() -> Self {
        #[cfg(all(unix, not(miri)))]
        return Self::Real;
        #[cfg(any(miri, not(unix)))]
        return Self::Fake(fake::shared());
    }

    /// Returns the number of bytes in a page; a power of two.
    pub(crate) fn page_size(self) -> usize {
        dispatch!(self, unix::page_size(), fake => fake.page_size())
    }

    /// Maps `len` zeroed bytes at a multiple of `align`.
    ///
    /// `len` is a multiple of the page size and not 0, `align` a power of two and at least a page.
    /// The bytes are readable and writable, have no memory until they are accessed, and belong to
    /// the caller. During the call the system never holds more accessible bytes than `len`.
    pub(crate) fn map(self, len: usize, align: usize) -> Result<NonNull<u8>, MapRefusal> {
        debug_assert!(len > 0 && len.is_multiple_of(self.page_size()));
        dispatch!(self, unix::map(len, align), fake => fake.map(len, align))
    }

    /// Unmaps a whole mapping. If the system refuses (the number of map areas of a process is
    /// limited), the mapping is unchanged.
    ///
    /// # Safety
    ///
    /// `base` and `len` are those of a mapping of this system, and no thread uses it afterwards.
    pub(crate) unsafe fn unmap(self, base: NonNull<u8>, len: usize) -> Result<(), OsError> {
        // SAFETY: the caller fulfils the same contract.
        dispatch!(self, unsafe { unix::unmap(base, len) }, fake => unsafe { fake.unmap(base, len) })
    }

    /// Releases the memory of a range and keeps the range, which reads as zero afterwards. If the
    /// system refuses, the bytes are unchanged.
    ///
    /// # Safety
    ///
    /// The range is whole pages within a mapping of this system, and no other thread uses it
    /// meanwhile.
    pub(crate) unsafe fn purge(self, base: NonNull<u8>, len: usize) -> Result<(), OsError> {
        // SAFETY: the caller fulfils the same contract.
        dispatch!(self, unsafe { unix::purge(base, len) }, fake => unsafe { fake.purge(base, len) })
    }

    /// Makes a mapping longer; it may move to another address. Its bytes keep their values, new
    /// ones are zero. If the system refuses, the mapping is unchanged.
    ///
    /// # Safety
    ///
    /// The caller fulfils the conditions of [`unmap`](Self::unmap), and does not use the old
    /// address after success.
    pub(crate) unsafe fn remap(
        self,
        base: NonNull<u8>,
        len: usize,
        new_len: usize,
    ) -> Result<NonNull<u8>, OsError> {
        dispatch!(
            self,
            // SAFETY: the caller fulfils the same contract.
            unsafe { unix::remap(base, len, new_len) },
            // SAFETY: the caller fulfils the same contract.
            fake => unsafe { fake.remap(base, len, new_len) }
        )
    }

    /// Asks for huge pages in a range. This is advice, which the system may ignore.
    ///
    /// # Safety
    ///
    /// The range is whole pages within a mapping of this system.
    pub(crate) unsafe fn advise_huge(self, base: NonNull<u8>, len: usize) -> Result<(), OsError> {
        // SAFETY: the caller fulfils the same contract.
        dispatch!(self, unsafe { unix::advise_huge(base, len) }, fake => fake.advise_huge())
    }

    /// Asks for small pages in a range. This is advice, which the system may ignore.
    ///
    /// # Safety
    ///
    /// The range is whole pages within a mapping of this system.
    pub(crate) unsafe fn advise_small(self, base: NonNull<u8>, len: usize) -> Result<(), OsError> {
        // SAFETY: the caller fulfils the same contract.
        dispatch!(self, unsafe { unix::advise_small(base, len) }, fake => fake.advise_small())
    }

    /// Protects a range, so that every access to it faults.
    ///
    /// # Safety
    ///
    /// The range is whole pages within a mapping of this system, and no thread uses it again.
    pub(crate) unsafe fn protect(self, base: NonNull<u8>, len: usize) -> Result<(), OsError> {
        // SAFETY: the caller fulfils the same contract.
        dispatch!(self, unsafe { unix::protect(base, len) }, fake => fake.protect())
    }

    /// Prepares [`fence_heavy`](Self::fence_heavy). Returns `false` if the system has no such
    /// fence.
    pub(crate) fn register_fences(self) -> bool {
        dispatch!(self, sync::register_fences(), fake => fake.register_fences())
    }

    /// Executes a full fence on every processor that runs a thread of this process (see [`sync`]).
    /// Returns `false` if the system refuses; then no access is ordered.
    pub(crate) fn fence_heavy(self) -> bool {
        dispatch!(self, sync::fence_heavy(), fake => fake.fence_heavy())
    }

    /// Returns milliseconds on a monotonic clock with a resolution of about ten milliseconds, which
    /// is cheap to read.
    pub(crate) fn now_ms(self) -> u64 {
        dispatch!(self, unix::now_ms(), fake => fake.now_ms())
    }
}
