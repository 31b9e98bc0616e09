//! An owned mapping, and the only place that counts mapped bytes.
//!
//! Every byte that the crate maps passes through [`Mapper`], which counts it in the pool's quota
//! and in that of its budget. The counters rise before the system is asked and fall after the bytes
//! are unmapped, so they are never below the mapped bytes, and the limits are never exceeded, not
//! even for a moment by two threads at once.
//!
//! # Safety
//!
//! A [`Mapping`] owns its range: it is neither `Copy` nor `Clone`, and only `Mapper` creates and
//! unmaps it. The system's primitives are called for such ranges and no others.

use crate::error::AllocFailure;
use crate::os::quota::{Quota, Quotas, Share};
use crate::os::{Os, Stranded};
use crate::sync::{AtomicUsize, Mutex, Ordering, lock};
use crate::util::heap::lock_with_room;
use std::ptr::NonNull;
use std::sync::atomic::{self, AtomicU64};

/// Number of mappings above which a pool purges and keeps small ones instead of unmapping them:
/// unmapping every second one would cut the address space into more areas than the kernel allows a
/// process (65,530).
const MANY_MAPPINGS: usize = 16 << 10;

/// A range of mapped bytes.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    /// Number of usable bytes.
    len: usize,
    /// Number of bytes behind them that fault on every access; counted as mapped.
    guard: usize,
}

impl Mapping {
    /// Gives up the ownership of the range, which [`from_base`](Self::from_base) restores.
    pub(crate) fn into_base(self) -> NonNull<u8> {
        debug_assert_eq!(self.guard, 0, "a guard would be forgotten");
        self.base
    }

    /// Creates a mapping of a range whose ownership was given up.
    ///
    /// # Safety
    ///
    /// `base` came from [`into_base`](Self::into_base) of a mapping of `len` bytes. Of several
    /// mappings created from it, at most one is unmapped, after the last use of the others.
    pub(crate) unsafe fn from_base(base: NonNull<u8>, len: usize) -> Self {
        Self {
            base,
            len,
            guard: 0,
        }
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns all bytes that are mapped for it, including the guard.
    pub(crate) fn footprint(&self) -> usize {
        self.len + self.guard
    }

    /// Returns whether the system can make the mapping longer.
    pub(crate) fn can_remap(&self) -> bool {
        self.guard == 0
    }
}

/// Maps and unmaps for one pool, within its limit and its budget.
pub(crate) struct Mapper {
    os: Os,
    page_size: usize,
    quotas: Quotas,
    /// Number of mappings.
    count: AtomicUsize,
    /// Bytes mapped since the pool was built. An atomic of `std` also under loom, because no other
    /// access depends on it.
    mapped_ever: AtomicU64,
    /// Ranges that aligning has left mapped, counted as such. The mapper tries to unmap them
    /// before the next aligned mapping and after each `unmap`.
    stranded: Mutex<Vec<Stranded>>,
    /// Number of stranded ranges. An atomic of `std` also under loom: it is read before the lock is
    /// acquired, to avoid it.
    stranded_count: atomic::AtomicUsize,
}

impl Mapper {
    pub(crate) fn new(os: Os, limit: usize, shared: Option<Share>) -> Self {
        Self {
            os,
            page_size: os.page_size(),
            quotas: Quotas::new(limit, shared),
            count: AtomicUsize::new(0),
            mapped_ever: AtomicU64::new(0),
            stranded: Mutex::new(Vec::new()),
            stranded_count: atomic::AtomicUsize::new(0),
        }
    }

    /// Returns whether a mapping of `len` bytes should be purged and kept instead of unmapped, when
    /// `leaving` mappings are about to be unmapped together.
    pub(crate) fn unmapping_fragments(&self, len: usize, leaving: usize) -> bool {
        let count = self.count.load(Ordering::Relaxed);
        len < 1 << 20 && count.saturating_sub(leaving) > MANY_MAPPINGS
    }

    /// Returns the bytes mapped now.
    pub(crate) fn mapped(&self) -> usize {
        self.quotas.own().mapped()
    }

    /// Returns the pool's own counter, without that of its budget.
    pub(crate) fn quota(&self) -> &Quota {
        self.quotas.own()
    }

    /// Returns the bytes mapped since the pool was built, and the bytes unmapped since: two
    /// counters that only rise.
    #[cfg(feature = "metrics")]
    pub(crate) fn totals(&self) -> (u64, u64) {
        let now = self.mapped() as u64;
        let ever = self.mapped_ever.load(atomic::Ordering::Relaxed);
        (ever, ever.saturating_sub(now))
    }

    fn count_mapped(&self, bytes: usize) {
        self.mapped_ever
            .fetch_add(bytes as u64, atomic::Ordering::Relaxed);
    }

    pub(crate) fn page_size(&self) -> usize {
        self.page_size
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.os.now_ms()
    }

