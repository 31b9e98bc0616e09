//! What zeroing costs, and where it costs nothing: `alloc` beside `alloc_unsafe`, and the same for `Vec`.
//!
//! `cargo bench --bench alloc_vs_alloc_unsafe` measures, draws plots in `target/criterion`, and prints the medians
//! as two tables.

mod table;

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use criterion::measurement::WallTime;
use criterion::{AxisScale, BenchmarkGroup, BenchmarkId, Criterion, PlotConfiguration, Throughput};
use slabuf::Buffer;

/// 16 B to 64 MiB, both sides of a slab's 8 KiB among them.
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

/// How much of a buffer is written before it is dropped. The names are those of criterion's groups.
const TOUCHES: [(&str, Touch); 2] = [("one_byte", Touch::OneByte), ("all_bytes", Touch::AllBytes)];

#[derive(Clone, Copy)]
enum Touch {
    OneByte,
    AllBytes,
}

impl Touch {
    /// How many of `len` bytes are written.
    fn bytes(self, len: usize) -> usize {
        match self {
            Touch::OneByte => 1,
            Touch::AllBytes => len,
        }
    }
}

fn main() {
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

/// Times `make` together with the drop of what it makes.
fn measure<B: AsRef<[u8]>>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    constructor: &str,
    len: usize,
    make: impl Fn(usize) -> B,
) {
    group.bench_with_input(BenchmarkId::new(constructor, len), &len, |bencher, &len| {
        bencher.iter(|| {
            let made = make(black_box(len));
            // The address is all that need be seen of it: the buffer itself stays in registers.
            black_box(made.as_ref().as_ptr());
        });
    });
}
