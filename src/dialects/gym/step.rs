//! What a turn takes and gives: calls to the engine, and the answer to the client.

use serde_json::Value;

use crate::openai::ApiError;

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Call the engine, then pass its answer to [`Turn::engine_said`](super::Turn::engine_said).
    Ask(Ask),
    /// Answer the client; the turn is over.
    Answer(Answer),
}

/// A call to the engine: a `POST`.
#[derive(Debug)]
pub struct Ask {
    /// The path on the engine.
    pub path: &'static str,
    /// JSON.
    pub body: Vec<u8>,
}

/// An answer to the client.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type` of the body.
    pub content_type: &'static str,
    /// The whole body.
    pub body: Vec<u8>,
    /// The gateway's own error that it tells.
    pub error: Option<Box<ApiError>>,
}

/// Makes the random part of an id, a new one at each call.
pub type Ids = Box<dyn FnMut() -> String + Send>;

/// The content type of an answer that is an event stream.
pub const EVENTS: &str = "text/event-stream; charset=utf-8";
/// The content type of every other answer.
pub(super) const JSON: &str = "application/json";

impl Answer {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self { status, content_type: JSON, body: body.to_string().into_bytes(), error: None }
    }

    pub(super) fn events(body: String) -> Self {
        Self { status: 200, content_type: EVENTS, body: body.into_bytes(), error: None }
    }
}
