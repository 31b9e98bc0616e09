//! What a program knows of a pool, and the bytes that it writes.

use crate::settings::Settings;
use slabuf::AllocError;

/// What a program knows of the pool of a buffer.
#[derive(Clone, Copy, Debug)]
pub struct PoolOracle {
    /// Its index among the program's pools.
    pub number: usize,
    /// How it was built.
    pub settings: Settings,
}

impl PoolOracle {
    /// Marks a byte as this pool's: every byte written into its buffers is 0 or has these two top
    /// bits, so that bytes from elsewhere are detected.
    pub fn mark(&self, byte: u8) -> u8 {
        ((self.number as u8 + 1) << 6) | (byte & 0x3F)
    }

    /// Returns `n` bytes to write, different in each turn.
    pub fn fresh_bytes(&self, turn: u8, n: usize) -> Vec<u8> {
        let block: [u8; 256] =
            std::array::from_fn(|i| self.mark((i as u8).wrapping_mul(31) ^ turn));
        repeated(&block, n)
    }

    /// Asserts that visible stale bytes are this pool's, or zero if the settings require it.
    pub fn check_stale(&self, bytes: &[u8], zero: bool) {
        let mark = self.mark(0);
        let is_fine = |byte: &u8| *byte == 0 || (!zero && *byte & 0xC0 == mark);
        for block in bytes.chunks(BLOCK) {
            let marks: u64 = u64::from_ne_bytes([mark; 8]);
            let all_marked = |words: &[[u8; 8]]| {
                let mut wrong = 0;
                for word in words {
                    wrong |= u64::from_ne_bytes(*word) & u64::from_ne_bytes([0xC0; 8]) ^ marks;
                }
                wrong == 0
            };
            // Most blocks are all zero or all written, which needs no check of each byte.
            let (words, rest) = block.as_chunks();
            if *block == ZEROS[..block.len()]
                || (!zero && all_marked(words) && rest.iter().all(is_fine))
            {
                continue;
            }
            if let Some(at) = block.iter().position(|byte| !is_fine(byte)) {
                let byte = block[at];
                panic!("{byte:#x} in view, of {} bytes: {self:?}", bytes.len());
            }
        }
    }
}

/// Bytes that are checked together.
const BLOCK: usize = 4096;
static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// Returns `n` bytes of the repeated pattern. Copies blocks, because instrumented code is slow byte
/// by byte.
pub fn repeated(pattern: &[u8], n: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(n);
    bytes.extend_from_slice(&pattern[..pattern.len().min(n)]);
    while bytes.len() < n {
        bytes.extend_from_within(..bytes.len().min(n - bytes.len()));
    }
    bytes
}

/// Splits the bytes into three parts, one of them empty.
pub fn thirds(bytes: &[u8]) -> [&[u8]; 3] {
    let (head, tail) = bytes.split_at(bytes.len() / 3);
    [head, &[], tail]
}

/// A request that was refused.
#[derive(Debug)]
pub struct Refusal {
    /// The error.
    pub error: AllocError,
    /// The requested bytes.
    pub requested: usize,
}
