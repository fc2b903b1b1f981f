//! The record of a request at its end, from which access log, metrics and events are made.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use smallvec::SmallVec;

use crate::openai::{Endpoint, Usage};
use crate::outcome::Outcome;

/// The attempts of a request, in their order. Nearly all have one.
pub type AttemptRecords<'a> = SmallVec<[AttemptRecord<'a>; 1]>;

/// A request, after its end.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// `x-request-id`.
    pub id: &'a str,
    /// Its trace, where requests are traced.
    pub trace_id: Option<u128>,
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
    /// When it ended.
    pub ended: SystemTime,
    /// From head to end.
    pub took: Duration,
    /// From the request's end to the first event with output.
    pub first_token: Option<Duration>,
    /// From head to the first event with output.
    pub first_token_came: Option<Duration>,
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
    /// How long it waited for an engine.
    pub queue: Option<QueueRecord>,
    /// Its attempts on engines; of very many the first and the last.
    pub attempts: &'a [AttemptRecord<'a>],
}

/// How long a request waited for admission or for an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueRecord {
    /// From the request's head.
    pub began: Duration,
    /// In all: it may wait again after an attempt.
    pub waited: Duration,
}

/// An attempt of a request on an engine, after the request's end. All times are from the request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptRecord<'a> {
    /// Its place among all attempts, from 1 on.
    pub number: u32,
    /// The engine's id.
    pub engine: &'a str,
    /// When it began.
    pub began: Duration,
    /// When the head of the engine's answer came; `None`: it did not, or the answer was only seen as a whole.
    pub answered: Option<Duration>,
    /// When it ended.
    pub ended: Duration,
    /// How it ended.
    pub outcome: Outcome,
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// The first engine could not be reached.
    const ATTEMPTS: [AttemptRecord<'static>; 2] = [
        AttemptRecord {
            number: 1,
            engine: "m/1",
            began: Duration::from_micros(120),
            answered: None,
            ended: Duration::from_micros(150),
            outcome: Outcome::Unreachable,
        },
        AttemptRecord {
            number: 2,
            engine: "m/0",
            began: Duration::from_micros(200),
            answered: Some(Duration::from_micros(900)),
            ended: Duration::from_micros(1500),
            outcome: Outcome::Answered { status: 200 },
        },
    ];

    /// A stream that went well, in the end.
    pub(in crate::telemetry) fn record() -> Record<'static> {
        Record {
            id: "r1",
            trace_id: Some(42),
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
            ended: SystemTime::UNIX_EPOCH,
            took: Duration::from_micros(1500),
            first_token: Some(Duration::from_millis(1)),
            first_token_came: Some(Duration::from_micros(1100)),
            overhead: Duration::from_micros(42),
            retries: 1,
            usage: Some(Usage { prompt: 3, completion: 4, cached: 0 }),
            is_estimate: false,
            stream_end: Some("complete"),
            error: None,
            queue: Some(QueueRecord { began: Duration::from_micros(50), waited: Duration::from_micros(60) }),
            attempts: &ATTEMPTS,
        }
    }
}
