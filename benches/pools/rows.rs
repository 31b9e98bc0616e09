//! The rows of the table: what is measured, beside what, and within which bounds.

use std::time::Duration;

use slabuf::{Buffer, Pool, PoolBuilder};

use crate::refusal;
use crate::threads;
use crate::workload::{
    batch, batch_global, batch_zeroed, pair, pair_global, pair_zeroed, random_global, round_robin,
    window_global,
};

const KIB: usize = 1 << 10;
const GIB: usize = 1 << 30;
/// Far enough away for all rows with marks.
const HIGH_WATER: usize = 64 << 20;

/// Takes one sample: nanoseconds for one operation, measured for about the given time.
pub(crate) type Sample = Box<dyn FnMut(Duration) -> f64>;

/// What a row must reach.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    /// A ratio to the reference: what it must be at most, and what is aimed at.
    Ratio { must: f64, aim: Option<f64> },
    /// Nanoseconds.
    Nanos(f64),
    /// Only shown.
    None,
}

/// One row.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) subject: Sample,
    pub(crate) relative_to: &'static str,
    pub(crate) reference: Option<Sample>,
    pub(crate) bound: Bound,
}

impl Row {
    fn new(
        name: impl Into<String>,
        subject: impl FnMut(Duration) -> f64 + 'static,
        bound: Bound,
    ) -> Self {
        Row {
            name: name.into(),
            subject: Box::new(subject),
            relative_to: "",
            reference: None,
            bound,
        }
    }

    fn relative_to(
        mut self,
        name: &'static str,
        reference: impl FnMut(Duration) -> f64 + 'static,
    ) -> Self {
        self.relative_to = name;
        self.reference = Some(Box::new(reference));
        self
    }
}

fn ratio(must: f64, aim: f64) -> Bound {
    Bound::Ratio {
        must,
        aim: Some(aim),
    }
}

fn built(builder: PoolBuilder) -> Pool {
    builder.build().expect("the table's settings are valid")
}

fn own() -> Pool {
    built(Pool::builder())
}

fn limited() -> Pool {
    built(Pool::builder().limit(GIB))
}

fn marked() -> Pool {
    built(Pool::builder().high_water_mark(HIGH_WATER))
}

/// All rows, in the order of the table.
pub(crate) fn all() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(kinds_of_pool());
    rows.extend(large());
    rows.extend(marks());
    rows.extend(sampling());
    rows.extend(wiping());
    rows.extend(many_pools());
    rows.extend(global());
    rows.extend(refusals());
    rows
}

/// Own and limited pools beside the global pool.
fn kinds_of_pool() -> Vec<Row> {
    let mut rows = Vec::new();
    for (kind, build) in [("own", own as fn() -> Pool), ("limited", limited)] {
        for len in [64, 1_400] {
            let pool = build();
            let subject = pool.clone();
            rows.push(
                Row::new(
                    format!("pair {len} B, {kind} pool"),
                    move |budget| pair(budget, &subject, len),
                    ratio(1.5, 1.2),
                )
                .relative_to("global pool", move |budget| pair_global(budget, len)),
            );
            rows.push(
                Row::new(
                    format!("batch of 64 x {len} B, {kind} pool"),
                    move |budget| batch(budget, &pool, len),
                    ratio(1.5, 1.2),
                )
                .relative_to("global pool", move |budget| batch_global(budget, len)),
            );
        }
    }
    rows
}

fn large() -> Vec<Row> {
    [12 * KIB, 256 * KIB]
        .map(|len| {
            let (limited, unlimited) = (limited(), own());
            Row::new(
                format!("pair {} KiB, limited pool", len / KIB),
                move |budget| pair(budget, &limited, len),
                ratio(1.5, 1.2),
            )
            .relative_to("unlimited pool", move |budget| {
                pair(budget, &unlimited, len)
            })
        })
        .into()
}

