//! Size classes: constant tables from a length to its class and slot size, without state.
//!
//! Slot sizes are multiples of 16, about four per doubling. Each is the largest that divides the
//! slab into its number of slots, `floor16(slab_size / k)`. So no slab wastes an unused tail: its
//! bytes are distributed over the slots.
//!
//! There are few ways to cut one slab into large slots: into halves, or not at all. So slots above
//! a quarter of the slab are cut from a *span* of four neighbouring slabs, into 14 down to 4. (Of
//! buffers whose lengths are spread evenly over the doublings up to the slab size, half the bytes
//! are in the last doubling. There a single slab wastes 28 % of its memory on average, a span 9 %.)

/// The unit of slot sizes, in bytes. Every buffer is aligned to it.
pub(crate) const GRANULE: usize = 16;
/// Maximum number of classes of a slab size.
pub(crate) const MAX_CLASSES: usize = 64;
/// Length of arrays with an entry for each class. A model has one class, and a small stack to build
/// its pool on.
pub(crate) const CLASS_PLACES: usize = if cfg!(all(test, loom)) {
    1
} else {
    MAX_CLASSES
};
/// The least slab size, in bytes.
pub(crate) const MIN_SLAB_SIZE: usize = 4096;
/// The largest slab size, in bytes.
pub(crate) const MAX_SLAB_SIZE: usize = 1 << 20;
/// The slab size of the global pool, in bytes; 8 KiB as in Node.js.
pub(crate) const DEFAULT_SLAB_SIZE: usize = 8192;
/// Number of slabs in a span.
pub(crate) const SPAN: usize = 4;
/// The largest slab size with spans, in bytes.
const MAX_SPANNED_SLAB_SIZE: usize = 64 << 10;
/// Numbers of slots in a span, largest number (smallest slots) first.
const SPAN_SLOTS: [usize; 8] = [14, 12, 10, 8, 7, 6, 5, 4];
/// Maximum number of slots in a block of a magazine: with its header a block of this capacity is 1
/// KiB.
const BLOCK_SLOTS: usize = 126;
/// Maximum number of bytes of slots in a block, unless one slot is larger.
const BLOCK_BYTES: usize = 512 << 10;
/// Maximum number of bytes of slots that a block is filled with from slabs, unless one slot is
/// larger.
const FILL_BYTES: usize = 128 << 10;

/// The constants of one class.
#[derive(Clone, Copy)]
pub(crate) struct SizeClass {
    /// Number of bytes in a slot.
    pub(crate) slot_size: u32,
    /// Number of slots in a slab, or in a span.
    pub(crate) slots: u32,
    /// Whether the slots are cut from spans.
    pub(crate) spans: bool,
    /// Maximum number of slots that a block is filled with from slabs. For spans it is the number
    /// of slots in the first slab, so that a buffer does not bring more slabs into use than it
    /// needs.
    pub(crate) fill: u32,
    /// As `fill`, for a block that has grown, because the class is used often.
    pub(crate) grown_fill: u32,
    /// For each slab of a span, the number of slots that lie in it, at least in part.
    pub(crate) slots_in_slab: [u16; SPAN],
    /// `ceil(2^44 / slot_size)`: replaces the division of an offset by the slot size by a
    /// multiplication.
    reciprocal: u64,
    /// Maximum capacity of a block of this class, in slots.
    pub(crate) magazine_capacity: u32,
}

impl SizeClass {
    const NONE: Self = Self {
        slot_size: 0,
        slots: 0,
        spans: false,
        fill: 0,
        grown_fill: 0,
        slots_in_slab: [0; SPAN],
        reciprocal: 0,
        magazine_capacity: 0,
    };

    /// Creates the class of `slots` slots in a range of `size` bytes.
    const fn new(size: usize, slots: usize) -> Self {
        let slot_size = size / slots / GRANULE * GRANULE;
        Self {
            slot_size: slot_size as u32,
            slots: slots as u32,
            spans: false,
            fill: slots_within(FILL_BYTES, slot_size),
            grown_fill: slots_within(FILL_BYTES, slot_size),
            slots_in_slab: [0; SPAN],
            reciprocal: (1u64 << 44).div_ceil(slot_size as u64),
            magazine_capacity: slots_within(BLOCK_BYTES, slot_size),
        }
    }

    const fn spanning(slab_size: usize, slots: usize) -> Self {
        let mut class = Self::new(SPAN * slab_size, slots);
        let slot_size = class.slot_size as usize;
        class.spans = true;
        class.fill = (slab_size / slot_size) as u32;
        let mut slot = 0;
        while slot < slots {
            let mut slab = slot * slot_size / slab_size;
            while slab <= (slot * slot_size + slot_size - 1) / slab_size {
                class.slots_in_slab[slab] |= 1 << slot;
                slab += 1;
            }
            slot += 1;
        }
        class
    }

    /// Returns the index of the slot that the byte at `offset` of a slab or span lies in.
    pub(crate) const fn slot_of_offset(&self, offset: usize) -> usize {
        ((offset as u64 * self.reciprocal) >> 44) as usize
    }
}

/// Returns the number of slots that a block may hold within `bytes`: at least one.
const fn slots_within(bytes: usize, slot_size: usize) -> u32 {
    match bytes / slot_size {
        0 => 1,
        slots if slots > BLOCK_SLOTS => BLOCK_SLOTS as u32,
        slots => slots as u32,
    }
}

/// Returns the index of a length's class in the tables. The length is at most a slab's, so the sum
/// does not overflow; `div_ceil` would need three more instructions to exclude that.
#[inline(always)]
const fn granule_of(len: usize) -> usize {
    len.wrapping_add(GRANULE - 1) / GRANULE
}

