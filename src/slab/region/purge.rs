//! Purging the memory of empty slabs in regions that stay mapped.
//!
//! A purge walks through the regions by address, one at a time. The empty slabs of a region are
//! *detached* during the system calls, so no other thread finds them. Only whole pages can be
//! purged. If a page holds several slabs, it is purged when all of them are empty, including those
//! that were never used.
//!
//! # Safety
//!
//! Memory that is purged belongs to detached slabs, so it is in no buffer, and its region stays
//! mapped: it is not all-empty while some of its slabs are detached.

use super::state::chain;
use super::{RegionHead, Regions, State, head};
use crate::os::mapping::{Mapper, Mapping};
use crate::slab::{EmptySlab, Geometry, SlabHeader, header};
use crate::sync::lock;
use std::ptr::NonNull;

/// Maximum number of slabs in a region: 512 of the smallest in 2 MiB, 16 of the larger ones.
const MAX_SLABS: usize = 512;

/// The empty slabs of a region, detached for a purge.
struct Detached {
    region: NonNull<RegionHead>,
    slabs: Option<NonNull<SlabHeader>>,
    /// Number of never used slabs that are detached too.
    fresh: u32,
    /// Time at which the last slab was returned, if all slabs of the region are empty.
    emptied_ms: Option<u64>,
}

/// The use of a slab, as a purge sees it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Not purged: the slab is in use, or holds the headers.
    Live,
    /// Detached, and without memory.
    Clean,
    /// Detached, with memory to purge.
    Stale,
}

impl Regions {
    /// Purges the memory of empty slabs in regions that stay mapped. Returns the number of bytes.
    /// Makes system calls.
    pub(crate) fn purge(&self, mapper: &Mapper) -> usize {
        let (mut address, mut purged) = (0, 0);
        loop {
            let detached = {
                let mut state = lock(&self.state);
                let Some(region) = state.behind(address) else {
                    return purged;
                };
                address = region.addr().get();
                // A page that fresh slabs share with others can be purged only if they are
                // detached, too.
                let with_fresh = mapper.page_size() > self.geometry.slab_size();
                state.detach(region, &self.geometry, with_fresh)
            };
            if let Some(detached) = detached {
                purged += self.purge_detached(mapper, &detached);
                let now_ms = mapper.now_ms();
                lock(&self.state).attach(detached, &self.geometry, now_ms);
            }
        }
    }

    /// Purges each run of pages that hold only empty slabs, at least one of them not clean, in one
    /// call.
    fn purge_detached(&self, mapper: &Mapper, detached: &Detached) -> usize {
        let geometry = &self.geometry;
        let region = detached.region.cast();
        let (slab_size, reserved) = (geometry.slab_size(), geometry.reserved());
        let mut contents = [Content::Live; MAX_SLABS];
        let contents = &mut contents[..geometry.slabs() + reserved];
        for slab in chain(detached.slabs) {
            let clean = header(slab).is_clean();
            contents[geometry.index_of(slab) + reserved] =
                [Content::Stale, Content::Clean][usize::from(clean)];
        }
        let first_in_use = contents.len() - detached.fresh as usize;
        contents[first_in_use..].fill(Content::Clean);
        // SAFETY: the region stays mapped while slabs are detached from it; it is not unmapped
        // here.
        let mapping = unsafe { Mapping::from_base(region, geometry.region_size()) };
        let in_page = (mapper.page_size() / slab_size).max(1);
        let can_go =
            |page: &[Content]| page.contains(&Content::Stale) && !page.contains(&Content::Live);
        let (mut purged, mut start) = (0, 0);
        while start < contents.len() {
            let mut end = start;
            while end < contents.len() && can_go(&contents[end..end + in_page]) {
                end += in_page;
            }
            let len = (end - start) * slab_size;
            if len > 0 && mapper.purge(&mapping, start * slab_size, len) {
                // A page with the headers is live, so `start` is behind it.
                let first = start - reserved;
                for (index, content) in contents[start..end].iter().enumerate() {
                    if *content == Content::Stale {
                        header(geometry.header_at(region, first + index)).set_clean(true);
                    }
                }
                purged += len;
            }
            start = end + in_page;
        }
        purged
    }
}

impl State {
    /// Detaches the empty slabs of a region, if some are stale.
    fn detach(
        &mut self,
        region: NonNull<RegionHead>,
        geometry: &Geometry,
        with_fresh: bool,
    ) -> Option<Detached> {
        let this = head(region);
        let slabs = this.freed.get();
        if chain(slabs).all(|slab| header(slab).is_clean()) {
            return None;
        }
        let freed = chain(slabs).count() as u32;
        let clean = chain(slabs).filter(|slab| header(*slab).is_clean());
        self.slabs.clean -= clean.count() as u64;
        let unused = geometry.slabs() as u32 - this.fresh.get();
        let fresh = if with_fresh { unused } else { 0 };
        let all_empty = this.empty.get() as usize == geometry.slabs();
        self.all_empty -= usize::from(all_empty);
        this.freed.set(None);
        this.fresh.set(this.fresh.get() + fresh);
        this.empty.set(this.empty.get() - freed - fresh);
        self.slabs.empty -= u64::from(freed + fresh);
        self.slabs.clean -= u64::from(fresh);
        if this.empty.get() == 0 {
            self.unlink(region);
        }
        Some(Detached {
            region,
            slabs,
            fresh,
            emptied_ms: all_empty.then_some(this.emptied_ms.get()),
        })
    }

    /// Returns detached slabs to their region.
    fn attach(&mut self, detached: Detached, geometry: &Geometry, now_ms: u64) {
        let (region, fresh) = (detached.region, detached.fresh);
        let this = head(region);
        if fresh > 0 {
            if this.empty.get() == 0 {
                self.link_first(region);
            }
            this.fresh.set(this.fresh.get() - fresh);
            this.empty.set(this.empty.get() + fresh);
            self.slabs.empty += u64::from(fresh);
            self.slabs.clean += u64::from(fresh);
        }
        let mut next = detached.slabs;
        while let Some(slab) = next {
            next = header(slab).next();
            self.give(EmptySlab(slab), geometry, now_ms);
        }
        // A purge does not change a region's age.
        if let Some(emptied_ms) = detached.emptied_ms {
            this.emptied_ms.set(emptied_ms);
        }
    }
}
