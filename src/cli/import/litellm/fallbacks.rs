//! `fallbacks`, `context_window_fallbacks` and `default_fallbacks`: for each name the names that are tried after it.

use serde_json::{Map, Value};

use super::super::document::Section;
use super::super::draft::Draft;
use super::super::values::texts;

/// Who is tried after whom.
#[derive(Debug, Default)]
pub(super) struct Fallbacks {
    by_name: Vec<(String, Vec<String>)>,
    default: Vec<String>,
}

impl Fallbacks {
    /// Takes those of a block of settings; what has no equivalent is said.
    pub(super) fn take(&mut self, place: &str, settings: &Map<String, Value>, draft: &mut Draft, at: &mut Section) {
        for key in ["fallbacks", "context_window_fallbacks"] {
            let before = self.by_name.len();
            for entry in settings.get(key).and_then(Value::as_array).into_iter().flatten() {
                for (name, targets) in entry.as_object().into_iter().flatten() {
                    if targets.as_array().is_some_and(|all| all.iter().any(|one| !one.is_string())) {
                        draft.notes.say(
                            at,
                            &format!("{place}.{key}"),
                            "has something that is no name, and that was left out.",
                        );
                    }
                    let targets: Vec<String> =
                        targets.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
                    if name == "*" { self.default.extend(targets) } else { self.by_name.push((name.clone(), targets)) }
                }
            }
            if key != "fallbacks" && self.by_name.len() > before {
                draft.notes.say(
                    at,
                    &format!("{place}.{key}"),
                    "are used, too, when the model is down or full: there is one list, `fallback`.",
                );
            }
        }
        self.default.extend(texts(settings.get("default_fallbacks").unwrap_or(&Value::Null)));
        if settings.get("content_policy_fallbacks").is_some_and(|all| !all.is_null()) {
            let text = "was left out: engines do not refuse requests for their content.";
            draft.notes.say(at, &format!("{place}.content_policy_fallbacks"), text);
        }
    }

    /// Those that are tried after `name`.
    pub(super) fn of(&self, name: &str) -> Vec<&str> {
        let own = self.by_name.iter().filter(|(other, _)| other == name).flat_map(|(_, targets)| targets);
        let mut all: Vec<&str> = own.map(String::as_str).collect();
        if all.is_empty() {
            all = self.default.iter().map(String::as_str).collect();
        }
        let mut seen = vec![name];
        all.retain(|target| !seen.contains(target) && (seen.push(target), true).1);
        all
    }

    /// All names that have some, or that are some.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let each = self.by_name.iter().flat_map(|(name, targets)| [name].into_iter().chain(targets));
        each.chain(&self.default).map(String::as_str)
    }
}
