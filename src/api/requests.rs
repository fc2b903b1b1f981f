//! What `GET /api/v1/requests` and `GET /api/v1/rates` tell.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A request, after its end. No keys, and no bodies in lists and events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestView {
    /// `x-request-id`.
    pub id: String,
    /// Its trace, where requests are traced.
    pub trace_id: Option<String>,
    /// When it ended (RFC 3339).
    pub ended: String,
    /// The address that it came from.
    pub client: Option<String>,
    /// Whose key it showed.
    pub caller: Option<String>,
    /// Method.
    pub method: String,
    /// Path without query; its beginning, if it is long.
    pub path: String,
    /// The model served.
    pub model: Option<String>,
    /// The name that it says, where nothing is served under it.
    pub unknown_model: Option<String>,
    /// The alias it was reached by.
    pub alias: Option<String>,
    /// The engine that answered, or was tried last.
    pub engine: Option<String>,
    /// Status sent; 499: the client left first.
    pub status: u16,
    /// Whether the answer was a stream of events.
    pub stream: bool,
    /// Size of the request body as received.
    pub bytes_in: usize,
    /// Bytes of the answer's body.
    pub bytes_out: usize,
    /// From head to end.
    pub seconds: f64,
    /// From the request's end to the first event with output.
    pub first_token_seconds: Option<f64>,
    /// From head to the first event with output.
    pub first_token_came_seconds: Option<f64>,
    /// How long it waited for admission, or for an engine.
    pub queue_seconds: f64,
    /// From head to the beginning of that wait.
    pub queue_began_seconds: Option<f64>,
    /// Its attempts on engines, in their order; of more than sixteen the first ones and the last.
    pub attempts: Vec<AttemptView>,
    /// Time in the gateway itself.
    pub overhead_seconds: f64,
    /// Attempts that another one followed.
    pub retries: usize,
    /// Tokens read, as the engine reported.
    pub prompt_tokens: Option<u64>,
    /// Tokens written, as the engine reported.
    pub completion_tokens: Option<u64>,
    /// Of the tokens read, those that were in the engine's cache.
    pub cached_tokens: Option<u64>,
    /// The engine reported no tokens: they were counted on the way.
    pub tokens_estimated: bool,
    /// How it ended, if it was a stream: `complete`, `client_gone`, `engine_died`, `engine_error`, `timeout`, `cut`.
    pub stream_end: Option<String>,
    /// What went wrong, as a code.
    pub error: Option<String>,
    /// The body as it came, decompressed: only for one request, whose alias has `capture`, as long as it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_body: Option<BodyView>,
    /// The body of the answer as the caller got it, likewise; without the comments that keep a stream alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_body: Option<BodyView>,
}

/// A body that was kept, or why it was not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BodyView {
    /// All bytes of the body, kept or not.
    pub bytes: usize,
    /// Whether `text` is only its beginning.
    pub cut: bool,
    /// What it says. Where the alias masks members, their values are `***`, JSON is written anew, and of a stream only the
    /// events are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Why there is no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omitted: Option<Omitted>,
}

/// Why a body is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Omitted {
    /// It is no UTF-8 text: audio, a form with a file, something compressed.
    Binary,
    /// Members are to be masked, and it is neither JSON nor a stream of JSON.
    NotJson,
    /// Members are to be masked, and it is longer than what is kept: what is missing cannot be read.
    Incomplete,
    /// Too many bodies were under way at the same time.
    NoRoom,
}

/// An attempt of a request on an engine. All times are from the request's head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptView {
    /// Its place among all attempts, from 1 on.
    pub number: u32,
    /// The engine.
    pub engine: String,
    /// When it began.
    pub began_seconds: f64,
    /// When the head of the engine's answer came; `null`: it did not, or the answer was only seen as a whole.
    pub answered_seconds: Option<f64>,
    /// When it ended.
    pub ended_seconds: f64,
    /// How it ended, by the words of `enginehouse_attempts_total`.
    pub outcome: String,
    /// The status that the engine answered with, where it did.
    pub status: Option<u16>,
}

/// A list of requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestsView {
    /// The newest first.
    pub requests: Vec<RequestView>,
}

/// How fast and how well requests are answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RatesView {
    /// The time that rates and quantiles are about.
    pub window_seconds: f64,
    /// The time that a point of `history` is about.
    pub interval_seconds: f64,
    /// Of all requests that are asked about: all, or with `?engine=` those that ended on that engine.
    pub all: Rates,
    /// Of each model that had requests in the last minutes; empty with `?engine=`.
    pub models: BTreeMap<String, Rates>,
    /// Of all requests that are asked about, over the last minutes; the newest last.
    pub history: Vec<RatesPoint>,
}

/// Rates and times of requests that have ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rates {
    /// Requests.
    pub requests_per_second: f64,
    /// Those for which the gateway or an engine is to blame that they went wrong.
    pub errors_per_second: f64,
    /// Tokens read.
    pub prompt_tokens_per_second: f64,
    /// Tokens written.
    pub completion_tokens_per_second: f64,
    /// Time to the first token of streams; `null`: there were none.
    pub first_token_seconds: Option<Quantiles>,
    /// Time between two tokens of streams, on the average of each.
    pub inter_token_seconds: Option<Quantiles>,
    /// Time of requests that were answered well, from head to end.
    pub duration_seconds: Option<Quantiles>,
}

/// Seconds that so many of a hundred do not exceed, to two hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quantiles {
    /// 50
    pub p50: f64,
    /// 95
    pub p95: f64,
    /// 99
    pub p99: f64,
}

/// What happened in one interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RatesPoint {
    /// Which interval it was, counted from the start.
    pub number: u64,
    /// Requests.
    pub requests_per_second: f64,
    /// Those that went wrong.
    pub errors_per_second: f64,
    /// Tokens written.
    pub completion_tokens_per_second: f64,
    /// Median time to the first token.
    pub first_token_p50_seconds: Option<f64>,
    /// 95th percentile of the time to the first token.
    pub first_token_p95_seconds: Option<f64>,
    /// Median time between two tokens.
    pub inter_token_p50_seconds: Option<f64>,
    /// 95th percentile of the time between two tokens.
    pub inter_token_p95_seconds: Option<f64>,
}
