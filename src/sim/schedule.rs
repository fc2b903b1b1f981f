//! When tokens come: waiting, running, the pace of one generation, sleep and abort.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use super::engine::Engine;
use super::errors::Fail;
use super::metrics::{Finish, Record};

/// A plain answer's progress is counted at least this often, so that an observer of /metrics sees it move.
const PROGRESS: Duration = Duration::from_millis(200);

/// What the scheduler may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Power {
    /// Waiting requests may start.
    pub(super) admit: bool,
    /// Running requests go on.
    pub(super) run: bool,
    /// Raised to end all requests that are running or waiting.
    pub(super) aborts: u64,
    /// Stuck: requests start, nothing goes on or ends, whatever else is asked.
    pub(super) wedged: bool,
}

/// Slots for running requests and the switch that stops them.
pub(super) struct Scheduler {
    slots: Arc<Semaphore>,
    running: AtomicUsize,
    waiting: AtomicUsize,
    kv_tokens: AtomicUsize,
    max_queued: Option<usize>,
    power: watch::Sender<Power>,
    /// Requests until it gets stuck; `usize::MAX`: never.
    until_wedged: AtomicUsize,
    /// Requests, and tokens of theirs, that were left while it was stuck: it does not know yet.
    stuck: AtomicUsize,
    stuck_kv: AtomicUsize,
    changed: tokio::sync::Notify,
}

impl Scheduler {
    pub(super) fn new(concurrency: usize, max_queued: Option<usize>, wedge: Option<usize>) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(concurrency)),
            running: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            kv_tokens: AtomicUsize::new(0),
            max_queued,
            power: watch::Sender::new(Power { admit: true, run: true, aborts: 0, wedged: false }),
            until_wedged: AtomicUsize::new(wedge.unwrap_or(usize::MAX)),
            stuck: AtomicUsize::new(0),
            stuck_kv: AtomicUsize::new(0),
            changed: tokio::sync::Notify::new(),
        }
    }

    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    pub(super) fn kv_tokens(&self) -> usize {
        self.kv_tokens.load(Ordering::Relaxed)
    }

    /// Lets waiting requests start (`admit`) and running ones go on (`run`).
    pub(super) fn set(&self, admit: bool, run: bool) {
        self.power.send_modify(|power| (power.admit, power.run) = (admit, run));
    }

    /// Ends all that run or wait with `finish_reason` "abort".
    pub(super) fn abort_all(&self) {
        self.power.send_modify(|power| power.aborts += 1);
    }

    /// Gets stuck, or goes on.
    pub(super) fn wedge(&self, wedged: bool) {
        self.power.send_modify(|power| {
            power.wedged = wedged;
            if !wedged {
                self.running.fetch_sub(self.stuck.swap(0, Ordering::SeqCst), Ordering::SeqCst);
                self.kv_tokens.fetch_sub(self.stuck_kv.swap(0, Ordering::SeqCst), Ordering::Relaxed);
            }
        });
        self.changed.notify_waiters();
    }

    /// A request came: perhaps it is the one.
    fn came(&self) {
        let down =
            |left: usize| if left == usize::MAX { None } else { Some(left.checked_sub(1).unwrap_or(usize::MAX)) };
        if self.until_wedged.fetch_update(Ordering::SeqCst, Ordering::SeqCst, down) == Ok(0) {
            self.wedge(true);
        }
    }

    /// Until nothing runs.
    pub(super) async fn idle(&self) {
        loop {
            let changed = self.changed.notified();
            if self.running() == 0 {
                return;
            }
            changed.await;
        }
    }
}

/// How fast one request goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tempo {
    pub(super) ttft: Duration,
    pub(super) gap: Duration,
}

/// What came of waiting for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
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
pub(super) struct Run {
    engine: Arc<Engine>,
    power: watch::Receiver<Power>,
    aborts: u64,
    place: Place,
    tempo: Tempo,
    due: Instant,
    made: usize,
    total: usize,
    kv: usize,
    pub(super) record: Record,
}

impl Run {
    /// Joins the queue. `total`: steps to make.
    ///
    /// # Errors
    /// The queue is full.
    pub(super) fn enqueue(engine: &Arc<Engine>, tempo: Tempo, total: usize, record: Record) -> Result<Self, Fail> {
        let scheduler = &engine.scheduler;
        let full = scheduler.max_queued.is_some_and(|max| scheduler.waiting() >= max);
        if full && (scheduler.slots.available_permits() == 0 || !scheduler.power.borrow().admit) {
            engine.metrics.rejected.fetch_add(1, Ordering::Relaxed);
            return Err(Fail::queue_full());
        }
        scheduler.came();
        scheduler.waiting.fetch_add(1, Ordering::SeqCst);
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

    /// Waits for the next step, or for as many as `at_most` allows when nobody watches them come.
    /// Dropping the future loses nothing.
    pub(super) async fn step(&mut self, at_most: usize) -> Step {
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
        scheduler.running.fetch_add(1, Ordering::SeqCst);
        scheduler.waiting.fetch_sub(1, Ordering::SeqCst);
        self.place = Place::Running { _slot: slot };
        if !scheduler.power.borrow().wedged {
            self.kv = self.record.prompt;
            scheduler.kv_tokens.fetch_add(self.kv, Ordering::Relaxed);
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
    pub(super) fn made(&self) -> usize {
        self.made
    }

    /// Whether all steps were made.
    pub(super) fn is_made(&self) -> bool {
        self.made >= self.total
    }

    /// `tokens` more were generated, over all choices.
    pub(super) fn count(&mut self, tokens: usize) {
        self.record.generated += tokens;
        self.kv += tokens;
        self.engine.scheduler.kv_tokens.fetch_add(tokens, Ordering::Relaxed);
        self.engine.metrics.generation_tokens.fetch_add(tokens as u64, Ordering::Relaxed);
    }

    /// It ended: the slot is free and the metrics know.
    pub(super) fn finish(&mut self, finish: Finish) {
        self.leave();
        self.engine.metrics.finished(&self.record, finish);
    }

    fn leave(&mut self) {
        let scheduler = &self.engine.scheduler;
        match std::mem::replace(&mut self.place, Place::Left) {
            Place::Waiting(_) => {
                scheduler.waiting.fetch_sub(1, Ordering::SeqCst);
            }
            Place::Running { .. } => {
                // Held, so that it does not go on in between.
                let power = scheduler.power.borrow();
                if power.wedged {
                    scheduler.stuck.fetch_add(1, Ordering::SeqCst);
                    scheduler.stuck_kv.fetch_add(self.kv, Ordering::SeqCst);
                } else {
                    scheduler.running.fetch_sub(1, Ordering::SeqCst);
                    scheduler.kv_tokens.fetch_sub(self.kv, Ordering::Relaxed);
                }
            }
            Place::Left => return,
        }
        scheduler.changed.notify_waiters();
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.leave();
    }
}
