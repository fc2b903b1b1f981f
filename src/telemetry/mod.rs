//! What is measured and what is written down.

mod access;
mod gpus;
mod logs;
mod meters;
mod metrics;

pub use access::{AccessLog, Entry};
pub use gpus::GpuSample;
pub use logs::{Guard, init};
pub use meters::{CallerMeters, InFlight, Meters};
pub use metrics::{EngineSample, Metrics, NO_ROUTE};
