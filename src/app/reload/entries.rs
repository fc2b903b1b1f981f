//! Adds, changes and removes one model, alias or caller while the gateway runs: in the overlay, or in the file.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::Reloader;
use super::report::{disabled_view, errors};
use crate::admin::{ConfigurationError, EntryChange, Wanted};
use crate::api::{ConfigChange, OverlayEntryView, OverlayView, ReloadCause, ReloadOutcome, ReloadReport};
use crate::app::source::{Basis, Source, variable};
use crate::app::{overlay_file, state_dir};
use crate::config::{self, Config, Layers, Overlay, OverlayEntry};
use crate::ids::EntryKind;

/// What a change leads to, before anything is changed.
struct Next {
    config: Config,
    basis: Basis,
    /// Whether the file is to be written.
    persist: bool,
}

impl Reloader {
    /// Makes `change`, or nothing.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub(super) async fn change_entry(&self, change: EntryChange) -> Result<ReloadReport, ConfigurationError> {
        let _one = self.one.lock().await;
        self.still_open()?;
        let (source, basis) = (self.source.clone(), self.basis.load_full());
        let planned = {
            let (source, basis) = (source.clone(), basis.clone());
            blocking(move || next(&source, &basis, change)).await?
        };
        let (written, persist) = (planned.basis.clone(), planned.persist);
        let folder = state_dir(&self.parts.publisher.config());
        let commit = async move || blocking(move || write(&source, &basis, &written, persist, folder)).await;
        let change = self.apply((planned.config, planned.basis), commit).await?;
        let outcome = if change.changes_nothing() { ReloadOutcome::Unchanged } else { ReloadOutcome::Applied };
        let report = self.report(outcome, ReloadCause::Entry, change, Vec::new());
        self.tell(&report);
        Ok(report)
    }

    /// What was changed while gateways ran.
    pub(super) fn overlay(&self) -> OverlayView {
        let basis = self.basis.load();
        let view = |entry: &OverlayEntry| OverlayEntryView {
            kind: entry.kind,
            name: entry.name.clone(),
            value: entry.shown(),
            since: entry.since.clone(),
            in_file: basis.is_in_file(entry.kind, &entry.name),
            errors: basis.disabled(entry.kind, &entry.name).map(|disabled| errors(&disabled.why)).unwrap_or_default(),
        };
        OverlayView { entries: basis.overlay.0.iter().map(view).collect() }
    }

    pub(super) fn report(
        &self,
        outcome: ReloadOutcome,
        cause: ReloadCause,
        change: ConfigChange,
        errors: Vec<crate::api::ConfigError>,
    ) -> ReloadReport {
        let at = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let file = self.source.title();
        let disabled = self.basis.load().disabled.iter().map(disabled_view).collect();
        ReloadReport { outcome, cause, at, file, change, errors, disabled }
    }
}

/// Decides what `change` leads to. Pure, but for the environment's variables.
fn next(source: &Source, basis: &Basis, change: EntryChange) -> Result<Next, ConfigurationError> {
    let EntryChange { kind, name, wanted, persist } = change;
    let (in_file, known) = (basis.is_in_file(kind, &name), basis.overlay.find(kind, &name));
    let entry = |value| OverlayEntry {
        kind,
        name: name.clone(),
        value,
        since: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
    };
    let invalid = |found| ConfigurationError::Invalid(errors(&found));
    let overlay = match (&wanted, known) {
        (Wanted::Entry(text), _) => basis.overlay.with(entry(Some(config::entry_value(text).map_err(invalid)?))),
        (Wanted::Removed, known) if !known.map_or(in_file, |entry| entry.value.is_some()) => {
            return Err(ConfigurationError::Unknown(format!("There is no {kind} `{name}`.")));
        }
        (Wanted::Removed, _) if in_file => basis.overlay.with(entry(None)),
        (Wanted::Removed | Wanted::AsInFile, Some(_)) => basis.overlay.without(kind, &name),
        (Wanted::AsInFile | Wanted::Removed, None) => {
            let text =
                format!("Nothing of the {kind} `{name}` was changed at run time. GET /api/v1/overlay lists what was.");
            return Err(ConfigurationError::Unknown(text));
        }
    };
    let (config, mut next) = source.merge(basis.layers.clone(), overlay).map_err(invalid)?;
    let newly = |one: &&config::DisabledEntry| {
        basis.disabled(one.kind, &one.name).is_none() || (one.kind, &one.name) == (kind, &name)
    };
    let broken: Vec<_> = next.disabled.iter().filter(newly).flat_map(|one| errors(&one.why)).collect();
    if !broken.is_empty() {
        return Err(ConfigurationError::Invalid(broken));
    }
    // It was checked with the keys; it is kept without them.
    next.overlay = Overlay(next.overlay.0.into_iter().map(|entry| entry.without_keys(&variable)).collect());
    if !persist {
        return Ok(Next { config, basis: next, persist });
    }
    let value = next.overlay.find(kind, &name).and_then(|entry| entry.value.clone());
    let layers = persisted(&basis.layers, (kind, &name), value)?;
    let (config, basis) = source.merge(layers, next.overlay.without(kind, &name)).map_err(invalid)?;
    Ok(Next { config, basis, persist })
}

