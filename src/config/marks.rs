//! What stood where: the line and the spelling of every value, secrets masked.

use std::collections::HashMap;

use super::expand::is_variable;
use super::fault::Fault;
use super::finding::Finding;
use super::path::Path;
use super::yaml::{Kind, Node};

/// Longest part of a value that a fault shows, in characters.
const SHOWN: usize = 80;

/// Lines and spellings by path.
#[derive(Default)]
pub(super) struct Marks(HashMap<Path, (u64, String)>);

impl Marks {
    /// Notes a value that stands on `line`.
    pub(super) fn note(&mut self, path: &Path, line: u64, node: &Node) {
        self.0.entry(path.clone()).or_insert_with(|| (line, written(path, node)));
    }

    /// The fault that a finding is; where nothing is written, the line is that of the nearest thing around it.
    pub(super) fn fault(&self, finding: Finding) -> Fault {
        let value = self.0.get(&finding.path).filter(|_| finding.show).map(|(_, written)| written.clone());
        Fault {
            line: self.line(&finding.path),
            path: finding.path.to_string(),
            value,
            reason: finding.reason,
            remedy: finding.remedy,
        }
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

/// Whether a setting or variable of that name holds a secret: `api_key`, `HF_TOKEN`, `ssl-keyfile-password`.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let last = key.rsplit(['_', '-', '.']).next().unwrap_or(&key);
    ["key", "apikey", "token", "secret", "password", "passwd", "passphrase", "credentials", "auth"].contains(&last)
}

/// `http://user:password@host` without the first part.
pub(super) fn mask_userinfo(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (scheme, after) = rest.split_at(at + 3);
        out.push_str(scheme);
        let end = after.find(['/', ' ', '?', '#']).unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(user) => {
                out.push_str("***");
                &after[user..]
            }
            None => after,
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_name() {
        for key in ["api_key", "token", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "api-key", "PASSWORD"] {
            assert!(is_secret(key), "{key}");
        }
        for key in ["max_tokens", "gpus", "keepalive", "source"] {
            assert!(!is_secret(key), "{key}");
        }
    }

    #[test]
    fn user_and_password_of_a_url_are_masked() {
        assert_eq!(mask_userinfo("http://u:p@h:1/a@b https://x"), "http://***@h:1/a@b https://x");
        assert_eq!(mask_userinfo("://://@"), "://://***@");
    }
}
