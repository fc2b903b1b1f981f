//! A validated alias: a name that points at a model and carries request settings.

use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderName;

use super::gym::Gym;
use crate::ids::Name;
use crate::settings::{FieldPath, Settings};

/// The header by which callers stay with one part of a split, unless another is named.
pub const SESSION: &str = "x-session-id";

/// The end of the name of an alias that stands for all names with the same beginning.
pub const WILDCARD: char = '*';

/// A name that points at a model and carries request settings. What was written once for many names (`qwen3:*`), and what
/// an alias has from the one it points at, is in each.
#[derive(Clone, Debug, PartialEq)]
pub struct Alias {
    /// The name that callers use, or a beginning of such names and [`WILDCARD`].
    pub name: Name,
    /// The model (or LoRA adapter of a model) at the end of the way: never an alias. Of a split: that of its heaviest part.
    pub model: Name,
    /// What is changed in requests: innermost first, its own last. Neither the model's nor those of a split's parts.
    pub settings: Vec<Settings>,
    /// The name in `model` of answers.
    pub response_model: ResponseModel,
    /// Not listed on `/v1/models`, still servable.
    pub hidden: bool,
    /// Whether its requests are in the access log.
    pub access_log: bool,
    /// An address of its own, where requests need not name a model.
    pub listen: Option<SocketAddr>,
    /// Models, adapters and aliases (without splits) to try when the first choice cannot.
    pub fallback: Vec<Name>,
    /// Parts by weight; models, adapters and aliases without splits. Empty: all to `model`. At least one weight is not 0.
    pub split: Vec<(Name, u32)>,
    /// The header by which callers stay with one part.
    pub sticky: HeaderName,
    /// Copies of some requests.
    pub mirror: Option<Mirror>,
    /// Which APIs are translated to Chat Completions.
    pub dialect: Dialects,
    /// It behaves as NeMo Gym's model server does.
    pub gym: Option<Arc<Gym>>,
    /// The bodies of its newest requests are kept for operators.
    pub capture: Option<Arc<Capture>>,
}

impl Alias {
    /// What all names begin with that it stands for (`claude-*`; nothing for `*`); `None`: it stands for its own name.
    #[must_use]
    pub fn wildcard(&self) -> Option<&str> {
        self.name.strip_suffix(WILDCARD)
    }
}

/// Copies of some requests, whose answers are dropped.
#[derive(Clone, Debug, PartialEq)]
pub struct Mirror {
    /// A model, an adapter or an alias without split.
    pub to: Name,
    /// How many of a hundred requests, 0 < percent <= 100.
    pub percent: f64,
}

/// Which bodies of requests and answers are kept for operators, in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Of so many requests, the newest ones; at least one.
    pub requests: usize,
    /// So many bytes of each body.
    pub bytes: usize,
    /// The members of bodies that nobody is to read.
    pub mask: Vec<FieldPath>,
}

/// The name in `model` of answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResponseModel {
    /// The name that the client used in its request.
    #[default]
    Requested,
    /// The name that the engine writes.
    Engine,
}

/// Which APIs are translated to Chat Completions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dialects {
    /// `/v1/responses`
    pub responses: Via,
    /// `/v1/messages`
    pub messages: Via,
    /// What becomes of late system messages in translated requests.
    pub late_system: LateSystem,
}

/// What becomes of system and developer messages that come after a user's or the assistant's, in translated requests.
/// Templates of many models refuse them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LateSystem {
    /// Their text becomes a part of the user's turn, where they are.
    #[default]
    User,
    /// Their text is added to the system message in front.
    First,
    /// They stay as they are.
    Keep,
}

/// Who speaks an API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The engine.
    #[default]
    Engine,
    /// We do, over the engine's Chat Completions.
    Chat,
}
