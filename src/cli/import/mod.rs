//! `enginehouse import`: converts configurations of other programs; what could not be converted is on standard error.
//!
//! One folder for each program (`gym`, `vllm_cli`, `llama_swap`, `litellm`), which go the same way: files to a tree (`yaml`)
//! → what is found in it → models, aliases and the rest with comments (`document`, `notes`, `names`, `secret`, `base_url`,
//! `engine`) and addresses (`ports`) → text, which is checked (`report`).

mod base_url;
mod document;
mod gym;
mod ports;
mod report;
mod secret;
#[cfg(test)]
mod testing;
mod yaml;

use std::io;
use std::process::ExitCode;

use clap::Subcommand;

/// The program whose configuration is read.
#[derive(Debug, Subcommand)]
pub(super) enum Program {
    /// Convert NeMo Gym's YAML files
    ///
    /// Reads the files in their order (a later one wins), the files that they name under `config_paths` (a file wins over
    /// the files that it names), and overrides as Gym's command line takes them. Servers of type vllm_model,
    /// local_vllm_model and local_vllm_model_proxy become aliases with a `gym:` block, and models for their engines. Give
    /// env.yaml last, because in Gym its values win. Keys are never printed: they become environment variables.
    ///
    /// The configuration goes to standard output. What could not be converted is in its comments and on standard error, and
    /// so is what is wrong with it; then the exit status is 1. What depends on environment variables, on flags of vLLM and on
    /// GPUs is not checked here: run `enginehouse check` on the result.
    Gym(gym::Gym),
}

/// Prints the configuration and notes about it.
#[must_use]
pub(super) fn run(program: Program) -> ExitCode {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    match program {
        Program::Gym(args) => gym::run(&args, &mut out, &mut err),
    }
}
