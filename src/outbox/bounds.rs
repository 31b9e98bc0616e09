//! Settings of an outbox.

use super::blocking::Outbox;

/// What an outbox holds at most, and from where on its callers are asked to pause.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) high_water_mark: usize,
    pub(super) limit: usize,
    pub(super) max_pieces: usize,
}

/// Settings for a new outbox. What is not set has its default.
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
    /// All settings at their defaults.
    pub(super) const DEFAULT: Self = Self {
        bounds: Bounds {
            high_water_mark: 64 << 10,
            limit: 16 << 20,
            max_pieces: 65_536,
        },
    };

    /// Queued bytes from which on `write` returns `false`; exactly the mark counts as over. 64 KiB if not set, as in
    /// Node. With 0 it always returns `false`. A mark above the limit has no effect.
    pub fn high_water_mark(mut self, bytes: usize) -> Self {
        self.bounds.high_water_mark = bytes;
        self
    }

    /// Bytes that are queued at most; 16 MiB if not set. A piece that would pass them is handed back.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.bounds.limit = bytes;
        self
    }

    /// Pieces that are queued at most; 65,536 if not set. The next one is handed back. A piece takes up to 40 bytes on
    /// the heap while it is queued, and the queue keeps that room for later.
    pub fn max_pieces(mut self, count: usize) -> Self {
        self.bounds.max_pieces = count;
        self
    }

    /// An empty outbox in front of `writer`. Any values will do.
    pub fn build<W>(self, writer: W) -> Outbox<W> {
        Outbox::of(self.bounds, writer)
    }

    /// The same in front of an asynchronous writer.
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
