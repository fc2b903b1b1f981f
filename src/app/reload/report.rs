//! What is told of a reload: errors with key, line and fix; log lines.

use crate::api::{
    ChangeKind, ConfigChange, ConfigError, DisabledView, NameChange, ReloadCause, ReloadOutcome, ReloadReport,
};
use crate::app::AppError;
use crate::config::{Config, Diagnostic, Diagnostics, DisabledEntry};
use crate::supervisor::StartError;

/// One that concerns no key.
pub(super) fn error(message: String) -> ConfigError {
    ConfigError { key: String::new(), file: None, line: None, message }
}

/// An address of `config` that is not to be had, or whatever else is not.
pub(super) fn listen_error(error: &AppError, config: &Config) -> Vec<ConfigError> {
    let key = match error {
        AppError::Listen { key, .. } | AppError::Operators { key, .. } => key.clone(),
        _ => String::new(),
    };
    let (file, line) = (config.source_map.file_of(&key).map(str::to_owned), config.source_map.line_of(&key));
    vec![ConfigError { key, file, line, message: error.to_string() }]
}

/// Engines that cannot be run here.
pub(super) fn engine_error(error: StartError) -> Vec<ConfigError> {
    let key = match &error {
        StartError::Port { .. } => "ports",
        StartError::StateDir(_) | StartError::Locked(_) | StartError::Orders { .. } => "state_dir",
    };
    vec![ConfigError { key: key.into(), file: None, line: None, message: error.to_string() }]
}

/// Everything that is wrong with a file.
pub(super) fn errors(found: &Diagnostics) -> Vec<ConfigError> {
    let one = |diagnostic: &Diagnostic| ConfigError {
        key: diagnostic.path.clone(),
        file: diagnostic.file.clone(),
        line: (diagnostic.line > 0).then_some(diagnostic.line),
        message: diagnostic.message(),
    };
    found.0.iter().map(one).collect()
}

/// A change that does not fit the file.
pub(super) fn disabled_view(entry: &DisabledEntry) -> DisabledView {
    DisabledView { kind: entry.kind, name: entry.name.clone(), errors: errors(&entry.why) }
}

/// Writes down what became of a reload.
pub(super) fn log(report: &ReloadReport, file: &str) {
    match report.outcome {
        _ if report.cause == ReloadCause::Entry => {
            tracing::info!("an operator changed the configuration: {}", summary(&report.change));
        }
        ReloadOutcome::Unchanged => tracing::info!(cause = ?report.cause, "{file} was reloaded: nothing changed"),
        ReloadOutcome::Applied => {
            tracing::info!(cause = ?report.cause, "{file} was reloaded: {}", summary(&report.change));
        }
        ReloadOutcome::Rejected => {
            tracing::error!(cause = ?report.cause, "{file} was not reloaded: the gateway serves the configuration that it had");
        }
    }
    for error in &report.errors {
        let line = error.line.map(|line| format!(", line {line}")).unwrap_or_default();
        let key = if error.key.is_empty() { "(the file)" } else { &error.key };
        let file = error.file.as_deref().unwrap_or(file);
        tracing::error!("{file}: {key}{line}: {}", error.message);
    }
    report.disabled.iter().for_each(log_disabled);
    for change in &report.change.restart_required {
        tracing::warn!(
            "`{}` stays {}: the new value {} needs a restart of the gateway",
            change.key,
            change.from,
            change.to
        );
    }
}

/// Writes down that a change does not fit the file.
pub(super) fn log_disabled(entry: &DisabledView) {
    let DisabledView { kind, name, errors } = entry;
    let why: Vec<_> = errors.iter().map(|error| format!("{}: {}", error.key, error.message)).collect();
    tracing::warn!(
        "the {kind} `{name}`, which was changed while a gateway ran, does not fit the file and is not used: {}",
        why.join("; ")
    );
}

/// All that changed, in one line.
fn summary(change: &ConfigChange) -> String {
    let mut parts = Vec::new();
    for (what, changes) in [("models", &change.models), ("aliases", &change.aliases), ("callers", &change.callers)] {
        parts.extend(names(what, changes));
    }
    for model in &change.models {
        parts.extend(model.values.iter().map(|one| format!("{}.{one}", model.name)));
    }
    parts.extend(change.engines.iter().map(|one| format!("engines of {}", one.summary())));
    for one in &change.listeners {
        parts.push(one.to_string());
    }
    parts.extend(change.settings.iter().map(ToString::to_string));
    parts.join("; ")
}

/// `aliases: 2 added (a, b), 1 changed (c)`
fn names(what: &str, changes: &[NameChange]) -> Option<String> {
    let kinds = [(ChangeKind::Added, "added"), (ChangeKind::Changed, "changed"), (ChangeKind::Removed, "removed")];
    let told: Vec<String> = kinds
        .into_iter()
        .filter_map(|(kind, word)| {
            let names: Vec<&str> = changes.iter().filter(|one| one.kind == kind).map(|one| one.name.as_str()).collect();
            (!names.is_empty()).then(|| format!("{} {word} ({})", names.len(), shortened(&names)))
        })
        .collect();
    (!told.is_empty()).then(|| format!("{what}: {}", told.join(", ")))
}

/// The first few names.
fn shortened(names: &[&str]) -> String {
    const MOST: usize = 8;
    let more = names.len().saturating_sub(MOST);
    let mut text = names.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::SettingChange;

    #[test]
    fn a_summary_names_what_changed() {
        let name = |name: &str, kind| NameChange { name: name.into(), kind, keys: Vec::new(), values: Vec::new() };
        let change = ConfigChange {
            aliases: vec![name("a", ChangeKind::Added), name("b", ChangeKind::Removed), name("c", ChangeKind::Added)],
            settings: vec![SettingChange { key: "limits.body".into(), from: "1MiB".into(), to: "2MiB".into() }],
            ..ConfigChange::default()
        };
        assert_eq!(summary(&change), "aliases: 2 added (a, c), 1 removed (b); limits.body: 1MiB -> 2MiB");
        let many: Vec<String> = (0..10).map(|number| format!("n{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(shortened(&many), "n0, n1, n2, n3, n4, n5, n6, n7 and 2 more");
    }
}
