//! The metrics that engines report of their work themselves, under our labels.

use prometheus::{CounterVec, Error, GaugeVec};

use super::register::Register;
use crate::api::ReportView;

/// One series of each for each engine that reports.
#[derive(Debug)]
pub(super) struct Reported {
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
    pub(super) fn new(to: &mut Register) -> Result<Self, Error> {
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

    pub(super) fn reset(&self) {
        [&self.running, &self.waiting, &self.kv_cache].into_iter().for_each(GaugeVec::reset);
        let Self { prompt_tokens, generation_tokens, cache_queries, cache_hits, preemptions, .. } = self;
        let counters = [prompt_tokens, generation_tokens, cache_queries, cache_hits, preemptions];
        counters.into_iter().for_each(CounterVec::reset);
    }

    /// Shows `report`.
    pub(super) fn set(&self, labels: &[&str; 2], report: &ReportView) {
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
            let counter = counter.with_label_values(labels);
            // While an engine replaces another one of the same id, both are shown, and the last one counts.
            counter.reset();
            counter.inc_by(value);
        }
    }
}
