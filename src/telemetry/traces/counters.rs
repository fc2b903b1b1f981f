//! How many spans were sent, and how many were lost.

use prometheus::{Error, IntCounter, Opts};

/// Counters of spans.
#[derive(Clone, Debug)]
pub(super) struct SpanCounters {
    pub(super) sent: IntCounter,
    /// They came faster than they were sent.
    pub(super) queue_full: IntCounter,
    /// The collector did not take them.
    pub(super) failed: IntCounter,
}

impl SpanCounters {
    pub(super) fn new() -> Result<Self, Error> {
        let lost = |reason: &str| {
            let help = "Spans that were not sent: they came faster than they were sent (queue_full), or the collector did not take \
                        them (export_failed).";
            IntCounter::with_opts(Opts::new("enginehouse_spans_dropped_total", help).const_label("reason", reason))
        };
        let sent = IntCounter::new("enginehouse_spans_exported_total", "Spans that a collector took.")?;
        Ok(Self { sent, queue_full: lost("queue_full")?, failed: lost("export_failed")? })
    }

    pub(super) fn all(&self) -> [IntCounter; 3] {
        [self.sent.clone(), self.queue_full.clone(), self.failed.clone()]
    }
}
