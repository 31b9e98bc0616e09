//! Slow paths of allocating and freeing through a thread's cache, for when its fast paths
//! ([`ThreadCache::pop`], [`ThreadCache::push`]) fail.
//!
//! The thread allocates heap memory and maps slabs outside of the gate and of all locks. Then it
//! enters the gate and examines the cache again, because a hook of the process's global allocator
//! may have used the cache meanwhile.
//!
//! # Safety
//!
//! A cache is freed by its owner, in this module, or together with its pool (see [`crate::inner`]).
//! An entry outlives the caches that it points to.

use crate::depot::block::{Block, FIRST_CAPACITY, SpareBlocks};
use crate::depot::cache::{Entry, ThreadCache, absent};
use crate::error::AllocFailure;
use crate::inner::registry;
use crate::inner::{PoolInner, slots::Classes, tag::AllocTag};
use crate::large::LargeAlloc;
use crate::slab::EmptySlabs;
use crate::sync::Ordering::{Acquire, Relaxed};
use crate::thread;
use crate::util::heap::try_box;
use std::ptr::{self, NonNull};

/// Creates a cache for the calling thread and links it into the pool's list. Returns `None` if the
/// heap has no memory for it.
pub(crate) fn attach(
    at: NonNull<PoolInner>,
    entry: NonNull<Entry>,
) -> Option<NonNull<ThreadCache>> {
    let inner = PoolInner::of(at);
    let page_size = inner.mapper.page_size();
    let cache = try_box(ThreadCache::new(at.cast(), page_size, 0, entry)).ok()?;
    let this = ThreadCache::of(cache);
    for class in 0..inner.table.count() {
        let size = inner.table.get(class).slot_size as usize;
        let tag = AllocTag::slot(inner.prefix, class, size);
        this.magazine(class).set_word(tag.to_word());
    }
    if let Some(sampler) = &inner.sampler {
        this.sample_countdown.set(sampler.interval() - 1);
    }
    // SAFETY: the entry belongs to the calling thread, which is running.
    let place = unsafe { entry.as_ref() };
    let first = NonNull::new(place.load(Relaxed))?;
    if ThreadCache::of(first).pool().is_some() {
        // A hook of the heap attached a cache meanwhile.
        // SAFETY: created by `try_box` above, and not shared with any other thread.
        unsafe { ThreadCache::free(cache) };
        return Some(first);
    }
    inner.caches().link(cache);
    place.store(cache.as_ptr(), Relaxed);
    Some(cache)
}

/// Removes the cache from one of the calling thread's entries, if it has one, flushes it and frees
/// it. Another thread may free the cache's pool at the same time: that thread replaces the entry,
/// under the registry's lock. May make system calls and run wakers.
pub(crate) fn detach(entry: &Entry) {
    // Acquire: pairs with the Release in `PoolInner::free`, whose store comes before the entry's
    // end.
    if ptr::eq(entry.load(Acquire), absent()) {
        return;
    }
    let (cache, at) = {
        let _pools = registry::pools();
        let Some(cache) = NonNull::new(entry.load(Relaxed)) else {
            return;
        };
        let Some(at) = ThreadCache::of(cache).pool() else {
            return;
        };
        let at = at.cast::<PoolInner>();
        entry.store(ptr::from_ref(absent()).cast_mut(), Relaxed);
        if PoolInner::of(at).try_retain() {
            (cache, Some(at))
        } else {
            // The thread that frees the pool waits for the registry's lock. After this it does not
            // find the cache in the pool's list.
            PoolInner::of(at).unlink(cache);
            (cache, None)
        }
    };
    if let Some(at) = at {
        flush(PoolInner::of(at), ThreadCache::of(cache));
        PoolInner::of(at).unlink(cache);
    }
    // SAFETY: created by `attach`, unlinked, in no entry, and its owner is the calling thread.
    unsafe { ThreadCache::free(cache) };
    if let Some(at) = at {
        PoolInner::release(at);
    }
}

/// Frees every slot in the magazines to its slab, and every kept mapping to the mapping cache.
fn flush(inner: &PoolInner, cache: &ThreadCache) {
    let _carry = inner.carry();
    for class in 0..inner.table.count() {
        flush_class(inner, cache, class);
    }
    let mut mappings = crate::large::cache::Evicted::default();
    let inside = inner.enter(cache);
    let lease = cache.take_kept(|large| mappings.push(large));
    drop(inside);
    inner.end_lease(lease);
    while let Some(large) = mappings.pop() {
        inner.free_large(large);
    }
}

