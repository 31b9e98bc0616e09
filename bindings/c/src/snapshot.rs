//! Snapshots: where a pool's memory is. Each function lists one kind of thing as an array of plain
//! structs.

use crate::handle_table::{self, slabuf_pool};
use crate::status::{guard, slabuf_status};
use crate::versioned_struct::{self, Plain};
use slabuf_rust::{SlabState, Snapshot};

/// No slot of the slab is in use.
pub const SLABUF_SLAB_EMPTY: u64 = 0;
/// Some slots of the slab are in use.
pub const SLABUF_SLAB_PARTIAL: u64 = 1;
/// All slots of the slab are in use.
pub const SLABUF_SLAB_FULL: u64 = 2;

/// A size class: all slots of one size.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct slabuf_class_snapshot {
    /// Bytes in a slot.
    slot_size: u64,
    /// Slots in live buffers.
    in_buffers: u64,
    /// Slots in magazines, of threads and of the pool. Their slabs count them as in use.
    in_magazines: u64,
}

/// A region: one mapping, divided into slabs.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct slabuf_region_snapshot {
    /// The address of its first byte.
    address: u64,
    /// Bytes mapped, including the headers of the slabs.
    bytes: u64,
    /// The number of its slabs.
    slabs: u64,
}

/// A slab, or a span of four slabs.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct slabuf_slab_snapshot {
    /// The address of its first byte.
    address: u64,
    /// The address of its region.
    region: u64,
    /// Bytes in a slot; 0 if the slab belongs to no class.
    slot_size: u64,
    /// Slots in the slab; 0 if it belongs to no class.
    slots: u64,
    /// Slots in buffers or magazines.
    slots_in_use: u64,
    /// SLABUF_SLAB_EMPTY, SLABUF_SLAB_PARTIAL or SLABUF_SLAB_FULL.
    state: u64,
    /// 1 if the slab is empty and takes no physical memory.
    clean: u64,
}

/// The mapping of a large buffer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct slabuf_mapping_snapshot {
    /// The address of its first byte.
    address: u64,
    /// Bytes mapped, including the guard page.
    bytes: u64,
    /// 1 if a live buffer uses it, 0 if the pool keeps it for reuse.
    live: u64,
    /// The requested length of the live buffer in bytes; 0 if there is none.
    live_len: u64,
}

// SAFETY: three integers of eight bytes.
unsafe impl Plain for slabuf_class_snapshot {
    const FIRST: usize = 24;
}
// SAFETY: three integers of eight bytes.
unsafe impl Plain for slabuf_region_snapshot {
    const FIRST: usize = 24;
}
// SAFETY: seven integers of eight bytes.
unsafe impl Plain for slabuf_slab_snapshot {
    const FIRST: usize = 56;
}
// SAFETY: four integers of eight bytes.
unsafe impl Plain for slabuf_mapping_snapshot {
    const FIRST: usize = 32;
}
const _: () = assert!(size_of::<slabuf_class_snapshot>() == 24);
const _: () = assert!(size_of::<slabuf_region_snapshot>() == 24);
const _: () = assert!(size_of::<slabuf_slab_snapshot>() == 56);
const _: () = assert!(size_of::<slabuf_mapping_snapshot>() == 32);

fn state(state: SlabState) -> u64 {
    match state {
        SlabState::Empty => SLABUF_SLAB_EMPTY,
        SlabState::Partial => SLABUF_SLAB_PARTIAL,
        SlabState::Full => SLABUF_SLAB_FULL,
    }
}

fn classes(snapshot: &Snapshot) -> Vec<slabuf_class_snapshot> {
    let convert = |class: &slabuf_rust::ClassSnapshot| slabuf_class_snapshot {
        slot_size: class.slot_size as u64,
        in_buffers: class.in_buffers,
        in_magazines: class.in_magazines,
    };
    snapshot.classes.iter().map(convert).collect()
}

fn regions(snapshot: &Snapshot) -> Vec<slabuf_region_snapshot> {
    let convert = |region: &slabuf_rust::RegionSnapshot| slabuf_region_snapshot {
        address: region.address as u64,
        bytes: region.bytes as u64,
        slabs: region.slabs.len() as u64,
    };
    snapshot.regions.iter().map(convert).collect()
}

