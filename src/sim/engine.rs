//! What all requests of one simulated engine share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::args::Settings;
use super::debug::Seen;
use super::faults::FaultQueue;
use super::metrics::{Metrics, Now};
use super::models::Models;
use super::schedule::Scheduler;
use super::sleep::Sleep;

/// One engine.
pub(super) struct Engine {
    pub(super) settings: Settings,
    pub(super) models: Models,
    pub(super) scheduler: Scheduler,
    pub(super) metrics: Metrics,
    pub(super) sleep: Sleep,
    pub(super) faults: FaultQueue,
    pub(super) seen: Seen,
    pub(super) stats: Arc<Stats>,
    /// SIGTERM came and requests in flight may finish: new ones are refused.
    pub(super) draining: AtomicBool,
    /// `system_fingerprint`.
    pub(super) fingerprint: String,
}

impl Engine {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            models: Models::new(&settings),
            scheduler: Scheduler::new(settings.concurrency, settings.args.max_num_queued_reqs, settings.boot.wedge),
            metrics: Metrics::new(settings.names.first().map_or("", String::as_str)),
            sleep: Sleep::default(),
            faults: FaultQueue::default(),
            seen: Seen::default(),
            stats: Arc::default(),
            draining: AtomicBool::new(false),
            fingerprint: format!("vllm-{}-{:08x}", super::VERSION, fastrand::u32(..)),
            settings,
        }
    }

    /// The gauges of /metrics.
    pub(super) fn now(&self) -> Now {
        let kv_tokens = self.settings.kv_tokens();
        Now {
            running: self.scheduler.running(),
            waiting: self.scheduler.waiting(),
            kv_usage: (self.scheduler.kv_tokens() as f64 / kv_tokens as f64).min(1.0),
            kv_tokens,
            sleep_level: self.sleep.level(),
        }
    }
}

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

    pub(super) fn opened(&self) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        self.open.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Counts one inference request: dropped before [`InFlight::complete`], its client left.
pub(super) struct InFlight {
    stats: Arc<Stats>,
    complete: bool,
}

impl InFlight {
    pub(super) fn new(stats: &Arc<Stats>) -> Self {
        stats.started.fetch_add(1, Ordering::SeqCst);
        Self { stats: Arc::clone(stats), complete: false }
    }

    pub(super) fn complete(&mut self) {
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
