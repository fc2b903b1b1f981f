//! The metrics of requests, of their tokens, and of the connections that they come by.

use prometheus::{Error, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::register::Register;

/// Seconds, for whole requests: 5 ms to 10 min.
pub(in crate::telemetry) const DURATION: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];
/// Seconds, for the first token: vLLM's own buckets from 1 ms, so that both can be compared.
pub(in crate::telemetry) const FIRST_TOKEN: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0,
];
/// Seconds, between tokens.
const BETWEEN: &[f64] = &[
    0.001, 0.0025, 0.005, 0.0075, 0.01, 0.0125, 0.015, 0.0175, 0.02, 0.0225, 0.025, 0.03, 0.035, 0.04, 0.045, 0.05,
    0.06, 0.075, 0.1, 0.15, 0.2, 0.5, 1.0, 5.0,
];
/// Seconds, for our own work: 10 us to 1 s.
const OVERHEAD: &[f64] =
    &[0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 1.0];

/// What is counted and measured of requests.
#[derive(Debug)]
pub(in crate::telemetry) struct RequestMetrics {
    pub(in crate::telemetry) answered: IntCounterVec,
    pub(in crate::telemetry) in_flight: IntGaugeVec,
    pub(in crate::telemetry) duration: HistogramVec,
    pub(in crate::telemetry) first_token: HistogramVec,
    pub(in crate::telemetry) between_tokens: HistogramVec,
    pub(in crate::telemetry) attempts: IntCounterVec,
    pub(in crate::telemetry) streams: IntCounterVec,
    pub(in crate::telemetry) retries: IntCounterVec,
    pub(in crate::telemetry) fallbacks: IntCounterVec,
    pub(in crate::telemetry) mirrored: IntCounterVec,
}

impl RequestMetrics {
    pub(super) fn new(to: &mut Register) -> Result<Self, Error> {
        Ok(Self {
            answered: to.counters(
                "requests_total",
                &["model", "alias", "endpoint", "status"],
                "Requests answered, by HTTP status (499: the client left first).",
            )?,
            in_flight: to.int_gauges("requests_in_flight", &["model", "alias"], "Requests under way.")?,
            duration: to.histograms(
                "request_duration_seconds",
                &["model", "endpoint"],
                "From the request's head to the end of its answer.",
                DURATION,
            )?,
            first_token: to.histograms(
                "time_to_first_token_seconds",
                &["model"],
                "From the request's last byte to the first event of a stream that carries output.",
                FIRST_TOKEN,
            )?,
            between_tokens: to.histograms(
                "inter_token_latency_seconds",
                &["model"],
                "Between two events of a stream that carry output: about one token each.",
                BETWEEN,
            )?,
            attempts: to.counters(
                "attempts_total",
                &["model", "outcome"],
                "Attempts on engines, by how they ended.",
            )?,
            streams: to.counters(
                "streams_total",
                &["model", "alias", "end"],
                "Streams of events, by how they ended (complete, client_gone, engine_died, engine_error, timeout, cut).",
            )?,
            retries: to.counters(
                "retries_total",
                &["model", "reason"],
                "Attempts that were followed by another attempt, by how they ended.",
            )?,
            fallbacks: to.counters(
                "fallbacks_total",
                &["alias", "to"],
                "Requests that an alias passed on to its fallback, by the name they went to.",
            )?,
            mirrored: to.counters(
                "mirrored_total",
                &["alias", "outcome"],
                "Copies of requests sent to an alias's mirror, by result: answered, failed or dropped.",
            )?,
        })
    }
}

/// What engines report to have used.
#[derive(Debug)]
pub(in crate::telemetry) struct TokenMetrics {
    pub(in crate::telemetry) prompt: IntCounterVec,
    pub(in crate::telemetry) completion: IntCounterVec,
    pub(in crate::telemetry) cached: IntCounterVec,
    pub(in crate::telemetry) estimated: IntCounterVec,
}

/// What is counted of callers.
#[derive(Debug)]
pub(in crate::telemetry) struct CallerMetrics {
    pub(in crate::telemetry) requests: IntCounterVec,
    pub(in crate::telemetry) tokens: IntCounterVec,
}

impl TokenMetrics {
    pub(super) fn new(to: &mut Register) -> Result<Self, Error> {
        Ok(Self {
            prompt: to.counters(
                "prompt_tokens_total",
                &["model", "alias"],
                "Prompt tokens, from the usage that engines report.",
            )?,
            completion: to.counters(
                "completion_tokens_total",
                &["model", "alias"],
                "Completion tokens, from the usage that engines report; of streams that ended before, by their events.",
            )?,
            cached: to.counters(
                "cached_prompt_tokens_total",
                &["model", "alias"],
                "Prompt tokens that engines took from their prefix cache, from the usage they report.",
            )?,
            estimated: to.counters(
                "estimated_completion_tokens_total",
                &["model", "alias"],
                "Those of completion_tokens_total that were counted by the events of streams, because the engine reported no usage \
                 before they ended.",
            )?,
        })
    }
}

impl CallerMetrics {
    pub(super) fn new(to: &mut Register) -> Result<Self, Error> {
        Ok(Self {
            requests: to.counters(
                "caller_requests_total",
                &["caller"],
                "Requests with the key of a configured caller, whatever the status of the answer.",
            )?,
            tokens: to.counters(
                "caller_tokens_total",
                &["caller", "kind"],
                "Tokens by caller and kind (prompt, completion), from the usage that engines report.",
            )?,
        })
    }
}

/// What concerns the gateway as a whole.
#[derive(Debug)]
pub struct GatewayMetrics {
    /// Time spent in us, not in an engine.
    pub overhead: Histogram,
    /// Open client connections.
    pub connections: IntGauge,
    /// Connections refused because there were too many.
    pub connections_refused: IntCounter,
    /// Bytes of request bodies held.
    pub body_bytes: IntGauge,
}

impl GatewayMetrics {
    pub(super) fn new(to: &Register) -> Result<Self, Error> {
        Ok(Self {
            overhead: to.histogram("overhead_seconds", "Time a request spent in the gateway itself.", OVERHEAD)?,
            connections: to.int_gauge("connections", "Open client connections.")?,
            connections_refused: to.counter(
                "connections_refused_total",
                "Client connections refused because limits.connections was reached.",
            )?,
            body_bytes: to.int_gauge("request_body_bytes", "Bytes of request bodies held in memory.")?,
        })
    }
}
