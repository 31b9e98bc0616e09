//! Random lengths, made before any clock runs.

/// A small reproducible generator (xorshift64*).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// A length in 16..8192, every doubling as likely as the next.
    pub(crate) fn length(&mut self) -> usize {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        (16.0 * 512.0_f64.powf(unit)) as usize
    }
}

/// `count` random lengths.
pub(crate) fn lengths(seed: u64, count: usize) -> Vec<usize> {
    let mut rng = Rng::new(seed);
    (0..count).map(|_| rng.length()).collect()
}

/// One replacement in a table of live buffers: the place whose buffer is replaced, and the new
/// buffer's length.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub(crate) place: usize,
    pub(crate) len: usize,
}

/// `count` replacements in a table with `places`.
pub(crate) fn steps(seed: u64, count: usize, places: usize) -> Vec<Step> {
    let mut rng = Rng::new(seed);
    (0..count)
        .map(|_| Step {
            place: rng.below(places),
            len: rng.length(),
        })
        .collect()
}
