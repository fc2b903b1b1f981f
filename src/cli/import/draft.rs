//! A configuration while it is made: its sections, the names in it, and what is said about it.

use std::collections::HashSet;

use serde_json::Value;

use super::document::Section;
use super::names::{Names, is_alias};
use super::notes::Notes;
use super::report::{Outcome, several};
use super::secret::{Secrets, variable};

/// Everything that an import collects.
#[derive(Default)]
pub(super) struct Draft {
    /// What stands before the models: addresses and settings of the gateway.
    pub(super) top: Section,
    /// The models.
    pub(super) models: Section,
    /// The aliases.
    pub(super) aliases: Section,
    /// The names of both.
    pub(super) names: Names,
    /// What is said.
    pub(super) notes: Notes,
    /// What must not be printed.
    pub(super) secrets: Secrets,
    /// Variables that are to be set, and told already.
    told: HashSet<String>,
    model_count: usize,
    alias_count: usize,
}

impl Draft {
    /// Adds a model, whose name is taken already.
    pub(super) fn model(&mut self, name: &str, model: Section) {
        self.models.nest(name, model);
        self.model_count += 1;
    }

    /// Adds an alias; says so at its place where the name cannot be one or is taken.
    pub(super) fn alias(&mut self, path: &str, name: &str, alias: Section) {
        let why = if !is_alias(name) {
            "was left out: it cannot be the name of an alias"
        } else if self.names.has(name) {
            "was left out: this name is taken by something else in this file"
        } else {
            self.names.take(name);
            self.aliases.nest(name, alias);
            self.alias_count += 1;
            return;
        };
        self.notes.say(&mut self.aliases, path, format!("the alias `{}` {why}.", self.secrets.without(name)));
    }

    /// Adds an alias whose name is taken already, by itself.
    pub(super) fn own_alias(&mut self, name: &str, alias: Section) {
        self.aliases.nest(name, alias);
        self.alias_count += 1;
    }

    /// `value` with variables in the places of secrets; says at this place which are to be set.
    pub(super) fn hidden(&mut self, at: &mut Section, path: &str, owner: &str, key: &str, mut value: Value) -> Value {
        let mut hidden = self.secrets.hide(key, &mut value, &|key| match key {
            // What every program calls it.
            "HF_TOKEN" | "HUGGING_FACE_HUB_TOKEN" => key.to_owned(),
            key => variable(&[owner, key]),
        });
        hidden.sort();
        hidden.dedup();
        for variable in hidden {
            let text = format!("set the environment variable {variable} to the secret that is written there.");
            if self.told.insert(variable) {
                self.notes.say(at, path, text);
            } else {
                at.comment(format!("{path}: {text}"));
            }
        }
        value
    }

    /// Puts `value` under `key` with variables in the places of secrets.
    pub(super) fn put(&mut self, at: &mut Section, path: &str, owner: &str, key: &str, value: Value) {
        let value = self.hidden(at, path, owner, key, value);
        at.put(key, value);
    }

    /// The end: `first` goes before everything.
    pub(super) fn outcome(mut self, first: Section, files: usize) -> Outcome {
        let mut document = first;
        // What follows a section would look like a part of it.
        self.top.comments_first();
        document.append(self.top);
        document.nest_any("models", self.models);
        document.nest_any("aliases", self.aliases);
        let is_empty = self.model_count == 0;
        let (models, aliases) = (several(self.model_count, "model"), several(self.alias_count, "alias"));
        let summary = if is_empty {
            "Nothing was imported: no model of these files can be carried over.".to_owned()
        } else {
            format!("{models} and {aliases}, from {}.", several(files, "file"))
        };
        Outcome { document, said: self.notes.into_report(), summary, is_empty, is_part: false, secrets: self.secrets }
    }
}
