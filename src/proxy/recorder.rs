//! Where the records of requests go: metrics, the access log, the list that operators see, traces.

use std::sync::Arc;
use std::time::Duration;

use crate::routing::Target;
use crate::telemetry::{
    AccessLog, CallerMeters, Captured, Meters, Metrics, NO_ROUTE, Record, RequestSink, TraceContext, Tracer,
};

/// Publishes the records of requests.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) metrics: Arc<Metrics>,
    access_log: AccessLog,
    requests: RequestSink,
    /// There where requests are traced.
    pub(super) tracer: Option<Tracer>,
    /// Metrics of requests that named no model that is served.
    no_route: Arc<Meters>,
}

impl Recorder {
    pub(super) fn new(
        metrics: Arc<Metrics>,
        access_log: AccessLog,
        requests: RequestSink,
        tracer: Option<Tracer>,
    ) -> Self {
        Self { no_route: metrics.meters(NO_ROUTE, ""), metrics, access_log, requests, tracer }
    }

    /// The gateway spent so long on a request that had a target.
    pub(super) fn overhead(&self, time: Duration) {
        self.metrics.gateway.overhead.observe(time.as_secs_f64());
    }

    /// Begins to gather the bodies of a request for `target`, if its alias has them kept; `request`: the whole body.
    pub(super) fn capture(&self, target: Option<&Target>, request: &[u8]) -> Option<Box<Captured>> {
        let route = &target?.route;
        route.capture.as_ref().map(|terms| self.requests.capture(&route.name, terms, request))
    }

    /// A request for `target`, sent by `caller`, is over.
    pub(super) fn publish(
        &self,
        record: &Record,
        target: Option<&Target>,
        caller: Option<&CallerMeters>,
        trace: Option<&Arc<TraceContext>>,
        captured: Option<Box<Captured>>,
    ) {
        let meters = target.map_or(&self.no_route, |target| &target.meters);
        let is_logged = target.is_none_or(|target| target.route.access_log);
        let access_log = is_logged.then_some(&self.access_log);
        record.publish(meters, caller, access_log, (&self.requests, captured), self.tracer.as_ref().zip(trace));
    }

    /// A question whether the gateway is well is over: nobody counts these, and nobody wants to read of those that went well.
    pub(super) fn publish_probe(&self, record: &Record) {
        if record.status >= 400 {
            self.access_log.write(record);
        }
    }
}
