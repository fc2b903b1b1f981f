//! What traces ask of the data path: ids when a request begins, and its record when it has ended.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use http::HeaderMap;
use prometheus::IntCounter;

use super::context::{Parent, TraceContext};
use super::sampler::Sampler;
use super::spans::{self, Traced};
use crate::telemetry::record::Record;
use crate::telemetry::requests::KeptRecord;

/// Traces requests, and waits for nobody.
#[derive(Clone, Debug)]
pub struct Tracer {
    sampler: Sampler,
    ended: SyncSender<Traced>,
    lost: IntCounter,
}

impl Tracer {
    /// A tracer, and what comes out of it; at most `queue` requests wait there, and `lost` counts the spans of the other ones.
    pub(super) fn new(sampler: Sampler, queue: usize, lost: IntCounter) -> (Self, Receiver<Traced>) {
        let (ended, records) = sync_channel(queue);
        (Self { sampler, ended, lost }, records)
    }

    /// The ids of a request with this head: in the trace of its caller, if that has one.
    #[must_use]
    pub fn begin(&self, headers: &HeaderMap) -> Arc<TraceContext> {
        let (span_id, parent) = (fastrand::u64(1..), Parent::of(headers));
        let trace_id = parent.map_or_else(|| fastrand::u128(1..), |parent| parent.trace_id);
        let keeps = self.sampler.keeps(parent.map(Parent::is_sampled), trace_id);
        Arc::new(match parent {
            Some(parent) => TraceContext::below(parent, span_id, keeps, headers),
            None => TraceContext::root(trace_id, span_id, keeps),
        })
    }

    /// Hands over the record of a request that has ended, if its spans are kept. Only those for engines have any.
    pub(in crate::telemetry) fn end(&self, record: &Record<'_>, context: &Arc<TraceContext>) {
        let Some(endpoint) = record.endpoint.filter(|_| context.sampled) else { return };
        let traced = Traced { record: KeptRecord::of(record), context: context.clone(), endpoint };
        if self.ended.try_send(traced).is_err() {
            self.lost.inc_by(spans::count(record));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::record::testing::record;
    use crate::telemetry::traces::sampler::Share;

    #[test]
    fn only_kept_requests_for_engines_are_handed_over_and_those_that_find_no_room_are_counted() {
        let lost = IntCounter::new("lost", "Lost.").expect("a counter");
        let sampler = Sampler { follows_parent: true, share: Share::All };
        let (tracer, records) = Tracer::new(sampler, 1, lost.clone());
        let mut headers = HeaderMap::new();
        let context = tracer.begin(&headers);
        assert!(context.trace_id != 0 && context.sampled && context.parent.is_none());
        tracer.end(&Record { endpoint: None, ..record() }, &context);
        assert!(records.try_recv().is_err());
        headers
            .insert("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00".parse().expect("a value"));
        let unsampled = tracer.begin(&headers);
        assert_eq!((unsampled.sampled, unsampled.parent), (false, Some(0x00f0_67aa_0ba9_02b7)));
        tracer.end(&record(), &unsampled);
        assert!(records.try_recv().is_err());
        tracer.end(&record(), &context);
        tracer.end(&record(), &context);
        assert_eq!(records.try_recv().map(|traced| traced.context), Ok(context));
        assert_eq!((records.try_recv().is_err(), lost.get()), (true, 4), "a request, its wait, two attempts");
    }
}
