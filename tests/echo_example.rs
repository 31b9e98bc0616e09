//! The example `echo_server` with few connections: every byte is echoed and memory stays below the
//! limit, also if connections wait for memory and if clients that never read hold all of it.

use std::collections::HashMap;
use std::env;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Returns the path of the example, which Cargo builds before the tests.
fn example() -> PathBuf {
    let test = env::current_exe().expect("the test has a path");
    let profile = test.ancestors().nth(2).expect("target/profile/deps/test");
    let name = format!("echo_server{}", env::consts::EXE_SUFFIX);
    profile.join("examples").join(name)
}

fn run(args: &str) -> Output {
    let example = example();
    assert!(
        example.exists(),
        "{} is not built: cargo build --example echo_server",
        example.display()
    );
    let output = Command::new(example).args(args.split_whitespace()).output();
    output.expect("the example starts")
}

/// Runs the example, asserts success, and returns the numbers of its last line.
fn report(args: &str) -> HashMap<String, f64> {
    let output = run(args);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{args}: {}\n{stdout}\n{stderr}",
        output.status
    );
    let line = stdout.lines().last().expect("it prints a report");
    let words = line.strip_prefix("result ").expect("the last line is it");
    let pairs = words.split(' ').filter_map(|word| word.split_once('='));
    let number = |text: &str| text.parse().expect("a number");
    pairs
        .map(|(name, text)| (name.to_owned(), number(text)))
        .collect()
}

fn assert_served(numbers: &HashMap<String, f64>, done: f64, requests: f64) {
    for (name, expected) in [
        ("done", done),
        ("requests", requests),
        ("dropped", 0.0),
        ("wrong", 0.0),
    ] {
        assert_eq!(numbers[name], expected, "{name}: {numbers:?}");
    }
    assert!(numbers["peak_external"] <= numbers["limit"], "{numbers:?}");
}

/// 50 buffers of 64 KiB would exceed the limit: 3.2 MB.
#[test]
fn serves_every_connection_below_its_limit() {
    let numbers =
        report("--connections 50 --requests 40 --seconds 120 --limit 262144 --message 20000");
    assert_served(&numbers, 50.0, 2000.0);
    assert!(numbers["peak_external"] >= 65536.0, "{numbers:?}");
}

#[test]
fn connections_wait_for_memory_and_all_get_it() {
    let numbers = report("--scarce --connections 30 --requests 4 --seconds 120 --limit 262144");
    assert_served(&numbers, 30.0, 120.0);
    assert!(numbers["waits"] > 0.0, "{numbers:?}");
}

/// The limit allows four buffers; twelve clients would each hold one for ever.
#[test]
fn clients_that_never_read_are_cut_off_and_the_others_served() {
    let numbers = report(
        "--connections 32 --stuck 12 --requests 20 --seconds 120 --limit 262144 --write-timeout 100",
    );
    assert_served(&numbers, 20.0, 400.0);
    assert_eq!(numbers["cut"], 12.0, "{numbers:?}");
    assert!(numbers["waits"] > 0.0, "{numbers:?}");
}

/// The limit allows four buffers; twenty idle connections would each hold one.
#[test]
fn idle_connections_hold_no_memory() {
    let numbers = report("--connections 30 --idle 20 --requests 20 --seconds 120 --limit 262144");
    assert_served(&numbers, 10.0, 200.0);
    assert_eq!(numbers["connections"], 30.0, "{numbers:?}");
}

#[test]
fn bytes_mut_serves_the_same() {
    let numbers = report("--bytes-mut --connections 20 --requests 20 --seconds 120");
    assert_eq!(numbers["done"], 20.0, "{numbers:?}");
    assert_eq!(numbers["requests"], 400.0, "{numbers:?}");
}

#[test]
fn wrong_arguments_are_named_with_their_bounds() {
    for (args, says) in [
        (
            "--connections 0",
            "--connections 0: not a number from 1 to 20000",
        ),
        ("--seconds 601", "--seconds 601: not a number from 1 to 600"),
        ("--message x", "--message x: not a number from 1 to 1048576"),
        (
            "--connections 5 --stuck 6",
            "--stuck 6 and --idle 0: together at most --connections, 5",
        ),
        (
            "--pause 3000",
            "--pause 3000: at most half of --write-timeout, 2500",
        ),
        ("--limit 1000", "1000"),
        (
            "--limit 65536 --read 65537",
            "--read 65537 under --limit 65536",
        ),
        ("--verbose", "--verbose"),
        ("word", "word"),
    ] {
        let output = run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{args}");
        assert!(stderr.contains(says), "{args}: {stderr}");
    }
}
