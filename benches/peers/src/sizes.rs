//! Random lengths, computed before the clock starts.

use fastrand::Rng;

/// The shortest of the random lengths.
pub const SHORTEST: usize = 16;
/// The first length that is too long.
pub const TOO_LONG: usize = 8192;

/// Returns a length in 16..8191 with a uniformly distributed logarithm.
pub fn log_uniform(rng: &mut Rng) -> usize {
    let spread = TOO_LONG as f64 / SHORTEST as f64;
    // Truncated, so below TOO_LONG.
    (SHORTEST as f64 * spread.powf(rng.f64())) as usize
}

/// Returns `count` such lengths.
#[must_use]
pub fn lengths(seed: u64, count: usize) -> Vec<u32> {
    let mut rng = Rng::with_seed(seed);
    (0..count).map(|_| log_uniform(&mut rng) as u32).collect()
}

/// One replacement in a table of live blocks.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The index of the block to replace.
    pub place: u32,
    /// The length of the new block.
    pub len: u32,
}

/// Returns `count` replacements at random indices below `places`.
#[must_use]
pub fn steps(seed: u64, count: usize, places: usize) -> Vec<Step> {
    let mut rng = Rng::with_seed(seed);
    (0..count)
        .map(|_| Step {
            place: rng.usize(..places) as u32,
            len: log_uniform(&mut rng) as u32,
        })
        .collect()
}
