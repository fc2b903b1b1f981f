//! LiteLLM's proxy configuration.
//!
//! Entries of `model_list` to engines (`provider`, `deployment`) → entries of one name to models (`group`) → aliases with
//! fallbacks (`fallbacks`) and the gateway (`settings`), all of it by `convert`.

mod convert;
mod deployment;
mod fallbacks;
mod group;
mod provider;
mod settings;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::process::ExitCode;

use self::convert::convert;
use super::input::{File, read_all};
use super::report::{finish, nothing};

/// What is imported from LiteLLM.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct LiteLlm {
    /// Configurations of LiteLLM's proxy, with the files that they include; `-`: standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
}

/// Imports it.
pub(super) fn run(args: &LiteLlm, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    match read_all(&args.files) {
        Ok(files) => import(files, out, err),
        Err(errors) => nothing(&errors, err),
    }
}

fn import(files: Vec<File>, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let count = files.len();
    finish("litellm", count, &convert(files), out, err)
}
