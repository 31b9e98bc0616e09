//! What slow paths did, told to `tracing` when they are done (feature `tracing`; without it there is nothing here).
//!
//! A subscriber is foreign code: it may take and drop buffers of the very pool it hears of, and it may panic. So
//! nothing is emitted where something happens. There it is *noted*, in a tally of the thread's own, and the
//! outermost function of the slow path, which holds no lock and has left everything in order, calls [`emit`] last. A
//! subscriber's panic ends there: buffers are dropped in destructors, which must not panic. What a subscriber itself causes
//! is not told to it, which could go on for ever.

/// What is tallied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "tracing"), allow(dead_code))]
pub(crate) enum Event {
    RegionsMapped,
    RegionsUnmapped,
    MappingsMapped,
    MappingsUnmapped,
    MappingsGrown,
    CachesEmptied,
    Trimmed,
}

#[cfg(not(feature = "tracing"))]
mod told {
    use super::Event;

    #[inline(always)]
    pub(crate) fn note(_pool: u64, _event: Event, _count: usize, _bytes: usize) {}

    #[inline(always)]
    pub(crate) fn emit() {}

    #[inline(always)]
    pub(crate) fn refused(_pool: u64, _requested: usize, _limit: Option<usize>) {}
}

#[cfg(feature = "tracing")]
mod told {
    use super::Event;
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    const KINDS: [Event; 7] = [
        Event::CachesEmptied,
        Event::RegionsMapped,
        Event::RegionsUnmapped,
        Event::MappingsMapped,
        Event::MappingsGrown,
        Event::MappingsUnmapped,
        Event::Trimmed,
    ];
    /// Pools that one call may have to do with: a thread that goes on to a new pool leaves those that are gone.
    const POOLS: usize = 4;

    #[derive(Clone, Copy)]
    struct Tally {
        pool: u64,
        /// Times and bytes of each kind; nothing is noted while all times are 0.
        of: [(usize, usize); KINDS.len()],
    }

    const NOTHING: Tally = Tally {
        pool: 0,
        of: [(0, 0); KINDS.len()],
    };

    impl Tally {
        fn is_empty(&self) -> bool {
            self.of.iter().all(|(count, _)| *count == 0)
        }
    }

    thread_local! {
        // Without destructors, so that they are there to the thread's very end.
        static NOTED: Cell<[Tally; POOLS]> = const { Cell::new([NOTHING; POOLS]) };
        static EMITTING: Cell<bool> = const { Cell::new(false) };
    }

    /// Notes that something happened `count` times, with so many bytes in all. A fifth pool's notes are dropped.
    #[cold]
    pub(crate) fn note(pool: u64, event: Event, count: usize, bytes: usize) {
        if count == 0 || EMITTING.get() {
            return;
        }
        let mut noted = NOTED.get();
        let place = noted
            .iter_mut()
            .find(|tally| tally.is_empty() || tally.pool == pool);
        if let Some(tally) = place {
            tally.pool = pool;
            let (times, sum) = &mut tally.of[event as usize];
            *times += count;
            *sum += bytes;
            NOTED.set(noted);
        }
    }

    /// Tells what was noted. The caller holds no lock, and is done but for returning.
    #[inline]
    pub(crate) fn emit() {
        if !EMITTING.get() && NOTED.with(|noted| !noted.get()[0].is_empty()) {
            emit_noted();
        }
    }

    #[cold]
    fn emit_noted() {
        for tally in NOTED.replace([NOTHING; POOLS]) {
            for event in KINDS {
                let (count, bytes) = tally.of[event as usize];
                if count > 0 {
                    undisturbed(|| tell(tally.pool, event, count, bytes));
                }
            }
        }
    }

    /// Tells that a request found no memory.
    #[cold]
    pub(crate) fn refused(pool: u64, requested: usize, limit: Option<usize>) {
        if EMITTING.get() {
            return;
        }
        undisturbed(|| match limit {
            Some(limit) => {
                tracing::warn!(target: "slabuf", pool, requested, limit, "limit reached");
            }
            None => tracing::warn!(target: "slabuf", pool, requested, "system refused"),
        });
    }

    /// Calls the subscriber, and survives what it does.
    fn undisturbed(tell: impl FnOnce()) {
        EMITTING.set(true);
        // The hook has reported the panic; there is nobody here to pass it on to.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(tell)) {
            // Its destructor is foreign code too, and may panic.
            std::mem::forget(payload);
        }
        EMITTING.set(false);
    }

    fn tell(pool: u64, event: Event, count: usize, bytes: usize) {
        match event {
            Event::RegionsMapped => {
                tracing::debug!(target: "slabuf", pool, count, bytes, "regions mapped");
            }
            Event::RegionsUnmapped => {
                tracing::debug!(target: "slabuf", pool, count, bytes, "regions unmapped");
            }
            Event::MappingsMapped => {
                tracing::trace!(target: "slabuf", pool, count, bytes, "mappings mapped");
            }
            Event::MappingsUnmapped => {
                tracing::trace!(target: "slabuf", pool, count, bytes, "mappings unmapped");
            }
            Event::MappingsGrown => {
                tracing::trace!(target: "slabuf", pool, count, bytes, "mappings grown");
            }
            Event::CachesEmptied => {
                tracing::debug!(target: "slabuf", pool, "caches emptied");
            }
            Event::Trimmed => tracing::debug!(target: "slabuf", pool, bytes, "trimmed"),
        }
    }
}

pub(crate) use told::{emit, note, refused};
