//! Runs another program while the system refuses `membarrier`: `without_membarrier EPERM PROGRAM
//! ARGUMENT...`.
//!
//! `.ci/run membarrier` makes it the runner of all other tests. Started without arguments, as
//! `cargo test` does, it tests itself: a program that it runs gets the error it was to get.

#[cfg(target_os = "linux")]
#[allow(
    dead_code,
    reason = "the filter that ends the process belongs to another test"
)]
#[path = "common/seccomp.rs"]
mod seccomp;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("left out: this system has no membarrier");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::OsString;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, ExitCode};

    use super::seccomp::{Filter, call_membarrier};

    const ERRORS: [(&str, i32); 2] = [("EPERM", libc::EPERM), ("ENOSYS", libc::ENOSYS)];
    /// Instead of a program: prints the error that `membarrier` gives.
    const PROBE: &str = "--probe";

    pub(super) fn main() -> ExitCode {
        let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        let error = arguments.first().and_then(|name| {
            let known = ERRORS.iter().find(|(known, _)| *name == *known);
            known.map(|(_, error)| *error)
        });
        match (error, arguments.get(1)) {
            (Some(error), Some(program)) => run(error, program, &arguments[2..]),
            _ if arguments.first().is_some_and(|first| first == PROBE) => {
                let error = call_membarrier().err();
                println!(
                    "{}",
                    error.and_then(|error| error.raw_os_error()).unwrap_or(0)
                );
                ExitCode::SUCCESS
            }
            // The options of the test harness.
            _ => test_itself(),
        }
    }

    fn run(error: i32, program: &OsString, arguments: &[OsString]) -> ExitCode {
        if let Err(refused) = Filter::Refuse(error).install() {
            eprintln!("no filter: {refused}");
            return ExitCode::FAILURE;
        }
        let failed = Command::new(program).args(arguments).exec();
        eprintln!("{}: {failed}", program.display());
        ExitCode::FAILURE
    }

    fn test_itself() -> ExitCode {
        let this = std::env::current_exe().expect("the program has a path");
        for (name, error) in ERRORS {
            let probe = Command::new(&this).arg(name).arg(&this).arg(PROBE).output();
            let printed = probe.expect("the program starts").stdout;
            let printed = String::from_utf8_lossy(&printed);
            if printed.trim() != error.to_string() {
                eprintln!("{name} is {error}, and the program got {printed}");
                return ExitCode::FAILURE;
            }
        }
        ExitCode::SUCCESS
    }
}
