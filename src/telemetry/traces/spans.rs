//! The spans of a request, made of its record after its end. Pure.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Event, SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, SpanId, TraceId, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::context::TraceContext;
use super::names;
use crate::openai::Endpoint;
use crate::outcome::Outcome;
use crate::telemetry::record::{AttemptRecord, QueueRecord, Record};
use crate::telemetry::requests::KeptRecord;

/// A request that has ended, with the ids of its spans.
#[derive(Debug)]
pub(super) struct Traced {
    pub(super) record: KeptRecord,
    pub(super) context: std::sync::Arc<TraceContext>,
    pub(super) endpoint: Endpoint,
}

/// How many spans a record makes.
pub(super) fn count(record: &Record<'_>) -> u64 {
    let spans = 1 + record.attempts.len() + usize::from(record.queue.is_some());
    u64::try_from(spans).unwrap_or(u64::MAX)
}

/// Makes spans of one library: this one.
#[derive(Debug)]
pub(super) struct SpanMaker {
    scope: InstrumentationScope,
}

impl SpanMaker {
    pub(super) fn new() -> Self {
        let scope = InstrumentationScope::builder("enginehouse").with_version(env!("CARGO_PKG_VERSION")).build();
        Self { scope }
    }

    /// The span of the request first, then its children.
    pub(super) fn spans(&self, traced: &Traced) -> Vec<SpanData> {
        let Traced { record, context, endpoint } = traced;
        let started = record.ended.checked_sub(record.took).unwrap_or(SystemTime::UNIX_EPOCH);
        let trace = Trace { scope: &self.scope, context, started };
        let operation = names::operation(*endpoint);
        let mut spans = vec![request(&trace, record, operation)];
        if let Some(queue) = record.queue {
            spans.push(waited(&trace, queue, record.took));
        }
        let last = record.attempts().last().map(|attempt| attempt.number);
        let attempts = record.attempts().map(|attempt| {
            let first_token = record.first_token_came.filter(|_| last == Some(attempt.number));
            tried(&trace, record, &attempt, (operation, first_token))
        });
        spans.extend(attempts);
        spans
    }
}

/// What all spans of a request share.
struct Trace<'a> {
    scope: &'a InstrumentationScope,
    context: &'a TraceContext,
    started: SystemTime,
}

impl Trace<'_> {
    /// A span from `from` to `to`, of the request's beginning.
    fn span(
        &self,
        (id, parent): (u64, Option<u64>),
        name: Cow<'static, str>,
        (from, to): (Duration, Duration),
    ) -> SpanData {
        let TraceContext { trace_id, span_id, .. } = *self.context;
        let state = self.context.state().and_then(|state| state.to_str().ok()?.parse::<TraceState>().ok());
        let is_remote = id == span_id && parent.is_some();
        SpanData {
            span_context: SpanContext::new(
                TraceId::from(trace_id),
                SpanId::from(id),
                TraceFlags::SAMPLED,
                false,
                state.unwrap_or(TraceState::NONE),
            ),
            parent_span_id: parent.map_or(SpanId::INVALID, SpanId::from),
            parent_span_is_remote: is_remote,
            span_kind: SpanKind::Internal,
            name,
            start_time: self.started + from,
            end_time: self.started + to.max(from),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }

    fn child(&self, number: u32, name: &'static str, times: (Duration, Duration)) -> SpanData {
        let ids = (self.context.child(number), Some(self.context.span_id));
        self.span(ids, Cow::Borrowed(name), times)
    }
}

/// Attributes that there may or may not be.
#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn add(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.push(KeyValue::new(name, value));
    }

    fn text(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.add(name, value.to_owned());
        }
    }

    fn count(&mut self, name: &'static str, value: u64) {
        self.add(name, i64::try_from(value).unwrap_or(i64::MAX));
    }
}

