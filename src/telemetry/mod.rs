//! What this process measures and publishes: metrics, logs, access log, events.

mod access_log;
mod events;
mod log_writer;
mod logs;
mod meters;
mod metrics;
mod publish;
mod record;

pub use access_log::AccessLog;
pub use events::{EventBus, EventStream};
pub use logs::Logs;
pub use meters::{CallerMeters, InFlight, Meters};
pub use metrics::{ConfigMetrics, GatewayMetrics, Metrics, NO_ROUTE};
pub use record::Record;
