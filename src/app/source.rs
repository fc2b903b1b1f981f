//! Where the configuration comes from: a file, and what the command line says instead of it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::stamp::Stamp;

use crate::config::{self, Config, Diagnostics};

/// A configuration file, read again for each reload.
#[derive(Clone, Debug)]
pub struct Source {
    file: PathBuf,
    state_dir: Option<PathBuf>,
    /// What the file was when it was read last.
    read: Arc<Mutex<Option<Stamp>>>,
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

    /// What the file says now.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(&self) -> Result<Config, Diagnostics> {
        // Before it is read: a change meanwhile is a change.
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Stamp::of(&self.file);
        config::load(&self.file, &|name| std::env::var(name).ok()).map(|config| self.complete(config))
    }

    /// Whether a pipe or a device is there: it can be read once.
    pub(super) fn is_pipe(&self) -> bool {
        std::fs::metadata(&self.file).is_ok_and(|found| !found.is_file() && !found.is_dir())
    }

    /// What the file was when it was read last; `None`: it was not there, or was not read.
    pub(super) fn read_last(&self) -> Option<Stamp> {
        *self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the file would say if `text` was in it.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(&self, text: &str) -> Result<Config, Diagnostics> {
        config::parse_as(&self.file, text, &|name| std::env::var(name).ok()).map(|config| self.complete(config))
    }

    fn complete(&self, mut config: Config) -> Config {
        if self.state_dir.is_some() {
            config.state_dir.clone_from(&self.state_dir);
        }
        config
    }
}
