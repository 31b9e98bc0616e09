//! A system made of the heap, which refuses calls by a plan.
//!
//! It serves two ends: tests and fuzz targets let the n-th call fail; models and miri run where no
//! mapping can be made. It knows every live mapping and
//! panics when one is freed twice or with the wrong length, and at the end it can say that none is
//! left.
//!
//! # Safety
//!
//! All memory comes from `alloc_zeroed`, so that stale bytes are initialised bytes here too.

use super::OsError;
use crate::sync;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) const PAGE_SIZE: usize = 4096;
const ENOMEM: i32 = 12;

/// A call that can be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// mmap
    Map,
    /// munmap
    Unmap,
    /// madvise(MADV_DONTNEED)
    Purge,
    /// mremap
    Remap,
    /// madvise(MADV_HUGEPAGE)
    AdviseHuge,
    /// mprotect
    Protect,
    /// membarrier
    Membarrier,
}

/// Which calls are refused: those of the kind `call` (any, if `None`) from the `first`-th on (counted
/// from 0), `count` of them.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The kind of call, or any.
    pub call: Option<Call>,
    /// The first that is refused, counted from 0 among those of the kind.
    pub first: u64,
    /// How many are refused.
    pub count: u64,
}

#[derive(Debug, Default)]
struct State {
    live: BTreeMap<usize, (Owned, Layout)>,
    fault: Option<Fault>,
    seen: u64,
    now_ms: u64,
}

#[derive(Debug)]
struct Owned(NonNull<u8>);
// SAFETY: the pointer is a key to memory that the pool owns; it is not dereferenced here.
unsafe impl Send for Owned {}

/// A heap-backed system. Leak one ([`FakeOs::leaked`]) and give it to a pool's builder.
#[derive(Debug, Default)]
pub struct FakeOs {
    state: Mutex<State>,
}

/// The one that stands in where there is no other system.
#[cfg(any(miri, not(unix)))]
pub(crate) fn shared() -> &'static FakeOs {
    static SHARED: std::sync::OnceLock<FakeOs> = std::sync::OnceLock::new();
    SHARED.get_or_init(FakeOs::default)
}

impl FakeOs {
    /// A system that lives as long as the process.
    pub fn leaked() -> &'static Self {
        // Noted, so that nobody who looks for leaks takes them for some.
        static ALL: Mutex<Vec<&FakeOs>> = Mutex::new(Vec::new());
        let new: &'static Self = Box::leak(Box::default());
        ALL.lock().unwrap_or_else(PoisonError::into_inner).push(new);
        new
    }

    /// Sets the plan, and counts calls from 0 again.
    pub fn set_fault(&self, fault: Option<Fault>) {
        let mut state = self.state();
        state.fault = fault;
        state.seen = 0;
    }

    /// Calls of the plan's kind since it was set (every call, if there is no plan).
    pub fn calls(&self) -> u64 {
        self.state().seen
    }

    /// Bytes mapped now.
    pub fn mapped(&self) -> usize {
        let state = self.state();
        state.live.values().map(|(_, layout)| layout.size()).sum()
    }

    /// Lets time pass.
    pub fn advance_ms(&self, ms: u64) {
        self.state().now_ms += ms;
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.state().now_ms
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, call: Call) -> Result<MutexGuard<'_, State>, OsError> {
        let mut state = self.state();
        let fault = state.fault.unwrap_or(Fault {
            call: None,
            first: u64::MAX,
            count: 0,
        });
        if fault.call.is_some_and(|kind| kind != call) {
            return Ok(state);
        }
        let nth = state.seen;
        state.seen += 1;
        if nth >= fault.first && nth - fault.first < fault.count {
            return Err(OsError(ENOMEM));
        }
        Ok(state)
    }

    pub(super) fn map(&self, len: usize, align: usize) -> Result<NonNull<u8>, OsError> {
        let mut state = self.enter(Call::Map)?;
        state.map(len, align)
    }

    pub(super) unsafe fn unmap(&self, base: NonNull<u8>, len: usize) -> Result<(), OsError> {
        let mut state = self.enter(Call::Unmap)?;
        state.unmap(base, len);
        Ok(())
    }

    pub(super) unsafe fn purge(&self, base: NonNull<u8>, len: usize) -> Result<(), OsError> {
        let state = self.enter(Call::Purge)?;
        state.check(base, len);
        // SAFETY: `check` found the range within a live mapping, and the caller uses it alone.
        unsafe { base.write_bytes(0, len) };
        Ok(())
    }

    pub(super) unsafe fn remap(
        &self,
        base: NonNull<u8>,
        len: usize,
        new_len: usize,
    ) -> Result<NonNull<u8>, OsError> {
        let mut state = self.enter(Call::Remap)?;
        let new = state.map(new_len, PAGE_SIZE)?;
        // SAFETY: both ranges are live mappings of at least this length, and different ones.
        unsafe { base.copy_to_nonoverlapping(new, len) };
        state.unmap(base, len);
        Ok(new)
    }

    pub(super) fn advise_huge(&self) -> Result<(), OsError> {
        self.enter(Call::AdviseHuge).map(drop)
    }

    pub(super) fn protect(&self) -> Result<(), OsError> {
        self.enter(Call::Protect).map(drop)
    }

    pub(super) fn register_fences(&self) -> bool {
        self.enter(Call::Membarrier).is_ok() && sync::register_fences()
    }

    pub(super) fn fence_heavy(&self) -> bool {
        self.enter(Call::Membarrier).is_ok() && sync::fence_heavy()
    }
}

impl State {
    fn map(&mut self, len: usize, align: usize) -> Result<NonNull<u8>, OsError> {
        let layout = Layout::from_size_align(len, align).map_err(|_| OsError(ENOMEM))?;
        assert!(len > 0, "an empty mapping");
        // SAFETY: the layout's size is not 0.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(OsError(ENOMEM))?;
        self.live.insert(base.addr().get(), (Owned(base), layout));
        Ok(base)
    }

    fn unmap(&mut self, base: NonNull<u8>, len: usize) {
        let (owned, layout) = self
            .live
            .remove(&base.addr().get())
            .expect("unmap of what is not mapped");
        assert_eq!(layout.size(), len, "unmap with another length");
        // SAFETY: it was allocated with this layout and has just left the table of live ones.
        unsafe { dealloc(owned.0.as_ptr(), layout) };
    }

    fn check(&self, base: NonNull<u8>, len: usize) {
        let address = base.addr().get();
        let below = self.live.range(..=address).next_back();
        let (start, (_, layout)) = below.expect("a range outside every mapping");
        assert!(
            address + len <= start + layout.size(),
            "a range past its mapping"
        );
    }
}
