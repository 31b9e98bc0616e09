//! The steps and settings of a sequence, and how they are generated.

use std::time::Duration;

use crate::common::{KIB, MIB, SLAB};
use crate::edits::{Edit, edits};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use slabuf::{Budget, Pool};

/// A way to create a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Make {
    Zeroed,
    Filled(u8),
    Stale,
    StaleSlow,
    Room,
    Copied,
    Concat,
    ConcatToLen(usize),
    /// Zeros at a multiple of this power of two.
    Aligned(u32),
}

/// One step of a sequence. An [`Index`] selects a live buffer.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Take(Make, usize),
    Write(Index, u8),
    WriteSpare(Index, u8),
    Grow(Index, usize),
    Resize(Index, usize, u8),
    Reserve(Index, usize),
    Extend(Index, usize),
    Truncate(Index, Index),
    SetLen(Index, Index),
    Advance(Index, Index),
    Clear(Index),
    SplitTo(Index, Index),
    SplitOff(Index, Index),
    Split(Index),
    CopyToBytes(Index, Index),
    Unsplit(Index),
    Reclaim(Index, Index),
    TakeOut(Index),
    Clone(Index),
    Parts(Index),
    Freeze(Index),
    Drop(Index),
    DropElsewhere(Index),
    DropView(Index),
    Trim,
    TakeInOther(usize),
    DropInOther,
    Edit(Index, Edit),
}

/// Lengths around every boundary, and others.
fn lengths() -> impl Strategy<Value = usize> {
    let page = 4 * KIB;
    let borders = vec![
        0,
        1,
        16,
        17,
        128,
        1000,
        page,
        SLAB,
        SLAB + 1,
        64 * KIB,
        2 * MIB,
    ];
    prop_oneof![
        4 => 0..=600usize,
        3 => 0..=3 * SLAB,
        3 => (select(borders), 0..3usize).prop_map(|(edge, step)| (edge + step).saturating_sub(1)),
        1 => 0..=3 * MIB,
    ]
}

pub(crate) fn steps() -> impl Strategy<Value = Step> {
    let makes = prop_oneof![
        Just(Make::Zeroed),
        any::<u8>().prop_map(Make::Filled),
        Just(Make::Stale),
        Just(Make::StaleSlow),
        Just(Make::Room),
        Just(Make::Copied),
        Just(Make::Concat),
        lengths().prop_map(Make::ConcatToLen),
        (0..=12_u32).prop_map(Make::Aligned),
    ];
    let which = any::<Index>;
    prop_oneof![
        12 => (makes, lengths()).prop_map(|(make, n)| Step::Take(make, n)),
        5 => (which(), any::<u8>()).prop_map(|(at, byte)| Step::Write(at, byte)),
        3 => (which(), any::<u8>()).prop_map(|(at, byte)| Step::WriteSpare(at, byte)),
        4 => (which(), lengths()).prop_map(|(at, n)| Step::Grow(at, n)),
        3 => (which(), lengths(), any::<u8>()).prop_map(|(at, n, byte)| Step::Resize(at, n, byte)),
        2 => (which(), lengths()).prop_map(|(at, n)| Step::Reserve(at, n)),
        3 => (which(), lengths()).prop_map(|(at, n)| Step::Extend(at, n)),
        2 => (which(), which()).prop_map(|(at, to)| Step::Truncate(at, to)),
        2 => (which(), which()).prop_map(|(at, to)| Step::SetLen(at, to)),
        2 => (which(), which()).prop_map(|(at, to)| Step::Advance(at, to)),
        1 => which().prop_map(Step::Clear),
        4 => (which(), which()).prop_map(|(at, to)| Step::SplitTo(at, to)),
        3 => (which(), which()).prop_map(|(at, to)| Step::SplitOff(at, to)),
        1 => which().prop_map(Step::Split),
        2 => (which(), which()).prop_map(|(at, to)| Step::CopyToBytes(at, to)),
        3 => which().prop_map(Step::Unsplit),
        3 => (which(), which()).prop_map(|(at, to)| Step::Reclaim(at, to)),
        1 => which().prop_map(Step::TakeOut),
        1 => which().prop_map(Step::Clone),
        1 => which().prop_map(Step::Parts),
        2 => which().prop_map(Step::Freeze),
        7 => which().prop_map(Step::Drop),
        1 => which().prop_map(Step::DropElsewhere),
        2 => which().prop_map(Step::DropView),
        1 => Just(Step::Trim),
        2 => lengths().prop_map(Step::TakeInOther),
        1 => Just(Step::DropInOther),
        12 => (which(), edits(lengths().boxed())).prop_map(|(at, edit)| Step::Edit(at, edit)),
    ]
}