fn slabs(snapshot: &Snapshot) -> Vec<slabuf_slab_snapshot> {
    let mut slabs = Vec::new();
    for region in &snapshot.regions {
        slabs.extend(region.slabs.iter().map(|slab| slabuf_slab_snapshot {
            address: slab.address as u64,
            region: region.address as u64,
            slot_size: slab.slot_size as u64,
            slots: u64::from(slab.slots),
            slots_in_use: u64::from(slab.slots_out),
            state: state(slab.state),
            clean: u64::from(slab.clean),
        }));
    }
    slabs
}

fn mappings(snapshot: &Snapshot) -> Vec<slabuf_mapping_snapshot> {
    let convert = |mapping: &slabuf_rust::MappingSnapshot| slabuf_mapping_snapshot {
        address: mapping.address as u64,
        bytes: mapping.bytes as u64,
        live: u64::from(mapping.live.is_some()),
        live_len: mapping.live.unwrap_or(0) as u64,
    };
    snapshot.mappings.iter().map(convert).collect()
}

/// Lists one kind of thing in a pool's snapshot.
///
/// # Safety
///
/// As for `versioned_struct::write_array`; no thread destroys the pool during the call.
unsafe fn list<T: Plain>(
    pool: *const slabuf_pool,
    to: *mut T,
    size: usize,
    capacity: usize,
    count: *mut usize,
    select: fn(&Snapshot) -> Vec<T>,
) -> slabuf_status {
    slabuf_status::of(guard(|| {
        // SAFETY: the caller guarantees that no thread destroys the pool.
        let values = || unsafe { handle_table::with(pool, |pool| Ok(select(&pool.snapshot()))) };
        // SAFETY: the caller guarantees that the array and the counter can be written.
        unsafe { versioned_struct::write_array(to, size, capacity, count, values) }
    }))
}

/// Lists the size classes of a pool, smallest slots first.
///
/// Fills in at most capacity elements, each of size bytes: sizeof(slabuf_class_snapshot). Sets
/// *count to the number of all classes, which may be above capacity. classes may be null if
/// capacity is 0. Other threads may use the pool during the call: each element was correct at some
/// moment.
///
/// # Safety
///
/// classes can be written for capacity elements of size bytes, and count can be written; no thread
/// destroys the pool during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_pool_classes_get(
    pool: *const slabuf_pool,
    classes: *mut slabuf_class_snapshot,
    size: usize,
    capacity: usize,
    count: *mut usize,
) -> slabuf_status {
    // SAFETY: the caller guarantees what `list` requires.
    unsafe { list(pool, classes, size, capacity, count, self::classes) }
}

/// Lists the regions of a pool, by address. The arguments are as for slabuf_pool_classes_get.
///
/// # Safety
///
/// As for slabuf_pool_classes_get.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_pool_regions_get(
    pool: *const slabuf_pool,
    regions: *mut slabuf_region_snapshot,
    size: usize,
    capacity: usize,
    count: *mut usize,
) -> slabuf_status {
    // SAFETY: the caller guarantees what `list` requires.
    unsafe { list(pool, regions, size, capacity, count, self::regions) }
}

/// Lists the slabs of a pool, by region and address. The arguments are as for
/// slabuf_pool_classes_get.
///
/// # Safety
///
/// As for slabuf_pool_classes_get.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_pool_slabs_get(
    pool: *const slabuf_pool,
    slabs: *mut slabuf_slab_snapshot,
    size: usize,
    capacity: usize,
    count: *mut usize,
) -> slabuf_status {
    // SAFETY: the caller guarantees what `list` requires.
    unsafe { list(pool, slabs, size, capacity, count, self::slabs) }
}

/// Lists the mappings of a pool's large buffers, live and cached, by address. The arguments are as
/// for slabuf_pool_classes_get.
///
/// # Safety
///
/// As for slabuf_pool_classes_get.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_pool_mappings_get(
    pool: *const slabuf_pool,
    mappings: *mut slabuf_mapping_snapshot,
    size: usize,
    capacity: usize,
    count: *mut usize,
) -> slabuf_status {
    // SAFETY: the caller guarantees what `list` requires.
    unsafe { list(pool, mappings, size, capacity, count, self::mappings) }
}
