//! The example `cache` as a program: growth of the heap, the bound, the limit, expiry, and leaks.

#[path = "common/example.rs"]
mod example;

use example::Ended;

fn cache(arguments: &[&str]) -> Ended {
    let output = example::command("cache").args(arguments).output();
    output.unwrap().into()
}

/// Returns the last row called `step`: rss, heapTotal, heapUsed, external, arrayBuffers, in MiB.
#[track_caller]
fn row(ended: &Ended, step: &str) -> [f64; 5] {
    let values = |line: &str| -> Option<[f64; 5]> {
        let behind = line.trim_start().strip_prefix(step)?;
        let values = behind.split_whitespace().map(|value| value.parse().ok());
        values.collect::<Option<Vec<_>>>()?.try_into().ok()
    };
    let found = ended.stdout.lines().rev().find_map(values);
    found.unwrap_or_else(|| panic!("no row {step:?} in:\n{}", ended.stdout))
}

#[test]
fn values_are_off_the_heap_and_their_memory_comes_back() {
    for (value, count) in [("8K", 8192), ("64K", 1024)] {
        let ended = cache(&["--bytes", "64M", "--value", value, "--ttl-ms", "100"]);
        ended.assert_success();
        let [.., external, array_buffers] = row(&ended, &format!("{count} values"));
        assert!((64.0..70.0).contains(&external), "{external}");
        assert_eq!(array_buffers, 64.0);
        // About 200 bytes of heap per value of 8 KiB.
        assert!(ended.number("heap growth per cached GiB:") < 32.0);

        let [.., external, array_buffers] = row(&ended, "trim()");
        assert!(external < 20.0, "a quarter of the bound, {external} MiB");
        assert!(
            array_buffers <= 17.0,
            "a quarter of the bound, {array_buffers} MiB"
        );

        assert!(ended.number("peak external:") <= ended.number("limit:"));
        assert!(ended.number("refused, then evicted:") > 0.0);

        let [.., external, _] = row(&ended, "sweep(), trim()");
        // One view is still live and keeps its mapping, or the region of its slot.
        assert!((0.05..2.5).contains(&external), "{external} MiB");
        let [.., external, array_buffers] = row(&ended, "at the end");
        assert_eq!((external, array_buffers), (0.0, 0.0));
    }
}

#[test]
fn bad_arguments_are_named_with_what_is_allowed() {
    let cases: [(&[&str], &str); 5] = [
        (&["--bytes", "1M", "--value", "64K"], "1 to 16384 bytes"),
        (&["--value", "0"], "--value 0"),
        (&["--bytes", "much"], "--bytes much"),
        (&["--ttl-ms", "soon"], "--ttl-ms soon"),
        (&["more"], "more"),
    ];
    for (arguments, part) in cases {
        let ended = cache(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(part), "{part:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("Usage: cache"));
    }
}
