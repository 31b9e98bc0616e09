//! Where a pool's memory is, slab by slab and mapping by mapping.

use crate::inner::PoolInner;
use crate::large::list;
use crate::slab::SlabView;
use crate::slab::region::Regions;
use crate::slab::size_class::{SPAN, SizeClass};

/// A picture of where a pool's memory is. From [`Pool::snapshot`](crate::Pool::snapshot).
///
/// It is assembled piece by piece while other threads use the pool: each counter was true at some
/// moment. If no other thread uses the pool meanwhile, all counters are consistent with each other
/// and with [`Pool::usage`](crate::Pool::usage).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Bytes in a slab.
    pub slab_size: usize,
    /// The size classes, smallest slots first.
    pub classes: Vec<ClassSnapshot>,
    /// The regions: first those of single slabs, then those of spans, each by address.
    pub regions: Vec<RegionSnapshot>,
    /// The mappings of large buffers, live or kept for reuse, by address.
    pub mappings: Vec<MappingSnapshot>,
}

/// A size class: all slots of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassSnapshot {
    /// Bytes in a slot.
    pub slot_size: usize,
    /// Slots of live buffers.
    pub in_buffers: u64,
    /// Slots in the magazines of threads and of the depot. They do not count as free in their
    /// slabs.
    pub in_magazines: u64,
}

/// A region: one mapping, carved into slabs or into spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegionSnapshot {
    /// The address of its first byte.
    pub address: usize,
    /// Mapped bytes, including the slabs' headers.
    pub bytes: usize,
    /// Its slabs, or spans, by address.
    pub slabs: Vec<SlabSnapshot>,
}

/// A slab, or a span of four slabs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlabSnapshot {
    /// The address of its first byte.
    pub address: usize,
    /// The state of the whole. A span is full, or empty, if all four of its slabs are.
    pub state: SlabState,
    /// Bytes in a slot; 0 if it belongs to no class.
    pub slot_size: usize,
    /// The number of slots in it; 0 if it belongs to no class.
    pub slots: u32,
    /// Slots of buffers or in magazines; the others are free.
    pub slots_out: u32,
    /// Whether it is empty and takes no physical memory: it was never used, or its memory was
    /// returned to the system after its last use.
    pub clean: bool,
    states: [SlabState; SPAN],
    count: u8,
}

/// The state of a slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SlabState {
    /// All of its slots are free.
    Empty,
    /// Some of its slots are in buffers or in magazines.
    Partial,
    /// All of its slots are in buffers or in magazines.
    Full,
}

/// The mapping of a large buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MappingSnapshot {
    /// The address of its first byte.
    pub address: usize,
    /// Mapped bytes, including the guard page.
    pub bytes: usize,
    /// The requested length in bytes of the live buffer in it; `None` if the mapping is kept for
    /// reuse.
    pub live: Option<usize>,
    /// Bytes that may take physical memory: the pages that a buffer could write to since the
    /// mapping was made or last purged. The counters of [`Pool::usage`](crate::Pool::usage) call
    /// these bytes of a mapping that is kept for reuse cached.
    pub resident: usize,
}

impl SlabSnapshot {
    fn new(address: usize, count: usize, view: SlabView, class: Option<&SizeClass>) -> Self {
        let mut slab = Self {
            address,
            state: SlabState::Empty,
            slot_size: 0,
            slots: 0,
            slots_out: 0,
            clean: view.clean,
            states: [SlabState::Empty; SPAN],
            count: count as u8,
        };
        if let Some(class) = class {
            let free = view.free_slots(class);
            slab.slot_size = class.slot_size as usize;
            slab.slots = class.slots;
            slab.slots_out = class.slots - free;
            slab.state = SlabState::of(free, class.slots);
            slab.states = [slab.state; SPAN];
            if class.spans {
                let each = view.free_in_span(class);
                slab.states = each.map(|(free, slots)| SlabState::of(free, slots));
            }
        }
        slab
    }

