//! Where the configuration comes from: files, what the command line says instead of them, and what operators changed since.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::replace_text::replace_text;
use super::stamp::Stamp;
use super::user_profiles::user_profiles;
use super::{AppError, overlay_file, state_dir};
use crate::config::{self, Config, Diagnostics, DisabledEntry, Layers, Merged, Overlay, Setting};
use crate::ids::EntryKind;

/// Between two files of a title.
const SEPARATOR: &str = " + ";

/// Configuration files and settings of the command line, read again for each reload.
#[derive(Clone, Debug)]
pub struct Source {
    files: Arc<[PathBuf]>,
    settings: Arc<[Setting]>,
    state_dir: Option<PathBuf>,
    /// What was read last.
    read: Arc<Mutex<Seen>>,
}

/// What the files were when they were read last, and what was in them.
#[derive(Debug, Default)]
struct Seen {
    /// `None`: one of them was not there, or they were not read.
    stamps: Option<Vec<Stamp>>,
    layers: Layers,
}

/// What a configuration was made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Basis {
    /// What is in the files, and what the command line says.
    pub(super) layers: Layers,
    /// What was changed while gateways ran.
    pub(super) overlay: Overlay,
    /// The names that the files have.
    pub(super) in_file: Vec<(EntryKind, String)>,
    /// Changes that do not fit the files.
    pub(super) disabled: Vec<DisabledEntry>,
}

impl Basis {
    /// Whether the file has something of this name.
    pub(super) fn is_in_file(&self, kind: EntryKind, name: &str) -> bool {
        self.in_file.iter().any(|(in_file, known)| *in_file == kind && known == name)
    }

    /// What is wrong with the change of this name; `None`: it is used, or there is none.
    pub(super) fn disabled(&self, kind: EntryKind, name: &str) -> Option<&DisabledEntry> {
        self.disabled.iter().find(|entry| entry.kind == kind && entry.name == name)
    }
}

impl Source {
    /// The configuration in `files`, later ones on top, with `settings` on top of all. `state_dir`: instead of the files'.
    #[must_use]
    pub fn new(files: &[PathBuf], settings: Vec<Setting>, state_dir: Option<PathBuf>) -> Self {
        // Absolute: messages are read by people who are elsewhere.
        let absolute = |file: &PathBuf| std::path::absolute(file).unwrap_or_else(|_| file.clone());
        Self { files: files.iter().map(absolute).collect(), settings: settings.into(), state_dir, read: Arc::default() }
    }

    /// The files, for people: `/etc/base.yaml + /etc/prod.yaml`.
    #[must_use]
    pub fn title(&self) -> String {
        self.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(SEPARATOR)
    }

    /// Whether these are the files that `title`, of a source on this machine, names; `None`: one of those is not here. Blocks.
    #[must_use]
    pub fn is_titled(&self, title: &str) -> Option<bool> {
        if title == self.title() {
            return Some(true);
        }
        let real = |file: &Path| std::fs::canonicalize(file).ok();
        let theirs = title.split(SEPARATOR).map(|file| real(Path::new(file))).collect::<Option<Vec<_>>>()?;
        let ours: Option<Vec<_>> = self.files.iter().map(|file| real(file)).collect();
        Some(ours.is_some_and(|ours| ours == theirs))
    }

    /// What the files say now, without what operators changed. Blocks.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(&self) -> Result<Config, Diagnostics> {
        config::parse_layers(&self.read()?, &variable).map(|config| self.complete(config))
    }

    /// What is in the files now. Blocks.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn read(&self) -> Result<Layers, Diagnostics> {
        // Before they are read: a change meanwhile is a change.
        let stamps = self.look();
        self.seen().stamps.clone_from(&stamps);
        let layers = Layers::read(&self.files, self.settings.clone())?.with_profiles(user_profiles());
        *self.seen() = Seen { stamps, layers: layers.clone() };
        Ok(layers)
    }

    /// Puts the texts of `new` into the files where they differ from those of `old`; they are not read again for that. Blocks.
    ///
    /// # Errors
    /// When there is another text in one of these than in `old`, or what the system says.
    pub(super) fn write(&self, old: &Layers, new: &Layers) -> io::Result<()> {
        for (before, after) in old.files().iter().zip(new.files()).filter(|(before, after)| before != after) {
            if is_pipe(&after.path) {
                return Err(io::Error::other("it is a pipe or a device"));
            }
            if std::fs::read(&after.path)? != before.text.as_bytes() {
                return Err(io::Error::other("it was changed since the gateway read it; reload the gateway first"));
            }
            replace_text(&after.path, &after.text)?;
        }
        *self.seen() = Seen { stamps: self.look(), layers: new.clone() };
        Ok(())
    }

    /// Whether one of the files is a pipe or a device, which can be read once.
    pub(super) fn is_pipe(&self) -> bool {
        self.files.iter().any(|file| is_pipe(file))
    }

    /// What the files are now; `None`: one of them is not there. Blocks.
    pub(super) fn look(&self) -> Option<Vec<Stamp>> {
        self.files.iter().map(|file| Stamp::of(file)).collect()
    }

    /// What the files were when they were read last; `None`: one was not there, or they were not read.
    pub(super) fn read_last(&self) -> Option<Vec<Stamp>> {
        self.seen().stamps.clone()
    }

    /// What `layers` mean with `overlay` on them.
    ///
    /// # Errors
    /// Everything that is wrong with them by themselves.
    pub(super) fn merge(&self, layers: Layers, overlay: Overlay) -> Result<(Config, Basis), Diagnostics> {
        let Merged { config, in_file, disabled } = config::parse_with(&layers, &overlay, &variable)?;
        Ok((self.complete(config), Basis { layers, overlay, in_file, disabled }))
    }

    /// The same with the user's profiles as they are now, as a reload reads them. Blocks.
    ///
    /// # Errors
    /// Everything that is wrong with them by themselves.
    pub(super) fn merge_anew(&self, layers: Layers, overlay: Overlay) -> Result<(Config, Basis), Diagnostics> {
        self.merge(layers.with_profiles(user_profiles()), overlay)
    }

    /// The configuration that was read last, with what earlier gateways were told to change. Blocks.
    ///
    /// # Errors
    /// When it is not valid by itself, or what was to be changed cannot be read.
    pub(super) fn with_overlay(&self, config: &Config) -> Result<(Config, Basis), AppError> {
        let layers = self.seen().layers.clone();
        Ok(self.merge(layers, overlay_file::read(&state_dir(config))?)?)
    }

    fn complete(&self, mut config: Config) -> Config {
        if self.state_dir.is_some() {
            config.state_dir.clone_from(&self.state_dir);
        }
        config
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_pipe(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// A variable of the environment.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
