//! The metrics of one route, looked up once so that a request only touches atomics.

use std::array;
use std::sync::OnceLock;
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntGauge};

use super::Metrics;
use crate::openai::Endpoint;

/// Statuses that get a counter of their own; whatever else an engine invents is counted by its class.
const STATUSES: [u16; 28] = [
    200, 201, 204, 400, 401, 403, 404, 405, 408, 409, 411, 413, 415, 422, 429, 431, 499, 500, 501, 502, 503, 504, 100,
    202, 300, 418, 505, 520,
];

/// Label of each of [`STATUSES`]; the last six stand for classes.
fn status_slot(status: u16) -> usize {
    let class = match status / 100 {
        1 => 22,
        2 => 23,
        3 => 24,
        4 => 25,
        5 => 26,
        _ => 27,
    };
    STATUSES[..22].iter().position(|known| *known == status).unwrap_or(class)
}

fn status_label(slot: usize) -> String {
    match slot {
        22 => "1xx".into(),
        23 => "2xx".into(),
        24 => "3xx".into(),
        25 => "4xx".into(),
        26 => "5xx".into(),
        27 => "other".into(),
        _ => STATUSES[slot].to_string(),
    }
}

/// Counters and histograms of one route.
#[derive(Debug)]
pub struct Meters {
    model: String,
    alias: String,
    in_flight: IntGauge,
    first_token: Histogram,
    between_tokens: Histogram,
    prompt_tokens: IntCounter,
    completion_tokens: IntCounter,
    cached_tokens: IntCounter,
    duration: [OnceLock<Histogram>; Endpoint::ALL.len() + 1],
    requests: [[OnceLock<IntCounter>; STATUSES.len()]; Endpoint::ALL.len() + 1],
}

impl Meters {
    /// The meters of `model` as reached through `alias` (empty: by its own name).
    #[must_use]
    pub fn new(metrics: &Metrics, model: &str, alias: &str) -> Self {
        let labels = [model, alias];
        Self {
            model: model.into(),
            alias: alias.into(),
            in_flight: metrics.in_flight.with_label_values(&labels),
            first_token: metrics.first_token.with_label_values(&[model]),
            between_tokens: metrics.between_tokens.with_label_values(&[model]),
            prompt_tokens: metrics.prompt_tokens.with_label_values(&labels),
            completion_tokens: metrics.completion_tokens.with_label_values(&labels),
            cached_tokens: metrics.cached_tokens.with_label_values(&labels),
            duration: array::from_fn(|_| OnceLock::new()),
            requests: array::from_fn(|_| array::from_fn(|_| OnceLock::new())),
        }
    }

    /// Counts a request in; out when the guard is dropped.
    #[must_use]
    pub fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Counts an answered request. `endpoint`: `None` for paths that are no inference route.
    pub fn answered(&self, metrics: &Metrics, endpoint: Option<Endpoint>, status: u16, took: Duration) {
        let at = endpoint.map_or(Endpoint::ALL.len(), |endpoint| endpoint as usize);
        let path = endpoint.map_or("other", Endpoint::path);
        let slot = status_slot(status);
        self.requests[at][slot]
            .get_or_init(|| metrics.requests.with_label_values(&[&self.model, &self.alias, path, &status_label(slot)]))
            .inc();
        self.duration[at]
            .get_or_init(|| metrics.duration.with_label_values(&[self.model.as_str(), path]))
            .observe(took.as_secs_f64());
    }

    /// Counts a repeated attempt.
    pub fn retried(&self, metrics: &Metrics, reason: &'static str) {
        metrics.retries.with_label_values(&[self.model.as_str(), reason]).inc();
    }

    /// Counts a request that its alias passed on to its fallback `to`.
    pub fn fell_back(&self, metrics: &Metrics, to: &str) {
        metrics.fallbacks.with_label_values(&[self.alias.as_str(), to]).inc();
    }

    /// Counts a copy of a request.
    pub fn mirrored(&self, metrics: &Metrics, outcome: &'static str) {
        metrics.mirrored.with_label_values(&[self.alias.as_str(), outcome]).inc();
    }

    /// The first event of a stream came `after` the request was complete.
    pub fn first_token(&self, after: Duration) {
        self.first_token.observe(after.as_secs_f64());
    }

    /// `events` more came at once, `gap` after those before.
    pub fn tokens_after(&self, gap: Duration, events: usize) {
        let Ok(count) = u32::try_from(events) else { return };
        for _ in 0..count {
            self.between_tokens.observe((gap / count).as_secs_f64());
        }
    }

    /// What an engine reported to have used.
    pub fn used(&self, prompt: u64, completion: u64, cached: u64) {
        self.prompt_tokens.inc_by(prompt);
        self.completion_tokens.inc_by(completion);
        self.cached_tokens.inc_by(cached);
    }
}

/// What one caller uses.
#[derive(Debug)]
pub struct CallerMeters {
    requests: IntCounter,
    prompt_tokens: IntCounter,
    completion_tokens: IntCounter,
}

impl CallerMeters {
    /// The meters of the caller called `name`.
    #[must_use]
    pub fn new(metrics: &Metrics, name: &str) -> Self {
        Self {
            requests: metrics.caller_requests.with_label_values(&[name]),
            prompt_tokens: metrics.caller_tokens.with_label_values(&[name, "prompt"]),
            completion_tokens: metrics.caller_tokens.with_label_values(&[name, "completion"]),
        }
    }

    /// Counts a request, and the tokens for prompt and completion that an engine reported to have used.
    pub fn answered(&self, tokens: Option<(u64, u64)>) {
        self.requests.inc();
        if let Some((prompt, completion)) = tokens {
            self.prompt_tokens.inc_by(prompt);
            self.completion_tokens.inc_by(completion);
        }
    }
}

/// A request under way. Dropping it, on whatever path, ends the count.
#[derive(Debug)]
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_sets_are_bounded_whatever_an_engine_answers() {
        let labels: std::collections::BTreeSet<String> = (0..=999).map(|s| status_label(status_slot(s))).collect();
        assert_eq!(labels.len(), STATUSES.len());
        assert_eq!(status_label(status_slot(404)), "404");
        assert_eq!(status_label(status_slot(418)), "4xx");
        assert_eq!(status_label(status_slot(0)), "other");
    }

    #[test]
    fn a_request_is_counted_once_and_its_guard_counts_down() {
        let metrics = Metrics::new().expect("metrics");
        let meters = Meters::new(&metrics, "m", "a");
        let guard = meters.enter();
        meters.answered(&metrics, Some(Endpoint::Score), 200, Duration::from_millis(3));
        meters.tokens_after(Duration::from_millis(40), 2);
        let text = |metrics: &Metrics| {
            String::from_utf8(metrics.render(&[], &crate::telemetry::GpuSample::default()).expect("text"))
                .expect("UTF-8")
        };
        let before = text(&metrics);
        assert!(before.contains("enginehouse_requests_in_flight{alias=\"a\",model=\"m\"} 1"), "{before}");
        assert!(
            before.contains("enginehouse_requests_total{alias=\"a\",endpoint=\"/score\",model=\"m\",status=\"200\"} 1")
        );
        assert!(before.contains("enginehouse_inter_token_latency_seconds_count{model=\"m\"} 2"));
        drop(guard);
        assert!(text(&metrics).contains("enginehouse_requests_in_flight{alias=\"a\",model=\"m\"} 0"));
    }
}