    /// Maps `len` zeroed bytes (whole pages) at a multiple of `align`. Adds a page for a guard if
    /// that is requested; the caller [protects](Self::protect_guard) it.
    pub(crate) fn map(
        &self,
        len: usize,
        align: usize,
        guarded: bool,
    ) -> Result<Mapping, AllocFailure> {
        let guard = if guarded { self.page_size } else { 0 };
        let footprint = len.checked_add(guard).ok_or(AllocFailure::System)?;
        self.quotas.reserve(footprint)?;
        // While the system refuses to unmap the stranded ranges, another attempt could strand one
        // more.
        if align > self.page_size && !self.unmap_stranded() {
            self.quotas.release(footprint);
            return Err(AllocFailure::System);
        }
        let refused = match self.os.map(footprint, align) {
            Ok(base) => {
                self.count.fetch_add(1, Ordering::Relaxed);
                self.count_mapped(footprint);
                return Ok(Mapping { base, len, guard });
            }
            Err(refused) => refused,
        };
        if let Some(stranded) = refused.stranded {
            // The range is mapped already, so it is counted even above the limit.
            self.quotas.force(stranded.len);
            self.count_mapped(stranded.len);
            self.keep_stranded(stranded);
        }
        self.quotas.release(footprint);
        Err(AllocFailure::System)
    }

    /// Records a range, to be unmapped later. If the heap has no memory for that, the range stays
    /// mapped, and counted.
    fn keep_stranded(&self, stranded: Stranded) {
        if let Some(mut list) = lock_with_room(&self.stranded, |list| list) {
            list.push(stranded);
            self.stranded_count.fetch_add(1, atomic::Ordering::Relaxed);
        }
    }

    /// Returns the bytes in stranded ranges.
    #[cfg(test)]
    pub(crate) fn stranded_bytes(&self) -> usize {
        lock(&self.stranded).iter().map(|range| range.len).sum()
    }

    /// Returns whether there are stranded ranges.
    pub(crate) fn any_stranded(&self) -> bool {
        self.stranded_count.load(atomic::Ordering::Relaxed) > 0
    }

    /// Unmaps the stranded ranges. Returns `false` if the system still refuses.
    pub(crate) fn unmap_stranded(&self) -> bool {
        while self.any_stranded() {
            // A separate statement: the lock is not held across the system call.
            let next = lock(&self.stranded).pop();
            let Some(stranded) = next else { return true };
            self.stranded_count.fetch_sub(1, atomic::Ordering::Relaxed);
            // SAFETY: the range was mapped for this mapper alone, and has left the list.
            if unsafe { self.os.unmap(stranded.base, stranded.len) }.is_err() {
                self.keep_stranded(stranded);
                return false;
            }
            self.quotas.release(stranded.len);
        }
        true
    }

    /// Protects the mapping's guard, so that every access to it faults. Returns `false` if the
    /// system refuses.
    pub(crate) fn protect_guard(&self, mapping: &Mapping) -> bool {
        // SAFETY: the guard begins `len` bytes into the mapping, which is `len + guard` long.
        let guard = unsafe { mapping.base.add(mapping.len) };
        // SAFETY: whole pages at the end of the mapping, which no thread has accessed.
        unsafe { self.os.protect(guard, mapping.guard) }.is_ok()
    }

