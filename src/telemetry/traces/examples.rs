//! Notes traced requests as examples of what the histograms of the metrics count.

use super::spans::Traced;
use crate::telemetry::exemplars::{ExemplarBook, Series};
use crate::telemetry::metrics::requests::{DURATION, FIRST_TOKEN};

/// Notes a request in the histograms that count it.
pub(super) fn note(book: &ExemplarBook, Traced { record, context, endpoint }: &Traced) {
    let Some(model) = record.model() else { return };
    let example = |time| (context.trace_id, time, record.ended);
    let metric = "enginehouse_request_duration_seconds";
    book.note(Series { metric, model, endpoint: Some(endpoint.path()) }, DURATION, example(record.took));
    if let Some(first) = record.first_token {
        let metric = "enginehouse_time_to_first_token_seconds";
        book.note(Series { metric, model, endpoint: None }, FIRST_TOKEN, example(first));
    }
}
