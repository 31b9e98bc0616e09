//! The cost of zeroing: `alloc` against `alloc_unsafe`, and the same for `Vec`.
//!
//! `cargo bench --bench alloc_vs_alloc_unsafe` measures, draws plots in `target/criterion`, and
//! prints the medians as two tables. With `-- --plot PAGE.md FILE.svg` it measures nothing and
//! draws the first of these tables, which the page contains.

mod plot;
mod table;

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use criterion::measurement::WallTime;
use criterion::{AxisScale, BenchmarkGroup, BenchmarkId, Criterion, PlotConfiguration, Throughput};
use slabuf::Buffer;

/// 16 B to 64 MiB, with lengths below and above a slab of 8 KiB.
const LENGTHS: [usize; 13] = [
    16,
    64,
    256,
    1 << 10,
    4 << 10,
    8 << 10,
    16 << 10,
    64 << 10,
    256 << 10,
    1 << 20,
    4 << 20,
    16 << 20,
    64 << 20,
];

/// The constructors, in the order of the tables.
const CONSTRUCTORS: [&str; 4] = ["alloc", "alloc_unsafe", "vec![0; n]", "Vec::with_capacity"];

/// The part of a buffer that is written before it is dropped. The names are those of criterion's
/// groups.
const TOUCHES: [(&str, Touch); 2] = [("one_byte", Touch::OneByte), ("all_bytes", Touch::AllBytes)];

#[derive(Clone, Copy)]
enum Touch {
    OneByte,
    AllBytes,
}

impl Touch {
    /// Returns how many of `len` bytes are written.
    fn bytes(self, len: usize) -> usize {
        match self {
            Touch::OneByte => 1,
            Touch::AllBytes => len,
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--plot") {
        return redraw(&arguments[at + 1..]);
    }
    let start = SystemTime::now();
    let mut criterion = Criterion::default()
        .sample_size(30)
        .nresamples(10_000)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1000))
        .configure_from_args();
    for (name, touch) in TOUCHES {
        compare(&mut criterion, name, touch);
    }
    criterion.final_summary();
    table::print(
        &TOUCHES.map(|(name, _)| name),
        &CONSTRUCTORS,
        &LENGTHS,
        start,
    );
}

/// Draws the table of a page.
fn redraw(arguments: &[String]) {
    let [page, svg, ..] = arguments else {
        panic!("--plot needs a page with the table, and a file for the plot");
    };
    let text = std::fs::read_to_string(page).unwrap_or_else(|error| panic!("{page}: {error}"));
    let points = plot::parse(&text);
    assert!(!points.is_empty(), "{page} has no table of this benchmark");
    std::fs::write(svg, plot::render(&points)).unwrap_or_else(|error| panic!("{svg}: {error}"));
}

fn compare(criterion: &mut Criterion, name: &str, touch: Touch) {
    let mut group = criterion.benchmark_group(name);
    group.plot_config(PlotConfiguration::default().summary_scale(AxisScale::Logarithmic));
    let [alloc, alloc_unsafe, vec_zeroed, vec_with_capacity] = CONSTRUCTORS;
    let fill = |bytes: &mut [u8], len| bytes[..touch.bytes(len)].fill(1);
    for len in LENGTHS {
        group.throughput(Throughput::Bytes(len as u64));
        measure(&mut group, alloc, len, |len| {
            let mut buffer = Buffer::alloc(len);
            fill(&mut buffer, len);
            buffer
        });
        measure(&mut group, alloc_unsafe, len, |len| {
            let mut buffer = Buffer::alloc_unsafe(len);
            fill(&mut buffer, len);
            buffer
        });
        measure(&mut group, vec_zeroed, len, |len| {
            let mut vec = vec![0_u8; len];
            fill(&mut vec, len);
            vec
        });
        measure(&mut group, vec_with_capacity, len, |len| {
            let mut vec = Vec::with_capacity(len);
            vec.resize(touch.bytes(len), 1_u8);
            vec
        });
    }
    group.finish();
}

/// Times `make` and the drop of its result.
fn measure<B: AsRef<[u8]>>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    constructor: &str,
    len: usize,
    make: impl Fn(usize) -> B,
) {
    group.bench_with_input(BenchmarkId::new(constructor, len), &len, |bencher, &len| {
        bencher.iter(|| {
            let made = make(black_box(len));
            // Only the address is observed, so that the buffer itself stays in registers.
            black_box(made.as_ref().as_ptr());
        });
    });
}
