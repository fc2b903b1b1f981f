//! The metrics of engines, sampled at each scrape. Counts are kept by the engines themselves.

use prometheus::{CounterVec, Error, GaugeVec, IntCounterVec};

use super::register::Register;
use crate::api::{EngineState, EngineView, ReportView};

/// One series of each metric for each engine.
#[derive(Debug)]
pub(super) struct EngineMetrics {
    up: GaugeVec,
    in_flight: GaugeVec,
    state: GaugeVec,
    sleep_level: GaugeVec,
    start: GaugeVec,
    state_age: GaugeVec,
    restarts: IntCounterVec,
    stalls: IntCounterVec,
    reported: Reported,
}

/// What engines report themselves, under our labels.
#[derive(Debug)]
struct Reported {
    running: GaugeVec,
    waiting: GaugeVec,
    kv_cache: GaugeVec,
    prompt_tokens: CounterVec,
    generation_tokens: CounterVec,
    cache_queries: CounterVec,
    cache_hits: CounterVec,
    preemptions: CounterVec,
}

impl Reported {
    fn new(to: &mut Register) -> Result<Self, Error> {
        let labels = &["model", "engine"];
        Ok(Self {
            running: to.gauges(
                "engine_requests_running",
                labels,
                "Requests that the engine works on, as it reports; with this and the others, some seconds old.",
            )?,
            waiting: to.gauges(
                "engine_requests_waiting",
                labels,
                "Requests that wait in the engine, as it reports.",
            )?,
            kv_cache: to.gauges(
                "engine_kv_cache_usage_ratio",
                labels,
                "Share of the engine's KV cache that is in use, 0 to 1, as it reports.",
            )?,
            prompt_tokens: to.float_counters(
                "engine_prompt_tokens_total",
                labels,
                "Tokens that the engine has read since its process started, as it reports.",
            )?,
            generation_tokens: to.float_counters(
                "engine_generation_tokens_total",
                labels,
                "Tokens that the engine has written since its process started, as it reports.",
            )?,
            cache_queries: to.float_counters(
                "engine_prefix_cache_queries_tokens_total",
                labels,
                "Tokens that were looked for in the engine's prefix cache, as it reports.",
            )?,
            cache_hits: to.float_counters(
                "engine_prefix_cache_hits_tokens_total",
                labels,
                "Tokens that were found in the engine's prefix cache, as it reports.",
            )?,
            preemptions: to.float_counters(
                "engine_preemptions_total",
                labels,
                "Requests that the engine put off for lack of KV cache, as it reports.",
            )?,
        })
    }

    fn reset(&self) {
        [&self.running, &self.waiting, &self.kv_cache].into_iter().for_each(GaugeVec::reset);
        let Self { prompt_tokens, generation_tokens, cache_queries, cache_hits, preemptions, .. } = self;
        let counters = [prompt_tokens, generation_tokens, cache_queries, cache_hits, preemptions];
        counters.into_iter().for_each(CounterVec::reset);
    }

    fn set(&self, labels: &[&str; 2], report: &ReportView) {
        self.running.with_label_values(labels).set(report.running);
        self.waiting.with_label_values(labels).set(report.waiting);
        self.kv_cache.with_label_values(labels).set(report.kv_cache_usage);
        for (counter, value) in [
            (&self.prompt_tokens, report.prompt_tokens),
            (&self.generation_tokens, report.generation_tokens),
            (&self.cache_queries, report.prefix_cache_queries),
            (&self.cache_hits, report.prefix_cache_hits),
            (&self.preemptions, report.preemptions),
        ] {
            counter.with_label_values(labels).inc_by(value);
        }
    }
}

impl EngineMetrics {
    pub(super) fn new(to: &mut Register) -> Result<Self, Error> {
        let labels = &["model", "engine"];
        Ok(Self {
            up: to.gauges("engine_up", labels, "1 when the engine takes requests, else 0.")?,
            in_flight: to.gauges("engine_requests_in_flight", labels, "Attempts under way on the engine.")?,
            state: to.gauges(
                "engine_state",
                &["model", "engine", "state"],
                "1 for the state the engine is in, 0 for all others.",
            )?,
            sleep_level: to.gauges(
                "engine_sleep_level",
                labels,
                "Sleep level of the engine, 1 or 2; 0 when it is awake.",
            )?,
            start: to.gauges(
                "engine_start_duration_seconds",
                labels,
                "From the last start of the engine's process until it was ready; absent until it was ready once.",
            )?,
            state_age: to.gauges(
                "engine_state_age_seconds",
                labels,
                "For how long the engine has been in the state that it is in.",
            )?,
            reported: Reported::new(to)?,
            restarts: to.counters(
                "engine_restarts_total",
                labels,
                "Starts of the engine's process after the first that this gateway saw.",
            )?,
            stalls: to.counters(
                "engine_stalls_total",
                labels,
                "Times the engine was ended because its health checks kept failing or it made no progress.",
            )?,
        })
    }

    /// Shows `engines`, and nothing of earlier ones.
    pub(super) fn set(&self, engines: &[EngineView]) {
        let gauges = [&self.up, &self.in_flight, &self.state, &self.sleep_level, &self.start, &self.state_age];
        gauges.into_iter().for_each(GaugeVec::reset);
        self.reported.reset();
        [&self.restarts, &self.stalls].into_iter().for_each(IntCounterVec::reset);
        for view in engines {
            let labels = [view.model.as_str(), view.engine.as_str()];
            let is_up = view.state == EngineState::Ready;
            self.up.with_label_values(&labels).set(f64::from(u8::from(is_up)));
            #[expect(clippy::cast_precision_loss, reason = "counts of requests stay far below 2^52")]
            self.in_flight.with_label_values(&labels).set(view.in_flight as f64);
            for state in EngineState::WORDS {
                let is_in_it = view.state.word() == state;
                let labels = [labels[0], labels[1], state];
                self.state.with_label_values(&labels).set(f64::from(u8::from(is_in_it)));
            }
            let level = match view.state {
                // Where somebody else put it to sleep, its level is not known; it is one at least.
                EngineState::Asleep(sleep) => sleep.level.unwrap_or(1),
                _ => 0,
            };
            self.sleep_level.with_label_values(&labels).set(f64::from(level));
            self.restarts.with_label_values(&labels).inc_by(view.restarts);
            self.stalls.with_label_values(&labels).inc_by(view.stalls);
            self.state_age.with_label_values(&labels).set(view.state_seconds);
            if let Some(report) = &view.report {
                self.reported.set(&labels, report);
            }
            if let Some(seconds) = view.start_seconds {
                self.start.with_label_values(&labels).set(seconds);
            }
        }
    }
}