/// The classes of one slab size.
pub(crate) struct ClassTable {
    pub(crate) slab_size: usize,
    classes: [SizeClass; MAX_CLASSES],
    count: usize,
    /// The class of each length, by granule.
    by_granule: &'static [u8],
}

impl ClassTable {
    const fn new(slab_size: usize, spans: bool, by_granule: &'static [u8]) -> Self {
        let (classes, count) = classes_of(slab_size, spans);
        Self {
            slab_size,
            classes,
            count,
            by_granule,
        }
    }

    /// Returns the class that serves `len`, or `None` if no slot is as long.
    #[inline(always)]
    pub(crate) fn class_of(&self, len: usize) -> Option<usize> {
        if len > self.slab_size {
            return None;
        }
        debug_assert!(granule_of(len) < self.by_granule.len());
        // SAFETY: `granules_of` has an entry for each granule up to the slab size, which `len` does
        // not exceed.
        Some(unsafe { *self.by_granule.get_unchecked(granule_of(len)) } as usize)
    }

    #[inline(always)]
    pub(crate) const fn get(&self, class: usize) -> &SizeClass {
        &self.classes[class % MAX_CLASSES]
    }

    /// Returns a table of one class, with two slots a slab and one or two slots a magazine: small
    /// enough for loom to try every interleaving. A magazine is filled with one slot at once.
    #[cfg(all(test, loom))]
    pub(crate) fn tiny(magazine_capacity: u32) -> &'static ClassTable {
        const fn of_capacity(magazine_capacity: u32) -> ClassTable {
            let mut classes = [SizeClass::NONE; MAX_CLASSES];
            classes[0] = SizeClass::new(MIN_SLAB_SIZE, 2);
            classes[0].magazine_capacity = magazine_capacity;
            classes[0].fill = 1;
            ClassTable {
                slab_size: MIN_SLAB_SIZE,
                classes,
                count: 1,
                by_granule: &[0; 129],
            }
        }
        static TINY: [ClassTable; 2] = [of_capacity(1), of_capacity(2)];
        &TINY[magazine_capacity as usize - 1]
    }

    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Returns the table of a slab size that the configuration has accepted. It has spans if
    /// `spans` is set and slabs of that size may have them.
    pub(crate) const fn of_slab_size(slab_size: usize, spans: bool) -> &'static ClassTable {
        let number = (slab_size / MIN_SLAB_SIZE).trailing_zeros() as usize;
        if spans && slab_size <= MAX_SPANNED_SLAB_SIZE {
            &SPANNED_TABLES[number]
        } else {
            &TABLES[number]
        }
    }
}

/// The classes of the default slab size as constants, which the compiler folds for a constant
/// length.
pub(crate) struct DefaultClasses;

impl DefaultClasses {
    const BY_GRANULE: [u8; DEFAULT_SLAB_SIZE / GRANULE + 1] = granules_of(true);

    /// Returns the class that serves `len`, or `None` if no slot is as long.
    #[inline(always)]
    pub(crate) fn class_of(len: usize) -> Option<usize> {
        if len > DEFAULT_SLAB_SIZE {
            return None;
        }
        Some(Self::BY_GRANULE[granule_of(len)] as usize)
    }
}

const fn classes_of(slab_size: usize, spans: bool) -> ([SizeClass; MAX_CLASSES], usize) {
    let mut classes = [SizeClass::NONE; MAX_CLASSES];
    let mut count = 0;
    let single = if spans { slab_size / SPAN } else { slab_size };
    let mut base = GRANULE;
    while base <= single {
        let mut quarter = 0;
        while quarter < 4 {
            let target = (base * (4 + quarter) / 4).next_multiple_of(GRANULE);
            quarter += 1;
            if target > single {
                break;
            }
            let class = SizeClass::new(slab_size, slab_size / target);
            if count == 0 || classes[count - 1].slot_size < class.slot_size {
                classes[count] = class;
                count += 1;
            }
        }
        base *= 2;
    }
    let mut number = 0;
    while spans && number < SPAN_SLOTS.len() {
        classes[count] = SizeClass::spanning(slab_size, SPAN_SLOTS[number]);
        count += 1;
        number += 1;
    }
    (classes, count)
}

/// Computes the class of each granule. `ENTRIES` is `slab_size / GRANULE + 1`.
const fn granules_of<const ENTRIES: usize>(spans: bool) -> [u8; ENTRIES] {
    let (classes, _) = classes_of((ENTRIES - 1) * GRANULE, spans);
    let mut table = [0; ENTRIES];
    let mut class = 0;
    let mut granule = 0;
    while granule < ENTRIES {
        if granule * GRANULE > classes[class].slot_size as usize {
            class += 1;
        }
        table[granule] = class as u8;
        granule += 1;
    }
    table
}

macro_rules! table {
    ($slab_size:expr, $spans:expr) => {{
        static BY_GRANULE: [u8; $slab_size / GRANULE + 1] = granules_of($spans);
        ClassTable::new($slab_size, $spans, &BY_GRANULE)
    }};
}

static TABLES: [ClassTable; 9] = [
    table!(4 << 10, false),
    table!(8 << 10, false),
    table!(16 << 10, false),
    table!(32 << 10, false),
    table!(64 << 10, false),
    table!(128 << 10, false),
    table!(256 << 10, false),
    table!(512 << 10, false),
    table!(1 << 20, false),
];

static SPANNED_TABLES: [ClassTable; 5] = [
    table!(4 << 10, true),
    table!(8 << 10, true),
    table!(16 << 10, true),
    table!(32 << 10, true),
    table!(64 << 10, true),
];

#[cfg(all(test, not(loom)))]
mod tests;
