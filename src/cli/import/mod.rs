//! `enginehouse import`: converts configurations of other programs; what could not be converted is on standard error.
//!
//! Gym's, step by step: files and overrides to one tree (`tree`, `overrides`, `compose`) → what its words stand for
//! (`resolve`) → servers found (`servers`) → models (`remote`, `local`) and aliases (`alias`) with comments (`convert`,
//! `fields`, `secret`) and addresses (`ports`) → text (`document`), which is checked.

mod alias;
mod compose;
mod convert;
mod document;
mod fields;
mod local;
mod overrides;
mod ports;
mod remote;
mod resolve;
mod secret;
mod servers;
#[cfg(test)]
mod tests;
mod tree;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use self::compose::{Disk, compose};
use self::convert::{Import, convert};
use crate::config::{self, Diagnostic, Diagnostics};

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
    Gym {
        /// Files, and overrides such as '++policy_model.responses_api_models.vllm_model.port=9000' or
        /// '+config_paths=[a.yaml,b.yaml]'
        #[arg(required = true, value_name = "FILE|OVERRIDE")]
        words: Vec<String>,
        /// A folder, such as Gym's, that paths inside files are relative to; searched before the folder of the file and the
        /// folders above it
        #[arg(long, value_name = "DIR")]
        root: Vec<PathBuf>,
    },
}

/// Prints the configuration and notes about it.
#[must_use]
pub(super) fn run(program: Program) -> ExitCode {
    let Program::Gym { words, root } = program;
    gym(
        &words,
        &Disk { roots: &root, read: &|path| std::fs::read_to_string(path) },
        &mut io::stdout().lock(),
        &mut io::stderr().lock(),
    )
}

fn gym(words: &[String], disk: &Disk<'_>, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let (changes, files): (Vec<&String>, Vec<&String>) = words.iter().partition(|word| overrides::is_override(word));
    let files: Vec<String> = files.into_iter().cloned().collect();
    let changes = changes.into_iter().map(|word| overrides::parse(word)).collect::<Result<_, _>>();
    // A reader that stopped reading (`| head`) is no failure.
    match changes.map_err(|error| vec![error]).and_then(|changes| compose(&files, changes, disk)) {
        Ok(composed) => {
            let (import, count) = (convert(&composed), composed.files);
            let _ = write!(err, "{}", summary(&import, count));
            if import.aliases == 0 {
                return ExitCode::FAILURE;
            }
            let head = format!("# Made by `enginehouse import gym` from {}.", several(count, "file"));
            let check = "# Read the comments; then: enginehouse check THIS_FILE";
            let text = format!("{head}\n{check}\n{}\n", import.document.text());
            let _ = write!(out, "{text}");
            let wrong = errors(&text);
            if wrong.is_empty() {
                return ExitCode::SUCCESS;
            }
            let count = several(wrong.len(), "error");
            let _ = writeln!(
                err,
                "The configuration has {count} to correct before it can be served:\n\n{}",
                Diagnostics(wrong)
            );
            ExitCode::FAILURE
        }
        Err(errors) => {
            let _ = writeln!(err, "Nothing was imported:\n  {}", errors.join("\n  "));
            ExitCode::FAILURE
        }
    }
}

/// What is wrong with the configuration, whatever the variables are set to that it names.
fn errors(text: &str) -> Vec<Diagnostic> {
    let Err(Diagnostics(found)) = config::parse(text, &|_| None) else { return Vec::new() };
    let lines: Vec<&str> = text.lines().collect();
    let line =
        |one: &Diagnostic| usize::try_from(one.line).ok().and_then(|line| lines.get(line.checked_sub(1)?).copied());
    found.into_iter().filter(|one| !line(one).is_some_and(|line| line.contains("${"))).collect()
}

fn summary(import: &Import, files: usize) -> String {
    let mut out = if import.aliases == 0 {
        "Nothing was imported: there is no server of type vllm_model, local_vllm_model or local_vllm_model_proxy that \
         can be carried over.\n"
            .to_owned()
    } else {
        let (aliases, models) = (several(import.aliases, "alias"), several(import.models, "model"));
        format!("{aliases} over {models}, from {}.\n", several(files, "file"))
    };
    if !import.said.is_empty() {
        out.push_str("Please read, and act where needed:\n");
        import.said.iter().for_each(|said| out.push_str(&format!("  {said}\n")));
    }
    out
}

fn several(count: usize, word: &str) -> String {
    let ending = match word {
        _ if count == 1 => "",
        "alias" => "es",
        _ => "s",
    };
    format!("{count} {word}{ending}")
}
