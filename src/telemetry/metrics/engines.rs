//! The metrics of engines, sampled at each scrape. Counts are kept by the engines themselves.

use prometheus::{Error, GaugeVec};

use super::history::HistoryMetrics;
use super::register::Register;
use super::reported::Reported;
use crate::api::{EngineState, EngineView, Starting};

/// One series of each metric for each engine.
#[derive(Debug)]
pub(super) struct EngineMetrics {
    up: GaugeVec,
    in_flight: GaugeVec,
    state: GaugeVec,
    state_age: GaugeVec,
    phase: GaugeVec,
    progress: GaugeVec,
    sleep_level: GaugeVec,
    ejected: GaugeVec,
    history: HistoryMetrics,
    reported: Reported,
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
            state_age: to.gauges(
                "engine_state_age_seconds",
                labels,
                "For how long the engine has been in the state that it is in.",
            )?,
            phase: to.gauges(
                "engine_start_phase",
                &["model", "engine", "phase"],
                "1 for what a starting engine does at the moment; absent when it does not start.",
            )?,
            progress: to.gauges(
                "engine_start_phase_progress_ratio",
                labels,
                "How much of that phase is done, 0 to 1; absent when the engine's log does not tell.",
            )?,
            sleep_level: to.gauges(
                "engine_sleep_level",
                labels,
                "Sleep level of the engine, 1 or 2; 0 when it is awake.",
            )?,
            ejected: to.gauges(
                "engine_ejected",
                labels,
                "1 while requests avoid the engine, because one has just failed on it, else 0.",
            )?,
            history: HistoryMetrics::new(to)?,
            reported: Reported::new(to)?,
        })
    }

    /// Shows `engines`, and nothing of earlier ones.
    pub(super) fn set(&self, engines: &[EngineView]) {
        let Self { up, in_flight, state, state_age, phase, progress, sleep_level, ejected, .. } = self;
        let gauges = [up, in_flight, state, state_age, phase, progress, sleep_level, ejected];
        gauges.into_iter().for_each(GaugeVec::reset);
        self.history.reset();
        self.reported.reset();
        engines.iter().for_each(|view| self.set_one(view));
    }

    fn set_one(&self, view: &EngineView) {
        let labels = [view.model.as_str(), view.engine.as_str()];
        let flag = |gauges: &GaugeVec, value: bool| gauges.with_label_values(&labels).set(f64::from(u8::from(value)));
        flag(&self.up, view.state == EngineState::Ready);
        flag(&self.ejected, view.ejected);
        #[expect(clippy::cast_precision_loss, reason = "counts of requests stay far below 2^52")]
        self.in_flight.with_label_values(&labels).set(view.in_flight as f64);
        for state in EngineState::WORDS {
            let is_in_it = view.state.word() == state;
            let labels = [labels[0], labels[1], state];
            self.state.with_label_values(&labels).set(f64::from(u8::from(is_in_it)));
        }
        self.state_age.with_label_values(&labels).set(view.state_seconds);
        if let EngineState::Starting(Starting { phase, progress, .. }) = &view.state {
            self.phase.with_label_values(&[labels[0], labels[1], phase.word()]).set(1.0);
            if let Some(percent) = progress.percent {
                self.progress.with_label_values(&labels).set(f64::from(percent) / 100.0);
            }
        }
        let level = match view.state {
            // Where somebody else put it to sleep, its level is not known; it is one at least.
            EngineState::Asleep(sleep) => sleep.level.unwrap_or(1),
            _ => 0,
        };
        self.sleep_level.with_label_values(&labels).set(f64::from(level));
        self.history.set(&labels, view);
        if let Some(report) = &view.report {
            self.reported.set(&labels, report);
        }
    }
}
