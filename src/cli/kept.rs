//! `enginehouse shortcuts`, and what `enginehouse profiles` has in common with it: small files that are kept under names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;
use serde_json::{Map, Value};

use super::output::{fail, print_json};
use super::saved::edit::edit;
use super::saved::store::{Store, export, stem};
use super::saved::terminal::say;
use crate::app::{SavedName, shortcut_dir, user_profiles};
use crate::config::{self, Diagnostics, Engines};
use crate::text_table::aligned;

/// What is done.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// List them
    List {
        /// Print JSON: a list with `name`, `file`, `valid`, `error` and more of each
        #[arg(long)]
        json: bool,
    },
    /// Print one as a part of a configuration
    Show {
        /// Its name
        name: SavedName,
        /// Print JSON: the same part of a configuration
        #[arg(long)]
        json: bool,
    },
    /// Keep what is in a file under a name; it replaces what had that name
    Set {
        /// The name
        name: SavedName,
        /// The file: what would stand under the name in a configuration, or one of them as `export` writes it
        file: PathBuf,
    },
    /// Edit one with $VISUAL or $EDITOR; the old one stays until the new one is valid
    Edit {
        /// Its name
        name: SavedName,
    },
    /// Delete one
    Delete {
        /// Its name
        name: SavedName,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Write one to a file, or to standard output, as a part of a configuration
    Export {
        /// Its name
        name: SavedName,
        /// The file; default, and `-`: standard output
        file: Option<PathBuf>,
        /// Replace the file if it is there
        #[arg(long)]
        force: bool,
    },
    /// Keep those of a configuration file, each under its name
    Import {
        /// A configuration; or a file with one of them alone, which gets the name of the file
        file: PathBuf,
        /// Replace those that are there
        #[arg(long)]
        force: bool,
    },
}

/// A part of a configuration as JSON: entries under the key of their section.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Part(BTreeMap<&'static str, Map<String, Value>>);

impl Part {
    /// These entries.
    pub(super) fn of(section: &'static str, entries: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self(BTreeMap::from([(section, entries.into_iter().collect())]))
    }
}

/// One shortcut as it is listed.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    file: String,
    /// What it loads.
    source: Option<String>,
    profile: Option<String>,
    valid: bool,
    /// What is wrong with it.
    error: Option<String>,
}

/// One kind of things that are kept.
pub(super) struct Kind {
    /// Where.
    pub(super) store: Store,
    /// The key of a configuration that has them.
    pub(super) section: &'static str,
    /// What is wrong with one.
    pub(super) check: fn(&str, &str) -> Result<(), Diagnostics>,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// `enginehouse shortcuts`.
pub(super) fn run(action: &Action) -> ExitCode {
    let kind = Kind {
        store: Store { folder: shortcut_dir(), what: "shortcut" },
        section: "models",
        check: |name, text| config::check_model(name, text, user_profiles(), &variable).map(drop),
    };
    let done = match action {
        Action::List { json } => list(&kind.store, *json),
        other => kind.run(other),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(&why),
    }
}

impl Kind {
    /// Does everything but listing.
    ///
    /// # Errors
    /// Why it is not done.
    pub(super) fn run(&self, action: &Action) -> Result<(), String> {
        let store = &self.store;
        let part = |name: &SavedName| {
            let text = store.text(name)?;
            entry(store.what, name.as_str(), &text)?;
            Ok(config::entry_text(self.section, name.as_str(), &text))
        };
        match action {
            Action::List { .. } => Ok(()),
            Action::Show { name, json: false } => part(name).map(|text: String| say(&text)),
            Action::Show { name, json: true } => {
                let value = entry(store.what, name.as_str(), &store.text(name)?)?;
                print_json(&Part::of(self.section, [(name.as_str().to_owned(), value)]));
                Ok(())
            }
            Action::Set { name, file } => {
                let text = config::read_file(file).map_err(|found| found.to_string())?;
                self.keep(name, &only_entry(self.section, &text).unwrap_or(text), true)
            }
            Action::Edit { name } => edit(&store.existing(name)?, &|text| {
                (self.check)(name.as_str(), text).map_err(|found| found.to_string())
            }),
            Action::Delete { name, yes } => store.delete(name, *yes).map(|said| say(&said)),
            Action::Export { name, file, force } => export(&part(name)?, file.as_deref(), *force),
            Action::Import { file, force } => self.import(file, *force),
        }
    }

