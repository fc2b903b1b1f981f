//! One generation, from the queue to its last token: when its tokens come.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use super::scheduler::Power;
use super::state::Engine;
use crate::sim::metrics::{Finish, Record};
use crate::sim::wire::errors::Fail;

/// A plain answer's progress is counted at least this often, so that an observer of /metrics sees it move.
const PROGRESS: Duration = Duration::from_millis(200);

/// From being let in to being in the queue, which is where requests are counted: of a burst all are let in, and those find the
/// queue full that come there last, when their streams have begun.
const ON_THE_WAY: Duration = Duration::from_millis(20);

/// How fast one request goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tempo {
    pub(crate) ttft: Duration,
    pub(crate) gap: Duration,
}

/// What came of waiting for tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many more steps were made, at least one.
    Made(usize),
    /// The engine ended the request.
    Aborted,
    /// The engine gave the request up, which is an error.
    Failed(Fail),
}

type Acquiring = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

enum Place {
    /// Let in, and not in the queue before this time.
    OnTheWay(Instant),
    /// In the queue; the future holds the place in it.
    Waiting(Acquiring),
    Running {
        _slot: OwnedSemaphorePermit,
    },
    Left,
}

/// One generation: from the queue to its last token. Dropped early, it counts as left by its client.
pub(crate) struct Run {
    engine: Arc<Engine>,
    power: watch::Receiver<Power>,
    aborts: u64,
    place: Place,
    tempo: Tempo,
    due: Instant,
    made: usize,
    total: usize,
    kv: usize,
    given_up: Option<Fail>,
    pub(crate) record: Record,
}

impl Run {
    /// Is let in. `total`: steps to make.
    ///
    /// # Errors
    /// The queue is full.
    pub(crate) fn enqueue(engine: &Arc<Engine>, tempo: Tempo, total: usize, record: Record) -> Result<Self, Fail> {
        let scheduler = &engine.scheduler;
        if scheduler.is_full(record.n) {
            engine.metrics.rejected.fetch_add(1, Ordering::Relaxed);
            return Err(Fail::queue_full());
        }
        let power = scheduler.power.subscribe();
        let aborts = power.borrow().aborts;
        let mut run = Self {
            place: Place::OnTheWay(Instant::now() + ON_THE_WAY),
            engine: Arc::clone(engine),
            power,
            aborts,
            tempo,
            due: Instant::now(),
            made: 0,
            total: total.max(1),
            kv: 0,
            given_up: None,
            record,
        };
        // Where there is no limit, nobody can tell the difference.
        if !scheduler.is_limited() {
            run.join();
        }
        Ok(run)
    }

    /// The first step fails so.
    pub(crate) fn give_up(&mut self, fail: Fail) {
        self.given_up = Some(fail);
    }

    fn join(&mut self) {
        let scheduler = &self.engine.scheduler;
        scheduler.join();
        self.place = Place::Waiting(Box::pin(Arc::clone(&scheduler.slots).acquire_owned()));
    }

    /// Why it fails now: what was said before, or the end of the process that computes.
    fn failure(&mut self, power: Power) -> Option<Fail> {
        self.given_up.take().or_else(|| power.core_dead.then(Fail::core_dead))
    }

    fn fail(&mut self, fail: Fail) -> Step {
        self.leave();
        Step::Failed(fail)
    }

