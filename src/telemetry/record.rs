//! The record of a request at its end, from which access log, metrics and events are made.

use std::net::IpAddr;
use std::time::Duration;

use crate::openai::{Endpoint, Usage};

/// A request, after its end.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// `x-request-id`.
    pub id: &'a str,
    /// Who connected.
    pub client: Option<IpAddr>,
    /// Whose key it showed.
    pub caller: Option<&'a str>,
    /// Method.
    pub method: &'a str,
    /// Path without query.
    pub path: &'a str,
    /// What was asked; `None`: no inference route.
    pub endpoint: Option<Endpoint>,
    /// The model served; `None`: none was found.
    pub model: Option<&'a str>,
    /// The name that it says, where nothing is served under it.
    pub unknown_model: Option<&'a str>,
    /// The alias it was reached by.
    pub alias: Option<&'a str>,
    /// The engine that answered, or was tried last.
    pub engine: Option<&'a str>,
    /// Status sent; 499: the client left first.
    pub status: u16,
    /// Whether the answer was a stream of events.
    pub stream: bool,
    /// Size of the request body as received.
    pub bytes_in: usize,
    /// Bytes of the answer's body.
    pub bytes_out: usize,
    /// From head to end.
    pub took: Duration,
    /// From the request's end to the first event.
    pub first_token: Option<Duration>,
    /// Time in the gateway itself.
    pub overhead: Duration,
    /// Attempts that another one followed.
    pub retries: usize,
    /// Tokens, as the engine reported, or as far as they are known.
    pub usage: Option<Usage>,
    /// The engine reported none.
    pub is_estimate: bool,
    /// How it ended, if it was a stream.
    pub stream_end: Option<&'static str>,
    /// What went wrong, as a code.
    pub error: Option<&'a str>,
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// A stream that went well.
    pub(in crate::telemetry) fn record() -> Record<'static> {
        Record {
            id: "r1",
            client: Some(IpAddr::from([127, 0, 0, 1])),
            caller: Some("bot"),
            method: "POST",
            endpoint: Some(crate::openai::Endpoint::ChatCompletions),
            path: "/v1/chat/completions\n",
            model: Some("m"),
            unknown_model: None,
            alias: None,
            engine: Some("m/0"),
            status: 200,
            stream: true,
            bytes_in: 10,
            bytes_out: 20,
            took: Duration::from_micros(1500),
            first_token: Some(Duration::from_millis(1)),
            overhead: Duration::from_micros(42),
            retries: 1,
            usage: Some(Usage { prompt: 3, completion: 4, cached: 0 }),
            is_estimate: false,
            stream_end: Some("complete"),
            error: None,
        }
    }
}
