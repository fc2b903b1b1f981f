//! `enginehouse add` and `enginehouse remove`: models, aliases and callers of a running gateway.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::NonEmptyStringValueParser;

use super::change::described;
use super::output::{Exit, Failure, ended, print, print_json};
use super::running::Running;
use crate::api::{EntryName, ReloadReport};
use crate::config::Setting;
use crate::ids::EntryKind;

/// What is added, changed or removed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    Model,
    Alias,
    Caller,
}

/// `enginehouse add`.
#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// What it is
    kind: Kind,
    /// Its name
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    name: String,
    /// Its settings: KEY=VALUE each, as they stand in a configuration, such as source=Qwen/Qwen3-8B gpus=1
    /// defaults.temperature=0.2
    #[arg(value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Read the settings (YAML or JSON) from this file, `-`: standard input
    #[arg(long, value_name = "FILE", conflicts_with = "settings")]
    from: Option<PathBuf>,
    #[command(flatten)]
    where_to: WhereTo,
}

/// `enginehouse remove`.
#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// What it is
    kind: Kind,
    /// Its name
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    name: String,
    /// Forget only what was changed while gateways ran: what the configuration file says counts again
    #[arg(long, conflicts_with = "persist")]
    undo: bool,
    #[command(flatten)]
    where_to: WhereTo,
}

/// Where a change is kept, and how it is told.
#[derive(Debug, clap::Args)]
struct WhereTo {
    /// Change the configuration file of the gateway, and not only its state directory
    #[arg(long)]
    persist: bool,
    /// Print what changed as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    running: Running,
}

impl Kind {
    fn entry(self, name: &str) -> EntryName {
        let kind = match self {
            Self::Model => EntryKind::Model,
            Self::Alias => EntryKind::Alias,
            Self::Caller => EntryKind::Caller,
        };
        EntryName { kind, name: name.to_owned() }
    }
}

/// Adds or changes an entry.
pub(super) fn add(Add { kind, name, settings, from, where_to }: &Add) -> ExitCode {
    let text = match from {
        Some(file) => text(file),
        None => document(settings).map_err(|text| Failure::new(Exit::Usage, text)),
    };
    ended(text.and_then(|text| {
        let client = where_to.running.find()?.client;
        where_to.tell(&client.put(&kind.entry(name), &text, where_to.persist)?);
        Ok(())
    }))
}

/// Removes one.
pub(super) fn remove(Remove { kind, name, undo, where_to }: &Remove) -> ExitCode {
    ended(where_to.running.find().and_then(|found| {
        let entry = kind.entry(name);
        let report = if *undo { found.client.forget(&entry) } else { found.client.remove(&entry, where_to.persist) };
        where_to.tell(&report?);
        Ok(())
    }))
}

impl WhereTo {
    fn tell(&self, report: &ReloadReport) {
        if self.json {
            print_json(report);
        } else {
            print(&described(&report.change, "The gateway changed", "Nothing changed"));
        }
    }
}

fn text(file: &PathBuf) -> Result<String, Failure> {
    let read = if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    read.map_err(|error| Failure::new(Exit::Failed, format!("{}: {error}", file.display())))
}

/// The settings as a JSON document: `a.b=c` is `{"a": {"b": c}}`, and each value is YAML.
fn document(settings: &[String]) -> Result<String, String> {
    if settings.is_empty() {
        return Err("Say what it is: KEY=VALUE, such as source=Qwen/Qwen3-8B; or give a file: --from FILE.".into());
    }
    let settings: Result<Vec<Setting>, _> = settings.iter().map(|setting| setting.parse()).collect();
    Ok(Setting::together(&settings?)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_nested_by_their_keys_and_their_values_are_yaml() {
        let document = |words: &[&str]| document(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let wanted = r#"{"model":"qwen","defaults":{"temperature":0.2,"stop":["a","b=c"]},"hidden":true}"#;
        let words = ["model=qwen", "defaults.temperature=0.2", "defaults.stop=[a, b=c]", "hidden=true"];
        assert_eq!(document(&words).as_deref(), Ok(wanted));
        for bad in [&[][..], &["x"], &["=1"], &["a..b=1"], &["a=1", "a=2"], &["a=1", "a.b=2"], &["a=[1"]] {
            assert!(document(bad).is_err(), "{bad:?}");
        }
        let told = document(&["keys=[${KEY}]"]).expect_err("`{` begins a mapping");
        assert!(told.starts_with("the value of `keys` is not YAML: ") && !told.ends_with(": "), "{told}");
        assert_eq!(document(&[r#"keys=["${KEY}"]"#]).as_deref(), Ok(r#"{"keys":["${KEY}"]}"#));
    }
}
