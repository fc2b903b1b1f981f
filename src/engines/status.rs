//! The state of one engine, and whether requests should avoid it for a moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Notify;

use super::EngineState;
use crate::api::StartPhase;

/// What is known of an engine at the moment.
#[derive(Debug)]
pub(super) struct Status {
    state: ArcSwap<EngineState>,
    ready: AtomicBool,
    born: Instant,
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
            born: Instant::now(),
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
        let ready = state == EngineState::Ready;
        if ready {
            self.ejected_until.store(0, Ordering::Release);
        }
        self.state.store(Arc::new(state));
        // SeqCst: see `Lease::try_take`.
        self.ready.store(ready, Ordering::SeqCst);
        self.changed.notify_waiters();
        if let Some(pool) = &*self.pool_changed.load() {
            pool.notify_waiters();
        }
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

    pub(super) fn is_ejected(&self, now: Instant) -> bool {
        let until = self.ejected_until.load(Ordering::Acquire);
        until != 0 && millis(now.saturating_duration_since(self.born)) < until
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
