//! The metrics of one route, looked up once so that a request only touches atomics.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntGauge};

use super::book::{Book, Metered, lock};
use super::metrics::requests::{RequestMetrics, TokenMetrics};
use super::metrics::series::Label;
use super::tally::Tally;
use crate::openai::Endpoint;

/// Statuses that get a counter of their own.
const STATUSES: [u16; 22] =
    [200, 201, 204, 400, 401, 403, 404, 405, 408, 409, 411, 413, 415, 422, 429, 431, 499, 500, 501, 502, 503, 504];

/// How nearly all attempts end.
const ANSWERED: &str = "answered";

/// How streams end.
const STREAM_ENDS: [&str; 6] = ["complete", "client_gone", "engine_died", "engine_error", "timeout", "cut"];

/// Whatever else an engine invents is counted by its class.
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];

/// How many counters there are: one for each of [`STATUSES`], then one for each of [`CLASSES`].
const SLOTS: usize = STATUSES.len() + CLASSES.len();

/// Which of them counts `status`.
fn status_slot(status: u16) -> usize {
    let class = match status {
        100..600 => usize::from(status / 100 - 1),
        _ => CLASSES.len() - 1,
    };
    STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len() + class)
}

fn status_label(slot: usize) -> String {
    STATUSES.get(slot).map_or_else(|| CLASSES[slot - STATUSES.len()].into(), u16::to_string)
}

/// Where routes count.
#[derive(Debug)]
pub(super) struct RouteMetrics {
    pub(super) requests: RequestMetrics,
    pub(super) tokens: TokenMetrics,
}

/// A route, by which its meters are known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RouteKey {
    pub(super) model: String,
    /// Empty: the model by its own name.
    pub(super) alias: String,
}

/// Counters and histograms of one route: of a model as reached by its own name or by one alias. There is one for all
/// snapshots at a time; when the last who counts in it is gone, its series end.
#[derive(Debug)]
// Small, so that those of a thousand routes are on few pages of memory, and in this order: what every request counts is one
// piece.
#[repr(C)]
pub struct Meters {
    hot: HotCounts,
    chat_duration: OnceLock<Histogram>,
    first_token: Histogram,
    between_tokens: Histogram,
    cold: Box<ColdMeters>,
}

/// What few requests need.
#[derive(Debug)]
struct ColdMeters {
    book: Arc<Book<Meters>>,
    route: RouteKey,
    published: Mutex<Published>,
    estimated_tokens: OnceLock<IntCounter>,
    streams: [OnceLock<IntCounter>; STREAM_ENDS.len()],
    duration: [OnceLock<Histogram>; Endpoint::ALL.len() + 1],
    requests: [[OnceLock<IntCounter>; SLOTS]; Endpoint::ALL.len() + 1],
}

/// What nearly every request counts. With thousands of routes each of these would be a wait for memory, were they not side by
/// side; Prometheus' own counters are not. They get what is counted here when somebody looks.
#[derive(Debug, Default)]
#[repr(C)]
struct HotCounts {
    in_flight: AtomicU64,
    /// Attempts that were answered.
    answered: AtomicU64,
    /// Conversations that were answered with 200.
    chats: AtomicU64,
    prompt_tokens: AtomicU64,
    completion_tokens: AtomicU64,
    cached_tokens: AtomicU64,
}

/// What of that Prometheus' counters got.
#[derive(Debug)]
struct Published {
    in_flight: (IntGauge, i64),
    answered: Tally,
    /// Made with the first one.
    chats: Option<Tally>,
    prompt_tokens: Tally,
    completion_tokens: Tally,
    cached_tokens: Tally,
}

impl Metered for Meters {
    type Key = RouteKey;
    type Metrics = RouteMetrics;

    fn new(book: Arc<Book<Self>>, route: RouteKey) -> Self {
        let RouteMetrics { requests, tokens } = &book.metrics;
        let RouteKey { model, alias } = &route;
        let (model, labels) = (model.as_str(), [model.as_str(), alias.as_str()]);
        let published = Published {
            in_flight: (requests.in_flight.with_label_values(&labels), 0),
            answered: Tally::new(requests.attempts.with_label_values(&[model, ANSWERED])),
            chats: None,
            prompt_tokens: Tally::new(tokens.prompt.with_label_values(&labels)),
            completion_tokens: Tally::new(tokens.completion.with_label_values(&labels)),
            cached_tokens: Tally::new(tokens.cached.with_label_values(&labels)),
        };
        Self {
            hot: HotCounts::default(),
            chat_duration: OnceLock::new(),
            first_token: requests.first_token.with_label_values(&[model]),
            between_tokens: requests.between_tokens.with_label_values(&[model]),
            cold: Box::new(ColdMeters {
                route,
                book,
                published: Mutex::new(published),
                estimated_tokens: OnceLock::new(),
                streams: array::from_fn(|_| OnceLock::new()),
                duration: array::from_fn(|_| OnceLock::new()),
                requests: array::from_fn(|_| array::from_fn(|_| OnceLock::new())),
            }),
        }
    }

