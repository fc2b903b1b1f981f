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

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use self::report::Status;
use super::config_arg::{ConfigArg, files};
use super::output::{fail, print};
use crate::app::Source;
use crate::config::Setting;

/// What is checked.
#[derive(Debug, Args)]
pub(super) struct Ask {
    /// The configuration that is to run here: files (a slash, or ending in .yaml), or names of saved configurations; without it,
    /// what any would need is checked
    #[arg(value_name = "FILE|NAME")]
    configurations: Vec<ConfigArg>,
    /// Set one key to a value (YAML), whatever the files say: --set listen=127.0.0.1:9000; can be given several times
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "configurations")]
    settings: Vec<Setting>,
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
    let source = match files(&ask.configurations) {
        Ok(files) if files.is_empty() => None,
        Ok(files) => Some(Source::new(&files, ask.settings.clone(), ask.state_dir.clone())),
        Err(why) => return fail(&why),
    };
    let facts = gather::gather(source.as_ref(), ask.state_dir.as_deref(), &|name| std::env::var(name).ok());
    let checks = checks::checks(&facts);
    print(&if ask.json { report::json(&checks) } else { report::text(&checks) });
    let has_problem = checks.iter().any(|check| check.status == Status::Problem);
    if has_problem { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
