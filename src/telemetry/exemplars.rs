//! The traces that stand for what histograms count: for each bucket the last traced request that fell into it. They are noted
//! by the thread that makes traces, and read by those that look at the metrics.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// Histograms with different labels that have examples. A reload that replaces all models is no reason to keep all that ever were.
const MOST: usize = 4096;

/// A histogram, by its metric and its labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Series<'a> {
    pub(super) metric: &'a str,
    pub(super) model: &'a str,
    /// Where the metric has this label.
    pub(super) endpoint: Option<&'a str>,
}

impl Series<'_> {
    fn key(self) -> String {
        let Self { metric, model, endpoint } = self;
        format!("{metric}\n{}\n{model}", endpoint.unwrap_or_default())
    }
}

/// A request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Exemplar {
    pub(super) trace_id: u128,
    /// What was measured, in seconds.
    pub(super) value: f64,
    /// When it ended.
    pub(super) at: SystemTime,
}

/// The examples of all histograms. All clones are one.
#[derive(Clone, Debug, Default)]
pub struct ExemplarBook(Arc<Mutex<Buckets>>);

/// By the keys of the histograms.
type Buckets = HashMap<String, Vec<Option<Exemplar>>>;

impl ExemplarBook {
    /// A request with this trace took so long, by the histogram's upper `bounds`.
    pub(super) fn note(&self, series: Series<'_>, bounds: &[f64], (trace_id, time, at): (u128, Duration, SystemTime)) {
        let (key, mut all) = (series.key(), self.lock());
        if all.len() >= MOST && !all.contains_key(&key) {
            return;
        }
        let buckets = all.entry(key).or_insert_with(|| vec![None; bounds.len() + 1]);
        let value = time.as_secs_f64();
        let at_bucket = bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len());
        if let Some(bucket) = buckets.get_mut(at_bucket) {
            *bucket = Some(Exemplar { trace_id, value, at });
        }
    }

    /// The examples of the buckets, in their order; the last one is without bound.
    pub(super) fn of(&self, series: Series<'_>) -> Vec<Option<Exemplar>> {
        self.lock().get(&series.key()).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Buckets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(model: &str) -> Series<'_> {
        Series { metric: "m", model, endpoint: None }
    }

    #[test]
    fn the_last_request_of_each_bucket_stands_for_it() {
        let book = ExemplarBook::default();
        for (trace_id, millis) in [(1, 5), (2, 100), (3, 101), (4, 99), (5, 5000)] {
            let told = (trace_id, Duration::from_millis(millis), SystemTime::UNIX_EPOCH);
            book.note(series("a"), &[0.01, 0.1], told);
        }
        let ids: Vec<_> = book.of(series("a")).iter().map(|one| one.map(|one| one.trace_id)).collect();
        assert_eq!(ids, [Some(1), Some(4), Some(5)]);
        assert!(book.of(series("b")).is_empty());
    }

    #[test]
    fn there_are_not_more_than_are_kept() {
        let book = ExemplarBook::default();
        let told = (1, Duration::ZERO, SystemTime::UNIX_EPOCH);
        (0..MOST + 10).for_each(|number| book.note(series(&number.to_string()), &[1.0], told));
        assert_eq!(book.lock().len(), MOST);
    }
}
