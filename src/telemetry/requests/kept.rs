//! A record that outlives its request, in one allocation.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use smallvec::SmallVec;

use crate::api::{AttemptView, RequestFacts, RequestView};
use crate::openai::Usage;
use crate::outcome::Outcome;
use crate::telemetry::{AttemptRecord, QueueRecord, Record};

/// The longest text that is kept of each field, in bytes. Paths and names of models come from clients.
const LONGEST: usize = 256;

/// Fields that are text.
const TEXTS: usize = 9;

/// Which of them is the engine.
const ENGINE: usize = 7;

/// A record of its own.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct KeptRecord {
    /// When the request ended.
    pub(in crate::telemetry) ended: SystemTime,
    pub(in crate::telemetry) client: Option<IpAddr>,
    pub(in crate::telemetry) status: u16,
    pub(in crate::telemetry) stream: bool,
    /// Its trace, where it has one.
    trace_id: Option<u128>,
    bytes_in: usize,
    bytes_out: usize,
    pub(in crate::telemetry) took: Duration,
    pub(in crate::telemetry) first_token: Option<Duration>,
    pub(in crate::telemetry) first_token_came: Option<Duration>,
    pub(in crate::telemetry) queue: Option<QueueRecord>,
    attempts: SmallVec<[KeptAttempt; 1]>,
    pub(in crate::telemetry) overhead: Duration,
    pub(in crate::telemetry) retries: usize,
    pub(in crate::telemetry) usage: Option<Usage>,
    pub(in crate::telemetry) is_estimate: bool,
    pub(in crate::telemetry) stream_end: Option<&'static str>,
    /// All texts, one behind the other, then the names of further engines.
    text: Box<str>,
    /// Where each ends in `text`.
    ends: [u16; TEXTS],
    /// Which of them there are: one bit each.
    has: u16,
}

/// An attempt.
#[derive(Clone, Copy, Debug)]
struct KeptAttempt {
    number: u32,
    /// Where the name of its engine is in the record's text.
    engine: (u16, u16),
    began: Duration,
    answered: Option<Duration>,
    ended: Duration,
    outcome: Outcome,
}

impl KeptRecord {
    pub(in crate::telemetry) fn of(record: &Record<'_>) -> Self {
        let texts = [
            Some(record.id),
            Some(record.method),
            Some(record.path),
            record.caller,
            record.model,
            record.unknown_model,
            record.alias,
            record.engine,
            record.error,
        ]
        .map(|text| text.map(cut));
        let further =
            record.attempts.iter().map(|attempt| cut(attempt.engine)).filter(|one| Some(*one) != texts[ENGINE]);
        let size = texts.iter().flatten().map(|text| text.len()).chain(further.map(str::len)).sum();
        let mut text = String::with_capacity(size);
        let (mut ends, mut has) = ([0; TEXTS], 0);
        for (at, part) in texts.iter().enumerate() {
            if let Some(part) = part {
                text.push_str(part);
                has |= 1 << at;
            }
            ends[at] = end_of(&text);
        }
        let attempt = |attempt: &AttemptRecord<'_>| {
            let own = cut(attempt.engine);
            let engine = if texts[ENGINE] == Some(own) {
                (ends[ENGINE - 1], ends[ENGINE])
            } else {
                let start = end_of(&text);
                text.push_str(own);
                (start, end_of(&text))
            };
            let AttemptRecord { number, began, answered, ended, outcome, .. } = *attempt;
            KeptAttempt { number, engine, began, answered, ended, outcome }
        };
        let attempts = record.attempts.iter().map(attempt).collect();
        Self {
            ended: record.ended,
            client: record.client,
            status: record.status,
            stream: record.stream,
            trace_id: record.trace_id,
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            took: record.took,
            first_token: record.first_token,
            first_token_came: record.first_token_came,
            queue: record.queue,
            attempts,
            overhead: record.overhead,
            retries: record.retries,
            usage: record.usage,
            is_estimate: record.is_estimate,
            stream_end: record.stream_end,
            text: text.into(),
            ends,
            has,
        }
    }

    fn text(&self, at: usize) -> Option<&str> {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        let text = self.text.get(usize::from(start)..usize::from(self.ends[at]))?;
        (self.has >> at & 1 == 1).then_some(text)
    }

    /// Its attempts, in their order.
    pub(in crate::telemetry) fn attempts(&self) -> impl Iterator<Item = AttemptRecord<'_>> {
        self.attempts.iter().map(|attempt| {
            let KeptAttempt { number, engine: (start, end), began, answered, ended, outcome } = *attempt;
            let engine = self.text.get(usize::from(start)..usize::from(end)).unwrap_or_default();
            AttemptRecord { number, engine, began, answered, ended, outcome }
        })
    }

    pub(in crate::telemetry) fn id(&self) -> &str {
        self.text(0).unwrap_or_default()
    }

    pub(in crate::telemetry) fn method(&self) -> &str {
        self.text(1).unwrap_or_default()
    }

    pub(in crate::telemetry) fn path(&self) -> &str {
        self.text(2).unwrap_or_default()
    }

    pub(in crate::telemetry) fn unknown_model(&self) -> Option<&str> {
        self.text(5)
    }

    pub(in crate::telemetry) fn model(&self) -> Option<&str> {
        self.text(4)
    }

    pub(in crate::telemetry) fn caller(&self) -> Option<&str> {
        self.text(3)
    }

    pub(in crate::telemetry) fn alias(&self) -> Option<&str> {
        self.text(6)
    }

    pub(in crate::telemetry) fn engine(&self) -> Option<&str> {
        self.text(ENGINE)
    }

    pub(in crate::telemetry) fn error(&self) -> Option<&str> {
        self.text(8)
    }

    /// What a filter looks at.
    pub(super) fn facts(&self) -> RequestFacts<'_> {
        RequestFacts {
            model: self.model(),
            alias: self.alias(),
            engine: self.engine(),
            caller: self.caller(),
            status: self.status,
            error: self.error(),
        }
    }

    /// Whether the gateway or an engine is to blame. What callers did wrong, and that they left, is not.
    pub(in crate::telemetry) fn is_failure(&self) -> bool {
        self.status >= 500 || matches!(self.stream_end, Some("engine_died" | "engine_error" | "timeout" | "cut"))
    }

    /// What operators are told of it.
    pub(super) fn view(&self) -> RequestView {
        let owned = |at| self.text(at).map(str::to_owned);
        RequestView {
            id: owned(0).unwrap_or_default(),
            trace_id: self.trace_id.map(|id| format!("{id:032x}")),
            ended: humantime::format_rfc3339_millis(self.ended).to_string(),
            client: self.client.map(|client| client.to_string()),
            caller: owned(3),
            method: self.method().to_owned(),
            path: self.path().to_owned(),
            model: owned(4),
            unknown_model: owned(5),
            alias: owned(6),
            engine: owned(ENGINE),
            status: self.status,
            stream: self.stream,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            seconds: self.took.as_secs_f64(),
            first_token_seconds: self.first_token.map(|time| time.as_secs_f64()),
            first_token_came_seconds: self.first_token_came.map(|time| time.as_secs_f64()),
            queue_seconds: self.queue.map_or(0.0, |queue| queue.waited.as_secs_f64()),
            queue_began_seconds: self.queue.map(|queue| queue.began.as_secs_f64()),
            attempts: self.attempts().map(|attempt| view(&attempt)).collect(),
            overhead_seconds: self.overhead.as_secs_f64(),
            retries: self.retries,
            prompt_tokens: self.usage.map(|usage| usage.prompt),
            completion_tokens: self.usage.map(|usage| usage.completion),
            cached_tokens: self.usage.map(|usage| usage.cached),
            tokens_estimated: self.usage.is_some() && self.is_estimate,
            stream_end: self.stream_end.map(str::to_owned),
            error: owned(8),
            request_body: None,
            response_body: None,
        }
    }
}

