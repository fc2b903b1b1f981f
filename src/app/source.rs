//! Where the configuration comes from: a file, what the command line says instead of it, and what operators changed since.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::stamp::Stamp;
use super::{overlay_file, state_dir};
use crate::config::{self, Config, Diagnostics, DisabledEntry, Merged, Overlay};
use crate::ids::EntryKind;

/// A configuration file, read again for each reload.
#[derive(Clone, Debug)]
pub struct Source {
    file: PathBuf,
    state_dir: Option<PathBuf>,
    /// What the file was when it was read last, and what was in it.
    read: Arc<Mutex<(Option<Stamp>, Arc<str>)>>,
}

/// What a configuration was made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Basis {
    /// What is in the file.
    pub(super) text: Arc<str>,
    /// What was changed while gateways ran.
    pub(super) overlay: Overlay,
    /// The names that the file has.
    pub(super) in_file: Vec<(EntryKind, String)>,
    /// Changes that do not fit the file.
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
    /// The configuration in `file`. `state_dir`: instead of the file's.
    #[must_use]
    pub fn new(file: &Path, state_dir: Option<PathBuf>) -> Self {
        // Absolute: messages are read by people who are elsewhere.
        Self { file: std::path::absolute(file).unwrap_or_else(|_| file.to_owned()), state_dir, read: Arc::default() }
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What the file says now, without what operators changed. Blocks.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(&self) -> Result<Config, Diagnostics> {
        let text = self.read()?;
        config::parse_as(&self.file, &text, &variable).map(|config| self.complete(config))
    }

    /// What is in the file now. Blocks.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn read(&self) -> Result<Arc<str>, Diagnostics> {
        // Before it is read: a change meanwhile is a change.
        let stamp = Stamp::of(&self.file);
        self.seen().0 = stamp;
        let text: Arc<str> = config::read_file(&self.file)?.into();
        *self.seen() = (stamp, text.clone());
        Ok(text)
    }

    /// Puts `text` into the file, which is not read again for that. Blocks.
    ///
    /// # Errors
    /// When there is another text in it than `known`, or what the system says.
    pub(super) fn write(&self, known: &str, text: &str) -> io::Result<()> {
        if self.is_pipe() {
            return Err(io::Error::other("it is a pipe or a device"));
        }
        if std::fs::read(&self.file)? != known.as_bytes() {
            return Err(io::Error::other("it was changed since the gateway read it; reload the gateway first"));
        }
        replace_text(&self.file, text)?;
        *self.seen() = (Stamp::of(&self.file), text.into());
        Ok(())
    }

    /// Whether a pipe or a device is there: it can be read once.
    pub(super) fn is_pipe(&self) -> bool {
        std::fs::metadata(&self.file).is_ok_and(|found| !found.is_file() && !found.is_dir())
    }

    /// What the file was when it was read last; `None`: it was not there, or was not read.
    pub(super) fn read_last(&self) -> Option<Stamp> {
        self.seen().0
    }

    /// What the file would mean if `text` was in it, with `overlay` on it.
    ///
    /// # Errors
    /// Everything that is wrong with the text by itself.
    pub(super) fn merge(&self, text: Arc<str>, overlay: Overlay) -> Result<(Config, Basis), Diagnostics> {
        let Merged { config, in_file, disabled } = config::parse_with(&self.file, &text, &overlay, &variable)?;
        Ok((self.complete(config), Basis { text, overlay, in_file, disabled }))
    }

    /// The configuration that was read last, with what earlier gateways were told to change. Blocks.
    ///
    /// # Errors
    /// When it is not valid by itself.
    pub(super) fn with_overlay(&self, config: &Config) -> Result<(Config, Basis), Diagnostics> {
        self.merge(self.seen().1.clone(), overlay_file::read(&state_dir(config)))
    }

    fn complete(&self, mut config: Config) -> Config {
        if self.state_dir.is_some() {
            config.state_dir.clone_from(&self.state_dir);
        }
        config
    }

    fn seen(&self) -> MutexGuard<'_, (Option<Stamp>, Arc<str>)> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A variable of the environment.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Puts `text` into `file`, whole if its folder can be written to; links stay, and so do its permissions.
fn replace_text(file: &Path, text: &str) -> io::Result<()> {
    // A file whose place may be written to, but not itself, is not to be changed.
    let own = std::fs::OpenOptions::new().write(true).open(file)?;
    let real = std::fs::canonicalize(file)?;
    let mut new = real.clone().into_os_string();
    new.push(".new");
    let exchanged = std::fs::write(&new, text)
        .and_then(|()| std::fs::set_permissions(&new, own.metadata()?.permissions()))
        .and_then(|()| std::fs::File::open(&new)?.sync_all())
        .and_then(|()| std::fs::rename(&new, &real));
    if exchanged.is_ok() {
        return Ok(());
    }
    let _ = std::fs::remove_file(&new);
    // A file that is mounted by itself, or whose folder is closed.
    std::fs::write(&real, text)
}