fn request(trace: &Trace<'_>, record: &KeptRecord, operation: &'static str) -> SpanData {
    let served = record.alias().or(record.model());
    // What nobody serves is named by clients: an attribute can be anything, the names of spans should be few.
    let name = served.map_or(Cow::Borrowed(operation), |name| Cow::Owned(format!("{operation} {name}")));
    let TraceContext { span_id, parent, .. } = *trace.context;
    let mut span = trace.span((span_id, parent), name, (Duration::ZERO, record.took));
    span.span_kind = SpanKind::Server;
    let mut all = Attributes::default();
    all.add(names::OPERATION, operation);
    all.add(names::PROVIDER, names::VLLM);
    all.text(names::REQUEST_MODEL, served.or(record.unknown_model()));
    all.text(names::RESPONSE_MODEL, record.model().filter(|_| record.status < 400));
    if record.stream {
        all.add(names::REQUEST_STREAM, true);
    }
    if let Some(first) = record.first_token {
        all.add(names::FIRST_CHUNK, first.as_secs_f64());
    }
    if let Some(usage) = record.usage {
        all.count(names::INPUT_TOKENS, usage.prompt);
        all.count(names::OUTPUT_TOKENS, usage.completion);
        all.count(names::CACHED_TOKENS, usage.cached);
        all.add(names::TOKENS_ESTIMATED, record.is_estimate);
    }
    all.text(names::METHOD, Some(record.method()));
    all.text(names::PATH, Some(record.path()));
    all.add(names::STATUS, i64::from(record.status));
    all.text(names::CLIENT, record.client.map(|client| client.to_string()).as_deref());
    all.text(names::REQUEST_ID, Some(record.id()));
    all.text(names::ALIAS, record.alias());
    all.text(names::CALLER, record.caller());
    all.text(names::ENGINE, record.engine());
    all.count(names::RETRIES, u64::try_from(record.retries).unwrap_or(u64::MAX));
    all.add(names::OVERHEAD, record.overhead.as_secs_f64());
    all.text(names::STREAM_END, record.stream_end);
    let status = record.status.to_string();
    let error = record.error().or((record.status >= 400).then_some(&*status));
    all.text(names::ERROR, error);
    if record.is_failure() {
        span.status = Status::error(error.unwrap_or_default().to_owned());
    }
    span.attributes = all.0;
    span
}

fn waited(trace: &Trace<'_>, queue: QueueRecord, took: Duration) -> SpanData {
    trace.child(0, names::QUEUE_SPAN, (queue.began, (queue.began + queue.waited).min(took)))
}

fn tried(
    trace: &Trace<'_>,
    record: &KeptRecord,
    attempt: &AttemptRecord<'_>,
    (operation, first_token): (&'static str, Option<Duration>),
) -> SpanData {
    let mut span = trace.child(attempt.number, names::ATTEMPT_SPAN, (attempt.began, attempt.ended));
    span.span_kind = SpanKind::Client;
    let mut all = Attributes::default();
    all.add(names::OPERATION, operation);
    all.add(names::PROVIDER, names::VLLM);
    all.text(names::REQUEST_MODEL, record.model());
    all.text(names::ENGINE, Some(attempt.engine));
    all.add(names::ATTEMPT, i64::from(attempt.number));
    all.add(names::OUTCOME, attempt.outcome.word());
    let status = attempt.outcome.status();
    if let Some(status) = status {
        all.add(names::STATUS, i64::from(status));
    }
    let answered = matches!(attempt.outcome, Outcome::Answered { .. });
    if !answered {
        all.add(names::ERROR, attempt.outcome.word());
    } else if let Some(status) = status.filter(|status| *status >= 400) {
        all.add(names::ERROR, status.to_string());
    }
    // A caller that leaves is nobody's fault.
    if !answered && attempt.outcome != Outcome::ClientGone || status.is_some_and(|status| status >= 500) {
        span.status = Status::error(attempt.outcome.word());
    }
    span.attributes = all.0;
    let event = |name: &'static str, at: Option<Duration>| Some(Event::new(name, trace.started + at?, Vec::new(), 0));
    let events = [event(names::HEAD_EVENT, attempt.answered), event(names::FIRST_TOKEN_EVENT, first_token)];
    span.events.events = events.into_iter().flatten().collect();
    span
}

#[cfg(test)]
mod tests;
