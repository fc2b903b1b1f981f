//! `enginehouse log-level`: which lines of its log a running gateway writes.

use std::process::ExitCode;

use super::output::{ended, print, print_json};
use super::running::Running;

/// `enginehouse log-level`.
#[derive(Debug, clap::Args)]
pub(super) struct Level {
    /// error, warn, info, debug, trace, off, or a filter such as info,enginehouse::supervisor=debug; without it: show it
    level: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    running: Running,
}

/// Shows or sets it.
pub(super) fn run(Level { level, json, running }: &Level) -> ExitCode {
    ended(running.find().and_then(|found| {
        let view = match level {
            Some(level) => found.client.set_log_level(level)?,
            None => found.client.log_level()?,
        };
        if *json {
            print_json(&view);
        } else {
            print(&format!("{} (configured: {})\n", view.level, view.configured));
        }
        Ok(())
    }))
}
