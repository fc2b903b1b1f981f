//! What all requests of one simulated engine share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio_util::sync::CancellationToken;

use super::models::Models;
use super::request_log::RequestLog;
use super::responses::Responses;
use super::scheduler::Scheduler;
use super::sleep::Sleep;
use super::stats::Stats;
use crate::sim::faults::FaultQueue;
use crate::sim::flags::Settings;
use crate::sim::metrics::{Metrics, Now};

/// One engine.
pub(crate) struct Engine {
    pub(crate) settings: Settings,
    pub(crate) models: Models,
    pub(crate) scheduler: Scheduler,
    pub(crate) metrics: Metrics,
    pub(crate) sleep: Sleep,
    pub(crate) faults: FaultQueue,
    pub(crate) request_log: RequestLog,
    pub(crate) responses: Responses,
    pub(crate) stats: Arc<Stats>,
    /// SIGTERM came and requests in flight may finish: new ones are refused.
    pub(crate) draining: AtomicBool,
    /// Raised when a fault kills the engine: it refuses and cuts all connections, as a process that ended does.
    pub(crate) dead: CancellationToken,
    /// `system_fingerprint`.
    pub(crate) fingerprint: String,
}

impl Engine {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            models: Models::new(&settings),
            scheduler: Scheduler::new(
                settings.concurrency,
                settings.args.max_num_queued_reqs,
                settings.process_faults.wedges(),
            ),
            metrics: Metrics::new(settings.names.first().map_or("", String::as_str)),
            sleep: Sleep::default(),
            faults: FaultQueue::default(),
            request_log: RequestLog::default(),
            responses: Responses::default(),
            stats: Arc::default(),
            draining: AtomicBool::new(false),
            dead: CancellationToken::new(),
            fingerprint: format!("vllm-{}-{:08x}", crate::sim::VERSION, fastrand::u32(..)),
            settings,
        }
    }

    /// The gauges of /metrics.
    pub(crate) fn now(&self) -> Now {
        let kv_tokens = self.settings.kv_tokens();
        let gauges = self.scheduler.gauges();
        Now {
            running: gauges.running,
            waiting: gauges.waiting,
            kv_usage: (gauges.kv_tokens as f64 / kv_tokens as f64).min(1.0),
            kv_tokens,
            sleep_level: self.sleep.level(),
        }
    }
}
