//! `opool`: a bounded lock-free queue of recycled objects. It has no lengths, so there is one pool
//! per power of two, and it runs only rows whose blocks all have one length.

use opool::{Pool, PoolAllocator, RefGuard};

use crate::allocator::Allocator;

/// The capacities served: 16 bytes to 64 MiB.
const SMALLEST_BITS: u32 = 4;
const LARGEST_BITS: u32 = 26;

/// Objects that a pool keeps, and the maximum in bytes; the surplus returns to the system's
/// allocator.
const KEPT_OBJECTS: usize = 1024;
const KEPT_BYTES: usize = 64 << 20;

/// Creates the objects of one pool.
pub(crate) struct Maker {
    capacity: usize,
}

impl PoolAllocator<Box<[u8]>> for Maker {
    fn allocate(&self) -> Box<[u8]> {
        vec![0; self.capacity].into_boxed_slice()
    }
}

type SizedPool = Pool<Maker, Box<[u8]>>;

/// One pool for each power of two.
pub(crate) struct ObjectPools {
    /// Never dropped, since blocks borrow them without a bound.
    pools: &'static [SizedPool],
}

impl ObjectPools {
    pub(crate) fn new() -> Self {
        let pools: Vec<SizedPool> = (SMALLEST_BITS..=LARGEST_BITS)
            .map(|bits| {
                let capacity = 1 << bits;
                Pool::new(KEPT_OBJECTS.min(KEPT_BYTES / capacity), Maker { capacity })
            })
            .collect();
        ObjectPools {
            pools: Vec::leak(pools),
        }
    }

    #[inline(always)]
    fn pool(&self, len: usize) -> &'static SizedPool {
        let bits = len.next_power_of_two().trailing_zeros();
        &self.pools[bits.saturating_sub(SMALLEST_BITS) as usize]
    }
}

/// An object of one of the pools.
pub(crate) struct Object(RefGuard<'static, Maker, Box<[u8]>>);

impl Allocator for ObjectPools {
    type Block = Object;

    const NAME: &'static str = "opool";
    const ANY_LENGTH: bool = false;

    #[inline(always)]
    fn take(&self, len: usize) -> Object {
        Object(self.pool(len).get())
    }

    #[inline(always)]
    fn take_zeroed(&self, len: usize) -> Object {
        let mut object = self.pool(len).get();
        object[..len].fill(0);
        Object(object)
    }

    #[inline(always)]
    fn start(block: &mut Object) -> *mut u8 {
        block.0.as_mut_ptr()
    }
}
