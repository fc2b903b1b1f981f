//! The metrics of engines, sampled at each scrape. Counts are kept by the engines themselves.

use std::time::Duration;

use prometheus::{Error, GaugeVec, IntCounterVec};

use super::register::Register;

/// One engine, as sampled at each scrape.
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
    /// Times it was ended because it made no progress.
    pub stalls: u64,
    /// From the last start of its process to ready.
    pub start_took: Option<Duration>,
}

/// One series of each metric for each engine.
#[derive(Debug)]
pub(super) struct EngineMetrics {
    up: GaugeVec,
    in_flight: GaugeVec,
    state: GaugeVec,
    sleep_level: GaugeVec,
    start: GaugeVec,
    restarts: IntCounterVec,
    stalls: IntCounterVec,
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
    pub(super) fn set(&self, engines: &[EngineSample]) {
        [&self.up, &self.in_flight, &self.state, &self.sleep_level, &self.start].into_iter().for_each(GaugeVec::reset);
        [&self.restarts, &self.stalls].into_iter().for_each(IntCounterVec::reset);
        for sample in engines {
            let labels = [sample.model.as_str(), sample.engine.as_str()];
            self.up.with_label_values(&labels).set(f64::from(u8::from(sample.up)));
            #[expect(clippy::cast_precision_loss, reason = "counts of requests stay far below 2^52")]
            self.in_flight.with_label_values(&labels).set(sample.in_flight as f64);
            for (state, is_in_it) in &sample.states {
                let labels = [labels[0], labels[1], state];
                self.state.with_label_values(&labels).set(f64::from(u8::from(*is_in_it)));
            }
            self.sleep_level.with_label_values(&labels).set(f64::from(sample.sleep_level));
            self.restarts.with_label_values(&labels).inc_by(sample.restarts);
            self.stalls.with_label_values(&labels).inc_by(sample.stalls);
            if let Some(took) = sample.start_took {
                self.start.with_label_values(&labels).set(took.as_secs_f64());
            }
        }
    }
}
