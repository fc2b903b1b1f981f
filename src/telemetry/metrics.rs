//! The Prometheus metrics of one process. Label values come from the configuration, never from callers.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use super::gpus::{GpuGauges, GpuSample};

/// `model` of requests that named none we know.
pub const NO_ROUTE: &str = "none";

/// Seconds, for whole requests: 5 ms to 10 min.
const DURATION: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];
/// Seconds, for the first token: vLLM's own buckets from 1 ms, so that both can be compared.
const FIRST_TOKEN: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0,
];
/// Seconds, between tokens.
const BETWEEN: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.5, 1.0, 5.0];
/// Seconds, for our own work: 10 us to 1 s.
const OVERHEAD: &[f64] =
    &[0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 1.0];

/// One engine, as sampled when somebody scrapes.
#[derive(Clone, Debug)]
pub struct EngineSample {
    /// Its model.
    pub model: String,
    /// Its id.
    pub engine: String,
    /// Whether it takes requests.
    pub up: bool,
    /// Attempts under way.
    pub in_flight: usize,
    /// Every state there is, and whether it is in it.
    pub states: Vec<(&'static str, bool)>,
    /// How deep it sleeps; 0: not at all.
    pub sleep_level: u8,
    /// Starts of its process after the first.
    pub restarts: u64,
    /// Times it was ended because it hung.
    pub hangs: u64,
    /// From the last start of its process to ready.
    pub start_took: Option<Duration>,
}

/// All metrics, and the registry they are in.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub(super) requests: IntCounterVec,
    pub(super) in_flight: IntGaugeVec,
    pub(super) duration: HistogramVec,
    pub(super) first_token: HistogramVec,
    pub(super) between_tokens: HistogramVec,
    pub(super) prompt_tokens: IntCounterVec,
    pub(super) completion_tokens: IntCounterVec,
    pub(super) cached_tokens: IntCounterVec,
    pub(super) caller_requests: IntCounterVec,
    pub(super) caller_tokens: IntCounterVec,
    pub(super) attempts: IntCounterVec,
    pub(super) retries: IntCounterVec,
    pub(super) fallbacks: IntCounterVec,
    pub(super) mirrored: IntCounterVec,
    /// Time spent in us, not in an engine.
    pub overhead: Histogram,
    /// Open client connections.
    pub connections: IntGauge,
    /// Connections refused because there were too many.
    pub connections_refused: IntCounter,
    /// Bytes of request bodies held.
    pub body_bytes: IntGauge,
    engine_up: GaugeVec,
    engine_in_flight: GaugeVec,
    engine_state: GaugeVec,
    engine_sleep_level: GaugeVec,
    engine_restarts: IntCounterVec,
    engine_hangs: IntCounterVec,
    engine_start: GaugeVec,
    gpus: GpuGauges,
    /// How many count in the series of each set of labels.
    counting: Mutex<HashMap<Vec<String>, usize>>,
    /// Held while engines are sampled: two scrapes at once must not mix.
    sampling: Mutex<()>,
    start_time: Gauge,
}

