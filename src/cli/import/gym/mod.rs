//! NeMo Gym's configuration.
//!
//! Files and overrides to one tree (`tree`, `overrides`, `compose`) → what its words stand for (`resolve`) → servers found
//! (`servers`) → models (`remote`, `local`) and aliases (`alias`) with comments (`convert`, `fields`).

mod alias;
mod compose;
mod convert;
mod fields;
mod local;
mod overrides;
mod remote;
mod resolve;
mod servers;
#[cfg(test)]
mod tests;
mod tree;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use self::compose::{Disk, compose};
use self::convert::{Import, convert};
use super::input::read_file;
use super::report::{Outcome, finish, nothing, several};
use super::secret::Secrets;

/// What is imported from Gym.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Gym {
    /// Files, and overrides such as '++policy_model.responses_api_models.vllm_model.port=9000' or
    /// '+config_paths=[a.yaml,b.yaml]'
    #[arg(required = true, value_name = "FILE|OVERRIDE")]
    words: Vec<String>,
    /// A folder, such as Gym's, that paths inside files are relative to; searched before the folder of the file and the
    /// folders above it
    #[arg(long, value_name = "DIR")]
    root: Vec<PathBuf>,
}

/// Imports it.
pub(super) fn run(args: &Gym, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    gym(&args.words, &Disk { roots: &args.root, read: &read_file }, out, err)
}

fn gym(words: &[String], disk: &Disk<'_>, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let (changes, files): (Vec<&String>, Vec<&String>) = words.iter().partition(|word| overrides::is_override(word));
    let files: Vec<String> = files.into_iter().cloned().collect();
    let changes = changes.into_iter().map(|word| overrides::parse(word)).collect::<Result<_, _>>();
    match changes.map_err(|error| vec![error]).and_then(|changes| compose(&files, changes, disk)) {
        Ok(composed) => finish("gym", composed.files, &outcome(convert(&composed), composed.files), out, err),
        Err(errors) => nothing(&errors, err),
    }
}

fn outcome(import: Import, files: usize) -> Outcome {
    let summary = if import.aliases == 0 {
        "Nothing was imported: there is no server of type vllm_model, local_vllm_model or local_vllm_model_proxy that \
         can be carried over."
            .to_owned()
    } else {
        let (aliases, models) = (several(import.aliases, "alias"), several(import.models, "model"));
        format!("{aliases} over {models}, from {}.", several(files, "file"))
    };
    Outcome {
        document: import.document,
        said: import.said,
        summary,
        is_empty: import.aliases == 0,
        is_part: false,
        secrets: Secrets::default(),
    }
}
