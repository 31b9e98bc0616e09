//! Runs examples as programs and reads their output.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Returns a command that runs the example. `cargo test` builds it in a directory beside the
/// tests'.
pub(crate) fn command(name: &str) -> Command {
    let test = env::current_exe().expect("the test binary has a path");
    let profile = test.ancestors().nth(2).expect("target/debug/deps/test");
    let path: PathBuf = [
        profile.as_os_str(),
        OsStr::new("examples"),
        OsStr::new(name),
    ]
    .iter()
    .collect();
    assert!(
        path.exists(),
        "there is no {}: build it with `cargo build --example {name}`",
        path.display()
    );
    Command::new(path)
}

/// The output and the exit code of a program.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn assert_success(&self) {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
    }

    /// Returns the first number behind `name` in the output.
    #[track_caller]
    pub(crate) fn number(&self, name: &str) -> f64 {
        let behind = self.stdout.split_once(name).map(|(_, behind)| behind);
        let number = behind.and_then(|text| text.split_whitespace().next());
        number
            .and_then(|number| number.parse().ok())
            .unwrap_or_else(|| panic!("no number behind {name:?} in:\n{}", self.stdout))
    }
}
