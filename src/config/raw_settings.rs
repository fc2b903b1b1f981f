//! What a user writes about changes to requests: the settings that models, aliases, variants and conditions share.

use schemars::JsonSchema;
use serde::Deserialize as Derive;
use serde_json::{Map, Value};

use super::raw::Named;
use super::types::{Place, Topic, Via};
use super::units::AsWritten;

/// Changes to requests, in this order: `remove`, `map`, `defaults`, `limits`, `overrides`, `prompt`; then those of every
/// entry of `when` that holds.
///
/// Flattened into what has settings, hence without `deny_unknown_fields`: that is for the outer type.
#[derive(Derive, JsonSchema, Default)]
#[serde(default)]
#[schemars(rename = "Settings")]
pub(super) struct RawSettings {
    /// Members to strip from what the client sent; a dot leads into an object.
    #[schemars(example = ["logit_bias", "chat_template_kwargs.enable_thinking"])]
    pub(super) remove: Vec<String>,
    /// Values to replace by others, by member (a dot leads into an object). Numbers and truth values are written as text.
    #[schemars(example = serde_json::json!({ "reasoning_effort": { "medium": "high" } }))]
    pub(super) map: Named<Map<String, Value>>,
    /// Members used where the client is silent; mappings merge deeply, and a dot leads into an object.
    #[schemars(example = serde_json::json!({ "temperature": 0.6 }))]
    pub(super) defaults: Map<String, Value>,
    /// Upper bounds of numbers; mappings nest, and a dot leads into an object.
    #[schemars(example = serde_json::json!({ "max_tokens": 8192 }))]
    pub(super) limits: Map<String, Value>,
    /// Members that always win; mappings merge deeply, and a dot leads into an object.
    #[schemars(example = serde_json::json!({ "chat_template_kwargs": { "enable_thinking": false } }))]
    pub(super) overrides: Map<String, Value>,
    /// Headers for the engine; they replace the client's.
    #[schemars(example = serde_json::json!({ "x-tenant": "research" }))]
    pub(super) headers: Named<AsWritten>,
    /// A system text, for chat, responses and messages.
    pub(super) prompt: Option<RawPrompt>,
    /// Further settings for requests of some kind; every entry that holds is applied, in order.
    pub(super) when: Vec<RawWhen>,
}

/// A system text.
#[derive(Derive, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Prompt")]
pub(super) struct RawPrompt {
    /// What it says. Must be written.
    pub(super) text: Option<String>,
    /// Where it goes.
    pub(super) place: Place,
}

/// Settings for requests of some kind.
#[derive(Derive, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "When")]
pub(super) struct RawWhen {
    /// What must be true of a request, all of it, before the settings around are applied. Must be written.
    #[serde(rename = "if")]
    pub(super) condition: RawCondition,
    /// What is changed in such requests.
    #[serde(flatten)]
    pub(super) settings: RawSettings,
}

/// What must be true of a request, all of it.
#[derive(Derive, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Condition")]
pub(super) struct RawCondition {
    /// Members of the body; a dot leads into an object.
    #[schemars(example = serde_json::json!({ "reasoning_effort": "high", "tools": { "present": true } }))]
    pub(super) body: Named<RawTest>,
    /// Headers of the request.
    #[schemars(example = serde_json::json!({ "x-tier": { "any": ["gold", "silver"] } }))]
    pub(super) header: Named<RawHeaderTest>,
    /// The request is one of these.
    #[schemars(length(min = 1), example = ["chat", "responses"])]
    pub(super) endpoint: Option<Vec<Topic>>,
    /// It comes from one of these `callers`; `anonymous`: from one without a key.
    #[schemars(length(min = 1), example = ["batch", "anonymous"])]
    pub(super) caller: Option<Vec<String>>,
}

/// The value that something must have, or a test of it.
#[derive(Derive, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Test")]
pub(super) enum RawTest {
    /// It is this text.
    Text(String),
    /// It is this truth value.
    Flag(bool),
    /// It is this number.
    Number(serde_json::Number),
    /// It passes this test.
    Test(RawChoice),
}

/// A test of a value: one of these.
#[derive(Derive, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Choice")]
pub(super) struct RawChoice {
    /// Whether it is there at all.
    pub(super) present: Option<bool>,
    /// It is one of these.
    #[schemars(length(min = 1))]
    pub(super) any: Option<Vec<Value>>,
}

/// The value that a header must have, or a test of it.
#[derive(Derive, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "HeaderTest")]
pub(super) enum RawHeaderTest {
    /// It is this.
    Text(AsWritten),
    /// It passes this test.
    Test(RawHeaderChoice),
}

/// A test of a header: one of these.
#[derive(Derive, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "HeaderChoice")]
pub(super) struct RawHeaderChoice {
    /// Whether it is there at all.
    pub(super) present: Option<bool>,
    /// It is one of these.
    #[schemars(length(min = 1))]
    pub(super) any: Option<Vec<AsWritten>>,
}

/// Settings by what stands in the place of `*`.
#[derive(Derive, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Variants")]
pub(super) enum RawVariants {
    /// One word.
    One(Named<RawVariant>),
    /// One word of each, with colons between.
    Each(#[schemars(length(min = 1))] Vec<Named<RawVariant>>),
}

impl RawVariants {
    /// The mappings, of each of which a name has one word.
    pub(super) fn dimensions(&self) -> &[Named<RawVariant>] {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::Each(dimensions) => dimensions,
        }
    }
}

/// One variant: nothing but settings.
#[derive(Derive, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Variant")]
pub(super) struct RawVariant {
    /// What is changed in requests.
    #[serde(flatten)]
    pub(super) settings: RawSettings,
}

/// Which APIs are translated to Chat Completions (`chat`) instead of being left to the engine (`engine`).
#[derive(Derive, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Dialects")]
pub(super) struct RawDialects {
    /// `/v1/responses`
    #[schemars(extend("default" = "engine"))]
    pub(super) responses: Option<Via>,
    /// `/v1/messages`
    #[schemars(extend("default" = "engine"))]
    pub(super) messages: Option<Via>,
}
