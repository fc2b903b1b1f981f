//! What operators changed while the gateway ran: models, aliases and callers that are put on top of those in the file.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::diagnostic::Diagnostics;
use super::document::{self, Env, Kind, Node, expand, is_variable_only};
use super::secrets::caller_key;
use super::types::Config;
use crate::ids::EntryKind;

/// One model, alias or caller that is another than in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverlayEntry {
    /// What it is.
    pub kind: EntryKind,
    /// Its name: the key that it would have in the file.
    pub name: String,
    /// What would stand under that key; `None`: it is removed.
    pub value: Option<Value>,
    /// Since when (RFC 3339).
    pub since: String,
}

impl OverlayEntry {
    /// Whether it is about this name.
    #[must_use]
    pub fn is(&self, kind: EntryKind, name: &str) -> bool {
        self.kind == kind && self.name == name
    }

    /// The same as it may be kept: with hashes in place of the keys of callers.
    #[must_use]
    pub fn without_keys(mut self, env: &dyn Fn(&str) -> Option<String>) -> Self {
        if let (EntryKind::Caller, Some(value)) = (self.kind, &mut self.value) {
            hashed_keys(value, env);
        }
        self
    }

    /// The value as operators may see it, secrets masked.
    #[must_use]
    pub fn shown(&self) -> Option<Value> {
        Some(document::shown(&Node::of_json(self.value.as_ref()?)))
    }
}

/// All that was changed. At most one entry for each name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Overlay(pub Vec<OverlayEntry>);

impl Overlay {
    /// The entry of a name.
    #[must_use]
    pub fn find(&self, kind: EntryKind, name: &str) -> Option<&OverlayEntry> {
        self.0.iter().find(|entry| entry.is(kind, name))
    }

    /// The same with `entry` in place of the one for its name.
    #[must_use]
    pub fn with(&self, entry: OverlayEntry) -> Self {
        let mut entries = self.0.clone();
        match entries.iter_mut().find(|old| old.is(entry.kind, &entry.name)) {
            Some(old) => *old = entry,
            None => entries.push(entry),
        }
        Self(entries)
    }

    /// The same without an entry for this name.
    #[must_use]
    pub fn without(&self, kind: EntryKind, name: &str) -> Self {
        Self(self.0.iter().filter(|entry| !entry.is(kind, name)).cloned().collect())
    }
}

/// An entry that cannot be used with the file as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct DisabledEntry {
    /// What it is.
    pub kind: EntryKind,
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub why: Diagnostics,
}

/// A file with an overlay on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// The whole.
    pub config: Config,
    /// The names that the file has.
    pub in_file: Vec<(EntryKind, String)>,
    /// The entries that are left out, for without them the rest is valid.
    pub disabled: Vec<DisabledEntry>,
}

impl Merged {
    /// Whether the file has something of this name.
    #[must_use]
    pub fn is_in_file(&self, kind: EntryKind, name: &str) -> bool {
        self.in_file.iter().any(|(in_file, known)| *in_file == kind && known == name)
    }
}

/// Puts `overlay` on the document `root`, which means `config` by itself. `read` reads a document.
///
/// Where not all of it fits, the entries are tried one by one, models first, again and again until none more fits: those that are
/// left are disabled, each with what was wrong with it.
pub(super) fn merge(
    (root, config): (&Node, Config),
    overlay: &Overlay,
    read: impl Fn(&Node) -> Result<Config, Diagnostics>,
) -> Merged {
    let in_file = names(root);
    if overlay.0.is_empty() {
        return Merged { config, in_file, disabled: Vec::new() };
    }
    let mut waiting: Vec<&OverlayEntry> = overlay.0.iter().collect();
    if let Ok(config) = read(&overlaid(root, &waiting)) {
        return Merged { config, in_file, disabled: Vec::new() };
    }
    waiting.sort_by_key(|entry| entry.kind);
    let (mut config, mut fit, mut disabled) = (config, Vec::new(), Vec::new());
    loop {
        let before = waiting.len();
        disabled.clear();
        waiting.retain(|entry| {
            fit.push(*entry);
            match read(&overlaid(root, &fit)) {
                Ok(with_it) => {
                    config = with_it;
                    false
                }
                Err(why) => {
                    fit.pop();
                    disabled.push(DisabledEntry { kind: entry.kind, name: entry.name.clone(), why });
                    true
                }
            }
        });
        if waiting.len() == before || waiting.is_empty() {
            return Merged { config, in_file, disabled };
        }
    }
}

