//! A caller's name, and its metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use compact_str::CompactString;

use super::book::{Book, Metered, lock};
use super::metrics::requests::CallerMetrics;
use super::metrics::series::Label;
use super::tally::Tally;

/// What one caller is called in conditions, logs and metrics, and what it uses. There is one for all snapshots at a time; when
/// the last who counts in it is gone, its series end.
#[derive(Debug)]
pub struct CallerMeters {
    // Side by side, the name's text too if it is no longer than 24 bytes: of a hundred thousand callers, each would be a wait for
    // memory of its own.
    name: CompactString,
    requests: AtomicU64,
    prompt_tokens: AtomicU64,
    completion_tokens: AtomicU64,
    cold: Box<Cold>,
}

#[derive(Debug)]
struct Cold {
    book: Arc<Book<CallerMeters>>,
    /// Requests, and tokens for prompt and completion.
    published: Mutex<[Tally; 3]>,
}

impl Metered for CallerMeters {
    type Key = CompactString;
    type Metrics = CallerMetrics;

    fn new(book: Arc<Book<Self>>, name: CompactString) -> Self {
        let tokens = |kind| Tally::new(book.metrics.tokens.with_label_values(&[&*name, kind]));
        let requests = Tally::new(book.metrics.requests.with_label_values(&[&*name]));
        let published = Mutex::new([requests, tokens("prompt"), tokens("completion")]);
        let cold = Box::new(Cold { published, book });
        let [requests, prompt_tokens, completion_tokens] = [(); 3].map(|()| AtomicU64::new(0));
        Self { name, requests, prompt_tokens, completion_tokens, cold }
    }

    fn key(&self) -> &CompactString {
        &self.name
    }

    fn publish(&self) {
        let [requests, prompt, completion] = &mut *lock(&self.cold.published);
        requests.tell(&self.requests);
        prompt.tell(&self.prompt_tokens);
        completion.tell(&self.completion_tokens);
    }

    fn labels(name: &CompactString) -> Vec<Vec<Label<'_>>> {
        vec![vec![("caller", name)]]
    }
}

impl Book<CallerMeters> {
    /// Requests of a caller, and its tokens for prompt and completion.
    pub(super) fn totals(&self, caller: &str) -> (u64, [u64; 2]) {
        if let Some(meters) = self.find(&caller.into()) {
            meters.publish();
        }
        let tokens = |kind| self.metrics.tokens.with_label_values(&[caller, kind]).get();
        (self.metrics.requests.with_label_values(&[caller]).get(), [tokens("prompt"), tokens("completion")])
    }
}

impl CallerMeters {
    /// What the caller is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts a request, and the tokens for prompt and completion that an engine reported to have used.
    pub fn answered(&self, tokens: Option<(u64, u64)>) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if let Some((prompt, completion)) = tokens {
            self.prompt_tokens.fetch_add(prompt, Ordering::Relaxed);
            self.completion_tokens.fetch_add(completion, Ordering::Relaxed);
        }
    }
}

impl Drop for CallerMeters {
    fn drop(&mut self) {
        self.cold.book.end(self);
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::Metrics;

    #[test]
    fn a_caller_is_counted_in_one_place_and_its_series_end_with_it() {
        let metrics = Metrics::new().expect("metrics");
        let text =
            || String::from_utf8(metrics.render(&crate::telemetry::Sampled::default()).expect("text")).expect("UTF-8");
        let (old, new) = (metrics.caller_meters("bot"), metrics.caller_meters("bot"));
        old.answered(Some((1, 2)));
        new.answered(Some((10, 20)));
        assert_eq!(metrics.caller_totals("bot"), (2, [11, 22]));
        drop(old);
        new.answered(None);
        assert!(text().contains("enginehouse_caller_requests_total{caller=\"bot\"} 3"), "{}", text());
        assert!(text().contains("enginehouse_caller_tokens_total{caller=\"bot\",kind=\"completion\"} 22"));
        drop(new);
        assert!(!text().contains("caller=\"bot\""));
    }
}
