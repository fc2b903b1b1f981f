//! Counts of requests and connections, for tests and load tests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Counts of inference requests and connections.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Inference requests that arrived whole.
    pub started: u64,
    /// Those that were answered to the end.
    pub completed: u64,
    /// Those whose client left before, or whose answer a fault cut.
    pub aborted: u64,
    /// When the last of these was noticed, in microseconds since 1970; 0: never.
    pub last_abort_micros: u64,
    /// Connections accepted since the start.
    pub connections: u64,
    /// Connections that are open now.
    pub open_connections: u64,
}

impl Counts {
    /// Requests still being answered.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.started - self.completed - self.aborted
    }
}

/// Keeps the counts of one engine.
#[derive(Debug, Default)]
pub struct Stats(Mutex<Counts>);

impl Stats {
    /// As they are now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.change(|counts| *counts)
    }

    /// Changes them.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Counts one inference request: dropped before [`InFlight::complete`], its client left.
pub(crate) struct InFlight {
    stats: Arc<Stats>,
    complete: bool,
}

impl InFlight {
    pub(crate) fn new(stats: &Arc<Stats>) -> Self {
        stats.change(|counts| counts.started += 1);
        Self { stats: Arc::clone(stats), complete: false }
    }

    pub(crate) fn complete(&mut self) {
        self.complete = true;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.stats.change(|counts| {
            if self.complete {
                counts.completed += 1;
            } else {
                counts.aborted += 1;
                counts.last_abort_micros = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
            }
        });
    }
}
