//! One writer per client API: takes the deltas of an answer and writes the client's events, or the whole answer.

use serde_json::Value;

use super::client_api::ClientApi;
use super::delta::{Delta, FinishReason, Usage};
use super::members::Members;
use super::{messages, responses};
use crate::openai::{ApiError, Dialect};

/// The writer of one answer.
#[derive(Clone, Debug)]
pub(super) enum Writer {
    Responses(responses::Writer),
    Messages(messages::Writer),
}

/// The chat request for a request of `api`, and the writer of its answer.
pub(super) fn to_chat(api: ClientApi, request: Members) -> Result<(Members, Writer), ApiError> {
    Ok(match api {
        ClientApi::Responses => {
            let (chat, writer) = responses::to_chat(request)?;
            (chat, Writer::Responses(writer))
        }
        ClientApi::Messages => {
            let (chat, writer) = messages::to_chat(request)?;
            (chat, Writer::Messages(writer))
        }
    })
}

impl Writer {
    pub(super) fn api(&self) -> ClientApi {
        match self {
            Self::Responses(_) => ClientApi::Responses,
            Self::Messages(_) => ClientApi::Messages,
        }
    }

    pub(super) fn set_model(&mut self, name: &str) {
        match self {
            Self::Responses(writer) => writer.set_model(name),
            Self::Messages(writer) => writer.set_model(name),
        }
    }

    /// Writes no events: only [`Writer::whole`] is wanted. `created`: seconds since 1970.
    pub(super) fn omit_events(&mut self, created: Option<u64>) {
        match self {
            Self::Responses(writer) => writer.omit_events(created),
            Self::Messages(writer) => writer.omit_events(),
        }
    }

    /// Begins the stream.
    pub(super) fn start(&mut self, created: Option<u64>, usage: Option<Usage>, out: &mut Vec<u8>) {
        match self {
            Self::Responses(writer) => writer.start(created, out),
            Self::Messages(writer) => writer.start(usage, out),
        }
    }

    /// Adds a delta; `call`: the number of the tool call that it belongs to.
    pub(super) fn add(&mut self, delta: Delta<'_>, call: usize, out: &mut Vec<u8>) {
        match self {
            Self::Responses(writer) => writer.add(delta, call, out),
            Self::Messages(writer) => writer.add(delta, call, out),
        }
    }

    /// Ends the answer.
    pub(super) fn finish(&mut self, reason: &FinishReason, usage: Option<Usage>, out: &mut Vec<u8>) {
        match self {
            Self::Responses(writer) => writer.finish(reason, usage, out),
            Self::Messages(writer) => writer.finish(reason, usage, out),
        }
    }

    /// The whole answer of a finished writer that omitted its events.
    pub(super) fn whole(&self, reason: &FinishReason, usage: Option<Usage>) -> Value {
        match self {
            Self::Responses(writer) => writer.whole(reason, usage),
            Self::Messages(writer) => writer.whole(reason, usage),
        }
    }

    /// Ends a stream that cannot go on; `started`: whether it had begun.
    pub(super) fn fail(&mut self, error: &ApiError, usage: Option<Usage>, started: bool, out: &mut Vec<u8>) {
        match self {
            Self::Responses(writer) => {
                if !started {
                    writer.start(None, out);
                }
                writer.fail(error, usage, out);
            }
            Self::Messages(_) => out.extend_from_slice(error.event(Dialect::Anthropic, true).as_bytes()),
        }
    }
}
