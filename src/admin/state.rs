//! What the operators' server is made of.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::audit::AuditLog;
use super::configuration::Configuration;
use super::operations::Operations;
use super::snapshots::Snapshots;
use super::token::Token;
use crate::engines::{EngineClient, EngineRegistry};
use crate::inventory::Monitor;
use crate::net::Listeners;
use crate::supervisor::Control;
use crate::telemetry::{EventBus, LogHistory, LogLevel, Metrics, RequestHistory};

/// What the operator's server shows.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Engines and their states.
    pub registry: Arc<EngineRegistry>,
    /// Asks them.
    pub client: Arc<EngineClient>,
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
    /// How everything was a moment ago, for listeners.
    pub snapshots: Snapshots,
    /// Requests that have ended.
    pub requests: RequestHistory,
    /// The log of this process.
    pub logs: LogHistory,
    /// Which lines of it are written.
    pub log_level: LogLevel,
    /// What operators have done with engines.
    pub operations: Operations,
    /// Where it is written down who did what.
    pub audit: AuditLog,
    /// When this process began to serve.
    pub started: Started,
    /// Where callers connect; a reload may change it.
    pub listeners: Arc<Listeners>,
    /// Where changes are carried out: what they start must go on when the operators' server has ended.
    pub runtime: Handle,
    /// Told when an operator wants the gateway to end.
    pub shutdown: Arc<Notify>,
    /// Asked for on every route but the probes.
    pub token: Token,
}

impl Admin {
    /// Where callers connect; `None`: nowhere any more.
    pub(super) fn data_address(&self) -> Option<SocketAddr> {
        let configured = self.configuration.current().listen;
        self.listeners.all().into_iter().find(|(_, wanted, _)| *wanted == configured).map(|(.., bound)| bound)
    }

    /// The same as it is reached from this machine: an address that listens everywhere is none to connect to.
    pub(super) fn reachable_address(&self) -> Option<SocketAddr> {
        let address = self.data_address()?;
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        Some(SocketAddr::new(ip, address.port()))
    }
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
