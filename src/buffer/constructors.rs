//! The constructors that exist on [`Buffer`], for the global pool, and on [`Pool`].
//!
//! One macro writes them with their documentation, so that the two lists cannot differ.

use super::Buffer;
use super::build;
use super::capacity::or_fail;
use crate::buffer::raw::Fill;
use crate::buffer::raw::alloc::{Global, Source};
use crate::error::AllocError;
use crate::pool::Pool;

/// The section on panics of a constructor whose `try_` twin is `$twin`.
macro_rules! panics {
    ($twin:literal) => {
        concat!(
            "# Panics\n\nIf the memory cannot be allocated; [`",
            $twin,
            "`](Self::",
            $twin,
            ") returns the error instead."
        )
    };
}

/// The documentation of the `try_` twin of `$plain`.
macro_rules! try_twin {
    ($plain:literal, $limit:literal) => {
        concat!(
            "Allocates as [`",
            $plain,
            "`](Self::",
            $plain,
            "), and returns an error instead of panicking.\n\n# Errors\n\n",
            $limit,
            "- [`AllocError::OutOfMemory`] if the system refuses.\n",
            "- [`AllocError::TooLarge`] if no address space is that large."
        )
    };
}

/// Defines the constructors in an `impl` block.
macro_rules! constructors {
    (
        // The pool in prose, and what stands before `alloc(len)` in an example.
        pool: $pool:literal, call: $call:literal,
        // Hidden code before an example, and the error that only a limit causes.
        before: $before:literal, limit: $limit:literal,
        // The receiver, if any, and the source of memory.
        self: ($($self:tt)*), source: $source:expr,
    ) => {
        #[doc = concat!("Allocates `len` zeros from ", $pool, ", as Node's `Buffer.alloc`.")]
        ///
        /// ```
        #[doc = $before]
        #[doc = concat!("let buffer = ", $call, "alloc(100);")]
        /// assert_eq!(buffer, [0; 100]);
        /// ```
        ///
        #[doc = panics!("try_alloc")]
        ///
        /// # Complexity
        ///
        /// Linear in `len` for slots and reused mappings, which are overwritten; constant for fresh
        /// mappings, which the system has zeroed. May make a system call.
        #[inline]
        #[must_use]
        #[track_caller]
        pub fn alloc($($self)* len: usize) -> Buffer {
            let taken = $source.take(len, Fill::Zero);
            build::finish_or_panic($source, taken, len, len)
        }

        #[doc = try_twin!("alloc", $limit)]
        #[inline]
        pub fn try_alloc($($self)* len: usize) -> Result<Buffer, AllocError> {
            build::alloc($source, len)
        }

        #[doc = concat!("Allocates `len` bytes from ", $pool, " and fills them with `pattern`,")]
        /// repeated and cut, as Node's `Buffer.alloc(size, fill)`. An empty pattern means zeros.
        ///
        /// ```
        #[doc = $before]
        #[doc = concat!("let buffer = ", $call, "alloc_filled(5, \"é\");")]
        /// assert_eq!(buffer, [0xc3, 0xa9, 0xc3, 0xa9, 0xc3]);
        /// ```
        ///
        #[doc = panics!("try_alloc_filled")]
        ///
        /// # Complexity
        ///
        /// Linear in `len`. May make a system call.
        #[must_use]
        #[track_caller]
        pub fn alloc_filled($($self)* len: usize, pattern: impl AsRef<[u8]>) -> Buffer {
            or_fail(build::alloc_filled($source, len, pattern))
        }

        #[doc = try_twin!("alloc_filled", $limit)]
        pub fn try_alloc_filled(
            $($self)*
            len: usize,
            pattern: impl AsRef<[u8]>,
        ) -> Result<Buffer, AllocError> {
            build::alloc_filled($source, len, pattern)
        }

        #[doc = concat!("Allocates `len` stale bytes from ", $pool, ": the bytes of earlier")]
        /// buffers, as Node's `Buffer.allocUnsafe`.
        ///
        /// This function is safe: the bytes are initialised, so reading them is not undefined
        /// behaviour. But they may be secrets of other parts of the program. Overwrite all of them
        /// before they are sent anywhere, or use `alloc`, or a pool with `zero_on_free`.
        ///
        /// ```
        #[doc = $before]
        #[doc = concat!("let mut buffer = ", $call, "alloc_unsafe(5);")]
        /// buffer.copy_from_slice(b"hello");
        /// assert_eq!(buffer, b"hello");
        /// ```
        ///
        #[doc = panics!("try_alloc_unsafe")]
        ///
        /// # Complexity
        ///
        /// Constant. A slot from the thread's magazine needs no lock and no atomic
        /// read-modify-write operation. May make a system call.
        #[inline]
        #[must_use]
        #[track_caller]
        pub fn alloc_unsafe($($self)* len: usize) -> Buffer {
            let taken = $source.take(len, Fill::Stale);
            build::finish_or_panic($source, taken, len, len)
        }

        #[doc = try_twin!("alloc_unsafe", $limit)]
        #[inline]
        pub fn try_alloc_unsafe($($self)* len: usize) -> Result<Buffer, AllocError> {
            build::alloc_unsafe($source, len)
        }

        /// Allocates `len` stale bytes as [`alloc_unsafe`](Self::alloc_unsafe), but always in their
        /// own mapping, never in a slot, as Node's `Buffer.allocUnsafeSlow`. Use it for small
        /// buffers that live long and would keep a slab in use.
        ///
        /// ```
        #[doc = $before]
        #[doc = concat!("assert!(!", $call, "alloc_unsafe_slow(10).is_pooled());")]
        /// ```
        ///
        #[doc = panics!("try_alloc_unsafe_slow")]
        ///
        /// # Complexity
        ///
        /// Constant. May make system calls (`mmap`, `madvise`).
        #[must_use]
        #[track_caller]
        pub fn alloc_unsafe_slow($($self)* len: usize) -> Buffer {
            or_fail(build::alloc_unsafe_slow($source, len))
        }

        #[doc = try_twin!("alloc_unsafe_slow", $limit)]
        pub fn try_alloc_unsafe_slow($($self)* len: usize) -> Result<Buffer, AllocError> {
            build::alloc_unsafe_slow($source, len)
        }

        /// Allocates an empty buffer with room for at least `capacity` bytes from
        #[doc = concat!($pool, ".")]
        ///
        /// ```
        #[doc = $before]
        #[doc = concat!("let mut buffer = ", $call, "with_capacity(100);")]
        /// buffer.extend_from_slice(b"abc");
        /// assert_eq!(buffer, b"abc");
        /// ```
        ///
        #[doc = panics!("try_with_capacity")]
        ///
        /// # Complexity
        ///
        /// Constant. May make a system call.
        #[inline]
        #[must_use]
        #[track_caller]
        pub fn with_capacity($($self)* capacity: usize) -> Buffer {
            let taken = $source.take(capacity, Fill::Reserve);
            build::finish_or_panic($source, taken, capacity, 0)
        }

        #[doc = try_twin!("with_capacity", $limit)]
        #[inline]
        pub fn try_with_capacity($($self)* capacity: usize) -> Result<Buffer, AllocError> {
            build::with_capacity($source, capacity)
        }

        #[doc = concat!("Allocates a copy of `bytes` from ", $pool, ", as Node's")]
        /// `Buffer.from(buffer)`.
        ///
        /// ```
        #[doc = $before]
        #[doc = concat!("assert_eq!(", $call, "copy_from_slice(b\"abc\"), b\"abc\");")]
        /// ```
        ///
        #[doc = panics!("try_copy_from_slice")]
        ///
        /// # Complexity
        ///
        /// Linear in the length. May make a system call.
        #[inline]
        #[must_use]
        #[track_caller]
        pub fn copy_from_slice($($self)* bytes: &[u8]) -> Buffer {
            let taken = $source.take(bytes.len(), Fill::Stale);
            let mut buffer = build::finish_or_panic($source, taken, bytes.len(), bytes.len());
            buffer.as_mut_slice().copy_from_slice(bytes);
            buffer
        }

        #[doc = try_twin!("copy_from_slice", $limit)]
        #[inline]
        pub fn try_copy_from_slice($($self)* bytes: &[u8]) -> Result<Buffer, AllocError> {
            build::copy_from_slice($source, bytes)
        }

        #[doc = concat!("Allocates a buffer from ", $pool, " and copies the parts into it, one")]
        /// after the other, as Node's `Buffer.concat(list)`.
        ///
        /// ```
        #[doc = $before]
        #[doc = concat!("assert_eq!(", $call, "concat(&[\"ab\", \"c\"]), b\"abc\");")]
        /// ```
        ///
        #[doc = panics!("try_concat")]
        ///
        /// # Complexity
        ///
        /// Linear in the length. May make a system call.
        #[must_use]
        #[track_caller]
        pub fn concat<T: AsRef<[u8]>>($($self)* parts: &[T]) -> Buffer {
            or_fail(build::concat($source, parts))
        }

        #[doc = try_twin!("concat", $limit)]
        pub fn try_concat<T: AsRef<[u8]>>($($self)* parts: &[T]) -> Result<Buffer, AllocError> {
            build::concat($source, parts)
        }

        #[doc = concat!("Allocates `len` bytes from ", $pool, " and copies the parts into them,")]
        /// one after the other, as Node's `Buffer.concat(list, totalLength)`. Longer parts are cut
        /// at `len`; behind shorter parts the buffer has zeros, never stale bytes.
        ///
        /// ```
        #[doc = $before]
        #[doc = concat!("let buffer = ", $call, "concat_to_len(&[\"ab\", \"c\"], 2);")]
        /// assert_eq!(buffer, b"ab");
        #[doc = concat!("let buffer = ", $call, "concat_to_len(&[\"ab\", \"c\"], 5);")]
        /// assert_eq!(buffer, b"abc\0\0");
        /// ```
        ///
        #[doc = panics!("try_concat_to_len")]
        ///
        /// # Complexity
        ///
        /// Linear in `len`. May make a system call.
        #[must_use]
        #[track_caller]
        pub fn concat_to_len<T: AsRef<[u8]>>($($self)* parts: &[T], len: usize) -> Buffer {
            or_fail(build::concat_to_len($source, parts, len))
        }

        #[doc = try_twin!("concat_to_len", $limit)]
        pub fn try_concat_to_len<T: AsRef<[u8]>>(
            $($self)*
            parts: &[T],
            len: usize,
        ) -> Result<Buffer, AllocError> {
            build::concat_to_len($source, parts, len)
        }
    };
}

impl Buffer {
    constructors! {
        pool: "the global pool", call: "Buffer::",
        before: "# use slabuf::Buffer;", limit: "",
        self: (), source: Global,
    }
}

impl Pool {
    constructors! {
        pool: "this pool", call: "pool.",
        before: "# let pool = slabuf::Pool::builder().build().unwrap();",
        limit: "- [`AllocError::LimitExceeded`] if the pool's limit has no room.\n",
        self: (&self,), source: self,
    }
}
