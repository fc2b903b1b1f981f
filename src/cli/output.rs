//! What every subcommand says when it fails.

use std::io::Write;
use std::process::ExitCode;

/// Prints `text` to standard error and returns the exit code of a failure.
pub(super) fn fail(text: &str) -> ExitCode {
    // Where nobody reads it, there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
    ExitCode::FAILURE
}
