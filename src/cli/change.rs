//! What a changed configuration changes, and what is wrong with one, in words.

use std::path::Path;

use crate::api::{ChangeKind, ConfigChange, ConfigError, NameChange, SettingChange};

/// All errors of the configuration in `file`.
pub(super) fn errors(found: &[ConfigError], file: &Path) -> String {
    let one = |error: &ConfigError| {
        let line = error.line.map(|line| format!(", line {line}")).unwrap_or_default();
        let key = if error.key.is_empty() { "(the file)" } else { &error.key };
        let file = error.file.clone().unwrap_or_else(|| file.display().to_string());
        format!("{file}: {key}{line}\n    {}\n", error.message)
    };
    found.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// What changes, one line for each thing.
pub(super) fn described(change: &ConfigChange, some: &str, none: &str) -> String {
    let mut lines = Vec::new();
    for (what, changes) in [("model", &change.models), ("alias", &change.aliases), ("caller", &change.callers)] {
        lines.extend(changes.iter().map(|one| format!("{what} {}", named(one).replace('\n', "\n  "))));
    }
    lines.extend(change.engines.iter().map(|one| format!("engines of {}", one.to_string().replace('\n', "\n  "))));
    lines.extend(change.listeners.iter().map(ToString::to_string));
    lines.extend(change.settings.iter().map(ToString::to_string));
    let mut out = if lines.is_empty() { format!("{none}.\n") } else { format!("{some}:\n") };
    let kept = |SettingChange { key, from, to }: &SettingChange| {
        format!("{key}: stays {from}; {to} needs a restart of the gateway")
    };
    lines.extend(change.restart_required.iter().map(kept));
    lines.iter().for_each(|line| out.extend(["  ", line, "\n"]));
    out
}

fn named(one: &NameChange) -> String {
    let word = match one.kind {
        ChangeKind::Added => "added",
        ChangeKind::Removed => "removed",
        ChangeKind::Changed => "changed",
    };
    let keys = if one.keys.is_empty() { String::new() } else { format!(" ({})", one.keys.join(", ")) };
    let values: String = one.values.iter().map(|value| format!("\n  {value}")).collect();
    format!("{}: {word}{keys}{values}", one.name)
}
