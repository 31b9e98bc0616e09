//! The example `tenants` as a program: the budget holds, tasks wait, and all memory is released.

#[allow(dead_code)]
#[path = "common/example.rs"]
mod example;

use example::Ended;

fn tenants(arguments: &str) -> Ended {
    let arguments = arguments.split_whitespace();
    let output = example::command("tenants").args(arguments).output();
    output.unwrap().into()
}

/// Returns the number of a counter in the last line.
#[track_caller]
fn result(ended: &Ended, name: &str) -> u64 {
    let line = ended.stdout.lines().last().unwrap();
    let words = line.strip_prefix("result ").unwrap().split(' ');
    let mut pairs = words.filter_map(|word| word.split_once('='));
    let found = pairs.find(|(other, _)| *other == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {line}"))
        .1
        .parse()
        .unwrap()
}

/// 10 x 8 tasks that hold up to 1 MiB each do not fit into 16 MiB.
#[test]
fn tasks_wait_for_the_budget_and_all_are_served() {
    let ended = tenants("--tenants 40 --active 10 --phases 6 --tasks 8 --requests 5 --budget 16M");
    ended.assert_success();
    assert_eq!(result(&ended, "allocations"), 6 * 10 * 8 * 5);
    assert!(result(&ended, "waits") > 0);
    assert!(result(&ended, "peak") <= 16 << 20);
    assert!(result(&ended, "peak") > 8 << 20);
    for name in ["refused", "mapped_at_end", "wrong"] {
        assert_eq!(result(&ended, name), 0, "{name}");
    }
    // Tenants 0 to 19 are active twice, the others once.
    assert!(
        ended
            .stdout
            .contains("allocations per tenant: 40 to 80, mean 60.0")
    );
}

#[test]
fn a_thousand_tenants_stay_within_their_budget() {
    let ended = tenants("--phases 3 --requests 2 --longest 128K --budget 32M");
    ended.assert_success();
    assert_eq!(result(&ended, "tenants"), 1000);
    assert!(result(&ended, "peak") <= 32 << 20);
    assert_eq!(result(&ended, "mapped_at_end"), 0);
}

#[test]
fn wrong_arguments_are_named_with_their_bounds() {
    for (arguments, says) in [
        ("--tenants 0", "--tenants 0: not a number from 1 to 20000"),
        ("--budget much", "--budget much"),
        ("--tenants 5 --active 6", "--active 6: at most --tenants, 5"),
        (
            "--longest 5M",
            "--longest 5242880: at most half of --limit 8388608",
        ),
        (
            "--budget 1M",
            "limit must not be above the budget of 1048576 bytes",
        ),
        ("--verbose", "--verbose"),
        ("word", "word"),
    ] {
        let ended = tenants(arguments);
        assert_ne!(ended.code, Some(0), "{arguments}");
        assert!(ended.stderr.contains(says), "{arguments}: {}", ended.stderr);
    }
}
