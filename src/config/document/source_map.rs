//! Where every value of a file is, and how it is written there, secrets masked.

use std::collections::HashMap;

use super::variables::is_variable;
use super::yaml::{Kind, Node};
use crate::config::diagnostic::{Diagnostic, Draft};
use crate::config::path::Path;
use crate::config::secrets::{is_secret, mask_userinfo};

/// Longest part of a value that a diagnostic shows, in characters.
const SHOWN: usize = 80;

/// Lines and spellings by path.
#[derive(Default)]
pub(in crate::config) struct SourceMap(HashMap<Path, (u64, String)>);

impl SourceMap {
    /// Notes a value that stands on `line`.
    pub(super) fn note(&mut self, path: &Path, line: u64, node: &Node) {
        self.0.entry(path.clone()).or_insert_with(|| (line, written(path, node)));
    }

    /// The diagnostic that a draft becomes; where nothing is written, the line is that of the nearest thing around it.
    pub(in crate::config) fn locate(&self, draft: Draft) -> Diagnostic {
        let value = self.0.get(&draft.path).filter(|_| draft.show).map(|(_, written)| written.clone());
        let (path, line) = (draft.path.to_string(), self.line(&draft.path));
        Diagnostic { path, line, value, reason: draft.reason.into(), remedy: draft.remedy.into() }
    }

    fn line(&self, path: &Path) -> u64 {
        let mut path = path.clone();
        while !path.steps().is_empty() {
            if let Some((line, _)) = self.0.get(&path) {
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

/// `${NAME}` and nothing else: a default may be a secret.
fn is_variable_only(text: &str) -> bool {
    text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).is_some_and(is_variable)
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
