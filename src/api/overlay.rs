//! What `GET /api/v1/overlay` tells: what was added, changed and removed while gateways ran.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ConfigError;
use crate::ids::EntryKind;

/// Where a model, an alias or a caller is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// In the configuration file.
    File,
    /// It was added or changed while a gateway ran: `GET /api/v1/overlay`.
    Overlay,
}

/// One model, alias or caller that is another than in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OverlayEntryView {
    /// What it is.
    pub kind: EntryKind,
    /// Its name.
    pub name: String,
    /// As it would stand in the file, secrets masked; `null`: it is removed.
    pub value: Option<Value>,
    /// Since when (RFC 3339).
    pub since: String,
    /// The file has something of this name, which is not used.
    pub in_file: bool,
    /// Why it is disabled: what is wrong with it since the file was changed. Empty: it is used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ConfigError>,
}

/// All of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OverlayView {
    /// The oldest first.
    pub entries: Vec<OverlayEntryView>,
}
