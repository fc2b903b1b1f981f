//! Publishes the end of a request: metrics, access log, the list of requests, traces.

use std::sync::Arc;

use super::access_log::AccessLog;
use super::caller_meters::CallerMeters;
use super::meters::Meters;
use super::record::Record;
use super::requests::{Captured, RequestSink};
use super::traces::{TraceContext, Tracer};

impl Record<'_> {
    /// Counts it in the metrics, writes the access log and has operators see it.
    pub fn publish(
        &self,
        meters: &Meters,
        caller: Option<&CallerMeters>,
        access_log: Option<&AccessLog>,
        (requests, captured): (&RequestSink, Option<Box<Captured>>),
        trace: Option<(&Tracer, &Arc<TraceContext>)>,
    ) {
        meters.answered(self.endpoint, self.status, self.took);
        if let Some(usage) = self.usage {
            meters.used(usage.prompt, usage.completion, usage.cached);
            if self.is_estimate {
                meters.estimated(usage.completion);
            }
        }
        if let Some(end) = self.stream_end {
            meters.stream_ended(end);
        }
        if let Some(caller) = caller {
            caller.answered(self.usage.map(|usage| (usage.prompt, usage.completion)));
        }
        if let Some(access_log) = access_log {
            access_log.write(self);
        }
        requests.take(self, captured);
        if let Some((tracer, context)) = trace {
            tracer.end(self, context);
        }
    }
}
