//! What a user writes about aliases.

use schemars::JsonSchema;
use serde::Deserialize;

use super::model::RawDialects;
use super::named::Named;
use super::settings::RawSettings;
use crate::config::types::{Gym, ResponseModel};
use crate::config::units::Size;

/// A name that points at a model, at a LoRA adapter or at another alias, and changes requests. The changes of what it points
/// at are made first, then its own.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Alias")]
pub(crate) struct RawAlias {
    /// The model, LoRA adapter or alias it points at. This or `split` must be written.
    pub(crate) model: Option<String>,
    /// What it points at, in parts: a weight for each name. Instead of `model`.
    #[schemars(example = serde_json::json!({ "qwen3": 90, "qwen3-next": 10 }))]
    pub(crate) split: Named<Weight>,
    /// The request header whose value decides on the part of `split`, so that a session stays with its part. Requests without
    /// it: the caller or its key decides; without these, any part is taken.
    #[schemars(extend("default" = "x-session-id"))]
    pub(crate) sticky: Option<String>,
    /// Names to try in this order when what it points at is down, full, or has too short a context for the request.
    #[schemars(example = ["qwen3-small"])]
    pub(crate) fallback: Vec<String>,
    /// Send copies of some requests to another model; the answers to them are discarded.
    pub(crate) mirror: Option<RawMirror>,
    /// Makes the alias behave as NeMo Gym's model server does.
    pub(crate) gym: Option<Gym>,
    /// An address and port of its own, where requests need not name a model.
    #[schemars(example = "127.0.0.1:8010")]
    pub(crate) listen: Option<String>,
    /// The name in `model` of answers. Default: as what it points at.
    pub(crate) response_model: Option<ResponseModel>,
    /// Which APIs are translated to Chat Completions instead of being left to the engine. Default: as what it points at.
    pub(crate) dialect: RawDialects,
    /// For a name that ends in `:*`: settings by what stands in the place of `*`, applied after those above; or a list of
    /// such mappings, of each of which a name has one, as in `qwen3:think:precise`.
    pub(crate) variants: Option<RawVariants>,
    /// Keep the bodies of its newest requests and answers in memory, for operators. Default: as what it points at.
    pub(crate) capture: Option<RawCapture>,
    /// Whether `/v1/models` does not list it; requests can still use it.
    pub(crate) hidden: bool,
    /// Whether its requests are in the log of requests, where there is one (`log.access`). Default: as what it points at.
    #[schemars(extend("default" = true))]
    pub(crate) access_log: Option<bool>,
    /// Changes to requests.
    #[serde(flatten)]
    pub(crate) settings: RawSettings,
}

/// Copies of some requests; the answers to them are discarded.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Mirror")]
pub(crate) struct RawMirror {
    /// The model, LoRA adapter or alias that gets them. Must be written.
    pub(crate) to: Option<String>,
    /// How many of a hundred requests, more than 0. Must be written.
    #[schemars(range(min = 0, max = 100), example = 5)]
    pub(crate) percent: Option<f64>,
}

/// Which bodies of requests and answers operators can read. They are kept in memory, and nowhere else.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Capture")]
pub(crate) struct RawCapture {
    /// Of how many requests, the newest ones; 0: of none, whatever the alias that it points at says.
    #[schemars(range(max = 1000))]
    pub(crate) requests: usize,
    /// How much of each body is kept, from 1KiB to 1MiB.
    #[serde(with = "Size")]
    #[schemars(with = "Size")]
    pub(crate) bytes: usize,
    /// Members of the bodies, in JSON, whose values are replaced by `***`; a dot leads into an object, and into each object of
    /// a list.
    #[schemars(example = ["messages.content", "choices.message.content", "choices.delta.content"])]
    pub(crate) mask: Vec<String>,
}

impl Default for RawCapture {
    fn default() -> Self {
        Self { requests: 20, bytes: 64 << 10, mask: Vec::new() }
    }
}

/// A share of requests, relative to the other parts.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(transparent)]
#[schemars(inline)]
pub(crate) struct Weight(#[schemars(range(max = 1_000_000))] pub(crate) u32);

/// Settings by what stands in the place of `*`.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Variants")]
pub(crate) enum RawVariants {
    /// One word.
    One(Named<RawVariant>),
    /// One word of each, with colons between.
    Each(#[schemars(length(min = 1))] Vec<Named<RawVariant>>),
}

impl RawVariants {
    /// The mappings, of each of which a name has one word.
    pub(crate) fn dimensions(&self) -> &[Named<RawVariant>] {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::Each(dimensions) => dimensions,
        }
    }
}

/// One variant: nothing but settings.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Variant")]
pub(crate) struct RawVariant {
    /// Changes to requests.
    #[serde(flatten)]
    pub(crate) settings: RawSettings,
}
