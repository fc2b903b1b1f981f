//! What the operators' server is made of.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Handle;

use super::configuration::{Configuration, Token};
use crate::engines::EngineRegistry;
use crate::inventory::Monitor;
use crate::supervisor::Control;
use crate::telemetry::{EventBus, LogHistory, Metrics, RequestHistory};

/// What the operator's server shows.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Engines and their states.
    pub registry: Arc<EngineRegistry>,
    /// What can be done with those that run here.
    pub control: Control,
    /// Metrics of this process.
    pub metrics: Arc<Metrics>,
    /// The GPUs of this machine.
    pub monitor: Monitor,
    /// The configuration that they run by.
    pub configuration: Arc<dyn Configuration>,
    /// What happens.
    pub events: EventBus,
    /// Requests that have ended.
    pub requests: RequestHistory,
    /// The log of this process.
    pub logs: LogHistory,
    /// When this process began to serve.
    pub started: Started,
    /// Where callers connect.
    pub data_address: SocketAddr,
    /// Where changes are carried out: what they start must go on when the operators' server has ended.
    pub runtime: Handle,
    /// Asked for on every route but the probes.
    pub token: Token,
}

/// When this process began to serve.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    time: SystemTime,
    instant: Instant,
}

impl Started {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self { time: SystemTime::now(), instant: Instant::now() }
    }

    pub(super) fn time(self) -> SystemTime {
        self.time
    }

    pub(super) fn ago(self) -> Duration {
        self.instant.elapsed()
    }
}
