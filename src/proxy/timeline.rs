//! When the attempts of a request began, were answered and ended, and how long it waited for an engine between them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::engines::Engine;
use crate::outcome::Outcome;
use crate::telemetry::{AttemptRecord, AttemptRecords, QueueRecord};

/// Most attempts that are told of one request: its first ones, and the last.
const MOST: usize = 16;

/// The times of one request's attempts. Nearly all requests have one, for which no memory is asked.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    attempts: SmallVec<[Tried; 1]>,
    /// Attempts that have begun, those included that are not told.
    begun: u32,
    /// When it began to wait for an engine, and how long it waited in all.
    wait: Option<(Instant, Duration)>,
}

/// One attempt.
#[derive(Debug)]
struct Tried {
    /// Its place among all attempts of the request, from 1 on.
    number: u32,
    engine: Arc<Engine>,
    began: Instant,
    /// When the head of the answer came.
    answered: Option<Instant>,
    ended: Option<(Outcome, Instant)>,
}

impl Timeline {
    /// An attempt begins.
    pub(super) fn begin(&mut self, engine: Arc<Engine>, now: Instant) {
        self.begun = self.begun.saturating_add(1);
        let tried = Tried { number: self.begun, engine, began: now, answered: None, ended: None };
        if self.attempts.len() == MOST {
            self.attempts.pop();
        }
        self.attempts.push(tried);
    }

    /// How many attempts have begun: the number of the one under way.
    pub(super) fn begun(&self) -> u32 {
        self.begun
    }

    /// The head of the answer of the attempt under way has come.
    pub(super) fn note_head(&mut self, now: Instant) {
        if let Some(last) = self.attempts.last_mut() {
            last.answered = Some(now);
        }
    }

    /// The attempt under way has ended. An answer that was judged before may go on: what it was judged stays.
    pub(super) fn end(&mut self, outcome: Outcome, now: Instant) {
        if let Some(last) = self.attempts.last_mut() {
            last.ended = Some((last.ended.map_or(outcome, |(judged, _)| judged), now));
        }
    }

    /// No engine could be had from `since` until now.
    pub(super) fn note_wait(&mut self, since: Instant) {
        let (_, waited) = self.wait.get_or_insert((since, Duration::ZERO));
        *waited += since.elapsed();
    }

    /// What the record of a request tells of it, which began at `started` and took so long.
    pub(super) fn attempts(&self, started: Instant, took: Duration) -> AttemptRecords<'_> {
        let since = |at: Instant| at.saturating_duration_since(started).min(took);
        let told = |tried: &'_ Tried| {
            let (outcome, ended) = tried.ended.map_or((Outcome::ClientGone, took), |(it, at)| (it, since(at)));
            (tried.number, since(tried.began), tried.answered.map(since), ended, outcome)
        };
        let record = |tried| {
            let (number, began, answered, ended, outcome) = told(tried);
            AttemptRecord { number, engine: tried.engine.id.as_str(), began, answered, ended, outcome }
        };
        self.attempts.iter().map(record).collect()
    }

    /// How long it waited for an engine.
    pub(super) fn queue(&self, started: Instant) -> Option<QueueRecord> {
        let (since, waited) = self.wait?;
        Some(QueueRecord { began: since.saturating_duration_since(started), waited })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EngineUrl;
    use crate::engines::Address;
    use crate::ids::EngineId;

    fn engine(replica: usize) -> Arc<Engine> {
        let url = EngineUrl { tls: false, host: "a".into(), port: 1, base: String::new() };
        Arc::new(Engine::new(EngineId::new("m", replica), Address { url, api_key: None }, None))
    }

    #[test]
    fn the_first_attempts_are_told_and_the_last() {
        let started = Instant::now();
        let at = |millis: u64| started + Duration::from_millis(millis);
        let mut timeline = Timeline::default();
        for number in 0..100 {
            timeline.begin(engine(0), at(number));
            timeline.end(Outcome::Unreachable, at(number));
        }
        timeline.begin(engine(1), at(200));
        timeline.note_head(at(300));
        // Judged by its head, and delivered all the same.
        timeline.end(Outcome::Busy { status: 503 }, at(300));
        timeline.end(Outcome::Answered { status: 503 }, at(400));
        let told = timeline.attempts(started, Duration::from_millis(350));
        assert_eq!((told.len(), told[14].number, told[15].number), (MOST, 15, 101));
        let last = &told[15];
        assert_eq!((last.engine, last.outcome), ("m/1", Outcome::Busy { status: 503 }));
        let millis = |time: Duration| time.as_millis();
        assert_eq!((millis(last.began), last.answered.map(millis), millis(last.ended)), (200, Some(300), 350));
    }

    #[test]
    fn an_attempt_that_nobody_ended_was_given_up_by_its_caller_and_waits_add_up() {
        let started = Instant::now();
        let mut timeline = Timeline::default();
        assert_eq!(timeline.queue(started), None);
        timeline.note_wait(started);
        timeline.note_wait(started);
        let queue = timeline.queue(started).expect("it waited");
        assert!(queue.began.is_zero() && queue.waited > Duration::ZERO, "{queue:?}");
        timeline.begin(engine(0), started);
        let told = timeline.attempts(started, Duration::from_secs(1));
        assert_eq!((told[0].outcome, told[0].ended), (Outcome::ClientGone, Duration::from_secs(1)));
    }
}
