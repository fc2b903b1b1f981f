//! The metrics of engines, sampled at each scrape. Counts are kept by the engines themselves.

use prometheus::{Error, GaugeVec, IntCounterVec};

use super::register::Register;
use crate::api::{EngineState, EngineView};

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
    pub(super) fn set(&self, engines: &[EngineView]) {
        [&self.up, &self.in_flight, &self.state, &self.sleep_level, &self.start].into_iter().for_each(GaugeVec::reset);
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
            if let Some(seconds) = view.start_seconds {
                self.start.with_label_values(&labels).set(seconds);
            }
        }
    }
}