/// Pools with marks, filled below half of the high one.
fn marks() -> Vec<Row> {
    let (len, with_marks, plain) = (64, marked(), own());
    let held = [&with_marks, &plain].map(|pool| -> Vec<Buffer> {
        // A quarter of the mark, live for as long as the row.
        (0..16)
            .map(|_| pool.alloc_unsafe(HIGH_WATER / 64))
            .collect()
    });
    let (one_with_marks, one_plain) = (with_marks.clone(), plain.clone());
    vec![
        Row::new(
            "pair 64 B, pool with marks",
            move |budget| pair(budget, &one_with_marks, len),
            ratio(1.5, 1.2),
        )
        .relative_to("own pool", move |budget| pair(budget, &one_plain, len)),
        Row::new(
            "two threads, pair 64 B, pool with marks",
            move |budget| {
                assert!(held.iter().flatten().all(|buffer| !buffer.is_empty()));
                threads::two_on_one_pool(budget, &with_marks, len)
            },
            ratio(1.5, 1.1),
        )
        .relative_to("own pool", move |budget| {
            threads::two_on_one_pool(budget, &plain, len)
        }),
    ]
}

fn sampling() -> Vec<Row> {
    let (sampled, plain) = (built(Pool::builder().sample(10_000)), own());
    vec![
        Row::new(
            "pair 64 B, sampled 1 in 10,000",
            move |budget| pair(budget, &sampled, 64),
            ratio(2.0, 1.2),
        )
        .relative_to("own pool", move |budget| pair(budget, &plain, 64)),
    ]
}

/// Pools that zero at the drop, beside pools that zero at the allocation.
fn wiping() -> Vec<Row> {
    let (wiping, plain) = (built(Pool::builder().zero_on_free(true)), own());
    let mut rows = Vec::new();
    for len in [64, 1_400, 8_000] {
        let (wiping, plain) = (wiping.clone(), plain.clone());
        rows.push(
            Row::new(
                format!("pair {len} B, zero_on_free"),
                move |budget| pair(budget, &wiping, len),
                ratio(1.3, 1.1),
            )
            .relative_to("alloc, own pool", move |budget| {
                pair_zeroed(budget, &plain, len)
            }),
        );
    }
    rows.push(
        Row::new(
            "batch of 64 x 1400 B, zero_on_free",
            move |budget| batch(budget, &wiping, 1_400),
            Bound::None,
        )
        .relative_to("alloc, own pool", move |budget| {
            batch_zeroed(budget, &plain, 1_400)
        }),
    );
    rows
}

/// One thread that goes through many pools.
fn many_pools() -> Vec<Row> {
    let bounds = [
        (
            64,
            Bound::Ratio {
                must: 1.3,
                aim: None,
            },
        ),
        (
            256,
            Bound::Ratio {
                must: 2.0,
                aim: None,
            },
        ),
        (4_000, Bound::Nanos(60.0)),
    ];
    bounds
        .map(|(count, bound)| {
            let one = [own()];
            Row::new(
                format!("round robin over {count} pools, pair 64 B"),
                move |budget| {
                    // For this sample alone: a row does not pay for the caches that another row's
                    // pools left.
                    let pools: Vec<Pool> = (0..count).map(|_| own()).collect();
                    round_robin(budget, &pools, 64)
                },
                bound,
            )
            .relative_to("one pool", move |budget| round_robin(budget, &one, 64))
        })
        .into()
}

/// The global pool in nanoseconds, to compare builds (see `beside`).
fn global() -> Vec<Row> {
    vec![
        Row::new("global: pair 64 B", |b| pair_global(b, 64), Bound::None),
        Row::new(
            "global: pair 1400 B",
            |b| pair_global(b, 1_400),
            Bound::None,
        ),
        Row::new(
            "global: pair 12 KiB",
            |b| pair_global(b, 12 * KIB),
            Bound::None,
        ),
        Row::new(
            "global: batch of 64 x 64 B",
            |b| batch_global(b, 64),
            Bound::None,
        ),
        Row::new(
            "global: batch of 64 x 1400 B",
            |b| batch_global(b, 1_400),
            Bound::None,
        ),
        Row::new("global: window", window_global, Bound::None),
        Row::new("global: random", random_global, Bound::None),
        Row::new("global: eight threads", threads::eight_global, Bound::None),
    ]
}

/// Refusals of a full pool beside idle threads with caches.
fn refusals() -> Vec<Row> {
    [1_400, 64 * KIB]
        .map(|len| {
            Row::new(
                format!("refused: {len} B, eight idle threads"),
                move |budget| refusal::repeated(budget, 8, len),
                Bound::None,
            )
            .relative_to("no other thread", move |budget| {
                refusal::repeated(budget, 0, len)
            })
        })
        .into()
}
