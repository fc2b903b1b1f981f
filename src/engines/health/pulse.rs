//! Reads now and then what an engine reports of its work, and whether that shows progress.

use std::time::Duration;

use tokio::time::Instant;

use super::stall::{Sample, StallDetector};
use crate::api::Stall;
use crate::engines::{Engine, EngineClient, Report};

/// Greatest time between two looks: an engine's `/metrics` are some 50 KB.
const EVERY: Duration = Duration::from_secs(5);

/// Time between two looks at an engine that others run and that does not report as vLLM does.
const SELDOM: Duration = Duration::from_secs(60);

/// Time that an engine may take to report, where its progress is judged by that.
const WITHIN: Duration = Duration::from_secs(5);

/// The same where nothing but the report is wanted: the next health check waits for it.
const SHORTLY: Duration = Duration::from_secs(1);

/// What is known of an engine's work.
pub(super) struct Pulse {
    /// `None`: others run it, and see to its progress.
    detector: Option<StallDetector>,
    every: Duration,
    within: Duration,
    last: Option<Instant>,
    /// Whether the last answer was no report.
    is_silent: bool,
}

impl Pulse {
    /// Of an engine that is stalled when it makes no progress for `limit`.
    pub(super) fn judging(limit: Duration) -> Self {
        let detector = Some(StallDetector::new(limit));
        Self { detector, every: (limit / 4).min(EVERY), within: limit.min(WITHIN), last: None, is_silent: false }
    }

    /// Of an engine whose progress is the business of others.
    pub(super) fn reading() -> Self {
        Self { detector: None, every: EVERY, within: SHORTLY, last: None, is_silent: false }
    }

    /// Time between two looks.
    pub(super) fn every(&self) -> Duration {
        if self.is_silent && self.detector.is_none() { SELDOM } else { self.every }
    }

    /// What was seen says nothing about what comes.
    pub(super) fn reset(&mut self) {
        if let Some(detector) = &mut self.detector {
            detector.reset();
        }
    }

    /// The engine has a new process, which is looked at at once.
    pub(super) fn renew(&mut self) {
        self.reset();
        (self.last, self.is_silent) = (None, false);
    }

    /// Looks at `engine`, if it is due. Of engines that do not report, the gateway's own view decides whether they make progress.
    pub(super) async fn look(&mut self, client: &EngineClient, engine: &Engine) -> Option<Stall> {
        if self.last.is_some_and(|last| last.elapsed() < self.every()) {
            return None;
        }
        let text = client.metrics(engine, self.within).await.ok();
        let text = text.filter(|reply| reply.status == http::StatusCode::OK).map(|reply| reply.body);
        let unanswered = engine.unanswered() as u64;
        let parse = |text| Report::parse(text, std::time::Instant::now(), engine.report().as_deref());
        let report = text.as_deref().and_then(parse);
        self.is_silent = report.is_none();
        // An engine that does not answer for once has its last report.
        if report.is_some() {
            engine.set_report(report);
        }
        self.last = Some(Instant::now());
        let detector = self.detector.as_mut()?;
        let sample = match text.and_then(|text| Sample::parse(&text)) {
            Some(sample) => sample.with_unanswered(unanswered),
            None => Sample::seen(unanswered, engine.pieces(), engine.held_up()),
        };
        detector.observe(Instant::now(), sample)
    }
}
