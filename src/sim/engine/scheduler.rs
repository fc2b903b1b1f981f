//! Slots for requests: who waits, who runs, and what stops them all.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, Semaphore, watch};

/// What the scheduler may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Power {
    /// Waiting requests may start.
    pub(crate) admit: bool,
    /// Running requests go on.
    pub(crate) run: bool,
    /// Raised to end all requests that are running or waiting.
    pub(crate) aborts: u64,
    /// Stuck: requests start, nothing goes on or ends, whatever else is asked.
    pub(crate) wedged: bool,
    /// The process that computes was killed: until the rest follows it, all that is asked fails.
    pub(crate) core_dead: bool,
}

/// How an engine gets stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wedge {
    /// It computes nothing more, and knows what it has to do.
    Stuck,
    /// The process that computes was stopped: nobody counts any more, and what it is asked is not answered.
    CoreStopped,
}

/// What the gauges of /metrics say of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gauges {
    pub(crate) running: usize,
    pub(crate) waiting: usize,
    pub(crate) kv_tokens: usize,
}

/// Slots for running requests and the switch that stops them.
pub(crate) struct Scheduler {
    pub(super) slots: Arc<Semaphore>,
    running: AtomicUsize,
    waiting: AtomicUsize,
    kv_tokens: AtomicUsize,
    max_queued: Option<usize>,
    pub(super) power: watch::Sender<Power>,
    /// Requests until it gets stuck; `usize::MAX`: never.
    until_wedged: AtomicUsize,
    wedge: Wedge,
    /// The gauges of the moment when the process that computes was stopped.
    frozen: Mutex<Option<Gauges>>,
    /// Requests, and tokens of theirs, that were left while it was stuck: it does not know yet.
    stuck: AtomicUsize,
    stuck_kv: AtomicUsize,
    changed: Notify,
}

impl Scheduler {
    /// `wedge`: after how many requests it gets stuck, and how.
    pub(crate) fn new(concurrency: usize, max_queued: Option<usize>, wedge: Option<(usize, Wedge)>) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(concurrency)),
            running: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            kv_tokens: AtomicUsize::new(0),
            max_queued,
            power: watch::Sender::new(Power { admit: true, run: true, aborts: 0, wedged: false, core_dead: false }),
            until_wedged: AtomicUsize::new(wedge.map_or(usize::MAX, |(after, _)| after)),
            wedge: wedge.map_or(Wedge::Stuck, |(_, how)| how),
            frozen: Mutex::default(),
            stuck: AtomicUsize::new(0),
            stuck_kv: AtomicUsize::new(0),
            changed: Notify::new(),
        }
    }

    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// What /metrics says of requests: as it is, or as it was when nobody counted any more.
    pub(crate) fn gauges(&self) -> Gauges {
        self.frozen.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_else(|| self.counted())
    }

    fn counted(&self) -> Gauges {
        let kv_tokens = self.kv_tokens.load(Ordering::Relaxed);
        Gauges { running: self.running(), waiting: self.waiting(), kv_tokens }
    }

    /// Whether the process that computes is stopped.
    pub(crate) fn is_core_stopped(&self) -> bool {
        self.frozen.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Kills the process that computes, or has it run again.
    pub(crate) fn kill_core(&self, dead: bool) {
        self.power.send_modify(|power| power.core_dead = dead);
    }

    /// Whether the process that computes is dead.
    pub(crate) fn is_core_dead(&self) -> bool {
        self.power.borrow().core_dead
    }

    /// Lets waiting requests start (`admit`) and running ones go on (`run`).
    pub(crate) fn set(&self, admit: bool, run: bool) {
        self.power.send_modify(|power| (power.admit, power.run) = (admit, run));
    }

    /// Ends all that run or wait with `finish_reason` "abort".
    pub(crate) fn abort_all(&self) {
        self.power.send_modify(|power| power.aborts += 1);
    }

    /// Gets stuck in this way, or goes on.
    pub(crate) fn wedge(&self, how: Option<Wedge>) {
        let frozen = (how == Some(Wedge::CoreStopped)).then(|| self.counted());
        *self.frozen.lock().unwrap_or_else(PoisonError::into_inner) = frozen;
        self.power.send_modify(|power| {
            power.wedged = how.is_some();
            if how.is_none() {
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
            self.wedge(Some(self.wedge));
        }
    }

    /// Whether a request for `n` answers that came now would be one too many. Despite the name of vLLM's flag, those that
    /// run count, too.
    pub(super) fn is_full(&self, n: usize) -> bool {
        self.max_queued.is_some_and(|max| self.running() + self.waiting() + n > max)
    }

    /// Whether there is such a limit.
    pub(super) fn is_limited(&self) -> bool {
        self.max_queued.is_some()
    }

    /// A request waits.
    pub(super) fn join(&self) {
        self.came();
        self.waiting.fetch_add(1, Ordering::SeqCst);
    }

    /// One of those that wait has a slot.
    pub(super) fn start(&self) {
        self.running.fetch_add(1, Ordering::SeqCst);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// So many more tokens are kept.
    pub(super) fn keep(&self, tokens: usize) {
        self.kv_tokens.fetch_add(tokens, Ordering::Relaxed);
    }

    /// One of those that wait waits no longer.
    pub(super) fn leave_queue(&self) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    /// One that ran, and kept so many tokens, runs no longer.
    pub(super) fn leave_slot(&self, kv: usize) {
        {
            // Held, so that it does not go on in between.
            let power = self.power.borrow();
            if power.wedged {
                self.stuck.fetch_add(1, Ordering::SeqCst);
                self.stuck_kv.fetch_add(kv, Ordering::SeqCst);
            } else {
                self.running.fetch_sub(1, Ordering::SeqCst);
                self.kv_tokens.fetch_sub(kv, Ordering::Relaxed);
            }
        }
        self.changed.notify_waiters();
    }

    /// Until nothing runs.
    pub(crate) async fn idle(&self) {
        loop {
            let changed = self.changed.notified();
            if self.running() == 0 {
                return;
            }
            changed.await;
        }
    }
}
