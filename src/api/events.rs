//! What happens in a gateway, as it is told to those who listen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EngineState, ReloadReport};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// An engine does something else now.
    Engine {
        /// Its id.
        engine: String,
        /// Its model.
        model: String,
        /// What it does.
        #[serde(flatten)]
        state: EngineState,
    },
    /// The configuration was reloaded, or its reload was rejected.
    Reload(ReloadReport),
    /// The listener was too slow: it missed events.
    Missed {
        /// So many.
        count: u64,
    },
    /// A request has ended.
    Request(RequestSummary),
}

/// A request, after its end. No bodies, no keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestSummary {
    /// `x-request-id`.
    pub id: String,
    /// Whose key it showed.
    pub caller: Option<String>,
    /// Path without query.
    pub path: String,
    /// The model served.
    pub model: Option<String>,
    /// The alias it was reached by.
    pub alias: Option<String>,
    /// The engine that answered, or was tried last.
    pub engine: Option<String>,
    /// Status sent; 499: the client left first.
    pub status: u16,
    /// From head to end.
    pub seconds: f64,
    /// From the request's end to the first event.
    pub first_token_seconds: Option<f64>,
    /// Tokens read, as the engine reported.
    pub prompt_tokens: Option<u64>,
    /// Tokens written, as the engine reported.
    pub completion_tokens: Option<u64>,
    /// What went wrong, as a code.
    pub error: Option<String>,
}