/// Frees every slot in the magazine of one class to its slab, and the blocks. May make system calls
/// and run wakers.
pub(super) fn flush_class(inner: &PoolInner, cache: &ThreadCache, class: usize) {
    if cache.magazine(class).capacity() == 0 {
        return;
    }
    let _carry = inner.carry();
    let inside = inner.enter(cache);
    let blocks = cache.magazine(class).uninstall();
    drop(inside);
    for block in blocks.into_iter().flatten() {
        inner.flush_block(class, block);
    }
}

/// Pops a slot, and exchanges the loaded block first if that is needed. Returns `None` if neither
/// the cache nor a slab of the class has a free slot, if slots bypass the magazines, or if the heap
/// has no memory for blocks. May make system calls and run wakers.
pub(crate) fn pop_or_refill(
    inner: &PoolInner,
    cache: &ThreadCache,
    class: usize,
) -> Option<NonNull<u8>> {
    let mut blocks = Blocks::default();
    let slot = loop {
        let popped = blocks.pop_inside(inner, cache, class);
        match popped {
            Ok(slot) => break slot,
            Err(capacity) if blocks.allocate(capacity) => {}
            Err(_) => break None,
        }
    };
    if slot.is_some() {
        inner.check_watermarks();
    }
    slot
}

/// Pushes a freed slot, and exchanges the loaded block first if that is needed. Returns `false` if
/// slots bypass the magazines or the heap has no memory for blocks. May make system calls and run
/// wakers.
fn push_or_exchange(
    inner: &PoolInner,
    cache: &ThreadCache,
    class: usize,
    slot: NonNull<u8>,
) -> bool {
    let mut blocks = Blocks::default();
    loop {
        // Slabs that an exchange empties are in no structure until `free_slabs` returns.
        let carry = inner.carry();
        let mut slabs = EmptySlabs::default();
        let pushed = blocks.push_inside(inner, cache, class, slot, &mut slabs);
        inner.free_slabs(class, slabs);
        drop(carry);
        match pushed {
            Ok(pushed) => return pushed,
            Err(capacity) if blocks.allocate(capacity) => {}
            Err(_) => return false,
        }
    }
}

/// The blocks of one slow path. It allocates them outside of the gate and of all locks.
#[derive(Default)]
struct Blocks {
    spare: SpareBlocks,
    /// The capacity that a block should have after a visit to the depot; `None` before the visit.
    wanted: Option<u32>,
}

impl Blocks {
    /// Allocates a block, and shrinks the magazines of the calling thread first if that is due.
    /// Returns `false` if the heap has no memory and there is nothing to do without the block.
    fn allocate(&mut self, capacity: u32) -> bool {
        thread::current().shrink_if_full(Block::bytes(capacity));
        match Block::allocate(capacity) {
            Ok(block) => self.spare.push(block),
            // A visit that wanted a larger block continues with the one it has.
            Err(_) => return self.wanted.replace(0).is_some_and(|wanted| wanted > 0),
        }
        true
    }

    /// Pops a slot inside the gate. Fails with the capacity of a block that is needed first.
    fn pop_inside(
        &mut self,
        inner: &PoolInner,
        cache: &ThreadCache,
        class: usize,
    ) -> Result<Option<NonNull<u8>>, u32> {
        let inside = inner.enter(cache);
        let magazine = cache.magazine(class);
        let slot = magazine.pop();
        if slot.is_some() || inside.bypass() {
            return Ok(slot);
        }
        if magazine.previous_height() > 0 {
            magazine.swap();
            return Ok(magazine.pop());
        }
        let before = magazine.block_bytes();
        let most = inner.table.get(class).magazine_capacity;
        let capacity = match magazine.capacity() {
            0 => most.min(FIRST_CAPACITY),
            _ => *self
                .wanted
                .get_or_insert_with(|| cache.visit(class, true, most)),
        };
        if capacity > magazine.capacity() {
            let block = self.spare.pop().ok_or(capacity)?;
            if let Some(smaller) = magazine.replace_loaded(block) {
                self.spare.push(smaller);
            }
        }
        magazine.exchange_loaded(|block| inner.refill(class, block, &mut self.spare));
        thread::current().count_blocks(before, magazine.block_bytes());
        Ok(magazine.pop())
    }