/// The settings of a pool that the model needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) slab_size: usize,
    pub(crate) limit: Option<usize>,
    /// Shared by two pools.
    pub(crate) budget: Option<usize>,
    pub(crate) zero_on_free: bool,
    pub(crate) zero_fill: bool,
    pub(crate) cache_limit: usize,
    pub(crate) decay: Duration,
    pub(crate) huge_pages: bool,
    pub(crate) guard_pages: bool,
    /// Of the system: the real one, or a fake one with pages of this size.
    #[cfg_attr(not(feature = "fake-os"), expect(dead_code))]
    pub(crate) pages: Option<usize>,
}

/// Systems that the pools are on. With the feature `fake-os` there are fake ones too.
fn page_sizes() -> Vec<Option<usize>> {
    let real = [None; 2];
    let fake = if cfg!(feature = "fake-os") {
        vec![Some(4 * KIB), Some(16 * KIB), Some(64 * KIB)]
    } else {
        vec![]
    };
    real.into_iter().chain(fake).collect()
}

pub(crate) fn settings() -> impl Strategy<Value = Settings> {
    let slab_sizes = vec![4 * KIB, SLAB, SLAB, SLAB, 64 * KIB, MIB];
    // Limit of each pool, and budget of both.
    let bounds = vec![
        (None, None),
        (None, None),
        (Some(4 * MIB), None),
        (Some(8 * MIB), None),
        (None, Some(4 * MIB)),
        (Some(4 * MIB), Some(5 * MIB)),
        (Some(4 * MIB), Some(16 * MIB)),
    ];
    let caches = vec![0, MIB, 4 * MIB];
    let decays = vec![Duration::ZERO, Duration::from_secs(3600)];
    let mapped = (any::<bool>(), any::<bool>());
    let zeroing = (any::<bool>(), any::<bool>());
    (
        select(slab_sizes),
        select(bounds),
        zeroing,
        select(caches),
        select(decays),
        mapped,
        select(page_sizes()),
    )
        .prop_map(
            |(
                slab_size,
                (limit, budget),
                zeroing,
                cache_limit,
                decay,
                (huge_pages, guard_pages),
                pages,
            )| {
                Settings {
                    slab_size,
                    limit,
                    budget,
                    zero_on_free: zeroing.0,
                    zero_fill: zeroing.1,
                    cache_limit,
                    decay,
                    huge_pages,
                    guard_pages,
                    pages,
                }
            },
        )
}

impl Settings {
    pub(crate) fn build(&self, budget: Option<&Budget>) -> Pool {
        let mut builder = Pool::builder()
            .slab_size(self.slab_size)
            .zero_on_free(self.zero_on_free)
            .zero_fill(self.zero_fill)
            .cache_limit(self.cache_limit)
            .decay(self.decay)
            .huge_pages(self.huge_pages)
            .guard_pages(self.guard_pages);
        if let Some(limit) = self.limit {
            builder = builder.limit(limit);
        }
        if let Some(budget) = budget {
            builder = builder.budget(budget);
        }
        #[cfg(feature = "fake-os")]
        if let Some(page_size) = self.pages {
            use slabuf::fake_os::FakeOs;
            builder = builder.fake_os(FakeOs::leaked_with_pages(page_size));
        }
        builder.build().expect("generated settings are valid")
    }
}