    /// Unmaps the mapping. Returns it as `Err` if the system refuses.
    pub(crate) fn unmap(&self, mapping: Mapping) -> Result<(), Mapping> {
        // SAFETY: the mapping is owned here, and not used again after success.
        if unsafe { self.os.unmap(mapping.base, mapping.footprint()) }.is_err() {
            return Err(mapping);
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.quotas.release(mapping.footprint());
        self.unmap_stranded();
        Ok(())
    }

    /// Unmaps a mapping that is not used. If the system refuses, its range stays counted and is
    /// unmapped later.
    pub(crate) fn discard(&self, mapping: Mapping) {
        if let Err(mapping) = self.unmap(mapping) {
            self.count.fetch_sub(1, Ordering::Relaxed);
            let (base, len) = (mapping.base, mapping.footprint());
            self.keep_stranded(Stranded { base, len });
        }
    }

    /// Makes the mapping `new_len` bytes long (whole pages, more than now). It may move. Its bytes
    /// keep their values, new ones are zero. On failure the mapping is unchanged.
    pub(crate) fn grow(&self, mapping: &mut Mapping, new_len: usize) -> Result<(), AllocFailure> {
        debug_assert!(mapping.can_remap() && new_len > mapping.len);
        let more = new_len - mapping.len;
        self.quotas.reserve(more)?;
        // SAFETY: the mapping is owned and whole (no guard), and its old address is replaced below.
        match unsafe { self.os.remap(mapping.base, mapping.len, new_len) } {
            Ok(base) => {
                mapping.base = base;
                mapping.len = new_len;
                self.count_mapped(more);
                Ok(())
            }
            Err(_) => {
                self.quotas.release(more);
                Err(AllocFailure::System)
            }
        }
    }

    /// Purges the memory of `start..start + len` of the mapping (whole pages) and keeps the range,
    /// which reads as zero afterwards. Returns `false` if the system refuses; then nothing has
    /// changed.
    pub(crate) fn purge(&self, mapping: &Mapping, start: usize, len: usize) -> bool {
        debug_assert!((start | len).is_multiple_of(self.page_size));
        debug_assert!(start + len <= mapping.len);
        if len == 0 {
            return true;
        }
        // SAFETY: `start` is below the end of the range, which is within the mapping.
        let base = unsafe { mapping.base.add(start) };
        // SAFETY: whole pages of an owned mapping; the caller ensures that no other thread uses
        // them.
        unsafe { self.os.purge(base, len) }.is_ok()
    }

    /// Asks for huge pages. This is advice: a refusal only costs speed.
    pub(crate) fn advise_huge(&self, mapping: &Mapping) {
        // SAFETY: the range is the mapping's usable part, which is whole pages.
        let _ = unsafe { self.os.advise_huge(mapping.base, mapping.len) };
    }

    /// Asks for small pages. This is advice: a refusal only costs memory that is not purged.
    pub(crate) fn advise_small(&self, mapping: &Mapping) {
        // SAFETY: the range is the mapping's usable part, which is whole pages.
        let _ = unsafe { self.os.advise_small(mapping.base, mapping.len) };
    }
}

impl Drop for Mapper {
    fn drop(&mut self) {
        self.unmap_stranded();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::os::fake::{Call, FakeOs, Fault};

    #[test]
    fn counts_what_is_mapped_and_stops_at_the_limit() {
        let fake = FakeOs::leaked();
        let mapper = Mapper::new(Os::Fake(fake), 64 << 10, None);
        let mut mapping = mapper.map(32 << 10, 4096, false).unwrap();
        assert_eq!(
            mapper.map(36 << 10, 4096, false).unwrap_err(),
            AllocFailure::Limit
        );
        assert_eq!(
            mapper.grow(&mut mapping, 68 << 10).unwrap_err(),
            AllocFailure::Limit
        );
        mapper.grow(&mut mapping, 64 << 10).unwrap();
        assert_eq!((mapper.mapped(), fake.mapped()), (64 << 10, 64 << 10));
        mapper.unmap(mapping).unwrap();
        assert_eq!((mapper.mapped(), fake.mapped()), (0, 0));
    }

    #[test]
    fn a_refusal_changes_nothing() {
        let fake = FakeOs::leaked();
        let mapper = Mapper::new(Os::Fake(fake), usize::MAX, None);
        let mut mapping = mapper.map(8192, 4096, false).unwrap();
        for call in [
            Call::Map,
            Call::Remap,
            Call::Unmap,
            Call::Purge,
            Call::Protect,
        ] {
            fake.set_fault(Some(Fault {
                call: Some(call),
                first: 0,
                count: 1,
            }));
            match call {
                Call::Map => assert!(mapper.map(4096, 4096, true).is_err()),
                Call::Protect => assert!(!mapper.protect_guard(&mapping)),
                Call::Remap => assert!(mapper.grow(&mut mapping, 12_288).is_err()),
                Call::Purge => assert!(!mapper.purge(&mapping, 0, 8192)),
                _ => mapping = mapper.unmap(mapping).unwrap_err(),
            }
            assert_eq!((mapper.mapped(), fake.mapped()), (8192, 8192), "{call:?}");
        }
        mapper.unmap(mapping).unwrap();
    }

    #[test]
    fn what_aligning_leaves_behind_is_counted_and_unmapped_later() {
        let refuse = |call| {
            Some(Fault {
                call: Some(call),
                first: 0,
                count: u64::MAX,
            })
        };
        let fake = FakeOs::leaked();
        let mapper = Mapper::new(Os::Fake(fake), usize::MAX, None);
        let other = mapper.map(4096, 4096, false).unwrap();
        fake.set_fault(refuse(Call::Align));
        assert!(mapper.map(1 << 16, 1 << 16, false).is_err());
        assert_eq!((mapper.mapped(), fake.mapped()), (68 << 10, 68 << 10));
        // No further mapping is made while the system refuses to unmap the stranded range.
        fake.set_fault(refuse(Call::Unmap));
        for _ in 0..3 {
            assert!(mapper.map(1 << 16, 1 << 16, false).is_err());
            assert_eq!((mapper.mapped(), fake.mapped()), (68 << 10, 68 << 10));
        }
        fake.set_fault(None);
        mapper.unmap(other).unwrap();
        assert_eq!((mapper.mapped(), fake.mapped()), (0, 0));
        // Dropping a mapper unmaps its stranded ranges.
        fake.set_fault(refuse(Call::Align));
        assert!(mapper.map(1 << 16, 1 << 16, false).is_err());
        fake.set_fault(None);
        drop(mapper);
        assert_eq!(fake.mapped(), 0);
    }
}
