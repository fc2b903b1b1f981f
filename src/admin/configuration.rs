//! What operators can do with the configuration.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::api::{ConfigChange, ConfigError, OverlayView, ReloadReport};
use crate::config::{Config, entry_shown};
use crate::ids::EntryKind;

/// The configuration of the running gateway.
#[async_trait]
pub trait Configuration: fmt::Debug + Send + Sync {
    /// Reads the file again and serves by it; what became of that.
    ///
    /// # Errors
    /// When the gateway is shutting down.
    async fn reload(&self) -> Result<ReloadReport, ConfigurationError>;

    /// What `text` would change if it was in the file; nothing is changed.
    ///
    /// # Errors
    /// Everything that is wrong with it, also addresses that are taken; or when the gateway is shutting down.
    async fn plan(&self, text: &str) -> Result<ConfigChange, ConfigurationError>;

    /// Adds, changes or removes a model, an alias or a caller, or nothing.
    ///
    /// # Errors
    /// Why nothing was changed.
    async fn change(&self, change: EntryChange) -> Result<ReloadReport, ConfigurationError>;

    /// What was added, changed or removed while gateways ran.
    fn overlay(&self) -> OverlayView;

    /// What the gateway runs by.
    fn current(&self) -> Arc<Config>;

    /// The file that it was started with.
    fn file(&self) -> String;

    /// What became of the last reload; `None`: there was none.
    fn last(&self) -> Option<Arc<ReloadReport>>;
}

/// Why there is no reload, or no plan of one.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigurationError {
    /// The gateway ends.
    #[error("The gateway is shutting down: its configuration cannot be changed any more.")]
    ShuttingDown,
    /// It would be rejected: everything that is wrong.
    #[error("The configuration has errors.")]
    Invalid(Vec<ConfigError>),
    /// What is to be changed is not there.
    #[error("{0}")]
    Unknown(String),
    /// The configuration file cannot be changed.
    #[error("{0}")]
    File(String),
    /// The change cannot be written down, so it was not made.
    #[error("{0}")]
    Store(String),
}

/// What is to become of a model, an alias or a caller.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryChange {
    /// What it is.
    pub kind: EntryKind,
    /// Its name: the key that it has in the file.
    pub name: String,
    /// What is to become of it.
    pub wanted: Wanted,
    /// Whether the change goes to the file, and not only to the state directory.
    pub persist: bool,
}

impl fmt::Display for EntryChange {
    /// Says what is changed, secrets masked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, wanted, persist } = self;
        match wanted {
            Wanted::Entry(text) => {
                let shown = entry_shown(text).map(|value| value.to_string());
                write!(f, "{kind} `{name}` is {}", shown.as_deref().unwrap_or("not understood"))?;
            }
            Wanted::Removed => write!(f, "{kind} `{name}` is removed")?,
            Wanted::AsInFile => write!(f, "{kind} `{name}` is what the file says")?,
        }
        if *persist { f.write_str(", in the file") } else { Ok(()) }
    }
}

/// What is to become of an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// This text, JSON or YAML, is what stands under its name.
    Entry(String),
    /// There is none.
    Removed,
    /// It is what the file says.
    AsInFile,
}