/// The document with these entries in place of its own.
fn overlaid(root: &Node, entries: &[&OverlayEntry]) -> Node {
    let Kind::Map(members) = &root.kind else { return root.clone() };
    let mut members = members.clone();
    for entry in entries {
        let section = entry.kind.section();
        let at = members.iter().position(|(key, ..)| key == section).unwrap_or_else(|| {
            members.push((section.to_owned(), 0, Node::of_json(&Value::Null)));
            members.len() - 1
        });
        let section = &mut members[at].2;
        if !matches!(section.kind, Kind::Map(_)) {
            section.kind = Kind::Map(Vec::new());
        }
        let Kind::Map(entries) = &mut section.kind else { continue };
        let known = entries.iter().position(|(name, ..)| *name == entry.name);
        match (known, entry.value.as_ref().map(Node::of_json)) {
            (Some(at), Some(value)) => entries[at] = (entry.name.clone(), 0, value),
            (Some(at), None) => drop(entries.remove(at)),
            (None, Some(value)) => entries.push((entry.name.clone(), 0, value)),
            (None, None) => {}
        }
    }
    Node { kind: Kind::Map(members), ..root.clone() }
}

fn names(root: &Node) -> Vec<(EntryKind, String)> {
    let Kind::Map(members) = &root.kind else { return Vec::new() };
    let mut names = Vec::new();
    for (section, _, entries) in members {
        if let (Some(kind), Kind::Map(entries)) = (EntryKind::of_section(section), &entries.kind) {
            names.extend(entries.iter().map(|(name, ..)| (kind, name.clone())));
        }
    }
    names
}

/// An entry as it is written in YAML or JSON, as operators may see it, secrets masked; `None`: it is none.
#[must_use]
pub fn entry_shown(text: &str) -> Option<Value> {
    Some(document::shown(&Node::of_json(&entry_value(text).ok()?)))
}

/// An entry as it is written in YAML or JSON.
///
/// # Errors
/// When it is neither, or no mapping.
pub fn entry_value(text: &str) -> Result<Value, Diagnostics> {
    let mut found = Vec::new();
    let node = document::read(text, &mut found).filter(|_| found.is_empty()).ok_or(Diagnostics(found))?;
    match node.kind {
        Kind::Map(_) => Ok(node.as_written()),
        _ => Err(Diagnostics::file(
            "This is no mapping of keys to values.",
            "Write what would stand under the name in the file, as JSON or YAML: {\"model\": \"qwen\"}.",
        )),
    }
}

/// Puts hashes in place of the keys of a caller, whose value this is. Those that the environment has stay there, and what is no
/// key is left to those who say so.
fn hashed_keys(value: &mut Value, env: Env<'_>) {
    let keys = value.get_mut("keys").and_then(Value::as_array_mut);
    for key in keys.into_iter().flatten() {
        let Some(text) = key.as_str().filter(|text| !is_variable_only(text)) else { continue };
        if let Ok(expanded) = expand(text, env)
            && let Ok(hash) = caller_key(&expanded.text)
        {
            *key = Value::String(format!("sha256:{}", hash.hex()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::KeyHash;

    #[test]
    fn keys_of_callers_are_kept_as_hashes_or_where_the_environment_has_them() {
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let mut value = serde_json::json!({ "keys": ["abc", abc, "${A}", "${A:-abc}", "${A}bc", "", 7] });
        hashed_keys(&mut value, &|_| Some("a".into()));
        let a = format!("sha256:{}", KeyHash::of(b"a").hex());
        assert_eq!(value, serde_json::json!({ "keys": [abc, abc, "${A}", a, abc, "", 7] }));
    }
}
