//! NeMo Gym's model server: its rules as a machine that asks for engine calls and is told the answers.
#![allow(dead_code)] // until wired

mod audio;
mod chat_shape;
mod completions;
mod fit;
mod length;
mod messages;
mod native;
mod path;
mod python;
mod reasoning;
mod refuse;
mod replay;
mod request;
mod responses_in;
mod responses_out;
mod responses_shape;
mod retry;
mod session;
mod shape;
mod stream_in;
mod tokens;
mod tools_in;
mod turn;

use serde_json::Value;

pub use audio::Files;
pub use path::{ALIVE, route, without_rollout};
pub use retry::{Again, Tries};
pub use session::{Sessions, new_id, new_session, replica};
pub use turn::{Turn, start};

/// What a Gym client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GymRoute {
    /// `POST /v1/chat/completions`
    Chat,
    /// `POST /v1/responses`
    Responses,
    /// `POST /v1/messages`
    Messages,
}

/// What stands behind the alias.
#[derive(Clone, Copy, Debug)]
pub struct Served<'a> {
    /// The name the engine knows.
    pub model: &'a str,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Call the engine and tell what it said.
    Ask(Ask),
    /// Answer the client; the turn is over.
    Answer(Answer),
}

/// A call of the engine, on the session's replica.
#[derive(Debug)]
pub struct Ask {
    /// Below the engine's address.
    pub path: &'static str,
    /// JSON.
    pub body: Vec<u8>,
}

/// An answer to the client.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// What the body is.
    pub content_type: &'static str,
    /// The body, whole.
    pub body: Vec<u8>,
}

/// Random digits for ids, once for each call.
pub type Ids = Box<dyn FnMut() -> String + Send>;

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream; charset=utf-8";

impl Answer {
    fn json(status: u16, body: &Value) -> Self {
        Self { status, content_type: JSON, body: body.to_string().into_bytes() }
    }

    fn events(body: String) -> Self {
        Self { status: 200, content_type: EVENTS, body: body.into_bytes() }
    }
}
