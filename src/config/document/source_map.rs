//! Where every value of a file is, and how it is written there, secrets masked.

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::origins::Origins;
use super::shown::{is_variable_only, shown};
use super::yaml::{Kind, Node};
use crate::config::diagnostic::{Diagnostic, Draft, Severity};
use crate::config::path::Path;
use crate::config::secrets::{is_secret, mask_userinfo};
use crate::ids::EntryKind;

/// Longest part of a value that a diagnostic shows, in characters.
const SHOWN: usize = 80;

/// Lines and spellings by path, as it is displayed. What is written where is no part of what a configuration means: all of
/// them are equal and look alike in `Debug`.
#[derive(Default)]
pub struct SourceMap {
    places: HashMap<Box<str>, (u64, Box<str>)>,
    origins: Origins,
    /// See [`SourceMap::shown`].
    shown: Value,
    /// See [`SourceMap::hash`].
    hash: String,
}

impl fmt::Debug for SourceMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceMap")
    }
}

impl PartialEq for SourceMap {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl SourceMap {
    /// An empty one of a document that is made of these.
    pub(in crate::config) fn of(origins: Origins) -> Self {
        Self { origins, ..Self::default() }
    }

    /// Notes a value that stands on `line`.
    pub(super) fn note(&mut self, path: &Path, line: u64, node: &Node) {
        self.places.entry(path.to_string().into()).or_insert_with(|| (line, written(path, node).into()));
    }

    /// Notes the whole document, and what it means once its variables are expanded.
    pub(in crate::config) fn note_document(&mut self, root: &Node, meant: &Value) {
        self.shown = shown(root);
        self.hash = Sha256::digest(meant.to_string()).iter().map(|byte| format!("{byte:02x}")).collect();
    }

    /// The document as it is written, variables not expanded, secrets masked.
    #[must_use]
    pub fn shown(&self) -> &Value {
        &self.shown
    }

    /// SHA-256 of what the document means, as hexadecimal digits; empty without a document.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The diagnostic that a draft becomes; where nothing is written, the line is that of the nearest thing around it.
    pub(in crate::config) fn locate(&self, draft: Draft) -> Diagnostic {
        let (path, (file, line)) = (draft.path.to_string(), self.origins.place(self.line(&draft.path)));
        let value = self.places.get(&*path).filter(|_| draft.show).map(|(_, written)| written.to_string());
        let (reason, remedy) = (draft.reason.into(), draft.remedy.into());
        Diagnostic { severity: Severity::Error, path, file: file.map(str::to_owned), line, value, reason, remedy }
    }

    /// What is to be said about the first of these settings that is written in the file, or else about the last one; each
    /// is given by the keys that lead to it. For what can be judged only with the machine at hand.
    #[must_use]
    pub fn diagnostic(
        &self,
        severity: Severity,
        settings: &[&[&str]],
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Diagnostic {
        let mut paths = settings.iter().map(|keys| Path::of(keys));
        let path = paths.clone().find(|path| self.places.contains_key(&*path.to_string()));
        let path = path.or_else(|| paths.next_back()).unwrap_or_default();
        Diagnostic { severity, ..self.locate(Draft::new(path, reason, remedy)) }
    }

    /// The line of the setting at `path`, as it is displayed; `None`: it is not written in a file.
    #[must_use]
    pub fn line_of(&self, path: &str) -> Option<u64> {
        self.places.get(path).map(|(line, _)| self.origins.place(*line).1).filter(|line| *line > 0)
    }

    /// The file of the setting at `path`, or `--set`; `None`: the only one, or it is not written.
    #[must_use]
    pub fn file_of(&self, path: &str) -> Option<&str> {
        self.places.get(path).and_then(|(line, _)| self.origins.place(*line).0)
    }

    /// The file of the profile called `name`, where it is none of the configuration itself but one of the user's.
    #[must_use]
    pub fn profile_file(&self, name: &str) -> Option<&str> {
        self.places.get(&*Path::of(&["profiles", name]).to_string()).and_then(|(line, _)| self.origins.aside(*line))
    }

    /// Whether an entry is not the file's, but one that was added or changed while the gateway ran.
    #[must_use]
    pub fn is_of_overlay(&self, kind: EntryKind, name: &str) -> bool {
        self.places.get(&*Path::of(&[kind.section(), name]).to_string()).is_some_and(|(line, _)| *line == 0)
    }

    fn line(&self, path: &Path) -> u64 {
        let mut path = path.clone();
        while !path.steps().is_empty() {
            if let Some((line, _)) = self.places.get(&*path.to_string()) {
                return *line;
            }
            path = path.parent();
        }
        0
    }
}

fn written(path: &Path, node: &Node) -> String {
    match &node.kind {
        Kind::Null => "nothing".into(),
        Kind::List(items) => format!("a list of {}", items.len()),
        Kind::Map(members) => {
            let keys = members.iter().map(|(key, ..)| key.as_str()).collect::<Vec<_>>().join(", ");
            shorten(&format!("a mapping of {}", if keys.is_empty() { "nothing" } else { &keys }))
        }
        Kind::Text(text) if is_variable_only(text) => shorten(&format!("{text:?}")),
        _ if path.last_key().is_some_and(is_secret) => "***".into(),
        Kind::Bool(value) => value.to_string(),
        Kind::Number(number) => {
            if node.spelling.is_empty() {
                number.to_string()
            } else {
                node.spelling.clone()
            }
        }
        Kind::Text(text) => shorten(&format!("{:?}", mask_userinfo(text))),
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
