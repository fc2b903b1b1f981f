//! Publishes the end of a request: access log, metrics, events.

use super::access_log::AccessLog;
use super::events::EventBus;
use super::meters::{CallerMeters, Meters};
use super::record::Record;
use crate::api::{Event, RequestSummary};

impl Record<'_> {
    /// Counts it in the metrics, writes the access log and publishes the event.
    pub fn publish(&self, meters: &Meters, caller: Option<&CallerMeters>, access_log: &AccessLog, events: &EventBus) {
        meters.answered(self.endpoint, self.status, self.took);
        if let Some(usage) = self.usage {
            meters.used(usage.prompt, usage.completion, usage.cached);
            if self.is_estimate {
                meters.estimated(usage.completion);
            }
        }
        if let Some(end) = self.stream_end {
            meters.stream_ended(end);
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