    /// Pushes a slot inside the gate. Puts slabs that are empty now into `slabs`. Fails with the
    /// capacity of a block that is needed first.
    fn push_inside(
        &mut self,
        inner: &PoolInner,
        cache: &ThreadCache,
        class: usize,
        slot: NonNull<u8>,
        slabs: &mut EmptySlabs,
    ) -> Result<bool, u32> {
        let inside = inner.enter(cache);
        if inside.bypass() {
            return Ok(false);
        }
        let magazine = cache.magazine(class);
        if magazine.push(slot) {
            return Ok(true);
        }
        let before = magazine.block_bytes();
        let most = inner.table.get(class).magazine_capacity;
        if magazine.has_previous() {
            // The block that was the previous one until the swap holds the colder slots: if it is
            // full, too, it is exchanged.
            magazine.swap();
            if magazine.push(slot) {
                return Ok(true);
            }
            let visit = || cache.visit(class, false, most);
            let capacity = *self.wanted.get_or_insert_with(visit);
            if capacity > magazine.capacity() && self.spare.is_empty() {
                return Err(capacity);
            }
            let mut needs_block = false;
            magazine.exchange_loaded(|block| {
                let result = inner.exchange_full(class, block, &mut self.spare, slabs);
                needs_block = result.is_err();
                result.unwrap_or_else(|full| full)
            });
            if needs_block {
                return Err(magazine.capacity());
            }
        } else {
            let capacity = match magazine.capacity() {
                0 => most.min(FIRST_CAPACITY),
                capacity => capacity,
            };
            magazine.add(self.spare.pop().ok_or(capacity)?);
        }
        thread::current().count_blocks(before, magazine.block_bytes());
        Ok(magazine.push(slot))
    }
}

/// Frees a slot of a pool that the caller retains, through its cache if it has one. May make system
/// calls and run wakers.
pub(crate) fn free_slot(
    inner: &PoolInner,
    cache: Option<&ThreadCache>,
    class: usize,
    slot: NonNull<u8>,
) {
    if !cache.is_some_and(|cache| push_or_exchange(inner, cache, class, slot)) {
        inner.free_slot(class, slot);
    }
}

/// Allocates a slot of one of `classes`, preferably the first, through the thread's cache if it has
/// one. Returns it with its class. May make system calls and run wakers.
pub(crate) fn alloc_slot(
    inner: &PoolInner,
    cache: Option<&ThreadCache>,
    classes: Classes,
) -> Result<(NonNull<u8>, usize), AllocFailure> {
    let class = classes.first;
    match cache.and_then(|cache| pop_or_refill(inner, cache, class)) {
        Some(slot) => Ok((slot, class)),
        None => inner.alloc_slot_of(classes),
    }
}

/// Allocates a mapping of at least `len` bytes, through the thread's cache if it has one. May make
/// system calls and run wakers.
pub(crate) fn alloc_large(
    inner: &PoolInner,
    cache: Option<&ThreadCache>,
    len: usize,
) -> Result<NonNull<LargeAlloc>, AllocFailure> {
    if let Some(cache) = cache {
        let inside = inner.enter(cache);
        let large = cache.pop_kept_inside(len);
        drop(inside);
        if let Some(large) = large {
            return Ok(large);
        }
    }
    inner.alloc_large(len)
}

/// Frees a mapping of a pool that the caller retains: keeps it in the thread's cache, with a longer
/// lease if needed, or frees it to the pool. May make system calls and run wakers.
pub(crate) fn free_large(
    inner: &PoolInner,
    cache: Option<&ThreadCache>,
    large: NonNull<LargeAlloc>,
) {
    if !cache.is_some_and(|cache| keep(inner, cache, large)) {
        inner.free_large(large);
        inner.freed_past_caches();
    }
}

fn keep(inner: &PoolInner, cache: &ThreadCache, large: NonNull<LargeAlloc>) -> bool {
    let carry = inner.carry();
    let inside = inner.enter(cache);
    // Read inside the gate: a claimer ends the lease.
    let more = cache.lease_lacks(LargeAlloc::of(large).footprint());
    if inside.bypass() || !inner.lease(more) {
        drop(inside);
        carry.end_without();
        return false;
    }
    let oldest = cache.push_kept_inside(large, more);
    drop(inside);
    if let Some(oldest) = oldest {
        inner.free_large(oldest);
    }
    if more > 0 {
        // The longer lease reduces what the mapping cache may hold.
        inner.shrink_mappings(inner.mapper.now_ms());
    }
    true
}