impl Metrics {
    /// Fresh metrics in a registry of their own.
    ///
    /// # Errors
    /// Never in practice: only if two metrics had one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let metrics = Self {
            requests: counters(
                "enginehouse_requests_total",
                "Requests answered, by HTTP status (499: the client left first).",
                &["model", "alias", "endpoint", "status"],
            )?,
            in_flight: IntGaugeVec::new(
                Opts::new("enginehouse_requests_in_flight", "Requests under way."),
                &["model", "alias"],
            )?,
            duration: histograms(
                "enginehouse_request_duration_seconds",
                "From the request's head to the end of its answer.",
                DURATION,
                &["model", "endpoint"],
            )?,
            first_token: histograms(
                "enginehouse_time_to_first_token_seconds",
                "From the request's last byte to the first event of a stream.",
                FIRST_TOKEN,
                &["model"],
            )?,
            between_tokens: histograms(
                "enginehouse_inter_token_latency_seconds",
                "Between two events of a stream.",
                BETWEEN,
                &["model"],
            )?,
            prompt_tokens: counters(
                "enginehouse_prompt_tokens_total",
                "Prompt tokens, from the usage that engines report.",
                &["model", "alias"],
            )?,
            completion_tokens: counters(
                "enginehouse_completion_tokens_total",
                "Completion tokens, from the usage that engines report.",
                &["model", "alias"],
            )?,
            caller_requests: counters(
                "enginehouse_caller_requests_total",
                "Requests that showed the key of a caller of the configuration, however they were answered.",
                &["caller"],
            )?,
            caller_tokens: counters(
                "enginehouse_caller_tokens_total",
                "Tokens by caller and kind (prompt, completion), from the usage that engines report.",
                &["caller", "kind"],
            )?,
            cached_tokens: counters(
                "enginehouse_cached_prompt_tokens_total",
                "Prompt tokens that engines took from their prefix cache, from the usage they report.",
                &["model", "alias"],
            )?,
            attempts: counters(
                "enginehouse_attempts_total",
                "Attempts on engines, by how they ended.",
                &["model", "outcome"],
            )?,
            retries: counters(
                "enginehouse_retries_total",
                "Attempts that another one followed, by how they ended.",
                &["model", "reason"],
            )?,
            fallbacks: counters(
                "enginehouse_fallbacks_total",
                "Requests that an alias passed on to its fallback, by the name they went to.",
                &["alias", "to"],
            )?,
            mirrored: counters(
                "enginehouse_mirrored_total",
                "Copies of requests sent to an alias's mirror, by what became of them: answered, failed or dropped.",
                &["alias", "outcome"],
            )?,
            overhead: Histogram::with_opts(
                HistogramOpts::new("enginehouse_overhead_seconds", "Time a request spent in the gateway itself.")
                    .buckets(OVERHEAD.to_vec()),
            )?,
            connections: IntGauge::new("enginehouse_connections", "Open client connections.")?,
            connections_refused: IntCounter::new(
                "enginehouse_connections_refused_total",
                "Client connections refused because limits.connections was reached.",
            )?,
            body_bytes: IntGauge::new("enginehouse_request_body_bytes", "Bytes of request bodies held in memory.")?,
            engine_up: GaugeVec::new(
                Opts::new("enginehouse_engine_up", "1 when the engine takes requests, else 0."),
                &["model", "engine"],
            )?,
            engine_in_flight: GaugeVec::new(
                Opts::new("enginehouse_engine_requests_in_flight", "Attempts under way on the engine."),
                &["model", "engine"],
            )?,
            engine_state: GaugeVec::new(
                Opts::new("enginehouse_engine_state", "1 for the state the engine is in, 0 for all others."),
                &["model", "engine", "state"],
            )?,
            engine_sleep_level: GaugeVec::new(
                Opts::new("enginehouse_engine_sleep_level", "How deep the engine sleeps, 1 or 2; 0: it does not."),
                &["model", "engine"],
            )?,
            engine_restarts: counters(
                "enginehouse_engine_restarts_total",
                "Starts of the engine's process after the first that this gateway saw.",
                &["model", "engine"],
            )?,
            engine_hangs: counters(
                "enginehouse_engine_hangs_total",
                "Times the engine was ended because its health checks kept failing or it made no progress.",
                &["model", "engine"],
            )?,
            engine_start: GaugeVec::new(
                Opts::new(
                    "enginehouse_engine_start_duration_seconds",
                    "From the last start of the engine's process to ready; absent until that was seen.",
                ),
                &["model", "engine"],
            )?,
            gpus: GpuGauges::new()?,
            counting: Mutex::default(),
            sampling: Mutex::new(()),
            start_time: Gauge::new("enginehouse_start_time_seconds", "When this process started, Unix time.")?,
            registry,
        };
        metrics.register()?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        metrics.start_time.set(now.as_secs_f64());
        Ok(metrics)
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        let info = IntGauge::with_opts(
            Opts::new("enginehouse_build_info", "Always 1; the version is in the label.")
                .const_label("version", env!("CARGO_PKG_VERSION")),
        )?;
        info.set(1);
        let all: [Box<dyn prometheus::core::Collector>; 27] = [
            Box::new(info),
            Box::new(self.requests.clone()),
            Box::new(self.in_flight.clone()),
            Box::new(self.duration.clone()),
            Box::new(self.first_token.clone()),
            Box::new(self.between_tokens.clone()),
            Box::new(self.prompt_tokens.clone()),
            Box::new(self.completion_tokens.clone()),
            Box::new(self.cached_tokens.clone()),
            Box::new(self.caller_requests.clone()),
            Box::new(self.caller_tokens.clone()),
            Box::new(self.attempts.clone()),
            Box::new(self.retries.clone()),
            Box::new(self.fallbacks.clone()),
            Box::new(self.mirrored.clone()),
            Box::new(self.overhead.clone()),
            Box::new(self.connections.clone()),
            Box::new(self.connections_refused.clone()),
            Box::new(self.body_bytes.clone()),
            Box::new(self.engine_up.clone()),
            Box::new(self.engine_in_flight.clone()),
            Box::new(self.engine_state.clone()),
            Box::new(self.engine_sleep_level.clone()),
            Box::new(self.engine_restarts.clone()),
            Box::new(self.engine_hangs.clone()),
            Box::new(self.engine_start.clone()),
            Box::new(self.start_time.clone()),
        ];
        all.into_iter().chain(self.gpus.collectors()).try_for_each(|collector| self.registry.register(collector))
    }

    /// Somebody counts in the series with these labels from now on.
    pub(super) fn begin_series(&self, labels: &[&str]) {
        *lock(&self.counting).entry(owned(labels)).or_default() += 1;
    }

    /// Somebody counts there no more; `end` is called when it was the last one.
    pub(super) fn end_series(&self, labels: &[&str], end: impl FnOnce()) {
        let mut counting = lock(&self.counting);
        let labels = owned(labels);
        let Some(count) = counting.get_mut(&labels) else { return };
        *count -= 1;
        if *count == 0 {
            counting.remove(&labels);
            end();
        }
    }

    /// The Prometheus text format (version 0.0.4), with `engines` and `gpus` as they are now.
    ///
    /// # Errors
    /// Never in practice: only if a metric were inconsistent.
    pub fn render(&self, engines: &[EngineSample], gpus: &GpuSample) -> Result<Vec<u8>, prometheus::Error> {
        let _sampling = self.sampling.lock().unwrap_or_else(PoisonError::into_inner);
        // Engines come and go: yesterday's must not stay. Counts are kept by the engines themselves.
        for gauges in
            [&self.engine_up, &self.engine_in_flight, &self.engine_state, &self.engine_sleep_level, &self.engine_start]
        {
            gauges.reset();
        }
        self.engine_restarts.reset();
        self.engine_hangs.reset();
        for sample in engines {
            let labels = [sample.model.as_str(), sample.engine.as_str()];
            self.engine_up.with_label_values(&labels).set(f64::from(u8::from(sample.up)));
            #[expect(clippy::cast_precision_loss, reason = "counts of requests stay far below 2^52")]
            self.engine_in_flight.with_label_values(&labels).set(sample.in_flight as f64);
            for (state, is_in_it) in &sample.states {
                let labels = [labels[0], labels[1], state];
                self.engine_state.with_label_values(&labels).set(f64::from(u8::from(*is_in_it)));
            }
            self.engine_sleep_level.with_label_values(&labels).set(f64::from(sample.sleep_level));
            self.engine_restarts.with_label_values(&labels).inc_by(sample.restarts);
            self.engine_hangs.with_label_values(&labels).inc_by(sample.hangs);
            if let Some(took) = sample.start_took {
                self.engine_start.with_label_values(&labels).set(took.as_secs_f64());
            }
        }
        self.gpus.set(gpus);
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn owned(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}

fn counters(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

fn histograms(name: &str, help: &str, buckets: &[f64], labels: &[&str]) -> Result<HistogramVec, prometheus::Error> {
    HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)
}
