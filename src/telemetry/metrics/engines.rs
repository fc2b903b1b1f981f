//! The metrics of engines, sampled at each scrape. Counts are kept by the engines themselves.

use std::sync::{Mutex, PoisonError};

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
    /// Which series there are. To make them anew takes far longer than to set them.
    shown: Mutex<Vec<Shape>>,
}

/// What decides which series an engine has.
#[derive(Debug, PartialEq)]
struct Shape {
    model: String,
    engine: String,
    ours: bool,
    phase: Option<&'static str>,
    /// Whether there is progress of that; times of a start, of falling asleep, of waking; a report.
    has: [bool; 5],
}

impl Shape {
    fn of(view: &EngineView) -> Self {
        let starting = match &view.state {
            EngineState::Starting(starting) => Some(starting),
            _ => None,
        };
        let history = &view.history;
        Self {
            model: view.model.clone(),
            engine: view.engine.clone(),
            ours: view.ours,
            phase: starting.map(|starting| starting.phase.word()),
            has: [
                starting.is_some_and(|starting| starting.progress.percent.is_some()),
                view.start_seconds.is_some(),
                history.sleep_seconds.is_some(),
                history.wake_seconds.is_some(),
                view.report.is_some(),
            ],
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
            shown: Mutex::default(),
        })
    }

    /// Shows `engines`, and nothing of earlier ones.
    pub(super) fn set(&self, engines: &[EngineView]) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let shapes: Vec<Shape> = engines.iter().map(Shape::of).collect();
        if *shown != shapes {
            self.reset();
            *shown = shapes;
        }
        engines.iter().for_each(|view| self.set_one(view));
    }

    fn reset(&self) {
        let Self { up, in_flight, state, state_age, phase, progress, sleep_level, ejected, .. } = self;
        let gauges = [up, in_flight, state, state_age, phase, progress, sleep_level, ejected];
        gauges.into_iter().for_each(GaugeVec::reset);
        self.history.reset();
        self.reported.reset();
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
