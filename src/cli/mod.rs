//! The command line: one file per subcommand.

pub mod check;
pub mod schema;

use std::process::ExitCode;

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
