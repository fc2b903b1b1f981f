//! The list of saved configurations, as a table and as JSON.

use std::time::SystemTime;

use serde::Serialize;

use super::store::Store;
use super::terminal::say;
use crate::app::{SavedName, Source};
use crate::cli::output::print_json;
use crate::config::{Config, Engines};
use crate::text_table::aligned;

/// What is told of one.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Row {
    pub(in crate::cli) name: String,
    pub(in crate::cli) file: String,
    /// The names of its models, in its order; empty where it is not valid.
    pub(in crate::cli) models: Vec<String>,
    /// Where clients connect.
    pub(in crate::cli) listen: Option<String>,
    /// Where operators connect.
    pub(in crate::cli) admin: Option<String>,
    /// All ports that it names: of clients, operators, aliases and engines.
    pub(in crate::cli) ports: Vec<u16>,
    /// RFC 3339.
    pub(in crate::cli) modified: Option<String>,
    pub(in crate::cli) valid: bool,
    /// What is wrong with it.
    pub(in crate::cli) errors: Vec<String>,
}

/// Prints it.
///
/// # Errors
/// Why the folder cannot be read.
pub(super) fn list(store: &Store, json: bool) -> Result<(), String> {
    let rows: Vec<Row> = store.names()?.iter().map(|name| row(store, name)).collect();
    if json {
        print_json(&rows);
    } else if rows.is_empty() {
        say(&format!(
            "Nothing is saved in {} yet. Save a file there: enginehouse config import FILE NAME\n",
            store.folder.display()
        ));
    } else {
        say(&table(&rows));
    }
    Ok(())
}

/// What is told of the one with this name.
pub(in crate::cli) fn row(store: &Store, name: &SavedName) -> Row {
    let file = name.file(&store.folder);
    let modified = std::fs::metadata(&file).and_then(|about| about.modified()).ok();
    let (config, errors) = match Source::new(std::slice::from_ref(&file), Vec::new(), None).load() {
        Ok(config) => (Some(config), Vec::new()),
        Err(found) => (None, found.0.iter().map(|one| format!("{}: {}", one.place(), one.message())).collect()),
    };
    Row {
        name: name.as_str().to_owned(),
        file: file.display().to_string(),
        models: config.iter().flat_map(|config| &config.models).map(|model| model.name.to_string()).collect(),
        listen: config.as_ref().map(|config| config.listen.to_string()),
        admin: config.as_ref().map(|config| config.admin.listen.to_string()),
        ports: config.as_ref().map(ports).unwrap_or_default(),
        modified: modified.map(time),
        valid: config.is_some(),
        errors,
    }
}

fn ports(config: &Config) -> Vec<u16> {
    let engines = config.models.iter().filter_map(|model| match &model.engines {
        Engines::Spawn(spawn) => Some(spawn),
        Engines::Urls(_) => None,
    });
    let engines = engines.filter_map(|spawn| {
        let first = spawn.port?;
        Some(first..=first.saturating_add(u16::try_from(spawn.replicas.saturating_sub(1)).unwrap_or(u16::MAX)))
    });
    let aliases = config.aliases.iter().filter_map(|alias| alias.listen).map(|address| address.port());
    let own = [config.listen.port(), config.admin.listen.port()];
    own.into_iter().chain(aliases).chain(engines.flatten()).collect()
}

fn time(when: SystemTime) -> String {
    humantime::format_rfc3339_seconds(when).to_string()
}

fn table(rows: &[Row]) -> String {
    let mut lines = vec![["NAME", "MODELS", "CLIENTS", "CHANGED (UTC)", "STATE"].map(str::to_owned)];
    for row in rows {
        let state = match row.errors.len() {
            0 => "valid".to_owned(),
            1 => "1 error".to_owned(),
            many => format!("{many} errors"),
        };
        let modified = row.modified.clone().unwrap_or_default().replace('T', " ").replace('Z', "");
        let models = if row.models.is_empty() { "-".to_owned() } else { row.models.join(", ") };
        lines.push([row.name.clone(), models, row.listen.clone().unwrap_or_else(|| "-".into()), modified, state]);
    }
    let mut text = aligned(&lines);
    if let Some(bad) = rows.iter().find(|row| !row.valid) {
        text += &format!("\nWhat is wrong: enginehouse check {}\n", bad.name);
    }
    text
}
