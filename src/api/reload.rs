//! What a configuration would change, and what became of a reload: `POST /api/v1/plan`, `/api/v1/reload`.

use std::fmt::{self, Display, Formatter};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::EngineChange;
use crate::ids::EntryKind;

/// What a configuration changes, compared with the one that is served.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigChange {
    /// Models that are added, removed or changed.
    pub models: Vec<NameChange>,
    /// Aliases that are added, removed or changed.
    pub aliases: Vec<NameChange>,
    /// Callers that are added, removed or changed.
    pub callers: Vec<NameChange>,
    /// What is done to the engines that run here, for each model where something is.
    pub engines: Vec<EngineChange>,
    /// Addresses that are opened or closed, with the key that they are configured by.
    pub listeners: Vec<ListenerChange>,
    /// Other keys with other values.
    pub settings: Vec<SettingChange>,
    /// Keys with other values that need a new process: the gateway goes on with the values that it has.
    pub restart_required: Vec<SettingChange>,
}

impl ConfigChange {
    /// Whether nothing changes in the running gateway.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        *self == Self { restart_required: self.restart_required.clone(), ..Self::default() }
    }
}

/// What becomes of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It goes.
    Removed,
    /// It stays, and is another.
    Changed,
}

/// A model, an alias or a caller that is added, removed or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NameChange {
    /// Its name.
    pub name: String,
    /// What becomes of it.
    pub kind: ChangeKind,
    /// Of one that is changed: its keys with other values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Of a model with `urls:` that is changed: what engines are reached by, before and after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<SettingChange>,
}

/// An address that is opened or closed, or serves something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListenerChange {
    /// The key: `listen` or `aliases.NAME.listen`.
    pub key: String,
    /// The address as it is configured.
    pub address: String,
    /// `added`, `removed`, or `changed`: it stays open, and is for another key.
    pub kind: ChangeKind,
    /// Of one that is changed: the key that it was for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

impl Display for ListenerChange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { key, address, kind, from } = self;
        match (kind, from) {
            (ChangeKind::Added, _) => write!(f, "{address} opened ({key})"),
            (ChangeKind::Removed, _) => write!(f, "{address} closed ({key})"),
            (ChangeKind::Changed, None) => write!(f, "{address} changed ({key})"),
            (ChangeKind::Changed, Some(from)) => write!(f, "{address} passes from {from} to {key}"),
        }
    }
}

impl Display for SettingChange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.key, self.from, self.to)
    }
}

/// A key with another value. Secrets are not shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettingChange {
    /// The key: `limits.body`.
    pub key: String,
    /// The value that is in use.
    pub from: String,
    /// The value in the file.
    pub to: String,
}

/// What became of a reload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReloadReport {
    /// Whether it was applied.
    pub outcome: ReloadOutcome,
    /// What caused it.
    pub cause: ReloadCause,
    /// When it ended (RFC 3339, UTC).
    pub at: String,
    /// The configuration file of the gateway; of several, all in their order with ` + ` between them.
    pub file: String,
    /// What it changed; of a rejected one, nothing.
    pub change: ConfigChange,
    /// Why it was rejected: everything that is wrong. Of one that was applied: addresses that could not be had, because
    /// another process has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ConfigError>,
    /// Of what was added, changed or removed while gateways ran: what does not fit the file any more. It is kept, and not used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disabled: Vec<DisabledView>,
}

/// Whether a reload was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// The gateway serves the new configuration.
    Applied,
    /// The file says what is served already.
    Unchanged,
    /// Something is wrong with it: the gateway serves the configuration that it had.
    Rejected,
}

/// What caused a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReloadCause {
    /// SIGHUP.
    Signal,
    /// `POST /api/v1/reload`.
    Api,
    /// The file changed (`watch: true`).
    Watch,
    /// A model, an alias or a caller was added, changed or removed by `PUT` or `DELETE`; the file was not read.
    Entry,
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigError {
    /// The key: `models.qwen.gpus[1]`; empty for the file as a whole.
    pub key: String,
    /// The file that it is in, where the gateway has several; `--set`: the command line of the gateway says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in the file, from 1; `null` where there is none.
    pub line: Option<u64>,
    /// What is wrong, and what to do about it.
    pub message: String,
}

/// Something that was added, changed or removed while a gateway ran, and cannot be used with the file as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DisabledView {
    /// What it is.
    pub kind: EntryKind,
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub errors: Vec<ConfigError>,
}
