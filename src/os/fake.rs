//! A simulated system, backed by the heap, which refuses calls according to a plan.
//!
//! Tests and fuzz targets let the n-th call fail. Models and Miri run where no mapping can be made.
//! The simulated system records every live mapping. It panics when a mapping is freed twice or with
//! the wrong length, and reports at the end whether any is left.
//!
//! # Safety
//!
//! All memory comes from `alloc_zeroed`, so that stale bytes are initialised bytes here too.

use super::{MapRefusal, OsError, Stranded};
use crate::sync;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZero;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

const DEFAULT_PAGE_SIZE: usize = 4096;
const ENOMEM: i32 = 12;

/// A call that can be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// mmap
    Map,
    /// munmap of a mapping at the wrong address, on the way to an aligned one. If it is refused,
    /// that mapping is stranded.
    Align,
    /// munmap
    Unmap,
    /// madvise(MADV_DONTNEED)
    Purge,
    /// mremap
    Remap,
    /// madvise(MADV_HUGEPAGE)
    AdviseHuge,
    /// madvise(MADV_NOHUGEPAGE)
    AdviseSmall,
    /// mprotect
    Protect,
    /// membarrier
    Membarrier,
}

/// A plan of which calls are refused: `count` calls of the kind `call` (of any kind, if `None`),
/// from the `first`-th on (counted from 0).
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The kind of call, or any.
    pub call: Option<Call>,
    /// The first call that is refused, counted from 0 among those of the kind.
    pub first: u64,
    /// The number of calls that are refused.
    pub count: u64,
}

#[derive(Debug, Default)]
struct State {
    live: BTreeMap<usize, (Owned, Layout)>,
    fault: Option<Fault>,
    seen: u64,
    now_ms: u64,
    /// Bytes purged since the system was created.
    purged: usize,
    /// The address of the next mapping, without memory behind it.
    next_address: Option<usize>,
    hook: Option<Hook>,
}

/// A function that runs before the next call of a kind.
struct Hook {
    call: Call,
    run: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hook").field(&self.call).finish()
    }
}

#[derive(Debug)]
enum Owned {
    Heap(NonNull<u8>),
    /// An address without memory.
    Nothing,
}
// SAFETY: the pointer is a key for memory that the pool owns; it is not dereferenced here.
unsafe impl Send for Owned {}

/// A heap-backed system. Leak one ([`FakeOs::leaked`]) and pass it to a pool's builder.
#[derive(Debug)]
pub struct FakeOs {
    page_size: usize,
    state: Mutex<State>,
}

impl Default for FakeOs {
    fn default() -> Self {
        Self {
            page_size: DEFAULT_PAGE_SIZE,
            state: Mutex::default(),
        }
    }
}

/// Returns the system that is used where there is no other.
#[cfg(any(miri, not(unix)))]
pub(crate) fn shared() -> &'static FakeOs {
    static SHARED: std::sync::OnceLock<FakeOs> = std::sync::OnceLock::new();
    SHARED.get_or_init(FakeOs::default)
}

