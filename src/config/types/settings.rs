//! Validated request settings: what is changed in which requests.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::ids::Name;

/// The way to a member: keys from the top. At least one.
pub type MemberPath = Vec<String>;

/// Changes to a request, applied in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Whose they are, for people: `model qwen3`, `alias qwen3-instant`.
    pub whose: Arc<str>,
    /// Members to strip from what the client sent.
    pub remove: Vec<MemberPath>,
    /// Values to replace by others: a string by its text, anything else by its JSON.
    pub map: Vec<(MemberPath, Map<String, Value>)>,
    /// Members used where the client is silent; objects merge deeply.
    pub defaults: Map<String, Value>,
    /// Upper bounds of numbers; objects nest.
    pub limits: Map<String, Value>,
    /// Members that always win; objects merge deeply.
    pub overrides: Map<String, Value>,
    /// A system text.
    pub prompt: Option<Prompt>,
    /// Headers for the engine, in place of the client's. Values are marked sensitive: `Debug` does not show them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Further settings, of which those are applied, in order, whose condition held before any of the above was.
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
    /// Members of the body.
    pub body: Vec<(MemberPath, Test)>,
    /// Headers of the request; values are texts.
    pub header: Vec<(HeaderName, Test)>,
    /// One of these; empty: any.
    pub endpoint: Vec<Topic>,
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

/// What a request is about: one endpoint, or several that do the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// `/v1/chat/completions`
    Chat,
    /// `/v1/completions`
    Completions,
    /// `/v1/responses`
    Responses,
    /// `/v1/messages`
    Messages,
    /// `/v1/messages/count_tokens`
    CountTokens,
    /// `/v1/embeddings`
    Embeddings,
    /// `/rerank` and its versions
    Rerank,
    /// `/score` and its version
    Score,
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

impl Topic {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Chat,
        Self::Completions,
        Self::Responses,
        Self::Messages,
        Self::CountTokens,
        Self::Embeddings,
        Self::Rerank,
        Self::Score,
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
        *self == Self { whose: self.whose.clone(), ..Self::default() }
    }
}
