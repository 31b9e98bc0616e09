//! The hot paths, whose instructions callgrind counts. `run.sh` in this folder runs it.
//!
//! `instructions PATH` warms the path up, then executes it in [`slabuf_measured_path`], the only
//! function in which callgrind counts, and prints the number of pairs (allocation and free).

use std::hint::black_box;
use std::process::ExitCode;

use slabuf::Buffer;

/// Repetitions in the warm-up and in the measurement.
const ROUNDS: usize = 1_000;
const SMALL: usize = 64;
const LARGE: usize = 64 << 10;
/// More 64-byte slots than a thread's two magazines hold (64 each), and fewer than the depot keeps.
const MISSING: usize = 512;

#[derive(Clone, Copy)]
enum HotPath {
    /// An allocation and a free that hit the magazine.
    PairSmall,
    /// The same, zeroed.
    PairZeroed,
    /// Many allocations, then all frees: full and empty magazines are exchanged at the depot.
    MagazineMiss,
    /// A mapping from the cache, and back.
    PairLarge,
}

impl HotPath {
    const ALL: [(&str, HotPath); 4] = [
        ("pair_small", HotPath::PairSmall),
        ("pair_zeroed", HotPath::PairZeroed),
        ("magazine_miss", HotPath::MagazineMiss),
        ("pair_large", HotPath::PairLarge),
    ];

    /// Pairs in each round.
    fn pairs_in_a_round(self) -> usize {
        match self {
            HotPath::MagazineMiss => MISSING,
            _ => 1,
        }
    }
}

fn main() -> ExitCode {
    // `cargo bench` passes `--bench`, and no path.
    let asked = std::env::args().nth(1).unwrap_or_default();
    let known = HotPath::ALL.into_iter().find(|(name, _)| *name == asked);
    match known {
        Some((_, path)) => {
            let mut held = Vec::with_capacity(MISSING);
            go_through(path, &mut held);
            slabuf_measured_path(path, &mut held);
            println!("{}", ROUNDS * path.pairs_in_a_round());
            ExitCode::SUCCESS
        }
        None if asked.is_empty() || asked.starts_with("--") => {
            println!("instructions are counted by benches/instructions/run.sh");
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("{asked} is no hot path");
            ExitCode::FAILURE
        }
    }
}

/// The function in which callgrind counts. Exported, so that its name does not depend on mangling.
// SAFETY: no other symbol of the program has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn slabuf_measured_path(path: HotPath, held: &mut Vec<Buffer>) {
    go_through(path, held);
}

// Not inlined, so that each loop contains its allocation inlined, as in a caller's loop.
#[inline(never)]
fn go_through(path: HotPath, held: &mut Vec<Buffer>) {
    match path {
        HotPath::PairSmall => pairs(|| Buffer::alloc_unsafe(black_box(SMALL))),
        HotPath::PairZeroed => pairs(|| Buffer::alloc(black_box(SMALL))),
        HotPath::PairLarge => pairs(|| Buffer::alloc_unsafe(black_box(LARGE))),
        HotPath::MagazineMiss => {
            for _ in 0..ROUNDS {
                held.extend((0..MISSING).map(|_| Buffer::alloc_unsafe(black_box(SMALL))));
                held.clear();
            }
        }
    }
}

#[inline(always)]
fn pairs(take: impl Fn() -> Buffer) {
    for _ in 0..ROUNDS {
        black_box(take().as_ptr());
    }
}
