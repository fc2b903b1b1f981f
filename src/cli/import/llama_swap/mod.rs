//! llama-swap's configuration.
//!
//! Macros to what they stand for (`macros`) → each model's command (`command`, `docker`, `other`) → models with their filters
//! (`model`, `filters`), when they are loaded (`loading`), peers and selectors (`peers`) and the rest (`gateway`), all of it by
//! `convert`.

mod command;
mod convert;
mod docker;
mod filters;
mod gateway;
mod loading;
mod macros;
mod model;
mod other;
mod peers;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::process::ExitCode;

use self::convert::convert;
use super::input::{File, read_all};
use super::report::{finish, nothing};

/// What is imported from llama-swap.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct LlamaSwap {
    /// llama-swap's configuration; of several files a later one wins; `-`: standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
}

/// Imports it.
pub(super) fn run(args: &LlamaSwap, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    match read_all(&args.files) {
        Ok(files) => import(files, out, err),
        Err(errors) => nothing(&errors, err),
    }
}

fn import(files: Vec<File>, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let count = files.len();
    finish("llama-swap", count, &convert(files), out, err)
}
