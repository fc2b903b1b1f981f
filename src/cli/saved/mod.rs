//! `enginehouse config`: configurations that are saved under a name.

pub(super) mod edit;
pub(super) mod list;
pub(super) mod store;
pub(super) mod terminal;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;
use serde_json::{Map, Value};

use self::store::{Store, stem};
use self::terminal::say;
use super::output::{Exit, Failure, ended, print_json};
use crate::app::{self, SavedName, config_dir};
use crate::config::{self, Layers};

/// What is done with saved configurations.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// List what is saved: models, addresses, when it was changed, and whether it is valid
    List {
        /// Print JSON: a list with `name`, `file`, `models`, `listen`, `admin`, `ports`, `modified`, `valid` and `errors` of each
        #[arg(long)]
        json: bool,
    },
    /// Print a saved configuration as it is written
    Show {
        /// Its name
        name: SavedName,
        /// Print JSON: `name`, `file`, `text`, and `configuration` (the text as JSON; null if it is not YAML)
        #[arg(long)]
        json: bool,
    },
    /// Edit a saved configuration with $VISUAL or $EDITOR; the old text stays in use until the new one is valid
    Edit {
        /// Its name
        name: SavedName,
    },
    /// Print the path of a saved configuration
    Path {
        /// Its name
        name: SavedName,
        /// Print JSON: `name` and `file`
        #[arg(long)]
        json: bool,
    },
    /// Write a saved configuration to a file, or to standard output
    Export {
        /// Its name
        name: SavedName,
        /// The file; default, and `-`: standard output
        file: Option<PathBuf>,
        /// Replace the file if it is there
        #[arg(long)]
        force: bool,
    },
    /// Check the configuration in a file and save it under a name
    Import {
        /// The file; `-`: standard input
        file: PathBuf,
        /// The name; default: that of the file without its ending
        name: Option<SavedName>,
        /// Replace what is saved under that name
        #[arg(long)]
        force: bool,
    },
    /// Delete a saved configuration; a gateway that runs with it goes on
    Delete {
        /// Its name
        name: SavedName,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// What `config path` tells as JSON.
#[derive(Debug, Serialize)]
struct At<'a> {
    name: &'a str,
    file: String,
}

/// What `config show` tells as JSON.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    at: At<'a>,
    /// As it is written.
    text: String,
    /// The same as JSON, variables as they are written; `null`: it is no YAML.
    configuration: Option<Map<String, Value>>,
}

/// Does it.
pub(super) fn run(action: &Action) -> ExitCode {
    let store = Store { folder: config_dir(), what: "configuration" };
    ended(match action {
        Action::Import { file, name, force } => import(&store, file, name.as_ref(), *force),
        other => other_than_import(&store, other).map_err(Failure::from),
    })
}

fn other_than_import(store: &Store, action: &Action) -> Result<(), String> {
    match action {
        Action::List { json } => list::list(store, *json),
        Action::Show { name, json } => store.text(name).map(|text| show(store, name, text, *json)),
        Action::Path { name, json: false } => store.existing(name).map(|file| say(&format!("{}\n", file.display()))),
        Action::Path { name, json: true } => store.existing(name).map(|file| print_json(&at(name, &file))),
        Action::Edit { name } => store.existing(name).and_then(|file| edit::edit(&file, &|text| check(&file, text))),
        Action::Export { name, file, force } => {
            store.text(name).and_then(|text| store::export(&text, file.as_deref(), *force))
        }
        Action::Delete { name, yes } => store.delete(name, *yes).map(|said| say(&said)),
        Action::Import { .. } => Ok(()),
    }
}

fn at<'a>(name: &'a SavedName, file: &Path) -> At<'a> {
    At { name: name.as_str(), file: file.display().to_string() }
}

fn show(store: &Store, name: &SavedName, text: String, json: bool) {
    if json {
        let configuration = config::as_written(&text);
        print_json(&Shown { at: at(name, &name.file(&store.folder)), text, configuration });
    } else {
        say(&text);
    }
}

/// What is wrong with `text` as the configuration in `file`.
pub(super) fn check(file: &Path, text: &str) -> Result<(), String> {
    let env = |name: &str| std::env::var(name).ok();
    config::parse_layers(&Layers::of(file, text).with_profiles(app::user_profiles()), &env)
        .map(drop)
        .map_err(|found| found.to_string())
}

/// Saves what is in `file`, if it is valid.
fn import(store: &Store, file: &Path, name: Option<&SavedName>, force: bool) -> Result<(), Failure> {
    let is_input = file == Path::new("-");
    let text = if is_input {
        config::read_from("Standard input", io::stdin().lock()).map_err(|found| found.to_string())?
    } else {
        config::read_file(file).map_err(|found| found.to_string())?
    };
    let name = match name {
        Some(name) => name.clone(),
        None if is_input => {
            return Err(Failure::new(Exit::Usage, "Give a name: `enginehouse config import - NAME`."));
        }
        None => stem(file)?,
    };
    let target = name.file(&store.folder);
    check(&target, &text).map_err(|found| format!("{}: not saved.\n\n{found}", file.display()))?;
    store.save(&name, &text, force)?;
    say(&format!("Saved as {}. Start it: enginehouse serve {}\n", target.display(), name.as_str()));
    Ok(())
}
