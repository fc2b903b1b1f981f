//! `enginehouse import`: converts configurations of other programs; what could not be converted is on standard error.
//!
//! One folder for each program (`gym`, `vllm_cli`, `llama_swap`, `litellm`), which go the same way: files to a tree (`input`,
//! `yaml`) → what is found in it → models, aliases and the rest with comments (`draft`: `document`, `notes`, `names`,
//! `secret`), from engines (`engine`, `words`), base URLs (`base_url`) and changes of requests (`changes`) → addresses
//! (`ports`) → text, which is checked (`report`).

mod base_url;
mod changes;
mod document;
mod draft;
mod engine;
mod gym;
mod input;
mod litellm;
mod llama_swap;
mod names;
mod notes;
mod ports;
mod report;
mod secret;
#[cfg(test)]
mod testing;
mod values;
mod vllm_cli;
mod words;
mod yaml;

use std::io;
use std::process::ExitCode;

use clap::Subcommand;

#[cfg(test)]
pub(super) use self::words::split;

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
    /// Convert proxy configurations, profiles and shortcuts of vllm-cli
    ///
    /// Reads ~/.config/vllm-cli: proxy_config.yaml, proxy_configs/NAME.yaml, user_profiles.json, shortcuts.json, config.yaml
    /// (its environment and token), and what vllm-cli exports, each as YAML or JSON; they are told apart by what is in them.
    /// Give all that belong together, for example a proxy configuration with the profiles that it uses. Models of a proxy and
    /// shortcuts become models, profiles become profiles. Keys and tokens are never printed: they become environment variables.
    ///
    /// The configuration goes to standard output. What has no equivalent is in its comments and on standard error, and so is
    /// what is wrong with it; then the exit status is 1. conf/import.md has what becomes of each key.
    VllmCli(vllm_cli::VllmCli),
    /// Convert llama-swap's configuration
    ///
    /// Models whose `cmd` starts vLLM (`vllm serve`, a container of it, its Python module) become models that Enginehouse
    /// starts. Others are left out, or become `urls:` where `proxy` is an address elsewhere. Macros are replaced, aliases and
    /// filters become aliases and changes of requests, peers become models behind their URLs. Groups, matrix and ttl have no
    /// equivalent: all models run at the same time. Keys are never printed: they become environment variables.
    ///
    /// The configuration goes to standard output. What has no equivalent is in its comments and on standard error, and so is
    /// what is wrong with it; then the exit status is 1. conf/import.md has what becomes of each key.
    LlamaSwap(llama_swap::LlamaSwap),
    /// Convert the configuration of LiteLLM's proxy
    ///
    /// Entries of `model_list` that take OpenAI's requests at a URL become models with `urls:`; those of one name are one
    /// model, or the parts of an alias. Parameters become defaults of requests, fallbacks become `fallback:`. Other providers
    /// are left out. Keys are never printed: they become environment variables.
    ///
    /// The configuration goes to standard output. What has no equivalent is in its comments and on standard error, and so is
    /// what is wrong with it; then the exit status is 1. conf/import.md has what becomes of each key.
    #[command(name = "litellm")]
    LiteLlm(litellm::LiteLlm),
}

/// Prints the configuration and notes about it.
#[must_use]
pub(super) fn run(program: Program) -> ExitCode {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    match program {
        Program::Gym(args) => gym::run(&args, &mut out, &mut err),
        Program::VllmCli(args) => vllm_cli::run(&args, &mut out, &mut err),
        Program::LlamaSwap(args) => llama_swap::run(&args, &mut out, &mut err),
        Program::LiteLlm(args) => litellm::run(&args, &mut out, &mut err),
    }
}