/// `text`, as far as it is kept.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

/// Where `text` ends: nine texts and the engines of sixteen attempts, of 256 bytes each.
fn end_of(text: &str) -> u16 {
    u16::try_from(text.len()).unwrap_or(u16::MAX)
}

fn view(attempt: &AttemptRecord<'_>) -> AttemptView {
    AttemptView {
        number: attempt.number,
        engine: attempt.engine.to_owned(),
        began_seconds: attempt.began.as_secs_f64(),
        answered_seconds: attempt.answered.map(|time| time.as_secs_f64()),
        ended_seconds: attempt.ended.as_secs_f64(),
        outcome: attempt.outcome.word().to_owned(),
        status: attempt.outcome.status(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::record::testing::record;

    #[test]
    fn a_kept_record_tells_what_the_record_told() {
        let kept = KeptRecord::of(&record()).view();
        assert_eq!(
            (kept.id.as_str(), kept.method.as_str(), kept.path.as_str()),
            ("r1", "POST", "/v1/chat/completions\n")
        );
        assert_eq!((kept.caller.as_deref(), kept.alias, kept.model.as_deref()), (Some("bot"), None, Some("m")));
        assert_eq!((kept.engine.as_deref(), kept.unknown_model, kept.error), (Some("m/0"), None, None));
        assert_eq!((kept.seconds, kept.prompt_tokens, kept.completion_tokens), (0.0015, Some(3), Some(4)));
        assert_eq!((kept.first_token_came_seconds, kept.queue_seconds), (Some(0.0011), 0.000_06));
        let attempt = |number, engine: &str, times: (f64, Option<f64>, f64), outcome: &str, status| AttemptView {
            number,
            engine: engine.to_owned(),
            began_seconds: times.0,
            answered_seconds: times.1,
            ended_seconds: times.2,
            outcome: outcome.to_owned(),
            status,
        };
        let refused = attempt(1, "m/1", (0.000_12, None, 0.000_15), "unreachable", None);
        let answered = attempt(2, "m/0", (0.0002, Some(0.0009), 0.0015), "answered", Some(200));
        assert_eq!(kept.attempts, [refused, answered]);
        assert_eq!(kept.trace_id.as_deref(), Some("0000000000000000000000000000002a"));
        assert_eq!((kept.ended.as_str(), kept.client.as_deref()), ("1970-01-01T00:00:00.000Z", Some("127.0.0.1")));
    }

    #[test]
    fn an_empty_text_is_not_an_absent_one_and_a_long_one_is_cut_at_a_character() {
        let long = "ä".repeat(200);
        let told = Record { alias: Some(""), unknown_model: Some(&long), path: &long, ..record() };
        let kept = KeptRecord::of(&told).view();
        assert_eq!((kept.alias.as_deref(), kept.error), (Some(""), None));
        assert_eq!((kept.unknown_model.map(|name| name.len()), kept.path.len()), (Some(LONGEST), LONGEST));
        assert_eq!(kept.engine.as_deref(), Some("m/0"));
    }
}
