//! The metrics of one caller.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::metrics::requests::CallerMetrics;
use super::metrics::series::SeriesBook;
use super::tally::Tally;

/// The meters of all callers, and where what they count goes.
#[derive(Debug)]
pub(super) struct CallerBook {
    metrics: CallerMetrics,
    series: Arc<SeriesBook>,
    all: Mutex<HashMap<String, Weak<CallerMeters>>>,
}

/// What one caller uses. There is one for all snapshots at a time; when the last who counts in it is gone, its series end.
#[derive(Debug)]
pub struct CallerMeters {
    // Side by side: of a hundred thousand callers, each would be a wait for memory of its own.
    requests: AtomicU64,
    prompt_tokens: AtomicU64,
    completion_tokens: AtomicU64,
    cold: Box<Cold>,
}

#[derive(Debug)]
struct Cold {
    book: Arc<CallerBook>,
    name: String,
    /// Requests, and tokens for prompt and completion.
    published: Mutex<[Tally; 3]>,
}

impl CallerBook {
    pub(super) fn new(metrics: CallerMetrics, series: Arc<SeriesBook>) -> Self {
        Self { metrics, series, all: Mutex::default() }
    }

    /// The meters of the caller called `name`; made where there are none.
    pub(super) fn meters(self: &Arc<Self>, name: &str) -> Arc<CallerMeters> {
        let mut all = lock(&self.all);
        let entry = all.entry(name.to_owned()).or_default();
        entry.upgrade().unwrap_or_else(|| {
            let made = Arc::new(CallerMeters::new(self.clone(), name));
            *entry = Arc::downgrade(&made);
            made
        })
    }

    /// Gives Prometheus' counters what was counted since the last time.
    pub(super) fn publish(&self) {
        // Collected first: the last of some may go here, which takes the same lock.
        let meters: Vec<_> = lock(&self.all).values().filter_map(Weak::upgrade).collect();
        meters.iter().for_each(|meters| meters.publish());
    }

    /// Requests of a caller, and its tokens for prompt and completion.
    pub(super) fn totals(&self, caller: &str) -> (u64, [u64; 2]) {
        let meters = lock(&self.all).get(caller).and_then(Weak::upgrade);
        if let Some(meters) = meters {
            meters.publish();
        }
        let tokens = |kind| self.metrics.tokens.with_label_values(&[caller, kind]).get();
        (self.metrics.requests.with_label_values(&[caller]).get(), [tokens("prompt"), tokens("completion")])
    }

    /// These are gone.
    fn forget(&self, gone: &CallerMeters) {
        let mut all = lock(&self.all);
        // Others may have been made meanwhile.
        if all.get(&gone.cold.name).is_some_and(|meters| std::ptr::eq(meters.as_ptr(), gone)) {
            all.remove(&gone.cold.name);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CallerMeters {
    fn new(book: Arc<CallerBook>, name: &str) -> Self {
        book.series.begin(&[("caller", name)]);
        let tokens = |kind| Tally::new(book.metrics.tokens.with_label_values(&[name, kind]));
        let requests = Tally::new(book.metrics.requests.with_label_values(&[name]));
        let published = Mutex::new([requests, tokens("prompt"), tokens("completion")]);
        let cold = Box::new(Cold { name: name.to_owned(), published, book });
        let [requests, prompt_tokens, completion_tokens] = [(); 3].map(|()| AtomicU64::new(0));
        Self { requests, prompt_tokens, completion_tokens, cold }
    }

    /// Counts a request, and the tokens for prompt and completion that an engine reported to have used.
    pub fn answered(&self, tokens: Option<(u64, u64)>) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if let Some((prompt, completion)) = tokens {
            self.prompt_tokens.fetch_add(prompt, Ordering::Relaxed);
            self.completion_tokens.fetch_add(completion, Ordering::Relaxed);
        }
    }

    fn publish(&self) {
        let [requests, prompt, completion] = &mut *lock(&self.cold.published);
        requests.tell(&self.requests);
        prompt.tell(&self.prompt_tokens);
        completion.tell(&self.completion_tokens);
    }
}

impl Drop for CallerMeters {
    fn drop(&mut self) {
        self.publish();
        self.cold.book.forget(self);
        self.cold.book.series.end(&[("caller", &self.cold.name)]);
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::Metrics;

    #[test]
    fn a_caller_is_counted_in_one_place_and_its_series_end_with_it() {
        let metrics = Metrics::new().expect("metrics");
        let text =
            || String::from_utf8(metrics.render(&[], &crate::api::GpusView::default()).expect("text")).expect("UTF-8");
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
