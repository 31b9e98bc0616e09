//! `metrics`, with the recorder that `metrics-util` has for debugging.

mod common;

use std::collections::BTreeMap;

use common::{MIB, fresh_pool};
use metrics::Unit;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use slabuf::{Budget, Pool, metrics as ours};
use std::time::Duration;

/// The recorded values by name and labels, `name{key=value,..}`.
type Heard = BTreeMap<String, (Option<Unit>, DebugValue)>;

fn heard(step: impl FnOnce()) -> Heard {
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, step);
    let all = recorder.snapshotter().snapshot().into_vec();
    let entries = all.into_iter().map(|(key, unit, _, value)| {
        let (_, key) = key.into_parts();
        let labels: Vec<_> = key
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        (
            format!("{}{{{}}}", key.name(), labels.join(",")),
            (unit, value),
        )
    });
    entries.collect()
}

fn gauge(heard: &Heard, key: &str) -> f64 {
    match heard.get(key) {
        Some((_, DebugValue::Gauge(value))) => value.into_inner(),
        other => panic!("{key} is {other:?} in {heard:?}"),
    }
}

fn counter(heard: &Heard, key: &str) -> u64 {
    match heard.get(key) {
        Some((_, DebugValue::Counter(value))) => *value,
        other => panic!("{key} is {other:?} in {heard:?}"),
    }
}

#[test]
fn a_pool_is_recorded_under_its_name_with_its_counters() {
    let pool = fresh_pool();
    let (small, large) = (pool.alloc(100), pool.alloc(MIB));
    let heard = heard(|| ours::record_pool(&pool, "uploads"));
    let usage = pool.usage();
    let counters = [
        ("external_bytes", usage.external),
        ("array_buffers_bytes", usage.array_buffers),
        ("in_use_bytes", usage.in_use),
        ("cached_bytes", usage.cached),
        ("large_live_bytes", usage.large_live),
        ("large_cached_bytes", usage.large_cached),
        ("external_peak_bytes", usage.external_peak),
        ("waiters", usage.waiters),
    ];
    for (name, value) in counters {
        let key = format!("slabuf_{name}{{pool=uploads}}");
        assert_eq!(gauge(&heard, &key), value as f64, "{name}");
    }
    for (state, slabs) in [
        ("empty", usage.slabs_empty),
        ("partial", usage.slabs_partial),
        ("full", usage.slabs_full),
    ] {
        let key = format!("slabuf_slabs{{pool=uploads,state={state}}}");
        assert_eq!(gauge(&heard, &key), slabs as f64, "{state}");
    }
    assert!(usage.in_use > MIB as u64 && usage.array_buffers > usage.large_live);
    assert_eq!(
        heard.len(),
        15,
        "nothing but what the table names: {heard:?}"
    );
    drop((small, large));
}

#[test]
fn failed_requests_are_counted_by_pool_and_by_budget() {
    let budget = Budget::new(MIB);
    let pool = Pool::builder().budget(&budget).build().unwrap();
    let held = pool.alloc(MIB / 2);
    assert!(pool.try_alloc(MIB).is_err());
    assert!(pool.alloc_timeout(MIB - 1, Duration::ZERO).is_err());
    let heard = heard(|| {
        ours::record_pool(&pool, "p");
        ours::record_budget(&budget, "b");
    });
    for name in ["refused", "timed_out"] {
        assert_eq!(
            counter(&heard, &format!("slabuf_{name}_total{{pool=p}}")),
            1
        );
        assert_eq!(
            counter(&heard, &format!("slabuf_budget_{name}_total{{budget=b}}")),
            1
        );
    }
    let usage = budget.usage();
    let gauges = [
        ("limit_bytes", usage.limit),
        ("mapped_bytes", usage.mapped),
        ("peak_bytes", usage.peak),
        ("pools", 1),
        ("waiters", 0),
    ];
    for (name, value) in gauges {
        let key = format!("slabuf_budget_{name}{{budget=b}}");
        assert_eq!(gauge(&heard, &key), value as f64, "{name}");
    }
    assert_eq!(heard.len(), 15 + 7);
    drop(held);
}

