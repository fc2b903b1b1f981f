//! What is measured, written down and told of this process.

mod access_log;
mod events;
mod gpus;
mod logs;
mod meters;
mod metrics;
mod publish;
mod record;

pub use access_log::AccessLog;
pub use events::{EventBus, EventStream, Heard};
pub use gpus::GpuSample;
pub use logs::{Guard, init};
pub use meters::{CallerMeters, InFlight, Meters};
pub use metrics::{EngineSample, Metrics, NO_ROUTE};
pub use record::Record;
