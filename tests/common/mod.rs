//! Helpers shared by the integration tests.
#![allow(
    dead_code,
    reason = "every test binary includes this module and uses its own part of it"
)]

pub(crate) mod child;
pub(crate) mod constructors;
pub(crate) mod waker;

use slabuf::{Buffer, Pool};
use std::time::Duration;

/// Longer than any wait that succeeds takes, on any machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);
pub(crate) const KIB: usize = 1024;
pub(crate) const MIB: usize = 1024 * KIB;
/// The default slab size.
pub(crate) const SLAB: usize = 8 * KIB;

/// Creates a pool with the default settings, so that no other test affects its counters.
pub(crate) fn fresh_pool() -> Pool {
    Pool::builder()
        .build()
        .expect("the default settings are valid")
}

/// Returns the page size of the system in bytes.
pub(crate) fn page_size() -> usize {
    // SAFETY: sysconf takes no pointer and may be called with any name.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).expect("a page size")
}

/// A small reproducible random number generator (xorshift64*).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Returns a number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// Returns a length from `low` to below `high`; each doubling is equally likely.
    pub(crate) fn log_uniform(&mut self, low: usize, high: usize) -> usize {
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        let (low_ln, high_ln) = ((low as f64).ln(), (high as f64).ln());
        let len = (low_ln + unit * (high_ln - low_ln)).exp() as usize;
        len.clamp(low, high - 1)
    }
}

/// Returns whether every byte is zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    static ZEROS: [u8; 4096] = [0; 4096];
    bytes
        .chunks(ZEROS.len())
        .all(|chunk| *chunk == ZEROS[..chunk.len()])
}

/// Returns whether every byte is `byte`.
pub(crate) fn is_all(bytes: &[u8], byte: u8) -> bool {
    bytes.split_first().is_none_or(|(first, rest)| {
        *first == byte && rest == &bytes[..rest.len()] // each byte equals its predecessor
    })
}

/// Writes a pattern that depends on the position and on `seed`.
pub(crate) fn stamp(bytes: &mut [u8], seed: u64) {
    let mut rng = Rng::new(seed);
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&rng.next().to_le_bytes()[..chunk.len()]);
    }
}

/// Returns whether `bytes` is a prefix of what [`stamp`] writes for `seed`.
pub(crate) fn holds_stamp(bytes: &[u8], seed: u64) -> bool {
    let mut rng = Rng::new(seed);
    bytes
        .chunks(8)
        .all(|chunk| *chunk == rng.next().to_le_bytes()[..chunk.len()])
}

/// Returns the address of the first byte.
pub(crate) fn address(bytes: &[u8]) -> usize {
    bytes.as_ptr() as usize
}

/// Returns every slot size of `pool` up to `slab_size` in ascending order, found by requesting
/// longer and longer buffers.
pub(crate) fn slot_sizes(pool: &Pool, slab_size: usize) -> Vec<usize> {
    let mut sizes = Vec::new();
    let mut len = 0;
    while len <= slab_size {
        let slot = pool.alloc_unsafe(len).capacity();
        assert!(slot >= len, "a slot of {slot} for {len} bytes");
        sizes.push(slot);
        len = slot + 1;
    }
    sizes
}

/// Returns every boundary length and its neighbours: slot sizes, pages, slabs, huge pages.
pub(crate) fn boundary_lengths(pool: &Pool) -> Vec<usize> {
    let page = page_size();
    let mut edges = slot_sizes(pool, SLAB);
    edges.extend([0, 16, 32, 64, page, 2 * page, 3 * page, 4 * page, 16 * page]);
    edges.extend([SLAB, 2 * SLAB, 64 * KIB, MIB, 2 * MIB, 4 * MIB]);
    let mut lengths: Vec<usize> = edges
        .into_iter()
        .flat_map(|edge| [edge.saturating_sub(1), edge, edge + 1])
        .collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}

/// Checks that no two of `buffers` share a byte of their capacities.
pub(crate) fn assert_apart<'a>(buffers: impl IntoIterator<Item = &'a Buffer>) {
    let mut ranges: Vec<(usize, usize)> = buffers
        .into_iter()
        .map(|buffer| (address(buffer), address(buffer) + buffer.capacity()))
        .collect();
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "live buffers overlap: {pair:x?}");
    }
}

/// Trims the pool and asserts that nothing is left.
pub(crate) fn assert_all_home(pool: &Pool) {
    pool.trim();
    let usage = pool.usage();
    assert_eq!(usage.in_use, 0, "{usage:?}");
    assert_eq!(usage.array_buffers, 0, "{usage:?}");
    assert_eq!(usage.large_live, 0, "{usage:?}");
    assert_eq!(usage.large_cached, 0, "{usage:?}");
    assert_eq!((usage.slabs_partial, usage.slabs_full), (0, 0), "{usage:?}");
}
