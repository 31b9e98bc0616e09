//! Resident memory, without timing: one allocator and one scenario per process.

use fastrand::Rng;

use crate::allocator::{Allocator, fill};
use crate::resident::resident_bytes;
use crate::sizes::log_uniform;

/// The work before the resident memory is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// 100,000 live blocks, replaced at random six million times.
    Churn,
    /// 512 MiB of small blocks, all freed.
    Peak,
    /// The same, one block in 64 kept.
    Survivors,
}

impl Scenario {
    /// All of them, in the order of the table.
    pub const ALL: [Scenario; 3] = [Scenario::Churn, Scenario::Peak, Scenario::Survivors];

    /// The name of a scenario on the command line.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Scenario::Churn => "churn",
            Scenario::Peak => "peak",
            Scenario::Survivors => "survivors",
        }
    }

    /// Returns the scenario of this name.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Scenario> {
        Scenario::ALL
            .into_iter()
            .find(|scenario| scenario.key() == key)
    }
}

/// Growth of the resident bytes since before the first allocation.
#[derive(Clone, Copy, Debug)]
pub struct Footprint {
    /// The sum of the requested lengths of live blocks.
    pub live: u64,
    /// At the end of the scenario.
    pub resident: u64,
    /// After the allocator was asked to release what it can.
    pub purged: u64,
}

const LIVE: usize = 100_000;
const REPLACEMENTS: usize = 6_000_000;
const PEAK_BYTES: u64 = 512 << 20;
const SURVIVOR_EVERY: usize = 64;
const SEED: u64 = 0xf007;
const BYTE: u8 = 0xa5;

/// The live blocks with their lengths. Created, and its pages touched, before the first reading.
struct Table<T> {
    blocks: Vec<Option<T>>,
    lengths: Vec<u32>,
}

impl<T> Table<T> {
    fn with_places(places: usize) -> Self {
        let mut blocks = Vec::new();
        blocks.resize_with(places, || None);
        // Ones, because zeros would not touch the pages.
        Table {
            blocks,
            lengths: vec![1; places],
        }
    }

    fn put<A: Allocator<Block = T>>(&mut self, allocator: &A, place: usize, len: usize) {
        let mut block = allocator.take(len);
        fill::<A>(&mut block, 0..len, BYTE);
        self.blocks[place] = Some(block);
        self.lengths[place] = len as u32;
    }

    fn live_bytes(&self) -> u64 {
        let live = self
            .blocks
            .iter()
            .zip(&self.lengths)
            .filter(|(block, _)| block.is_some());
        live.map(|(_, &len)| u64::from(len)).sum()
    }
}

/// Runs `scenario`, at 1/`scale` of its size. To be called once per process.
///
/// # Errors
///
/// If the system does not report the resident memory.
pub fn measure<A: Allocator>(
    allocator: &A,
    scenario: Scenario,
    scale: u32,
) -> std::io::Result<Footprint> {
    let mut rng = Rng::with_seed(SEED);
    let places = match scenario {
        Scenario::Churn => LIVE,
        // No length is below 16, and their mean is above 1000.
        Scenario::Peak | Scenario::Survivors => (PEAK_BYTES / 1000) as usize,
    };
    let mut table = Table::with_places(places);
    let before = resident_bytes()?;
    match scenario {
        Scenario::Churn => churn(
            allocator,
            &mut table,
            &mut rng,
            REPLACEMENTS / scale as usize,
        ),
        Scenario::Peak => peak(
            allocator,
            &mut table,
            &mut rng,
            PEAK_BYTES / u64::from(scale),
            None,
        ),
        Scenario::Survivors => {
            peak(
                allocator,
                &mut table,
                &mut rng,
                PEAK_BYTES / u64::from(scale),
                Some(SURVIVOR_EVERY),
            );
        }
    }
    let resident = resident_bytes()?.saturating_sub(before);
    allocator.purge();
    let purged = resident_bytes()?.saturating_sub(before);
    Ok(Footprint {
        live: table.live_bytes(),
        resident,
        purged,
    })
}

fn churn<A: Allocator>(
    allocator: &A,
    table: &mut Table<A::Block>,
    rng: &mut Rng,
    replacements: usize,
) {
    for place in 0..LIVE {
        table.put(allocator, place, log_uniform(rng));
    }
    for _ in 0..replacements {
        table.put(allocator, rng.usize(..LIVE), log_uniform(rng));
    }
}

/// Allocates blocks up to `bytes`, then frees all but one in `kept_every`.
fn peak<A: Allocator>(
    allocator: &A,
    table: &mut Table<A::Block>,
    rng: &mut Rng,
    bytes: u64,
    kept_every: Option<usize>,
) {
    let mut taken = 0;
    let mut place = 0;
    while taken < bytes {
        let len = log_uniform(rng);
        table.put(allocator, place, len);
        place += 1;
        taken += len as u64;
    }
    for (place, block) in table.blocks.iter_mut().enumerate() {
        if kept_every.is_none_or(|every| place % every != 0) {
            *block = None;
        }
    }
}