    /// Returns the state of the slab, or of each of the four slabs of a span, by address. A slot
    /// that lies in two slabs of a span is out of both. [`PoolUsage`](crate::PoolUsage) counts
    /// slabs in this way.
    pub fn states(&self) -> &[SlabState] {
        &self.states[..usize::from(self.count)]
    }
}

impl SlabState {
    fn of(free: u32, slots: u32) -> Self {
        match free {
            0 => Self::Full,
            _ if free == slots => Self::Empty,
            _ => Self::Partial,
        }
    }
}

impl Snapshot {
    /// Returns the number of slabs in this state. The slabs of spans count one by one.
    pub fn slabs_in(&self, state: SlabState) -> u64 {
        let slabs = self.regions.iter().flat_map(|region| &region.slabs);
        let states = slabs.flat_map(|slab| slab.states());
        states.filter(|other| **other == state).count() as u64
    }

    /// Returns the slab or span that contains the byte at `address`.
    pub fn slab_at(&self, address: usize) -> Option<&SlabSnapshot> {
        let regions = self.regions.iter();
        let mut region = regions.filter(|region| {
            address
                .checked_sub(region.address)
                .is_some_and(|offset| offset < region.bytes)
        });
        let slabs = &region.next()?.slabs;
        let behind = slabs.partition_point(|slab| slab.address <= address);
        slabs.get(behind.checked_sub(1)?)
    }
}

pub(crate) fn of_pool(inner: &PoolInner) -> Snapshot {
    let mut regions = Vec::new();
    for (of_kind, slabs_in_one) in inner.regions.iter().zip([1, SPAN]) {
        look_at_regions(inner, of_kind, slabs_in_one, &mut regions);
    }
    let mappings = large_mappings(inner)
        .into_iter()
        .map(|view| MappingSnapshot {
            address: view.address,
            bytes: view.footprint,
            live: view.requested_len,
            resident: inner.resident_bytes(&view),
        });
    let mut mappings: Vec<_> = mappings.collect();
    mappings.sort_unstable_by_key(|mapping| mapping.address);
    Snapshot {
        slab_size: inner.config.slab_size,
        classes: classes(inner),
        regions,
        mappings,
    }
}

fn classes(inner: &PoolInner) -> Vec<ClassSnapshot> {
    let mut classes = Vec::with_capacity(inner.table.count());
    for number in 0..inner.table.count() {
        let in_caches = {
            let caches = inner.caches();
            let slots = caches.iter().map(|cache| cache.magazine(number).slots());
            slots.map(u64::from).sum::<u64>()
        };
        let counts = inner.depot.counts(number);
        let in_magazines = counts.slots_in_depot + in_caches;
        classes.push(ClassSnapshot {
            slot_size: inner.table.get(number).slot_size as usize,
            in_buffers: counts.slots_out.saturating_sub(in_magazines),
            in_magazines,
        });
    }
    classes
}

fn look_at_regions(
    inner: &PoolInner,
    of_kind: &Regions,
    count: usize,
    regions: &mut Vec<RegionSnapshot>,
) {
    let (first, step) = of_kind.slab_offsets();
    let (mut address, mut views) = (0, Vec::new());
    while let Some(at) = of_kind.look_behind(address, &mut views) {
        address = at;
        let slabs = views.iter().enumerate().map(|(index, view)| {
            let class = view.class.map(|number| inner.table.get(number));
            SlabSnapshot::new(at + first + index * step, count, *view, class)
        });
        regions.push(RegionSnapshot {
            address: at,
            bytes: of_kind.region_size(),
            slabs: slabs.collect(),
        });
    }
}

pub(crate) fn large_mappings(inner: &PoolInner) -> Vec<crate::large::LargeView> {
    let (mut views, mut place) = (Vec::new(), 0);
    while inner.large_list.look(place, &mut views) {
        place += list::STEP;
    }
    views
}
