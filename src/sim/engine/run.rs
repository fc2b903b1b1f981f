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

/// How fast one request goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tempo {
    pub(crate) ttft: Duration,
    pub(crate) gap: Duration,
}

/// What came of waiting for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many more steps were made, at least one.
    Made(usize),
    /// The engine gave the request up.
    Aborted,
}

type Acquiring = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

enum Place {
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
    pub(crate) record: Record,
}

impl Run {
    /// Joins the queue. `total`: steps to make.
    ///
    /// # Errors
    /// The queue is full.
    pub(crate) fn enqueue(engine: &Arc<Engine>, tempo: Tempo, total: usize, record: Record) -> Result<Self, Fail> {
        let scheduler = &engine.scheduler;
        if scheduler.is_full() {
            engine.metrics.rejected.fetch_add(1, Ordering::Relaxed);
            return Err(Fail::queue_full());
        }
        scheduler.join();
        let power = scheduler.power.subscribe();
        let aborts = power.borrow().aborts;
        Ok(Self {
            place: Place::Waiting(Box::pin(Arc::clone(&scheduler.slots).acquire_owned())),
            engine: Arc::clone(engine),
            power,
            aborts,
            tempo,
            due: Instant::now(),
            made: 0,
            total: total.max(1),
            kv: 0,
            record,
        })
    }

    /// Waits for the next step, or for as many as `at_most` allows when the answer is not streamed.
    /// Dropping the future loses nothing.
    pub(crate) async fn step(&mut self, at_most: usize) -> Step {
        loop {
            let power = *self.power.borrow_and_update();
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
            Place::Left => {}
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.leave();
    }
}
