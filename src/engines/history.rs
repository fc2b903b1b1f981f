//! What happened to one engine since this gateway knows it: over all of its processes, and also where a reload replaced it by
//! another engine of the same id.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::EngineState;
use crate::api::{EngineHistory, FailureCause, StartPhase, Starting, StopReason};

/// Kinds of failures.
const FAILURES: usize = FailureCause::WORDS.len();

/// Counts and times of one engine.
#[derive(Debug)]
pub struct History {
    /// Processes that it was.
    processes: AtomicU64,
    /// By kind of failure.
    failures: [AtomicU64; FAILURES],
    /// Starts after the first, by the failure that ended the process before; the last: by none.
    restarts: [AtomicU64; FAILURES + 1],
    /// Which failure ended its last process, or kept it from starting; [`FAILURES`]: none did.
    last_failure: AtomicU64,
    ejections: AtomicU64,
    sleeps: Repeated,
    wakes: Repeated,
    born: Instant,
    /// Since when it wakes up, in milliseconds after `born`; 0: it does not.
    waking: AtomicU64,
}

/// Something that happens again and again, and takes its time.
#[derive(Debug, Default)]
struct Repeated {
    count: AtomicU64,
    /// Milliseconds that it took last; 0: it was not seen.
    took: AtomicU64,
}

impl Repeated {
    fn add(&self, took: Duration) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.took.store(millis(took).max(1), Ordering::Relaxed);
    }

    fn get(&self) -> (u64, Option<Duration>) {
        let took = Some(self.took.load(Ordering::Relaxed)).filter(|took| *took > 0);
        (self.count.load(Ordering::Relaxed), took.map(Duration::from_millis))
    }
}

impl Default for History {
    fn default() -> Self {
        Self {
            processes: AtomicU64::new(0),
            failures: Default::default(),
            restarts: Default::default(),
            last_failure: AtomicU64::new(FAILURES as u64),
            ejections: AtomicU64::new(0),
            sleeps: Repeated::default(),
            wakes: Repeated::default(),
            born: Instant::now(),
            waking: AtomicU64::new(0),
        }
    }
}

