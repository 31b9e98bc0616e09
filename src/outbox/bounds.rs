//! Settings of an outbox.

use super::blocking::Outbox;

/// The most that an outbox holds, and the mark from which on its callers should pause.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) high_water_mark: usize,
    pub(super) limit: usize,
    pub(super) max_pieces: usize,
}

/// Settings for a new outbox. Each setting has a default.
///
/// ```
/// let outbox = slabuf::Outbox::builder()
///     .high_water_mark(16 << 10)
///     .limit(1 << 20)
///     .max_pieces(1000)
///     .build(Vec::new());
/// assert!(outbox.write("hello")?);
/// # Ok::<(), slabuf::OutboxError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct OutboxBuilder {
    bounds: Bounds,
}

impl OutboxBuilder {
    /// The default of each setting.
    pub(super) const DEFAULT: Self = Self {
        bounds: Bounds {
            high_water_mark: 64 << 10,
            limit: 16 << 20,
            max_pieces: 65_536,
        },
    };

    /// Sets the number of queued bytes from which on `write` returns `false`; exactly the mark
    /// counts as over. 64 KiB by default, as in Node. With 0 it always returns `false`. A mark
    /// above the limit has no effect.
    pub fn high_water_mark(mut self, bytes: usize) -> Self {
        self.bounds.high_water_mark = bytes;
        self
    }

    /// Sets the most bytes that are queued; 16 MiB by default. A piece that would exceed them is
    /// returned in an error.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.bounds.limit = bytes;
        self
    }

    /// Sets the most pieces that are queued; 65,536 by default. A piece beyond them is returned in
    /// an error. A queued piece takes up to 40 bytes on the heap, and the queue keeps that memory
    /// for later pieces.
    pub fn max_pieces(mut self, count: usize) -> Self {
        self.bounds.max_pieces = count;
        self
    }

    /// Creates an empty outbox in front of `writer`. All values of the settings are valid.
    pub fn build<W>(self, writer: W) -> Outbox<W> {
        Outbox::of(self.bounds, writer)
    }

    /// Creates an empty outbox in front of an asynchronous writer.
    #[cfg(feature = "tokio")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
    pub fn build_async<W>(self, writer: W) -> super::AsyncOutbox<W> {
        super::AsyncOutbox::of(self.bounds, writer)
    }
}

impl Default for OutboxBuilder {
    fn default() -> Self {
        Self::DEFAULT
    }
}
