//! All examples as programs: `--help`, wrong arguments, and an output that is closed early.

#[allow(dead_code)]
#[path = "common/example.rs"]
mod example;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use example::Ended;
use tempfile::TempDir;

/// Each example with arguments for a short run. `copy` gets its files from the test.
const EXAMPLES: [(&str, &[&str]); 10] = [
    (
        "cache",
        &["--bytes", "4M", "--value", "16K", "--ttl-ms", "1"],
    ),
    ("copy", &["source", "destination"]),
    ("echo_server", &["--seconds", "2", "--connections", "4"]),
    ("memory_map", &["--watch", "1"]),
    ("memory_usage", &["1"]),
    ("outbox", &["1000000"]),
    ("quickstart", &[]),
    ("soak", &["1"]),
    (
        "tenants",
        &[
            "--tenants",
            "20",
            "--active",
            "5",
            "--phases",
            "2",
            "--budget",
            "16M",
        ],
    ),
    ("who_holds", &[]),
];

/// Runs an example in a new directory. Asserts that the run leaves no file there.
#[track_caller]
fn run(name: &str, arguments: &[&str]) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    let mut command = example::command(name);
    let output = command.args(arguments).current_dir(&directory).output();
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0, "{name}");
    output.unwrap().into()
}

#[test]
fn the_list_of_examples_is_complete() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "rs") || path.join("main.rs").exists())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, EXAMPLES.map(|(name, _)| name));
}

#[test]
fn help_prints_the_usage() {
    for (name, _) in EXAMPLES {
        for option in ["--help", "-h"] {
            let ended = run(name, &[option]);
            assert_eq!(ended.code, Some(0), "{name} {option}: {}", ended.stderr);
            let usage = format!("Usage: {name}");
            assert!(ended.stdout.starts_with(&usage), "{}", ended.stdout);
            assert_eq!(ended.stderr, "", "{name} {option}");
        }
    }
}

#[test]
fn an_unknown_option_is_named() {
    for (name, _) in EXAMPLES {
        let ended = run(name, &["--no-such-option"]);
        assert_eq!(ended.code, Some(2), "{name}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("--no-such-option"),
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains(&format!("Usage: {name}")), "{name}");
    }
}

/// A directory with a file for `copy`.
fn directory_with_a_source() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("source"), [7; 100_000]).unwrap();
    directory
}

#[test]
fn a_closed_pipe_is_no_error() {
    for (name, arguments) in EXAMPLES {
        let directory = directory_with_a_source();
        let mut child = example::command(name)
            .args(arguments)
            .current_dir(&directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let ended: Ended = child.wait_with_output().unwrap().into();
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.stderr);
        assert_eq!(ended.stderr, "", "{name}");
    }
}