impl History {
    /// Counts a process of it: one that was just started, or was found running.
    pub fn count_process(&self) {
        let cause = self.last_failure.swap(FAILURES as u64, Ordering::Relaxed);
        if self.processes.fetch_add(1, Ordering::Relaxed) > 0
            && let Some(count) = usize::try_from(cause).ok().and_then(|cause| self.restarts.get(cause))
        {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts that requests avoid it for a moment.
    pub(super) fn count_ejection(&self) {
        self.ejections.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what the change to `state` tells.
    pub(super) fn note(&self, state: &EngineState) {
        self.note_at(state, self.born.elapsed());
    }

    /// The same, `now` after `born`.
    fn note_at(&self, state: &EngineState, now: Duration) {
        match state {
            EngineState::Starting(Starting { phase: StartPhase::Waking, .. }) => {
                self.waking.store(millis(now).max(1), Ordering::Relaxed);
            }
            EngineState::Starting(_) | EngineState::Unhealthy { .. } => {}
            // One that is loaded on demand begins anew: that is no restart.
            EngineState::Stopping { reason: StopReason::Unload } => self.processes.store(0, Ordering::Relaxed),
            EngineState::Ready => {
                let since = self.waking.swap(0, Ordering::Relaxed);
                if since > 0 {
                    self.wakes.add(now.saturating_sub(Duration::from_millis(since)));
                }
            }
            EngineState::Asleep(sleep) => {
                // Where it is not known how long it took, it was found so.
                if let Some(took) = sleep.took_seconds.and_then(|took| Duration::try_from_secs_f64(took).ok()) {
                    self.sleeps.add(took);
                }
            }
            EngineState::Failed(failure) => {
                self.waking.store(0, Ordering::Relaxed);
                let word = failure.cause.word();
                if let Some(at) = FailureCause::WORDS.iter().position(|known| *known == word) {
                    self.failures[at].fetch_add(1, Ordering::Relaxed);
                    self.last_failure.store(at as u64, Ordering::Relaxed);
                }
            }
            EngineState::Stopping { .. } | EngineState::Stopped => self.waking.store(0, Ordering::Relaxed),
        }
    }

    /// How often it was started after the first time.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.restarts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// The same by cause: a [`FailureCause::word`] or [`EngineHistory::ORDERED`]; all of them.
    pub fn restarts_by_cause(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let words = FailureCause::WORDS.into_iter().chain([EngineHistory::ORDERED]);
        words.zip(&self.restarts).map(|(word, count)| (word, count.load(Ordering::Relaxed)))
    }

    /// How often it failed, by cause: a [`FailureCause::word`]; all of them.
    pub fn failures_by_cause(&self) -> impl Iterator<Item = (&'static str, u64)> {
        FailureCause::WORDS.into_iter().zip(&self.failures).map(|(word, count)| (word, count.load(Ordering::Relaxed)))
    }

    /// How often it was ended because its health checks kept failing or it made no progress.
    #[must_use]
    pub fn stalls(&self) -> u64 {
        let is_stall = |word: &str| matches!(word, "unhealthy" | "stalled");
        self.failures_by_cause().filter(|(word, _)| is_stall(word)).map(|(_, count)| count).sum()
    }

    /// How often requests avoided it for a moment.
    #[must_use]
    pub fn ejections(&self) -> u64 {
        self.ejections.load(Ordering::Relaxed)
    }

    /// How often it fell asleep, and how long the last time took.
    #[must_use]
    pub fn sleeps(&self) -> (u64, Option<Duration>) {
        self.sleeps.get()
    }

    /// How often it woke up, and how long the last time took until it was ready.
    #[must_use]
    pub fn wakes(&self) -> (u64, Option<Duration>) {
        self.wakes.get()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Failure, NextStep, Sleep, StopReason};

    fn failed(cause: FailureCause) -> EngineState {
        EngineState::Failed(Failure { cause, log: vec![], next: NextStep::NoRestart })
    }

    #[test]
    fn a_restart_has_the_cause_that_ended_the_process_before() {
        let history = History::default();
        history.note(&failed(FailureCause::NoGpus { why: String::new() }));
        history.count_process();
        assert_eq!(history.restarts(), 0, "the first start is none");
        history.note(&EngineState::Ready);
        history.note(&failed(FailureCause::Unhealthy));
        history.count_process();
        history.note(&EngineState::Stopping { reason: StopReason::Restart });
        history.count_process();
        let counted = |counts: &mut dyn Iterator<Item = (&'static str, u64)>| -> Vec<_> {
            counts.filter(|(_, count)| *count > 0).collect()
        };
        assert_eq!(counted(&mut history.restarts_by_cause()), [("unhealthy", 1), ("ordered", 1)]);
        assert_eq!(counted(&mut history.failures_by_cause()), [("no_gpus", 1), ("unhealthy", 1)]);
        assert_eq!((history.restarts(), history.stalls()), (2, 1));
    }

    #[test]
    fn sleeping_and_waking_are_counted_and_timed_where_they_were_seen() {
        let history = History::default();
        history.note(&EngineState::Asleep(Sleep::of(1)));
        history.note(&EngineState::Ready);
        assert_eq!((history.sleeps(), history.wakes()), ((0, None), (0, None)), "found, and woken by somebody else");
        history.note(&EngineState::Asleep(Sleep { took_seconds: Some(2.5), ..Sleep::of(1) }));
        history.note_at(&EngineState::starting(StartPhase::Waking), Duration::from_secs(10));
        history.note_at(&EngineState::starting(StartPhase::Launched), Duration::from_secs(12));
        history.note_at(&EngineState::Ready, Duration::from_secs(14));
        history.note_at(&EngineState::Ready, Duration::from_secs(20));
        assert_eq!(history.sleeps(), (1, Some(Duration::from_millis(2500))));
        assert_eq!(history.wakes(), (1, Some(Duration::from_secs(4))));
        history.note_at(&EngineState::starting(StartPhase::Waking), Duration::from_secs(30));
        history.note(&failed(FailureCause::NotWoken { why: String::new() }));
        history.note_at(&EngineState::Ready, Duration::from_secs(60));
        assert_eq!(history.wakes().0, 1, "a start is none");
    }
}