#[test]
fn counters_rise_by_what_is_mapped_and_unmapped() {
    let pool = Pool::builder().cache_limit(0).build().unwrap();
    let read = || {
        let heard = heard(|| ours::record_pool(&pool, "p"));
        let counter = |name| counter(&heard, &format!("slabuf_{name}_bytes_total{{pool=p}}"));
        (counter("mapped"), counter("unmapped"))
    };
    assert_eq!(read(), (0, 0));
    let buffer = pool.alloc(MIB);
    assert_eq!(read(), (MIB as u64, 0));
    drop(buffer);
    assert_eq!(read(), (MIB as u64, MIB as u64));
    let mut buffer = pool.alloc(MIB);
    buffer.grow(4 * MIB);
    let (mapped, unmapped) = read();
    assert_eq!(mapped - unmapped, pool.usage().external);
    assert!(mapped >= 5 * MIB as u64);
}

#[test]
fn two_pools_are_two_series() {
    let (a, b) = (fresh_pool(), fresh_pool());
    let _large = a.alloc(MIB);
    let heard = heard(|| {
        ours::record_pool(&a, "a");
        ours::record_pool(&b, String::from("b"));
    });
    assert_eq!(gauge(&heard, "slabuf_large_live_bytes{pool=a}"), MIB as f64);
    assert_eq!(gauge(&heard, "slabuf_large_live_bytes{pool=b}"), 0.0);
}

#[test]
fn the_process_is_recorded_with_its_counters() {
    let pool = fresh_pool();
    let _large = pool.alloc(MIB);
    let heard = heard(|| {
        ours::describe();
        ours::record_process();
    });
    for name in [
        "rss",
        "heap_total",
        "heap_used",
        "external",
        "array_buffers",
    ] {
        let key = format!("slabuf_process_{name}_bytes{{}}");
        assert_eq!(heard[&key].0, Some(Unit::Bytes), "{name}");
        assert!(gauge(&heard, &key) >= 0.0);
    }
    assert!(gauge(&heard, "slabuf_process_external_bytes{}") >= MIB as f64);
    let array_buffers = gauge(&heard, "slabuf_process_array_buffers_bytes{}");
    assert!(array_buffers >= MIB as f64);
    assert!(!cfg!(target_os = "linux") || gauge(&heard, "slabuf_process_rss_bytes{}") > 0.0);
}

#[test]
fn every_name_is_described_and_in_the_table() {
    let table = include_str!("../src/interop/metrics.rs");
    let pool = fresh_pool();
    let heard = heard(|| {
        ours::describe();
        ours::record_pool(&pool, "p");
        ours::record_budget(&Budget::new(MIB), "b");
        ours::record_process();
    });
    assert_eq!(heard.len(), 15 + 7 + 5, "{heard:?}");
    for (key, (unit, _)) in &heard {
        let name = key.split('{').next().unwrap();
        let unit = unit.expect(name);
        assert_eq!(name.contains("_bytes"), unit == Unit::Bytes, "{name}");
        assert!(table.contains(&format!("//! | `{name}` |")), "{name}");
    }
}

#[test]
fn a_recorder_may_use_the_pool_it_hears_of() {
    struct Allocating(Pool);
    impl metrics::CounterFn for Allocating {
        fn increment(&self, _: u64) {}
        fn absolute(&self, value: u64) {
            assert_eq!(self.0.alloc(100_000).len(), 100_000);
            assert!(self.0.usage().external >= value.min(1));
        }
    }
    struct Recorder(Pool);
    impl metrics::Recorder for Recorder {
        fn describe_counter(&self, _: metrics::KeyName, _: Option<Unit>, _: metrics::SharedString) {
        }
        fn describe_gauge(&self, _: metrics::KeyName, _: Option<Unit>, _: metrics::SharedString) {}
        fn describe_histogram(
            &self,
            _: metrics::KeyName,
            _: Option<Unit>,
            _: metrics::SharedString,
        ) {
        }
        fn register_counter(
            &self,
            _: &metrics::Key,
            _: &metrics::Metadata<'_>,
        ) -> metrics::Counter {
            metrics::Counter::from_arc(std::sync::Arc::new(Allocating(self.0.clone())))
        }
        fn register_gauge(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
            drop(self.0.alloc(10));
            metrics::Gauge::noop()
        }
        fn register_histogram(
            &self,
            _: &metrics::Key,
            _: &metrics::Metadata<'_>,
        ) -> metrics::Histogram {
            metrics::Histogram::noop()
        }
    }
    let pool = fresh_pool();
    let recorder = Recorder(pool.clone());
    metrics::with_local_recorder(&recorder, || ours::record_pool(&pool, "p"));
    assert!(pool.usage().external > 0, "the recorder was called");
}