    fn keep(&self, name: &SavedName, text: &str, force: bool) -> Result<(), String> {
        let what = self.store.what;
        (self.check)(name.as_str(), text)
            .map_err(|found| format!("The {what} `{}` was not kept.\n\n{found}", name.as_str()))?;
        self.store.save(name, text, force)?;
        say(&format!("Kept the {what} `{}` in {}.\n", name.as_str(), name.file(&self.store.folder).display()));
        Ok(())
    }

    /// All of the section of a configuration, or the one that the whole file is.
    fn import(&self, file: &Path, force: bool) -> Result<(), String> {
        let text = config::read_file(file).map_err(|found| found.to_string())?;
        let value = config::entry_value(&text).map_err(|found| format!("{}:\n\n{found}", file.display()))?;
        let Some(entries) = value.get(self.section).and_then(Value::as_object) else {
            return self.keep(&stem(file)?, &text, force);
        };
        for (name, value) in entries {
            let saved: SavedName = name.parse().map_err(|why| format!("`{name}` was not kept: {why}."))?;
            let text = config::entry_yaml(value).ok_or_else(|| format!("`{name}` was not kept: it is no YAML."))?;
            self.keep(&saved, &text, force)?;
        }
        if entries.is_empty() {
            Err(format!("{} has nothing under `{}`.", file.display(), self.section))
        } else {
            Ok(())
        }
    }
}

/// The value of the one with this name, whose text this is.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn entry(what: &str, name: &str, text: &str) -> Result<Value, String> {
    config::entry_value(text).map_err(|found| {
        format!("The {what} `{name}` cannot be read. Correct it: enginehouse {what}s edit {name}\n\n{found}")
    })
}

/// The entry of a text that has nothing but this section, and there one entry, as `export` writes it.
fn only_entry(section: &str, text: &str) -> Option<String> {
    let value = config::entry_value(text).ok()?;
    let root = value.as_object().filter(|root| root.len() == 1)?;
    let entries = root.get(section)?.as_object().filter(|entries| entries.len() == 1)?;
    config::entry_yaml(entries.values().next()?)
}

fn list(store: &Store, json: bool) -> Result<(), String> {
    let mut rows = Vec::new();
    for name in store.names()? {
        let read = store.text(&name).and_then(|text| {
            config::check_model(name.as_str(), &text, user_profiles(), &variable).map_err(|found| found.to_string())
        });
        let spawn = read.as_ref().ok().and_then(|config| match &config.models.first()?.engines {
            Engines::Spawn(spawn) => Some((spawn.source.clone(), spawn.profile.clone())),
            Engines::Urls(_) => None,
        });
        let (source, profile) = spawn.map_or((None, None), |(source, profile)| (Some(source), profile));
        rows.push(Row {
            name: name.as_str().to_owned(),
            file: name.file(&store.folder).display().to_string(),
            source,
            profile,
            valid: read.is_ok(),
            error: read.err(),
        });
    }
    if json {
        print_json(&rows);
    } else if rows.is_empty() {
        say("There are no shortcuts yet. Keep one: enginehouse shortcuts set NAME FILE\n");
    } else {
        say(&table(rows));
    }
    Ok(())
}

fn table(rows: Vec<Row>) -> String {
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let mut lines = vec![["NAME", "LOADS", "PROFILE", "STATE"].map(str::to_owned)];
    for Row { name, source, profile, valid, .. } in rows {
        let state = if valid { "valid" } else { "not valid" };
        lines.push([name, dash(source), dash(profile), state.to_owned()]);
    }
    aligned(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_export_wrote_is_taken_as_the_one_that_it_has() {
        let only = |text: &str| only_entry("profiles", text).and_then(|text| config::entry_value(&text).ok());
        let args = serde_json::json!({"args": {"seed": 1}});
        assert_eq!(only("profiles:\n  mine:\n    args: { seed: 1 }\n"), Some(args));
        for other in [
            "args: { seed: 1 }",
            "profiles: { a: {}, b: {} }",
            "profiles: {}\n",
            "profiles: { a: {} }\nmodels: {}",
            "[",
        ] {
            assert_eq!(only_entry("profiles", other), None, "{other}");
        }
        assert!(entry("profile", "mine", "a: [").is_err_and(|why| why.contains("`mine` cannot be read")));
    }
}
