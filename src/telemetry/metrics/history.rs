//! The metrics of what happened to engines: restarts, failures, ejections, and how long it took to load, to sleep and to wake.

use prometheus::{Error, GaugeVec, IntCounterVec};

use super::register::Register;
use crate::api::{EngineHistory, EngineView, FailureCause};

/// What happened to each engine.
#[derive(Debug)]
pub(super) struct HistoryMetrics {
    restarts: IntCounterVec,
    failures: IntCounterVec,
    stalls: IntCounterVec,
    ejections: IntCounterVec,
    sleeps: IntCounterVec,
    wakes: IntCounterVec,
    start: GaugeVec,
    sleep: GaugeVec,
    wake: GaugeVec,
}

impl HistoryMetrics {
    pub(super) fn new(to: &mut Register) -> Result<Self, Error> {
        let (labels, by_cause) = (&["model", "engine"], &["model", "engine", "cause"]);
        Ok(Self {
            restarts: to.counters(
                "engine_restarts_total",
                by_cause,
                "Starts of the engine's process after the first that this gateway saw, by what ended the process before: the \
                 cause of a failure, or ordered (by an operator, a roll or a reload).",
            )?,
            failures: to.counters(
                "engine_failures_total",
                by_cause,
                "Times the engine failed, whether it was started again or not.",
            )?,
            stalls: to.counters(
                "engine_stalls_total",
                labels,
                "Times the engine was ended because its health checks kept failing or it made no progress.",
            )?,
            ejections: to.counters(
                "engine_ejections_total",
                labels,
                "Times that requests avoided the engine for a moment, because one had failed on it.",
            )?,
            sleeps: to.counters("engine_sleeps_total", labels, "Times the gateway put the engine to sleep.")?,
            wakes: to.counters("engine_wakes_total", labels, "Times the gateway woke the engine.")?,
            start: to.gauges(
                "engine_start_duration_seconds",
                labels,
                "From the last start of the engine's process until it was ready; absent until it was ready once.",
            )?,
            sleep: to.gauges(
                "engine_sleep_duration_seconds",
                labels,
                "How long the engine took to fall asleep the last time; absent until it did.",
            )?,
            wake: to.gauges(
                "engine_wake_duration_seconds",
                labels,
                "From the last order to wake until the engine was ready; absent until it was.",
            )?,
        })
    }

    pub(super) fn reset(&self) {
        let Self { restarts, failures, stalls, ejections, sleeps, wakes, start, sleep, wake } = self;
        [restarts, failures, stalls, ejections, sleeps, wakes].into_iter().for_each(IntCounterVec::reset);
        [start, sleep, wake].into_iter().for_each(GaugeVec::reset);
    }

    /// Shows what `view` tells of the engine with these labels.
    pub(super) fn set(&self, labels: &[&str; 2], view: &EngineView) {
        let EngineHistory { restarts, failures, ejections, sleeps, sleep_seconds, wakes, wake_seconds } = &view.history;
        count(&self.ejections, labels, *ejections);
        for (seconds, gauges) in
            [(&view.start_seconds, &self.start), (sleep_seconds, &self.sleep), (wake_seconds, &self.wake)]
        {
            if let Some(seconds) = seconds {
                gauges.with_label_values(labels).set(*seconds);
            }
        }
        if !view.ours {
            // Whatever happens to its process, others do it.
            return;
        }
        for (counters, value) in [(&self.stalls, view.stalls), (&self.sleeps, *sleeps), (&self.wakes, *wakes)] {
            count(counters, labels, value);
        }
        // Also the causes that were never seen: Prometheus sees an increase only of a series that is there.
        let number = |of: &std::collections::BTreeMap<String, u64>, cause| of.get(cause).copied().unwrap_or_default();
        for cause in FailureCause::WORDS {
            count(&self.failures, &[labels[0], labels[1], cause], number(failures, cause));
        }
        for cause in FailureCause::WORDS.into_iter().chain([EngineHistory::ORDERED]) {
            count(&self.restarts, &[labels[0], labels[1], cause], number(restarts, cause));
        }
    }
}

/// Makes the counter with these labels say `value`. While an engine replaces another one of the same id, both are shown.
pub(super) fn count(counters: &IntCounterVec, labels: &[&str], value: u64) {
    let counter = counters.with_label_values(labels);
    counter.reset();
    counter.inc_by(value);
}
