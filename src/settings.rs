//! Request settings, validated: what is changed in which requests. A configuration says them, `openai` applies them.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::ids::Name;

/// Where a field is in a body: keys from the top. At least one.
pub type FieldPath = Vec<String>;

/// Changes to a request, applied in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Where they come from, for people: `model qwen3`, `alias qwen3-instant`.
    pub origin: Arc<str>,
    /// Fields to remove from what the client sent.
    pub remove: Vec<FieldPath>,
    /// Values to replace by others: a string by its text, anything else by its JSON.
    pub map: Vec<(FieldPath, Map<String, Value>)>,
    /// Fields for clients that do not send them; objects merge deeply.
    pub defaults: Map<String, Value>,
    /// Upper bounds of numbers; objects nest.
    pub limits: Map<String, Value>,
    /// Fields that replace what the client sent; objects merge deeply.
    pub overrides: Map<String, Value>,
    /// A system text.
    pub prompt: Option<Prompt>,
    /// Headers for the engine, in place of the client's. Values are marked sensitive: `Debug` does not show them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Further settings: those whose condition was met before any of the above was applied follow, in order.
    pub when: Vec<When>,
}

/// A system text, for endpoints that have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// What it says; not empty.
    pub text: String,
    /// Where it goes.
    pub place: Place,
}

/// Where a system text goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Where the client sent none.
    #[default]
    Missing,
    /// Before the client's own.
    Before,
    /// After the client's own.
    After,
}

/// Settings for requests of some kind.
#[derive(Clone, Debug, PartialEq)]
pub struct When {
    /// Which requests.
    pub condition: Condition,
    /// What is changed in them.
    pub settings: Settings,
}

/// What must be true of a request, all of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Condition {
    /// Fields of the body.
    pub body: Vec<(FieldPath, Test)>,
    /// Headers of the request; values are texts.
    pub header: Vec<(HeaderName, Test)>,
    /// One of these; empty: any.
    pub endpoint: Vec<EndpointGroup>,
    /// One of these; empty: any. `None` is who has no key.
    pub caller: Vec<Option<Name>>,
}

/// A test of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// It is there, or it is not.
    Present(bool),
    /// It is one of these.
    Any(Vec<Value>),
}

/// One endpoint, or several that do the same, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndpointGroup {
    /// `/v1/chat/completions` and its batch
    Chat,
    /// `/v1/completions`
    Completions,
    /// `/v1/responses`
    Responses,
    /// `/v1/messages`
    Messages,
    /// `/v1/messages/count_tokens`
    CountTokens,
    /// `/v1/embeddings` and Cohere's `/v2/embed`
    Embeddings,
    /// `/rerank` and its versions
    Rerank,
    /// `/score` and its version
    Score,
    /// `/generative_scoring`
    GenerativeScoring,
    /// `/classify`
    Classify,
    /// `/pooling`
    Pooling,
    /// `/tokenize`
    Tokenize,
    /// `/detokenize`
    Detokenize,
    /// `/v1/audio/transcriptions`
    Transcriptions,
    /// `/v1/audio/translations`
    Translations,
}

impl EndpointGroup {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Chat,
        Self::Completions,
        Self::Responses,
        Self::Messages,
        Self::CountTokens,
        Self::Embeddings,
        Self::Rerank,
        Self::Score,
        Self::GenerativeScoring,
        Self::Classify,
        Self::Pooling,
        Self::Tokenize,
        Self::Detokenize,
        Self::Transcriptions,
        Self::Translations,
    ];
}

impl Settings {
    /// Whether nothing is ever changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self { origin: self.origin.clone(), ..Self::default() }
    }
}