    fn key(&self) -> &RouteKey {
        &self.cold.route
    }

    fn publish(&self) {
        let mut published = lock(&self.cold.published);
        let Published { in_flight, answered, chats, prompt_tokens, completion_tokens, cached_tokens } = &mut *published;
        let under_way = i64::try_from(self.hot.in_flight.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        in_flight.0.add(under_way - std::mem::replace(&mut in_flight.1, under_way));
        if self.hot.chats.load(Ordering::Relaxed) > 0 {
            let counter = || Tally::new(self.requests(Endpoint::ChatCompletions.path(), "200"));
            chats.get_or_insert_with(counter).tell(&self.hot.chats);
        }
        answered.tell(&self.hot.answered);
        prompt_tokens.tell(&self.hot.prompt_tokens);
        completion_tokens.tell(&self.hot.completion_tokens);
        cached_tokens.tell(&self.hot.cached_tokens);
    }

    /// Of itself, of its model, of its alias if it has one.
    fn labels(RouteKey { model, alias }: &RouteKey) -> Vec<Vec<Label<'_>>> {
        let mut all = vec![vec![("model", &**model)], vec![("model", &**model), ("alias", &**alias)]];
        if !alias.is_empty() {
            all.push(vec![("alias", &**alias)]);
        }
        all
    }
}

impl Meters {
    /// Counts a request in; out when the guard is dropped.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> InFlight {
        self.hot.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }

    /// Counts an answered request. `endpoint`: `None` for paths that are no inference route.
    pub fn answered(&self, endpoint: Option<Endpoint>, status: u16, took: Duration) {
        let at = endpoint.map_or(Endpoint::ALL.len(), |endpoint| endpoint as usize);
        let path = endpoint.map_or("other", Endpoint::path);
        let is_chat = endpoint == Some(Endpoint::ChatCompletions);
        if is_chat && status == 200 {
            self.hot.chats.fetch_add(1, Ordering::Relaxed);
        } else {
            let slot = status_slot(status);
            self.cold.requests[at][slot].get_or_init(|| self.requests(path, &status_label(slot))).inc();
        }
        let duration = if is_chat { &self.chat_duration } else { &self.cold.duration[at] };
        duration
            .get_or_init(|| self.metrics().duration.with_label_values(&[self.cold.route.model.as_str(), path]))
            .observe(took.as_secs_f64());
    }

    fn metrics(&self) -> &RequestMetrics {
        &self.cold.book.metrics.requests
    }

    fn requests(&self, path: &str, status: &str) -> IntCounter {
        let RouteKey { model, alias } = &self.cold.route;
        self.metrics().answered.with_label_values(&[&**model, alias, path, status])
    }

    /// Counts a repeated attempt.
    pub fn retried(&self, reason: &'static str) {
        self.metrics().retries.with_label_values(&[self.cold.route.model.as_str(), reason]).inc();
    }

    /// Counts how an attempt ended: by an [`Outcome`](crate::outcome::Outcome)'s word.
    pub fn attempted(&self, outcome: &'static str) {
        if outcome == ANSWERED {
            self.hot.answered.fetch_add(1, Ordering::Relaxed);
        } else {
            self.metrics().attempts.with_label_values(&[self.cold.route.model.as_str(), outcome]).inc();
        }
    }

    /// Counts a request that its alias passed on to its fallback `to`.
    pub fn fell_back(&self, to: &str) {
        self.metrics().fallbacks.with_label_values(&[self.cold.route.alias.as_str(), to]).inc();
    }

    /// Counts a copy of a request.
    pub fn mirrored(&self, outcome: &'static str) {
        self.metrics().mirrored.with_label_values(&[self.cold.route.alias.as_str(), outcome]).inc();
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

    /// A stream has ended so: `complete`, `client_gone`, `engine_died`, `engine_error`, `timeout` or `cut`.
    pub fn stream_ended(&self, end: &str) {
        let at = STREAM_ENDS.iter().position(|known| *known == end).unwrap_or(STREAM_ENDS.len() - 1);
        let labels = [&*self.cold.route.model, &*self.cold.route.alias, STREAM_ENDS[at]];
        self.cold.streams[at].get_or_init(|| self.metrics().streams.with_label_values(&labels)).inc();
    }

    /// So many of the completion tokens are an estimate.
    pub fn estimated(&self, completion: u64) {
        let labels = [&*self.cold.route.model, &*self.cold.route.alias];
        let counter = || self.cold.book.metrics.tokens.estimated.with_label_values(&labels);
        self.cold.estimated_tokens.get_or_init(counter).inc_by(completion);
    }

    /// What an engine reported to have used.
    pub fn used(&self, prompt: u64, completion: u64, cached: u64) {
        self.hot.prompt_tokens.fetch_add(prompt, Ordering::Relaxed);
        self.hot.completion_tokens.fetch_add(completion, Ordering::Relaxed);
        self.hot.cached_tokens.fetch_add(cached, Ordering::Relaxed);
    }
}

