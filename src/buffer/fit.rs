//! Capacities of exactly the needed size.

use super::Buffer;
use super::capacity::or_fail;
use crate::buffer::raw::alloc;
use crate::error::{AllocError, MAX_LEN};
use crate::inner::PoolInner;

impl Buffer {
    /// Makes room for `additional` more bytes, rounded up only to a slot or to whole pages. If the
    /// buffer grows often, [`reserve`](Self::reserve) is cheaper.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::alloc(100_000);
    /// buffer.reserve_exact(1000);
    /// assert!((101_000..180_000).contains(&buffer.capacity()));
    /// ```
    ///
    /// # Panics
    ///
    /// If the memory cannot be allocated; see [`try_reserve_exact`](Self::try_reserve_exact).
    ///
    /// # Complexity
    ///
    /// Constant if the capacity suffices or a large buffer grows in place (`mremap(2)`), otherwise
    /// linear in the length. May make a system call.
    #[track_caller]
    pub fn reserve_exact(&mut self, additional: usize) {
        or_fail(self.try_reserve_exact(additional));
    }

    /// Makes room as [`reserve_exact`](Self::reserve_exact), and returns an error instead of
    /// panicking.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::from(b"abc");
    /// assert!(buffer.try_reserve_exact(usize::MAX).is_err());
    /// assert_eq!(buffer, b"abc");
    /// ```
    ///
    /// # Errors
    ///
    /// [`AllocError::LimitExceeded`], [`AllocError::OutOfMemory`] or [`AllocError::TooLarge`] if
    /// the memory cannot be allocated. The buffer is unchanged.
    pub fn try_reserve_exact(&mut self, additional: usize) -> Result<(), AllocError> {
        let need = self.len().saturating_add(additional);
        // `try_reserve` reuses room before the start without an allocation, and returns the error
        // of an impossible length.
        if additional <= self.capacity() - self.len() || self.offset() > 0 || need > MAX_LEN {
            return self.try_reserve(additional);
        }
        self.make_capacity(need, need)
            .map_err(|refused| self.growth_error(refused, need))
    }

    /// Moves the bytes to a smaller slot or mapping of the same pool, if there is one that holds
    /// them. If the memory cannot be allocated, the buffer is unchanged.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::with_capacity(1 << 20);
    /// buffer.extend_from_slice(b"abc");
    /// buffer.shrink_to_fit();
    /// assert!(buffer.capacity() < 1000);
    /// assert_eq!(buffer, b"abc");
    /// ```
    ///
    /// # Complexity
    ///
    /// Linear in the length: the bytes are copied. May make a system call.
    pub fn shrink_to_fit(&mut self) {
        self.shrink_to(0);
    }

    /// Shrinks as [`shrink_to_fit`](Self::shrink_to_fit), but to a capacity of at least
    /// `min_capacity`.
    ///
    /// ```
    /// let mut buffer = slabuf::Buffer::with_capacity(1 << 20);
    /// buffer.shrink_to(100);
    /// assert!((100..1000).contains(&buffer.capacity()));
    /// ```
    ///
    /// # Complexity
    ///
    /// Linear in the length: the bytes are copied. May make a system call.
    pub fn shrink_to(&mut self, min_capacity: usize) {
        let needed = self.len().max(min_capacity);
        if needed >= self.capacity() {
            return;
        }
        let at = self.memory().inner();
        let state = PoolInner::of(at);
        let rounded = match state.table.class_of(needed) {
            Some(class) => state.table.get(class).slot_size as usize,
            None => needed.saturating_add(state.mapper.page_size() - 1),
        };
        if rounded >= self.capacity() {
            return;
        }
        let Ok(memory) = alloc::take_room(at, needed, needed) else {
            return;
        };
        let mut moved = Buffer::of_memory(memory, 0);
        // A mapping from the cache may be as large as the old one.
        if moved.capacity() < self.capacity() {
            let mut memory = moved.memory();
            self.memory().moves_to(&mut memory, needed);
            moved.tag = memory.tag;
            moved.set_len(self.len());
            moved.copy_from_slice(self);
            *self = moved;
        }
    }
}
