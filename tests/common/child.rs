//! Tests that need a separate process: the test binary starts itself again.

use std::env;
use std::fs;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

const CHILD: &str = "SLABUF_TEST_CHILD";
const REPORT: &str = "report: ";

/// Returns whether [`run`] started this process for `test`.
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

/// Runs `scenario` in a separate process, so that process-wide counters are its own.
///
/// `test` is the name of the calling test function.
pub(crate) fn isolated(test: &str, scenario: impl FnOnce()) {
    if is_child(test) {
        scenario();
        return;
    }
    let output = run(test);
    let stdout = String::from_utf8_lossy(&output.stdout);
    for (_, report) in stdout.lines().filter_map(|line| line.split_once(REPORT)) {
        println!("{test}: {report}");
    }
    assert!(
        output.status.success(),
        "{test} in its own process: {}\n{stdout}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Prints a measured value for the parent process, which prints it again.
pub(crate) fn report(text: &str) {
    println!("{REPORT}{text}");
}

/// Returns the resident bytes of this process, if the kernel reports them.
pub(crate) fn resident() -> Option<usize> {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let line = rollup.lines().find(|line| line.starts_with("Rss:"))?;
    let kib: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * super::KIB)
}

/// Like [`isolated`], but only if the kernel reports the resident size and `needed` bytes are
/// available; otherwise prints why the scenario is skipped. Passes the resident bytes at the start
/// to the scenario.
pub(crate) fn isolated_on_memory(test: &str, needed: usize, scenario: impl FnOnce(usize)) {
    let available = slabuf::system::available_memory().unwrap_or(0);
    if available < needed as u64 {
        println!("{test}: left out, {needed} bytes needed, {available} available");
        return;
    }
    if resident().is_none() {
        println!("{test}: left out, /proc/self/smaps_rollup reports no resident size");
        return;
    }
    isolated(test, || {
        scenario(resident().expect("the kernel reported it before"))
    });
}

/// Returns the resident bytes minus those at the start.
pub(crate) fn resident_above(start: usize) -> usize {
    resident()
        .expect("the kernel reported it before")
        .saturating_sub(start)
}
