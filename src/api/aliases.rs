//! What `GET /api/v1/aliases` and `GET /api/v1/callers` tell.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Origin;

/// One alias.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AliasView {
    /// What callers say.
    pub alias: String,
    /// The model or LoRA adapter that its requests go to; of a split: that of the heaviest part.
    pub model: String,
    /// Not listed on `/v1/models`.
    pub hidden: bool,
    /// What it changes in requests, in the order in which it is changed, in words.
    pub changes: Vec<String>,
    /// Names of the parts that its requests are split into, with their weights.
    pub split: Vec<SplitPart>,
    /// Names of the places where its requests go when the first one cannot take them, in order.
    pub fallback: Vec<String>,
    /// Where copies of some of its requests go.
    pub mirror: Option<String>,
    /// What of its requests' bodies is kept for operators; `null`: nothing.
    pub capture: Option<CaptureView>,
    /// The address that it has to itself.
    pub listen: Option<String>,
    /// Where it is configured.
    pub origin: Origin,
}

/// A part of a split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SplitPart {
    /// Its name.
    pub name: String,
    /// Its share of all weights.
    pub weight: u32,
}

/// What is kept of bodies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaptureView {
    /// Of so many requests, the newest ones.
    pub requests: usize,
    /// So many bytes of each body.
    pub bytes: usize,
    /// Members of bodies whose values are masked; a dot leads into an object.
    pub mask: Vec<String>,
}

/// A list of aliases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AliasesView {
    /// In the order of the configuration.
    pub aliases: Vec<AliasView>,
}

/// One caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallerView {
    /// Its name.
    pub caller: String,
    /// Where it is configured.
    pub origin: Origin,
    /// How many keys it has.
    pub keys: usize,
    /// Requests since the gateway started.
    pub requests: u64,
    /// Tokens read for it.
    pub prompt_tokens: u64,
    /// Tokens written for it.
    pub completion_tokens: u64,
}

/// A list of callers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallersView {
    /// In the order of the configuration.
    pub callers: Vec<CallerView>,
}