impl FakeOs {
    /// Creates a system with pages of 4096 bytes that lives as long as the process.
    pub fn leaked() -> &'static Self {
        Self::leaked_with_pages(DEFAULT_PAGE_SIZE)
    }

    /// Creates a system with pages of `page_size` bytes that lives as long as the process.
    ///
    /// # Panics
    ///
    /// If `page_size` is not a power of two.
    pub fn leaked_with_pages(page_size: usize) -> &'static Self {
        // Keeps the systems reachable, so that leak checkers do not report them.
        static ALL: Mutex<Vec<&FakeOs>> = Mutex::new(Vec::new());
        assert!(page_size.is_power_of_two(), "pages of {page_size} bytes");
        let new: &'static Self = Box::leak(Box::new(Self {
            page_size,
            ..Self::default()
        }));
        ALL.lock().unwrap_or_else(PoisonError::into_inner).push(new);
        new
    }

    /// Returns the number of bytes in a page.
    pub fn page_size(&self) -> usize {
        self.page_size
    }

    /// Sets the plan, and counts calls from 0 again.
    pub fn set_fault(&self, fault: Option<Fault>) {
        let mut state = self.state();
        state.fault = fault;
        state.seen = 0;
    }

    /// Returns the number of calls of the plan's kind since it was set (of all calls, if there is
    /// no plan).
    pub fn calls(&self) -> u64 {
        self.state().seen
    }

    /// Returns the bytes mapped now.
    pub fn mapped(&self) -> usize {
        let state = self.state();
        state.live.values().map(|(_, layout)| layout.size()).sum()
    }

    /// Returns the bytes purged since the system was created.
    pub fn purged(&self) -> usize {
        self.state().purged
    }

    /// Advances the clock.
    pub fn advance_ms(&self, ms: u64) {
        self.state().now_ms += ms;
    }

    /// Sets the address of the next mapping. No memory is behind it, so it must not be accessed.
    pub fn place_next_at(&self, address: usize) {
        self.state().next_address = Some(address);
    }

    /// Runs `hook` once, before the next call of this kind is made or refused.
    pub fn before_next(&self, call: Call, hook: impl FnOnce() + Send + 'static) {
        let run = Box::new(hook);
        self.state().hook = Some(Hook { call, run });
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.state().now_ms
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, call: Call) -> Result<MutexGuard<'_, State>, OsError> {
        let hook = self.state().hook.take_if(|hook| hook.call == call);
        if let Some(hook) = hook {
            (hook.run)();
        }
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

    pub(super) fn map(&self, len: usize, align: usize) -> Result<NonNull<u8>, MapRefusal> {
        drop(self.enter(Call::Map)?);
        if align > self.page_size
            && let Err(error) = self.enter(Call::Align)
        {
            let base = self.state().map(len, self.page_size)?;
            let stranded = Some(Stranded { base, len });
            return Err(MapRefusal { error, stranded });
        }
        Ok(self.state().map(len, align)?)
    }

    pub(super) unsafe fn unmap(&self, base: NonNull<u8>, len: usize) -> Result<(), OsError> {
        let mut state = self.enter(Call::Unmap)?;
        state.unmap(base, len);
        Ok(())
    }

    pub(super) unsafe fn purge(&self, base: NonNull<u8>, len: usize) -> Result<(), OsError> {
        let mut state = self.enter(Call::Purge)?;
        state.check(base, len);
        assert!(
            (base.addr().get() | len).is_multiple_of(self.page_size),
            "a purge of parts of pages"
        );
        state.purged += len;
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
        let new = state.map(new_len, self.page_size)?;
        // SAFETY: both ranges are live mappings of at least this length, and they are different
        // mappings.
        unsafe { base.copy_to_nonoverlapping(new, len) };
        state.unmap(base, len);
        Ok(new)
    }

    pub(super) fn advise_huge(&self) -> Result<(), OsError> {
        self.enter(Call::AdviseHuge).map(drop)
    }

    pub(super) fn advise_small(&self) -> Result<(), OsError> {
        self.enter(Call::AdviseSmall).map(drop)
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
        if let Some(address) = self.next_address.take() {
            let base = NonNull::without_provenance(NonZero::new(address).expect("an address"));
            self.live.insert(address, (Owned::Nothing, layout));
            return Ok(base);
        }
        // SAFETY: the layout's size is not 0.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(OsError(ENOMEM))?;
        self.live
            .insert(base.addr().get(), (Owned::Heap(base), layout));
        Ok(base)
    }

    fn unmap(&mut self, base: NonNull<u8>, len: usize) {
        let (owned, layout) = self
            .live
            .remove(&base.addr().get())
            .expect("unmap of what is not mapped");
        assert_eq!(layout.size(), len, "unmap with another length");
        if let Owned::Heap(base) = owned {
            // SAFETY: it was allocated with this layout and has just left the table of live ones.
            unsafe { dealloc(base.as_ptr(), layout) };
        }
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