impl Drop for Meters {
    fn drop(&mut self) {
        self.cold.book.end(self);
    }
}

/// A request under way. Dropping it, on whatever path, ends the count.
#[derive(Debug)]
pub struct InFlight(Arc<Meters>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.hot.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    #[test]
    fn label_sets_are_bounded_whatever_an_engine_answers() {
        let labels: std::collections::BTreeSet<String> = (0..=999).map(|s| status_label(status_slot(s))).collect();
        assert_eq!(labels.len(), SLOTS);
        assert_eq!(status_label(status_slot(404)), "404");
        assert_eq!(status_label(status_slot(418)), "4xx");
        assert_eq!(status_label(status_slot(0)), "other");
    }

    fn text(metrics: &Metrics) -> String {
        let text = metrics.render(&crate::telemetry::Sampled::default()).expect("text");
        String::from_utf8(text).expect("UTF-8")
    }

    #[test]
    fn a_request_is_counted_once_and_its_guard_counts_down() {
        let metrics = Metrics::new().expect("metrics");
        let meters = metrics.meters("m", "a");
        let guard = meters.enter();
        meters.answered(Some(Endpoint::Score), 200, Duration::from_millis(3));
        meters.tokens_after(Duration::from_millis(40), 2);
        let before = text(&metrics);
        assert!(before.contains("enginehouse_requests_in_flight{alias=\"a\",model=\"m\"} 1"), "{before}");
        assert!(
            before.contains("enginehouse_requests_total{alias=\"a\",endpoint=\"/score\",model=\"m\",status=\"200\"} 1")
        );
        assert!(before.contains("enginehouse_inter_token_latency_seconds_count{model=\"m\"} 2"));
        drop(guard);
        assert!(text(&metrics).contains("enginehouse_requests_in_flight{alias=\"a\",model=\"m\"} 0"));
    }

    #[test]
    fn what_is_counted_is_seen_whenever_somebody_looks_and_is_not_lost_with_the_meters() {
        let metrics = Metrics::new().expect("metrics");
        let seen = |line: &str| {
            let text = text(&metrics);
            let value = text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse::<u64>().ok());
            value.unwrap_or_else(|| panic!("no {line} in {text}"))
        };
        let (own, alias) = (metrics.meters("m", ""), metrics.meters("m", "a"));
        assert!(Arc::ptr_eq(&own, &metrics.meters("m", "")), "all snapshots count in one");
        let ok = "enginehouse_requests_total{alias=\"\",endpoint=\"/v1/chat/completions\",model=\"m\",status=\"200\"}";
        let attempts = "enginehouse_attempts_total{model=\"m\",outcome=\"answered\"}";
        let tokens = "enginehouse_completion_tokens_total{alias=\"\",model=\"m\"}";
        for round in 1..=3 {
            own.answered(Some(Endpoint::ChatCompletions), 200, Duration::from_millis(1));
            [&own, &alias].into_iter().for_each(|meters| meters.attempted(ANSWERED));
            own.used(1, 7, 0);
            assert_eq!((seen(ok), seen(attempts), seen(tokens)), (round, 2 * round, 7 * round));
        }
        // Nobody has looked when it goes; the other one counts in the same series.
        alias.attempted(ANSWERED);
        drop(alias);
        assert_eq!(seen(attempts), 7);
    }

    #[test]
    fn series_end_with_the_last_who_counts_in_them_and_are_shared_until_then() {
        let metrics = Metrics::new().expect("metrics");
        let (first, caller) = (metrics.meters("m", "a"), metrics.caller_meters("bot"));
        first.answered(Some(Endpoint::Score), 200, Duration::from_millis(3));
        caller.answered(Some((1, 2)));
        let (second, other) = (metrics.meters("m", "a"), metrics.meters("m", "b"));
        drop(first);
        second.answered(Some(Endpoint::Score), 200, Duration::from_millis(3));
        other.answered(None, 404, Duration::ZERO);
        let requests = "enginehouse_requests_total{alias=\"a\",endpoint=\"/score\",model=\"m\",status=\"200\"} 2";
        assert!(text(&metrics).contains(requests), "{}", text(&metrics));
        second.fell_back("n");
        // What an earlier one counted ends with the last, too.
        second.answered(Some(Endpoint::Score), 404, Duration::ZERO);
        let third = metrics.meters("m", "a");
        drop((second, third, caller));
        let after = text(&metrics);
        assert!(!after.contains("alias=\"a\"") && !after.contains("caller=\"bot\""), "{after}");
        assert!(after.contains("alias=\"b\"") && after.contains("request_duration_seconds_sum"), "{after}");
        drop(other);
        assert!(!text(&metrics).contains("model=\"m\""), "{}", text(&metrics));
    }
}
