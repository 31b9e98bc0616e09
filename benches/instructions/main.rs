//! The hot paths for callgrind to count: `run.sh` beside this file drives it.
//!
//! `instructions PATH` warms the path up, then goes through it in [`slabuf_measured_path`], the one function callgrind is told
//! to collect in, and prints how many takes with their drops that were.

use std::hint::black_box;
use std::process::ExitCode;

use slabuf::Buffer;

/// Repetitions in the warm-up and when measured.
const ROUNDS: usize = 1_000;
const SMALL: usize = 64;
const LARGE: usize = 64 << 10;
/// More 64-byte slots than a thread's two magazines hold (64 each), and fewer than the depot keeps.
const MISSING: usize = 512;

#[derive(Clone, Copy)]
enum HotPath {
    /// A take and a drop that hit their magazine.
    PairSmall,
    /// The same, zeroed.
    PairZeroed,
    /// Many taken, then all dropped: full and empty magazines are exchanged at the depot.
    MagazineMiss,
    /// A mapping taken from the cache and put back.
    PairLarge,
}

impl HotPath {
    const ALL: [(&str, HotPath); 4] = [
        ("pair_small", HotPath::PairSmall),
        ("pair_zeroed", HotPath::PairZeroed),
        ("magazine_miss", HotPath::MagazineMiss),
        ("pair_large", HotPath::PairLarge),
    ];

    /// Takes with their drops in each round.
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

/// What callgrind collects: exported, so that its name is the same whatever the compiler's mangling.
// SAFETY: no other symbol of the program is called so.
#[unsafe(no_mangle)]
#[inline(never)]
fn slabuf_measured_path(path: HotPath, held: &mut Vec<Buffer>) {
    go_through(path, held);
}

// In one copy, so that each loop has its take inlined, as a caller with a loop of his own would have it.
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
