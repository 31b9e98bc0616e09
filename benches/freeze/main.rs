//! The cost of `freeze` and splitting, compared with `BytesMut` and `Bytes::from(Vec)`.
//!
//! `cargo bench --bench freeze`. Times are the thread's own processor time.

#[path = "../support/cpu_time.rs"]
mod cpu_time;

use std::hint::black_box;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BatchSize, BenchmarkId, Throughput};
use slabuf::Buffer;

const KIB: usize = 1 << 10;
/// Number of frames per buffer.
const FRAMES: usize = 16;

type Criterion = criterion::Criterion<CpuTime>;

struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        cpu_time::now()
    }

    fn end(&self, start: Duration) -> Duration {
        cpu_time::now() - start
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

fn main() {
    let mut criterion = criterion::Criterion::default()
        .with_measurement(CpuTime)
        .sample_size(30)
        .nresamples(10_000)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(800))
        .configure_from_args();
    freeze(&mut criterion);
    life(&mut criterion);
    slice(&mut criterion);
    split(&mut criterion);
    criterion.final_summary();
}

/// Times the call alone: its argument is created before the clock starts, its result dropped after
/// the clock stops.
fn freeze(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("freeze");
    let source = vec![7; 1000];
    // `BytesMut` and `Vec` with spare capacity allocate a box; full ones allocate none until they
    // are cloned.
    let roomy = || {
        let mut vec = Vec::with_capacity(1024);
        vec.extend_from_slice(&source);
        vec
    };
    group.bench_function("Buffer", |bencher| {
        let make = || Buffer::copy_from_slice(&source);
        bencher.iter_batched(make, Buffer::freeze, BatchSize::SmallInput);
    });
    group.bench_function("BytesMut, full", |bencher| {
        let make = || BytesMut::from(&source[..]);
        bencher.iter_batched(make, BytesMut::freeze, BatchSize::SmallInput);
    });
    group.bench_function("BytesMut, room to spare", |bencher| {
        let make = || {
            let mut bytes = BytesMut::with_capacity(1024);
            bytes.extend_from_slice(&source);
            bytes
        };
        bencher.iter_batched(make, BytesMut::freeze, BatchSize::SmallInput);
    });
    group.bench_function("Vec, full", |bencher| {
        bencher.iter_batched(|| source.clone(), Bytes::from, BatchSize::SmallInput);
    });
    group.bench_function("Vec, room to spare", |bencher| {
        bencher.iter_batched(roomy, Bytes::from, BatchSize::SmallInput);
    });
    group.finish();
}

/// Times a copy, its freezing, one clone and both drops.
fn life(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("life");
    for len in [64, 1000, 4000, 64 * KIB] {
        let source = vec![7; len];
        let mut measure = |name: &str, make: &dyn Fn(&[u8]) -> Bytes| {
            group.bench_function(BenchmarkId::new(name, len), |bencher| {
                bencher.iter(|| {
                    let bytes = make(black_box(&source));
                    drop(black_box(bytes.clone()));
                    black_box(bytes.as_ptr());
                });
            });
        };
        measure("Buffer", &|source| Buffer::copy_from_slice(source).freeze());
        measure("BytesMut", &|source| BytesMut::from(source).freeze());
        measure("Vec", &|source| Bytes::from(source.to_vec()));
    }
    group.finish();
}

/// Times one more view of frozen bytes, and its drop.
fn slice(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("slice");
    let len = 1024 * KIB;
    let frozen = [
        ("Buffer", Buffer::alloc(len).freeze()),
        ("BytesMut", BytesMut::zeroed(len).freeze()),
        ("Vec", Bytes::from(vec![0; len])),
    ];
    for (name, frozen) in frozen {
        // The first clone of a vector's bytes allocates the counter.
        drop(frozen.clone());
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(&frozen).slice(black_box(1000..2000)));
        });
    }
    group.finish();
}

/// Times a read buffer, sixteen frames of `len` bytes taken from it as `Bytes`, and all drops.
fn split(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("split");
    for len in [64, KIB, 4 * KIB, 16 * KIB] {
        group.throughput(Throughput::Elements(FRAMES as u64));
        let mut measure = |name: &str, run: &dyn Fn(usize) -> [Bytes; FRAMES]| {
            group.bench_function(BenchmarkId::new(name, len), |bencher| {
                bencher.iter(|| run(black_box(len)));
            });
        };
        measure("freeze, then Bytes::split_to", &|len| {
            let mut whole = Buffer::alloc_unsafe(FRAMES * len).freeze();
            [(); FRAMES].map(|()| whole.split_to(len))
        });
        measure("Buffer::split_to, then freeze", &|len| {
            let mut rest = Buffer::alloc_unsafe(FRAMES * len);
            [(); FRAMES].map(|()| rest.split_to(len).freeze())
        });
        measure("a copy, then freeze", &|len| {
            let whole = Buffer::alloc_unsafe(FRAMES * len);
            let mut frames = whole.chunks(len);
            [(); FRAMES].map(|()| Buffer::copy_from_slice(frames.next().unwrap_or(&[])).freeze())
        });
        measure("BytesMut::split_to, then freeze", &|len| {
            let mut rest = BytesMut::with_capacity(FRAMES * len);
            // SAFETY: the bytes are written before they are read: only the length matters here, and
            // no code reads them.
            unsafe { rest.set_len(FRAMES * len) };
            [(); FRAMES].map(|()| rest.split_to(len).freeze())
        });
    }
    group.finish();
}
