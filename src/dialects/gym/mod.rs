//! NeMo Gym's model server: its rules as a machine that asks for engine calls and is told the answers.
//!
//! [`start`] reads a request and says what to do: ask the engine, or answer. [`Turn::engine_said`] goes on from the engine's
//! answer. Nothing here touches a socket, a clock or a file: the driver makes the calls, again and again as [`Tries`] says
//! and `retry_for` allows, on the replica of the [`Sessions`]' session, and reads files below `audio_root`.
//!
//! A request's way, by files: `schema` validates it →
//! `stream_in`, `messages`, `responses_in`, `tools_in` make a chat request of it → `request` merges what the settings say
//! (`audio`, `reasoning`) or `completions` makes a prompt of it → the engine → `reasoning`, `tokens` → `responses_out`,
//! `schema`, `messages` → `replay` for streams. `native` is the way past chat.
//!
//! The model is NVIDIA-NeMo/Gym at commit 07d6b0d. `tests/gym` replays recordings of it.
//!
//! # Deliberate differences
//!
//! In both modes (no successful answer of Gym's shows them):
//!
//! | Gym | here | why |
//! |---|---|---|
//! | 500 and a text for what the client did wrong | 400, or 422 with FastAPI's `detail` | whoever is to blame can tell |
//! | 500 for every error of the engine | the engine's status, in OpenAI's (Messages: Anthropic's) shape | 400 is not 500 |
//! | 500 for an answer of the engine that cannot be used; for a failed `/tokenize` | 502 and what is wrong with it | |
//! | 500 for settings that `is_responses_native` rules out | 501 and which to change | |
//! | 500 for part of a token bundle in the history | 422 | its error handler crashes on its own 422 |
//! | 500 for `tool_choice: {type: allowed_tools}` on chat | it is sent | Gym cannot write its own list |
//! | `audio_path` reads any file of the server | only below `audio_root`; other folders, also by `..` or a link, are 400 | the client chooses the path |
//! | retries without end | for `retry_for` | |
//! | the prompt is rendered by a tokenizer of the server's own | by the engine's `/tokenize`, sent as token ids | the same template, no second BOS |
//! | errors of `/v1/messages` are texts | Anthropic's error objects | |
//!
//! With `strict: false` (the default) also, where Gym's successful answers or calls would show it:
//!
//! | Gym, and `strict: true` | `strict: false` |
//! |---|---|
//! | chat members that it does not know are dropped (`top_k`, `chat_template_kwargs`, keys within messages) | they reach the engine |
//! | of several `<think>` blocks in a history text the first is kept, of several parts the last | all, a line break between |
//! | a refusal part in the history is 500 | it stays as it is |
//! | a history bundle with `routed_experts: null` (its own answers hold it) is dropped | the bundle is kept |
//! | named and allowed `tool_choice` on `/v1/responses` and `/v1/messages` are 500 | they work; of allowed tools only those are sent |
//! | a `custom` tool becomes a function without parameters, a call of one is 500 | custom stays custom |
//! | tools with `parameters: null` or `description: null` are 500 (on `/v1/messages`: without a description) | the member is left out |
//! | `text.format` is dropped | it becomes `response_format` |
//! | `top_logprobs` goes without `logprobs`, which engines refuse | `logprobs: true` goes with it |
//! | finish reasons `abort` and `repetition` are 500 | they pass; a response is `completed` |
//! | any 400 that mentions `max_tokens` or `context length` is an empty completion | only words of a prompt that is too long, also in 413 |
//! | `/tokenize` is not told `reasoning_effort`, `chat_template`, `add_generation_prompt`, `continue_final_message` | it is |
//! | `developer` stays `developer` on the way to `/v1/completions` and to a native engine | it becomes `system` there as well |
//! | a last assistant message without content is 500 when `sequential_reasoning_allowed` is false | it counts as empty |
//! | unknown members of tools and formats of a streaming `/v1/responses` are 422 | they are dropped |
//! | unknown output items of a native engine are 500 | they pass |
//! | `text.format.schema` is spelt `schema_` in streams | `schema` |
//! | `model` of an answer is the engine's, of messages the client's | the alias', unless it says `response_model: engine` |
//!
//! Recorded cases whose status class differs, all of them Gym's 500 (`tests/gym` checks that they do, and that the engine
//! was called as by Gym): the client's fault: `hist_list_refusal_part`, `tok_chat_history_partial_bundle`, `tok_n2`,
//! `resp_tool_mcp`, `resp_fco_image`, `resp_input_audio`, `resp_web_search_call_item`, `resp_custom_tool_call_item`,
//! `audio_two_keys`, `audio_paths_str`, `comp_raw_multi_turn`, `comp_raw_tools`, `comp_developer`,
//! `msgs_tool_choice_named`, `msgs_redacted_thinking`; the engine's status kept: `err_401`, `err_404`, `err_422`,
//! `err_chat_stream`, `resp_top_logprobs_engine_400`.

mod audio;
mod completions;
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
mod retry;
mod schema;
mod session;
mod stream_in;
mod tokens;
mod tools_in;
mod turn;

use serde_json::Value;

pub use audio::Files;
pub use path::{ALIVE, OPENAPI, route, without_rollout};
pub use retry::{PAUSE, SERVER_ERROR_TRIES, is_overload};
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
/// What an answer is that is a stream of events.
pub const EVENTS: &str = "text/event-stream; charset=utf-8";

impl Answer {
    fn json(status: u16, body: &Value) -> Self {
        Self { status, content_type: JSON, body: body.to_string().into_bytes() }
    }

    fn events(body: String) -> Self {
        Self { status: 200, content_type: EVENTS, body: body.into_bytes() }
    }
}
