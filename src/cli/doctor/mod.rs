//! `enginehouse doctor [FILE]`: whether this machine has what engines need, and what to do where it has not.
//!
//! `gather` reads the machine into `facts`, with `machine`, `ports` and `wanted`; `checks` judges them, purely; `report` prints.

mod checks;
mod facts;
mod gather;
mod machine;
mod ports;
mod report;
#[cfg(test)]
mod testing;
mod wanted;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use self::report::Status;

/// What is checked.
#[derive(Debug, Args)]
pub(super) struct Ask {
    /// The configuration (YAML) that is to run here; without it, what any would need is checked
    file: Option<PathBuf>,
    /// The state directory that the gateway is served with, if `serve` is told one
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Print JSON: a list of checks with `name`, `status` (ok, warning, problem), `found` and `remedy`
    #[arg(long)]
    json: bool,
}

/// Prints what was found and what to do; fails when something is a problem.
#[must_use]
pub(super) fn run(ask: &Ask) -> ExitCode {
    let facts = gather::gather(ask.file.as_deref(), ask.state_dir.as_deref(), &|name| std::env::var(name).ok());
    let checks = checks::checks(&facts);
    let text = if ask.json { report::json(&checks) } else { report::text(&checks) };
    // A reader that went away (`| head`) is no failure.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    let has_problem = checks.iter().any(|check| check.status == Status::Problem);
    if has_problem { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
