//! What is known of a request at its end: the access log, metrics and events are views of it.

use std::net::IpAddr;
use std::time::Duration;

use super::{AccessLog, CallerMeters, EventBus, Meters};
use crate::api::{Event, RequestSummary};
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
    /// Tokens, as the engine reported.
    pub usage: Option<Usage>,
    /// What went wrong, as a code.
    pub error: Option<&'a str>,
}

impl Record<'_> {
    /// Counts it, writes it down and tells of it.
    pub fn publish(&self, meters: &Meters, caller: Option<&CallerMeters>, access_log: &AccessLog, events: &EventBus) {
        meters.answered(self.endpoint, self.status, self.took);
        if let Some(usage) = self.usage {
            meters.used(usage.prompt, usage.completion, usage.cached);
        }
        if let Some(caller) = caller {
            caller.answered(self.usage.map(|usage| (usage.prompt, usage.completion)));
        }
        access_log.write(self);
        events.publish(|| Event::Request(self.summary()));
    }

    fn summary(&self) -> RequestSummary {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        RequestSummary {
            id: self.id.to_owned(),
            caller: owned(self.caller),
            path: self.path.to_owned(),
            model: owned(self.model),
            alias: owned(self.alias),
            engine: owned(self.engine),
            status: self.status,
            seconds: self.took.as_secs_f64(),
            first_token_seconds: self.first_token.map(|time| time.as_secs_f64()),
            prompt_tokens: self.usage.map(|usage| usage.prompt),
            completion_tokens: self.usage.map(|usage| usage.completion),
            error: owned(self.error),
        }
    }
}
