//! What all examples have in common: `--help`, errors in the arguments, and the exit code.

#![allow(dead_code, reason = "each example uses some of these functions")]

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// Parses the arguments, runs the example and returns its exit code: 2 for wrong arguments, 1 for
/// an error of `run`, else what `run` returns. `parse` returns `None` if the user asks for help.
///
/// A closed pipe (`| head`) ends an example without an error.
pub(crate) fn main<O>(
    usage: &str,
    parse: impl FnOnce(Vec<OsString>) -> Result<Option<O>, String>,
    run: impl FnOnce(O) -> Result<ExitCode, Box<dyn Error>>,
) -> ExitCode {
    let outcome = match parse(std::env::args_os().skip(1).collect()) {
        Ok(Some(options)) => run(options),
        Ok(None) => writeln!(io::stdout(), "{}", usage.trim_end())
            .map(|()| ExitCode::SUCCESS)
            .map_err(Into::into),
        Err(message) => {
            eprintln!("error: {message}\n\n{usage}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(code) => code,
        Err(error) if is_closed_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether the error says that the reader of the output has closed its end.
pub(crate) fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Parses the arguments of an example that takes at most one, which is not an option. Returns it as
/// text, or `Ok(None)` if the user asks for help.
pub(crate) fn at_most_one(arguments: Vec<OsString>) -> Result<Option<Option<String>>, String> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut found = None;
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(None),
            lexopt::Arg::Value(text) if found.is_none() => {
                found = Some(text.to_string_lossy().into_owned());
            }
            unknown => return Err(unknown.unexpected().to_string()),
        }
    }
    Ok(Some(found))
}

/// Parses the arguments of an example that takes none.
pub(crate) fn none(arguments: Vec<OsString>) -> Result<Option<()>, String> {
    match at_most_one(arguments)? {
        Some(Some(extra)) => Err(format!("unexpected argument {extra:?}")),
        Some(None) => Ok(Some(())),
        None => Ok(None),
    }
}
