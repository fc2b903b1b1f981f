//! What a user writes about changes to requests: the settings that models, aliases, variants and conditions share.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::named::Named;
use crate::config::types::{EndpointGroup, Place};
use crate::config::units::AsWritten;

/// Changes to requests, in this order: `remove`, `map`, `defaults`, `limits`, `overrides`, `prompt`; then those of every
/// entry of `when` that holds.
///
/// Flattened into what has settings, hence without `deny_unknown_fields`: that is for the outer type.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default)]
#[schemars(rename = "Settings")]
pub(crate) struct RawSettings {
    /// Members to strip from what the client sent; a dot leads into an object.
    #[schemars(example = ["logit_bias", "chat_template_kwargs.enable_thinking"])]
    pub(crate) remove: Vec<String>,
    /// Values to replace by others, by member (a dot leads into an object). Numbers and truth values are written as text.
    #[schemars(example = serde_json::json!({ "reasoning_effort": { "medium": "high" } }))]
    pub(crate) map: Named<Map<String, Value>>,
    /// Members that are added where the client sent none; mappings merge deeply, and a dot leads into an object.
    #[schemars(example = serde_json::json!({ "temperature": 0.6 }))]
    pub(crate) defaults: Map<String, Value>,
    /// Upper bounds of numbers; mappings nest, and a dot leads into an object.
    #[schemars(example = serde_json::json!({ "max_tokens": 8192 }))]
    pub(crate) limits: Map<String, Value>,
    /// Members that always win; mappings merge deeply, and a dot leads into an object.
    #[schemars(example = serde_json::json!({ "chat_template_kwargs": { "enable_thinking": false } }))]
    pub(crate) overrides: Map<String, Value>,
    /// Headers that are sent to the engine; they replace the client's.
    #[schemars(example = serde_json::json!({ "x-tenant": "research" }))]
    pub(crate) headers: Named<AsWritten>,
    /// A system prompt, for chat, responses and messages.
    pub(crate) prompt: Option<RawPrompt>,
    /// Further settings for some requests; every entry whose condition is true is applied, in order.
    pub(crate) when: Vec<RawWhen>,
}

/// A system prompt.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Prompt")]
pub(crate) struct RawPrompt {
    /// Its text. Must be written.
    pub(crate) text: Option<String>,
    /// Where it goes.
    pub(crate) place: Place,
}

/// Settings for requests that meet a condition.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "When")]
pub(crate) struct RawWhen {
    /// What must be true of a request, all of it, before any settings are applied. Must be written.
    #[serde(rename = "if")]
    pub(crate) condition: RawCondition,
    /// What is changed in such requests.
    #[serde(flatten)]
    pub(crate) settings: RawSettings,
}

/// What must be true of a request, all of it.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Condition")]
pub(crate) struct RawCondition {
    /// Members of the body; a dot leads into an object.
    #[schemars(example = serde_json::json!({ "reasoning_effort": "high", "tools": { "present": true } }))]
    pub(crate) body: Named<RawTest>,
    /// Headers of the request.
    #[schemars(example = serde_json::json!({ "x-tier": { "any": ["gold", "silver"] } }))]
    pub(crate) header: Named<RawHeaderTest>,
    /// The request is one of these.
    #[schemars(length(min = 1), example = ["chat", "responses"])]
    pub(crate) endpoint: Option<Vec<EndpointGroup>>,
    /// It comes from one of these `callers`; `anonymous` means requests without a key.
    #[schemars(length(min = 1), example = ["batch", "anonymous"])]
    pub(crate) caller: Option<Vec<String>>,
}

/// The value that something must have, or a test of it.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Test")]
pub(crate) enum RawTest {
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
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Choice")]
pub(crate) struct RawChoice {
    /// Whether it is there at all.
    pub(crate) present: Option<bool>,
    /// It is one of these.
    #[schemars(length(min = 1))]
    pub(crate) any: Option<Vec<Value>>,
}

/// The value that a header must have, or a test of it.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "HeaderTest")]
pub(crate) enum RawHeaderTest {
    /// It is this.
    Text(AsWritten),
    /// It passes this test.
    Test(RawHeaderChoice),
}

/// A test of a header: one of these.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "HeaderChoice")]
pub(crate) struct RawHeaderChoice {
    /// Whether it is there at all.
    pub(crate) present: Option<bool>,
    /// It is one of these.
    #[schemars(length(min = 1))]
    pub(crate) any: Option<Vec<AsWritten>>,
}
