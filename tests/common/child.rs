//! Tests that need a process to themselves: the test binary starts itself again.

use std::env;
use std::fs;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

const CHILD: &str = "SLABUF_TEST_CHILD";
const FIGURE: &str = "figure: ";

/// Whether this process was started by [`run`] for `test`.
pub(crate) fn is_child(test: &str) -> bool {
    env::var_os(CHILD).is_some_and(|name| name == *test)
}

/// Runs the test function called `test` alone in a new process, where [`is_child`] holds.
/// Children run one at a time.
pub(crate) fn run(test: &str) -> Output {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let output = Command::new(env::current_exe().expect("the test binary has a path"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, test)
        .output()
        .expect("the test binary starts");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        stdout.contains("running 1 test"),
        "no test is called {test}: {stdout}"
    );
    output
}

/// Runs `scenario` in a process of its own, so that process-wide figures belong to it alone.
///
/// `test` is the name of the calling test function.
pub(crate) fn isolated(test: &str, scenario: impl FnOnce()) {
    if is_child(test) {
        scenario();
        return;
    }
    let output = run(test);
    let stdout = String::from_utf8_lossy(&output.stdout);
    for (_, figure) in stdout.lines().filter_map(|line| line.split_once(FIGURE)) {
        println!("{test}: {figure}");
    }
    assert!(
        output.status.success(),
        "{test} in its own process: {}\n{stdout}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Prints a measured figure where the parent process passes it on.
pub(crate) fn figure(text: &str) {
    println!("{FIGURE}{text}");
}

/// The resident bytes of this process as the kernel counts them, if it says.
pub(crate) fn resident() -> Option<usize> {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let line = rollup.lines().find(|line| line.starts_with("Rss:"))?;
    let kib: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * super::KIB)
}

/// Like [`isolated`], but only where the kernel tells the resident size and has `needed` bytes to spare;
/// elsewhere it prints why the scenario is left out. The scenario gets the resident bytes at its start.
pub(crate) fn isolated_on_memory(test: &str, needed: usize, scenario: impl FnOnce(usize)) {
    let available = slabuf::system::available_memory().unwrap_or(0);
    if available < needed as u64 {
        println!("{test}: left out, {needed} bytes needed, {available} available");
        return;
    }
    if resident().is_none() {
        println!("{test}: left out, /proc/self/smaps_rollup tells no resident size");
        return;
    }
    isolated(test, || scenario(resident().expect("it was told before")));
}

/// Resident bytes now, less those at the start.
pub(crate) fn resident_above(start: usize) -> usize {
    resident()
        .expect("it was told before")
        .saturating_sub(start)
}