    /// Waits for the next step, or for as many as `at_most` allows when the answer is not streamed.
    /// Dropping the future loses nothing.
    pub(crate) async fn step(&mut self, at_most: usize) -> Step {
        loop {
            let power = *self.power.borrow_and_update();
            if let Some(fail) = self.failure(power) {
                return self.fail(fail);
            }
            if let Place::OnTheWay(there) = self.place {
                sleep_until(there).await;
                if self.engine.scheduler.is_full(self.record.n) {
                    self.engine.metrics.rejected.fetch_add(1, Ordering::Relaxed);
                    return self.fail(Fail::queue_full());
                }
                self.join();
            }
            if power.aborts != self.aborts && !power.wedged {
                return Step::Aborted;
            }
            if let Place::Waiting(slot) = &mut self.place {
                if !power.admit {
                    let _ = self.power.changed().await;
                    continue;
                }
                let slot = tokio::select! {
                    slot = slot => slot,
                    _ = self.power.changed() => continue,
                };
                let Ok(slot) = slot else { return Step::Aborted };
                self.start(slot);
                continue;
            }
            if !power.run || power.wedged {
                let stopped = Instant::now();
                let _ = self.power.changed().await;
                self.due += stopped.elapsed();
                continue;
            }
            let wanted = at_most.min(self.total.saturating_sub(self.made)).max(1);
            let now = if self.tempo.gap.is_zero() && self.made > 0 { self.due } else { Instant::now() };
            let steps = self.due_by(now, wanted);
            if steps == wanted || steps > 0 && wanted < 2 {
                return self.advance(steps);
            }
            let last = self.due + self.tempo.gap.saturating_mul(u32::try_from(wanted - 1).unwrap_or(u32::MAX));
            let wake = if wanted > 1 { last.min(now + PROGRESS).max(self.due) } else { self.due };
            tokio::select! {
                () = sleep_until(wake) => {
                    let steps = self.due_by(Instant::now(), wanted);
                    if steps > 0 {
                        return self.advance(steps);
                    }
                }
                _ = self.power.changed() => {}
            }
        }
    }

    fn due_by(&self, now: Instant, wanted: usize) -> usize {
        match now.checked_duration_since(self.due) {
            None => 0,
            Some(_) if self.tempo.gap.is_zero() => wanted,
            Some(late) => {
                let more = late.as_nanos() / self.tempo.gap.as_nanos().max(1);
                usize::try_from(more).unwrap_or(usize::MAX).saturating_add(1).min(wanted)
            }
        }
    }

    fn start(&mut self, slot: OwnedSemaphorePermit) {
        let scheduler = &self.engine.scheduler;
        scheduler.start();
        self.place = Place::Running { _slot: slot };
        if !scheduler.power.borrow().wedged {
            self.kv = self.record.prompt;
            scheduler.keep(self.kv);
            self.engine.metrics.prompt_tokens.fetch_add(self.record.prompt as u64, Ordering::Relaxed);
        }
        let now = Instant::now();
        self.record.started = Some(now.into_std());
        self.due = now + self.tempo.ttft;
    }

    fn advance(&mut self, steps: usize) -> Step {
        let now = std::time::Instant::now();
        match self.record.last_token {
            None => self.record.first_token = Some(now),
            Some(last) => {
                let each = now.saturating_duration_since(last).as_secs_f64() / steps as f64;
                (0..steps).for_each(|_| self.record.gaps.add(each));
            }
        }
        self.record.last_token = Some(now);
        self.made += steps;
        self.due += self.tempo.gap.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX));
        Step::Made(steps)
    }

    /// Steps made so far.
    pub(crate) fn made(&self) -> usize {
        self.made
    }

    /// Whether all steps were made.
    pub(crate) fn is_made(&self) -> bool {
        self.made >= self.total
    }

    /// `tokens` more were generated, over all choices.
    pub(crate) fn count(&mut self, tokens: usize) {
        self.record.generated += tokens;
        self.kv += tokens;
        self.engine.scheduler.keep(tokens);
        self.engine.metrics.generation_tokens.fetch_add(tokens as u64, Ordering::Relaxed);
    }

    /// It ended: the slot is free and the metrics know.
    pub(crate) fn finish(&mut self, finish: Finish) {
        self.leave();
        self.engine.metrics.finished(&self.record, finish);
    }

    fn leave(&mut self) {
        match std::mem::replace(&mut self.place, Place::Left) {
            Place::Waiting(_) => self.engine.scheduler.leave_queue(),
            Place::Running { .. } => self.engine.scheduler.leave_slot(self.kv),
            Place::OnTheWay(_) | Place::Left => {}
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.leave();
    }
}
