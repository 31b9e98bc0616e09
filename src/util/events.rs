//! Events of slow paths, reported to `tracing` when the slow path is done. Without the feature
//! `tracing` the functions are empty.
//!
//! A subscriber is foreign code: it may allocate and drop buffers of the pool whose event it gets,
//! and it may panic. So no event is emitted where it happens. It is *noted* there, in a tally of
//! the thread. The outermost function of the slow path, which holds no lock and has finished its
//! work, calls [`emit`] last. A subscriber's panic is caught there, because buffers are dropped in
//! destructors, which must not panic. Events that the subscriber itself causes are suppressed, to
//! prevent recursion.

/// The kinds of events.
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
mod report {
    use super::Event;

    #[inline(always)]
    pub(crate) fn note(_pool: u64, _event: Event, _count: usize, _bytes: usize) {}

    #[inline(always)]
    pub(crate) fn emit() {}

    #[inline(always)]
    pub(crate) fn refused(_pool: u64, _requested: usize, _limit: Option<usize>) {}

    #[inline(always)]
    pub(crate) fn refused_by_budget(_pool: u64, _requested: usize, _budget: usize) {}
}

#[cfg(feature = "tracing")]
mod report {
    use super::Event;
    use crate::util::foreign;
    use std::cell::Cell;

    const KINDS: [Event; 7] = [
        Event::CachesEmptied,
        Event::RegionsMapped,
        Event::RegionsUnmapped,
        Event::MappingsMapped,
        Event::MappingsGrown,
        Event::MappingsUnmapped,
        Event::Trimmed,
    ];
    /// Maximum number of pools whose events a thread notes between two calls of [`emit`].
    const POOLS: usize = 4;

    #[derive(Clone, Copy)]
    struct Tally {
        pool: u64,
        /// Number of events and bytes of each kind; no event is noted while all numbers are 0.
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
        // These have no destructors, so they exist until the thread's end.
        static NOTED: Cell<[Tally; POOLS]> = const { Cell::new([NOTHING; POOLS]) };
        static EMITTING: Cell<bool> = const { Cell::new(false) };
    }

    /// Notes that an event happened `count` times, with `bytes` bytes in total. Events of a fifth
    /// pool are dropped.
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

    /// Emits the noted events. The caller holds no lock, and returns right after.
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
                    undisturbed(|| emit_event(tally.pool, event, count, bytes));
                }
            }
        }
    }

    /// Emits the event that a request found no memory.
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

    /// Emits the event that the pool's budget refused a request.
    #[cold]
    pub(crate) fn refused_by_budget(pool: u64, requested: usize, budget: usize) {
        if !EMITTING.get() {
            undisturbed(
                || tracing::warn!(target: "slabuf", pool, requested, budget, "budget exceeded"),
            );
        }
    }

    /// Calls the subscriber and catches its panic.
    fn undisturbed(call: impl FnOnce()) {
        EMITTING.set(true);
        foreign::call(call);
        EMITTING.set(false);
    }

    fn emit_event(pool: u64, event: Event, count: usize, bytes: usize) {
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

pub(crate) use report::{emit, note, refused, refused_by_budget};
