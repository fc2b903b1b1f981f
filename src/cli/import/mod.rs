//! `enginehouse import`: configurations of other programs as ours, on standard output; what was lost, on standard error.
//!
//! Gym's, step by step: files and overrides to one tree (`yaml`, `overrides`, `compose`) → parts taken over (`swap`) →
//! servers found (`servers`), their values looked up (`resolve`) → models (`remote`, `local`) and aliases (`face`) with
//! comments (`convert`, `notes`, `secret`) → text (`document`).

mod compose;
mod convert;
mod document;
mod face;
mod grammar;
mod local;
mod notes;
mod overrides;
mod remote;
mod resolve;
mod secret;
mod servers;
mod swap;
#[cfg(test)]
mod tests;
mod yaml;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use self::compose::{Disk, compose};
use self::convert::{Import, convert};

/// Larger files are not configurations.
const LARGEST: u64 = 8 << 20;

/// Whose configuration is read.
#[derive(Debug, Subcommand)]
pub(super) enum Program {
    /// Turn NeMo Gym's YAML files into a configuration
    ///
    /// Reads the files in their order (a later one wins), what they name under `config_paths` (whoever names a file wins
    /// over it), and overrides as Gym's command line takes them. Servers of type vllm_model, local_vllm_model and
    /// local_vllm_model_proxy become aliases with a `gym:` block, and models for their engines. Give env.yaml last, as
    /// Gym lets it win. Keys are never printed: they become environment variables.
    ///
    /// The configuration goes to standard output; what could not be carried over stands in its comments and on standard
    /// error.
    Gym {
        /// Files, and overrides such as '++policy_model.responses_api_models.vllm_model.port=9000' or
        /// '+config_paths=[a.yaml,b.yaml]'
        #[arg(required = true, value_name = "FILE|OVERRIDE")]
        words: Vec<String>,
        /// A folder that paths inside files are relative to, such as Gym's; looked into before the file's own folder and
        /// those above it
        #[arg(long, value_name = "DIR")]
        root: Vec<PathBuf>,
    },
}

/// Prints the configuration, and what is to be said about it.
#[must_use]
pub(super) fn run(program: Program) -> ExitCode {
    let Program::Gym { words, root } = program;
    gym(&words, &Disk { roots: &root, read: &read }, &mut io::stdout().lock(), &mut io::stderr().lock())
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a folder"));
    }
    file.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is larger than 8 MiB"));
    }
    Ok(text)
}

fn gym(words: &[String], disk: &Disk<'_>, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let (changes, files): (Vec<&String>, Vec<&String>) = words.iter().partition(|word| overrides::is_override(word));
    let files: Vec<String> = files.into_iter().cloned().collect();
    // A reader that went away (`| head`) is no failure.
    match read_overrides(&changes).and_then(|changes| compose(&files, changes, disk)) {
        Ok(composed) => {
            let (import, count) = (convert(&composed), composed.files);
            let _ = write!(err, "{}", summary(&import, count));
            if import.aliases == 0 {
                return ExitCode::FAILURE;
            }
            let head = format!("# Made by `enginehouse import gym` from {}.", several(count, "file"));
            let check = "# Read the comments; then: enginehouse check THIS_FILE";
            let _ = writeln!(out, "{head}\n{check}\n{}", import.document.text());
            ExitCode::SUCCESS
        }
        Err(faults) => {
            let _ = writeln!(err, "Nothing could be made of it:\n  {}", faults.join("\n  "));
            ExitCode::FAILURE
        }
    }
}

fn read_overrides(words: &[&String]) -> Result<Vec<overrides::Override>, Vec<String>> {
    let (mut good, mut faults) = (Vec::new(), Vec::new());
    for word in words {
        match overrides::parse(word) {
            Ok(change) => good.push(change),
            Err(why) => faults.push(why),
        }
    }
    if faults.is_empty() { Ok(good) } else { Err(faults) }
}

fn summary(import: &Import, files: usize) -> String {
    let mut out = if import.aliases == 0 {
        "Nothing could be made of it: it has no server of type vllm_model, local_vllm_model or local_vllm_model_proxy that \
         can be carried over.\n"
            .to_owned()
    } else {
        let (aliases, models) = (several_of(import.aliases, "alias", "aliases"), several(import.models, "model"));
        format!("{aliases} over {models}, from {}.\n", several(files, "file"))
    };
    if !import.others.is_empty() {
        let all: usize = import.others.values().sum();
        let kinds = import.others.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ");
        out.push_str(&format!("{} of other types left out: {kinds}.\n", several(all, "server")));
    }
    if !import.said.is_empty() {
        out.push_str("To know, or to do:\n");
        import.said.iter().for_each(|said| out.push_str(&format!("  {said}\n")));
    }
    out
}

fn several(count: usize, word: &str) -> String {
    several_of(count, word, &format!("{word}s"))
}

fn several_of(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}
