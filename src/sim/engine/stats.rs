//! Counts of requests and connections, for tests and load tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Counts of inference requests and connections, for tests and load tests.
#[derive(Debug, Default)]
pub struct Stats {
    started: AtomicU64,
    completed: AtomicU64,
    aborted: AtomicU64,
    last_abort_micros: AtomicU64,
    connections: AtomicU64,
    open: AtomicU64,
}

impl Stats {
    /// Inference requests that arrived whole.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.started.load(Ordering::SeqCst)
    }

    /// Those that were answered to the end.
    #[must_use]
    pub fn completed(&self) -> u64 {
        self.completed.load(Ordering::SeqCst)
    }

    /// Those whose client left before, or whose answer a fault cut.
    #[must_use]
    pub fn aborted(&self) -> u64 {
        self.aborted.load(Ordering::SeqCst)
    }

    /// When the last of these was noticed, in microseconds since 1970; 0: never.
    #[must_use]
    pub fn last_abort_micros(&self) -> u64 {
        self.last_abort_micros.load(Ordering::SeqCst)
    }

    /// Those still being answered.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.started().saturating_sub(self.completed() + self.aborted())
    }

    /// Connections accepted since the start.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    /// Connections that are open now.
    #[must_use]
    pub fn open_connections(&self) -> u64 {
        self.open.load(Ordering::SeqCst)
    }

    pub(crate) fn opened(&self) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        self.open.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Counts one inference request: dropped before [`InFlight::complete`], its client left.
pub(crate) struct InFlight {
    stats: Arc<Stats>,
    complete: bool,
}

impl InFlight {
    pub(crate) fn new(stats: &Arc<Stats>) -> Self {
        stats.started.fetch_add(1, Ordering::SeqCst);
        Self { stats: Arc::clone(stats), complete: false }
    }

    pub(crate) fn complete(&mut self) {
        self.complete = true;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.complete {
            self.stats.completed.fetch_add(1, Ordering::SeqCst);
        } else {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.stats.last_abort_micros.store(u64::try_from(now.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
            self.stats.aborted.fetch_add(1, Ordering::SeqCst);
        }
    }
}