fn refused(file: &str, why: &str) -> ConfigurationError {
    ConfigurationError::File(format!(
        "{file} was not changed: {why}. Without `persist=file` the change is kept in the state directory."
    ))
}

/// The files with another entry: in the one that has it; a new one in the last.
fn persisted(
    layers: &Layers,
    (kind, name): (EntryKind, &str),
    value: Option<Value>,
) -> Result<Layers, ConfigurationError> {
    let keys = [kind.section(), name];
    if layers.is_set(&keys) {
        let why = format!(
            "`--set` on the command line of the gateway says something about the {kind} `{name}`, and would win"
        );
        return Err(refused("The file", &why));
    }
    let having = layers.files_with(&keys);
    let at = match having[..] {
        [] => layers.files().len().saturating_sub(1),
        [one] => one,
        [..] => {
            let files = having.iter().filter_map(|at| layers.files().get(*at));
            let files = files.map(|layer| layer.path.display().to_string()).collect::<Vec<_>>().join(", ");
            let why =
                format!("{files} each have a part of the {kind} `{name}`; change it by hand and reload the gateway");
            return Err(refused("The file", &why));
        }
    };
    let text = layers.files().get(at).map(|layer| &*layer.text).unwrap_or_default();
    Ok(layers.with_text(at, rewritten(text, (kind, name), value)?.into()))
}

/// The text of a file with another entry.
fn rewritten(text: &str, (kind, name): (EntryKind, &str), value: Option<Value>) -> Result<String, ConfigurationError> {
    let refused = |why: String| refused("The file", &why);
    let rewrite = |wanted| config::rewrite(text, wanted).map_err(|error| refused(error.to_string()));
    let mut wanted = config::as_written(text).ok_or_else(|| refused("it cannot be read".into()))?;
    let Some(value) = value else {
        let section = wanted.get_mut(kind.section()).and_then(Value::as_object_mut);
        let removed = section.and_then(|section| section.shift_remove(name));
        // The file never had it: it stays as it is.
        return if removed.is_some() { rewrite(&wanted) } else { Ok(text.to_owned()) };
    };
    let section = wanted.entry(kind.section()).or_insert(Value::Null);
    if !section.is_object() {
        *section = Value::Object(Map::new());
    }
    if let Some(section) = section.as_object_mut() {
        section.insert(name.to_owned(), value);
    }
    rewrite(&wanted)
}

/// Writes what is to last: all of it, or nothing. The file first: what is in both does no harm if the gateway is killed between.
fn write(source: &Source, old: &Basis, new: &Basis, persist: bool, folder: PathBuf) -> Result<(), ConfigurationError> {
    if persist {
        let failed = |why: io::Error| refused(&source.title(), &why.to_string());
        source.write(&old.layers, &new.layers).map_err(failed)?;
    }
    if old.overlay == new.overlay {
        return Ok(());
    }
    let Err(why) = overlay_file::write(&folder, &new.overlay) else { return Ok(()) };
    // What the overlay says would win over the file.
    let undone = if persist { source.write(&new.layers, &old.layers) } else { Ok(()) };
    Err(ConfigurationError::Store(not_kept(&source.title(), &folder, &why, undone.err())))
}

/// That a change cannot be kept in `folder`, and what became of the file. `left`: why the file could not be given its old text.
fn not_kept(file: &str, folder: &Path, why: &io::Error, left: Option<io::Error>) -> String {
    let folder = folder.display();
    let why = format!("cannot be written to {folder}: {why}. Make room there or correct its permissions");
    match left {
        None => format!("Nothing was changed: what was to be kept {why}."),
        Some(left) => format!(
            "{file} was changed, but not what this gateway does: what was to be kept {why}, then make the change again. The file \
             could not be given its old text: {left}."
        ),
    }
}

/// Runs what waits for a file system where it keeps no worker.
async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, ConfigurationError> + Send + 'static,
) -> Result<T, ConfigurationError> {
    let ended = |error: tokio::task::JoinError| ConfigurationError::Store(format!("Nothing was changed: {error}."));
    tokio::task::spawn_blocking(run).await.map_err(ended)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_never_had_leaves_it_as_it_is_when_it_is_removed() {
        for text in ["models: {m: {source: s}}\n", "models: {m: {source: s}}\ncallers:\n", "callers: {a: {}}\n"] {
            let new = rewritten(text, (EntryKind::Caller, "bot"), None).expect("nothing is to be done");
            assert_eq!(new, text);
        }
        let new = rewritten("callers:\n  a: {}\n  b: {}\n", (EntryKind::Caller, "a"), None).expect("removed");
        assert_eq!(new, "callers:\n  b: {}\n");
    }

    #[test]
    fn it_is_told_when_the_file_has_another_text_after_all() {
        let (folder, why) = (Path::new("/state"), io::Error::from(io::ErrorKind::StorageFull));
        assert!(not_kept("/a.yaml", folder, &why, None).starts_with("Nothing was changed: "));
        let told = not_kept("/a.yaml", folder, &why, Some(io::ErrorKind::ReadOnlyFilesystem.into()));
        assert!(told.starts_with("/a.yaml was changed") && !told.contains("Nothing was changed"), "{told}");
    }
}
