//! `enginehouse models [WORD]`: the models and LoRA adapters that lie on this machine's disks.

mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::output::{Exit, Failure, ended, print};
use crate::local_models::{Found, LocalAdapter, LocalModel, Places, scan};

/// What is shown, and where it is looked for.
#[derive(Debug, Args)]
pub(super) struct Ask {
    /// Show only models and adapters with this word in their name, architecture, quantization or base, in upper or lower case
    word: Option<String>,
    /// Look in this folder too, and in folders below; it can be a model itself, a cache of the hub or a .gguf file. Can be given
    /// several times
    #[arg(long = "dir", value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// Print JSON (sizes and memory in bytes; null: unknown)
    #[arg(long)]
    json: bool,
}

/// Prints what is there. Fails when a folder that was given cannot be read, and when no name has the word.
#[must_use]
pub(super) fn run(ask: Ask) -> ExitCode {
    let Ask { word, directories, json } = ask;
    let found = scan(&Places::new(&|name| std::env::var(name).ok(), directories));
    let is_complete = found.places.iter().all(|place| place.is_hub || place.is_there);
    let shown = match &word {
        Some(word) => with(found, word),
        None => found,
    };
    let text =
        if json { serde_json::to_string_pretty(&shown).unwrap_or_default() + "\n" } else { table::table(&shown) };
    print(&text);
    if !is_complete {
        return ExitCode::FAILURE;
    }
    match word {
        Some(word) if shown.models.is_empty() && shown.adapters.is_empty() => {
            let why =
                format!("No model or adapter on this machine has `{word}` in its name, architecture or quantization.");
            ended(Err(Failure::new(Exit::Unknown, why)))
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Those that have `word` somewhere.
fn with(found: Found, word: &str) -> Found {
    let word = word.to_lowercase();
    let has = |texts: &[Option<&String>]| texts.iter().flatten().any(|text| text.to_lowercase().contains(&word));
    let model = |model: &LocalModel| {
        let LocalModel { source, hub_id, architecture, model_type, quantization, .. } = model;
        has(&[Some(source), hub_id.as_ref(), architecture.as_ref(), model_type.as_ref(), quantization.as_ref()])
    };
    let adapter = |adapter: &LocalAdapter| {
        let LocalAdapter { source, hub_id, base, .. } = adapter;
        has(&[Some(source), hub_id.as_ref(), base.as_ref()])
    };
    Found {
        models: found.models.into_iter().filter(model).collect(),
        adapters: found.adapters.into_iter().filter(adapter).collect(),
        ..found
    }
}
