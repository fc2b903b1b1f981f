//! vllm-cli's files: proxy configurations, profiles, shortcuts and settings.
//!
//! What each file is (`found`) → profiles (`profiles`), models (`model`, `overrides`) with their ports (`engine_ports`) and
//! the gateway (`convert`, `gateway`).

mod convert;
mod engine_ports;
mod found;
mod gateway;
mod model;
mod overrides;
mod profiles;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::process::ExitCode;

use self::convert::convert;
use super::input::{File, read_all};
use super::report::{finish, nothing};

/// What is imported from vllm-cli.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct VllmCli {
    /// Files of vllm-cli; `-`: standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
}

/// Imports it.
pub(super) fn run(args: &VllmCli, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    match read_all(&args.files) {
        Ok(files) => import(files, out, err),
        Err(errors) => nothing(&errors, err),
    }
}

fn import(files: Vec<File>, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let count = files.len();
    match convert(files) {
        Ok(outcome) => finish("vllm-cli", count, &outcome, out, err),
        Err(errors) => nothing(&errors, err),
    }
}
