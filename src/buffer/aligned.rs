//! Buffers with an aligned start, as direct I/O needs them.

use super::Buffer;
use super::capacity::or_fail;
use crate::buffer::raw::alloc::Source;
use crate::buffer::raw::{Fill, aligned};
use crate::error::{AllocError, AllocFailure, ConfigError};
use crate::inner::PoolInner;
use crate::pool::Pool;

/// Defines the aligned constructors in an `impl` block; see `constructors!`.
macro_rules! aligned {
    (
        pool: $pool:literal, call: $call:literal,
        before: $before:literal, limit: $limit:literal,
        self: ($($self:tt)*), source: $source:expr,
    ) => {
        #[doc = concat!("Allocates `len` zeros from ", $pool, ", at an address that is a multiple")]
        /// of `alignment`.
        ///
        /// A slot serves the request if its size is a multiple of the alignment, otherwise a
        /// mapping. To read and write files with `O_DIRECT`, use the block size of the file system,
        /// usually 512 or 4096, for the alignment and lengths that are multiples of it.
        ///
        /// ```
        #[doc = $before]
        #[doc = concat!("let block = ", $call, "alloc_aligned(4096, 512);")]
        /// assert_eq!(block.as_ptr().addr() % 512, 0);
        /// assert_eq!(block, [0; 4096]);
        /// ```
        ///
        /// A buffer that grows stays aligned to pages if its memory is a mapping; see
        /// [`Buffer::is_pooled`]. The contents of a slot may move to a slot that is aligned to 16
        /// bytes only: check [`Buffer::alignment`], or allocate the final length at once.
        ///
        /// # Panics
        ///
        /// If the alignment is not a power of two up to the page size, or the memory cannot be
        /// allocated; [`try_alloc_aligned`](Self::try_alloc_aligned) returns the error instead.
        ///
        /// # Complexity
        ///
        /// As [`alloc`](Self::alloc), plus one comparison for each class that is too small or not
        /// aligned. May make a system call.
        #[must_use]
        #[track_caller]
        pub fn alloc_aligned($($self)* len: usize, alignment: usize) -> Buffer {
            or_fail(alloc($source, len, alignment, Fill::Zero))
        }

        /// Allocates as [`alloc_aligned`](Self::alloc_aligned), and returns an error instead of
        /// panicking.
        ///
        /// ```
        #[doc = $before]
        /// use slabuf::AllocError;
        ///
        /// for alignment in [0, 3, 1 << 20] {
        #[doc = concat!("    let result = ", $call, "try_alloc_aligned(100, alignment);")]
        ///     let Err(AllocError::InvalidAlignment { alignment: given, .. }) = result else {
        ///         panic!("{result:?}");
        ///     };
        ///     assert_eq!(given, alignment);
        /// }
        /// ```
        ///
        /// # Errors
        ///
        /// - [`AllocError::InvalidAlignment`] if `alignment` is not a power of two, or above the
        ///   page size.
        #[doc = concat!($limit, "- [`AllocError::OutOfMemory`] if the system refuses.")]
        /// - [`AllocError::TooLarge`] if no address space holds `len` bytes.
        pub fn try_alloc_aligned(
            $($self)*
            len: usize,
            alignment: usize,
        ) -> Result<Buffer, AllocError> {
            alloc($source, len, alignment, Fill::Zero)
        }

        /// Allocates as [`alloc_aligned`](Self::alloc_aligned), with stale bytes as
        /// [`alloc_unsafe`](Self::alloc_unsafe): overwrite all of them before they are sent
        /// anywhere.
        ///
        /// ```
        #[doc = $before]
        #[doc = concat!("let mut page = ", $call, "alloc_unsafe_aligned(4096, 4096);")]
        /// page.fill(7);
        /// assert_eq!(page.as_ptr().addr() % 4096, 0);
        /// ```
        ///
        /// # Panics
        ///
        /// If the alignment is not a power of two up to the page size, or the memory cannot be
        /// allocated; [`try_alloc_unsafe_aligned`](Self::try_alloc_unsafe_aligned) returns the
        /// error instead.
        ///
        /// # Complexity
        ///
        /// Constant, plus one comparison for each class that is too small or not aligned. May make
        /// a system call.
        #[must_use]
        #[track_caller]
        pub fn alloc_unsafe_aligned($($self)* len: usize, alignment: usize) -> Buffer {
            or_fail(alloc($source, len, alignment, Fill::Stale))
        }

        /// Allocates as [`alloc_unsafe_aligned`](Self::alloc_unsafe_aligned), and returns an error
        /// instead of panicking.
        ///
        /// ```
        #[doc = $before]
        /// use slabuf::AllocError;
        ///
        #[doc = concat!("let error = ", $call, "try_alloc_unsafe_aligned(100, 3).unwrap_err();")]
        /// assert!(matches!(error, AllocError::InvalidAlignment { alignment: 3, .. }));
        /// ```
        ///
        /// # Errors
        ///
        /// Those of [`try_alloc_aligned`](Self::try_alloc_aligned).
        pub fn try_alloc_unsafe_aligned(
            $($self)*
            len: usize,
            alignment: usize,
        ) -> Result<Buffer, AllocError> {
            alloc($source, len, alignment, Fill::Stale)
        }
    };
}

impl Buffer {
    aligned! {
        pool: "the global pool", call: "Buffer::",
        before: "# use slabuf::Buffer;", limit: "",
        self: (), source: Pool::try_global(),
    }

    /// Returns the alignment of the first byte: the largest power of two, up to the page size, that
    /// its address is a multiple of. It is at least 16 until [`advance`](bytes::Buf::advance) or a
    /// split moves the start.
    ///
    /// ```
    /// use bytes::Buf;
    ///
    /// let mut page = slabuf::Buffer::alloc_aligned(4096, 4096);
    /// assert!(page.alignment() >= 4096);
    /// page.advance(8);
    /// assert_eq!(page.alignment(), 8);
    /// ```
    ///
    /// # Complexity
    ///
    /// Constant. Makes no system call.
    pub fn alignment(&self) -> usize {
        let alignment = 1 << self.as_ptr().addr().trailing_zeros();
        let inner = self.memory().try_inner();
        inner.map_or(alignment, |inner| {
            alignment.min(PoolInner::of(inner).mapper.page_size())
        })
    }
}

impl Pool {
    aligned! {
        pool: "this pool", call: "pool.",
        before: "# let pool = slabuf::Pool::builder().build().unwrap();",
        limit: "- [`AllocError::LimitExceeded`] if the pool's limit has no room.\n",
        self: (&self,), source: Ok(self),
    }
}

fn alloc(
    pool: Result<&Pool, ConfigError>,
    len: usize,
    alignment: usize,
    fill: Fill,
) -> Result<Buffer, AllocError> {
    let pool = pool.map_err(|_| AllocFailure::System.into_error(len, Default::default()))?;
    let page = PoolInner::of(pool.inner()).mapper.page_size();
    if !alignment.is_power_of_two() || alignment > page {
        return Err(AllocError::InvalidAlignment {
            alignment,
            maximum: page,
        });
    }
    match aligned::alloc(pool, len, alignment, fill) {
        Ok(memory) => Ok(Buffer::of_memory(memory, len)),
        Err(refused) => Err(pool.error(refused, len)),
    }
}
