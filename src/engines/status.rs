//! The state of one engine, and whether requests should avoid it for a moment.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Notify;

use super::EngineState;
use crate::api::{StartPhase, Starting};

/// Times of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// For how long it is in a state of this kind; while its process loads: since that was started.
    pub in_state: Duration,
    /// How long its last start took, until it was ready; `None`: none was seen from its beginning.
    pub start: Option<Duration>,
}

/// What is known of an engine at the moment.
#[derive(Debug)]
pub(super) struct Status {
    state: ArcSwap<EngineState>,
    /// Whether requests may be sent: it is ready, and not withheld.
    ready: AtomicBool,
    /// Whether an operator wants no requests sent here. Held while `ready` is made of it and the state.
    withheld: Mutex<bool>,
    born: Instant,
    /// Since when the state is of its present kind, in milliseconds after `born`.
    since: AtomicU64,
    /// When its process was started that is not ready yet, in milliseconds after `born`; 0: there is none.
    spawned: AtomicU64,
    /// How long its last start took, in milliseconds; 0: it has not been seen.
    start_took: AtomicU64,
    /// Milliseconds after `born` until which nothing is sent here; 0: not ejected.
    ejected_until: AtomicU64,
    /// Wakes the health check of this engine before its interval is over.
    suspected: Notify,
    /// Wakes tasks that wait for another state.
    changed: Notify,
    /// Wakes tasks that wait for any engine of the model.
    pool_changed: ArcSwapOption<Notify>,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            state: ArcSwap::from_pointee(EngineState::starting(StartPhase::Unknown)),
            ready: AtomicBool::new(false),
            withheld: Mutex::new(false),
            born: Instant::now(),
            since: AtomicU64::new(0),
            spawned: AtomicU64::new(0),
            start_took: AtomicU64::new(0),
            ejected_until: AtomicU64::new(0),
            suspected: Notify::new(),
            changed: Notify::new(),
            pool_changed: ArcSwapOption::empty(),
        }
    }
}

impl Status {
    pub(super) fn state(&self) -> Arc<EngineState> {
        self.state.load_full()
    }

    pub(super) fn set(&self, state: EngineState) {
        self.set_at(state, millis(self.born.elapsed()));
    }

    /// The same, `now` milliseconds after `born`.
    fn set_at(&self, state: EngineState, now: u64) {
        if state == EngineState::Ready {
            self.ejected_until.store(0, Ordering::Release);
        }
        self.note_times(&state, now.max(1));
        let withheld = self.withheld.lock().unwrap_or_else(PoisonError::into_inner);
        self.state.store(Arc::new(state));
        self.decide(*withheld);
        drop(withheld);
        self.tell();
    }

    /// Keeps requests away, whatever the state, or lets them come again.
    pub(super) fn withhold(&self, wanted: bool) {
        let mut withheld = self.withheld.lock().unwrap_or_else(PoisonError::into_inner);
        *withheld = wanted;
        self.decide(wanted);
        drop(withheld);
        self.tell();
    }

    pub(super) fn is_withheld(&self) -> bool {
        *self.withheld.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(&self, withheld: bool) {
        // SeqCst: see `Lease::try_take`.
        self.ready.store(!withheld && **self.state.load() == EngineState::Ready, Ordering::SeqCst);
    }

    fn tell(&self) {
        self.changed.notify_waiters();
        if let Some(pool) = &*self.pool_changed.load() {
            pool.notify_waiters();
        }
    }

    /// Notes what the change to `state`, which is about to be made, tells of times.
    fn note_times(&self, state: &EngineState, now: u64) {
        if state.word() != self.state.load().word() {
            self.since.store(now, Ordering::Relaxed);
        }
        match state {
            EngineState::Starting(starting) if starting.phase == StartPhase::Spawning => {
                self.spawned.store(now, Ordering::Relaxed);
            }
            // Taken over or woken: that says nothing about a start.
            EngineState::Starting(Starting { phase: StartPhase::Adopted | StartPhase::Waking, .. }) => {
                self.spawned.store(0, Ordering::Relaxed);
            }
            EngineState::Starting(_) => {}
            EngineState::Ready => {
                let spawned = self.spawned.swap(0, Ordering::Relaxed);
                if spawned > 0 {
                    self.start_took.store(now.saturating_sub(spawned).max(1), Ordering::Relaxed);
                }
            }
            _ => self.spawned.store(0, Ordering::Relaxed),
        }
    }

    pub(super) fn times(&self) -> Times {
        self.times_at(millis(self.born.elapsed()))
    }

    fn times_at(&self, now: u64) -> Times {
        let spawned = Some(self.spawned.load(Ordering::Relaxed)).filter(|at| *at > 0);
        let since = spawned.unwrap_or_else(|| self.since.load(Ordering::Relaxed));
        let took = Some(self.start_took.load(Ordering::Relaxed)).filter(|took| *took > 0);
        Times { in_state: Duration::from_millis(now.saturating_sub(since)), start: took.map(Duration::from_millis) }
    }

    pub(super) fn tell_changes_to(&self, notify: &Arc<Notify>) {
        self.pool_changed.store(Some(notify.clone()));
    }

    pub(super) async fn reached(&self, wanted: impl Fn(&EngineState) -> bool) -> Arc<EngineState> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let state = self.state();
            if wanted(&state) {
                return state;
            }
            changed.await;
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        // SeqCst: see `Lease::try_take`.
        self.ready.load(Ordering::SeqCst)
    }

    /// `now` is asked only where it matters: a decision looks at every engine of a model.
    pub(super) fn is_ejected(&self, now: impl Fn() -> Instant) -> bool {
        let until = self.ejected_until.load(Ordering::Acquire);
        until != 0 && millis(now().saturating_duration_since(self.born)) < until
    }

    pub(super) fn eject(&self, now: Instant, pause: Duration) {
        let until = millis(now.saturating_duration_since(self.born) + pause);
        self.ejected_until.store(until.max(1), Ordering::Release);
        self.suspect();
    }

    pub(super) fn suspect(&self) {
        self.suspected.notify_one();
    }

    pub(super) async fn suspected(&self) {
        self.suspected.notified().await;
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_measured_from_its_process_to_its_readiness_and_nothing_else_is_one() {
        let status = Status::default();
        let starting = |phase, now| status.set_at(EngineState::starting(phase), now);
        let times = |now: u64| {
            let Times { in_state, start } = status.times_at(now);
            (in_state.as_millis(), start.map(|start| start.as_millis()))
        };
        starting(StartPhase::Adopted, 10);
        status.set_at(EngineState::Ready, 100);
        assert_eq!(times(150), (50, None), "it was only found");
        status.set_at(EngineState::Stopped, 200);
        starting(StartPhase::Waiting, 300);
        assert_eq!(times(350), (50, None));
        starting(StartPhase::Spawning, 1000);
        starting(StartPhase::LoadingWeights, 2000);
        assert_eq!(times(2500), (1500, None), "since its process was started");
        status.set_at(EngineState::Ready, 6000);
        assert_eq!(times(6500), (500, Some(5000)));
        starting(StartPhase::Waking, 7000);
        status.set_at(EngineState::Ready, 7100);
        assert_eq!(times(7200), (100, Some(5000)), "to wake is no start");
    }
}
