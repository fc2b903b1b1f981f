//! What the operators' server is made of.

use std::sync::Arc;

use super::configuration::{Configuration, Token};
use crate::engines::EngineRegistry;
use crate::inventory::Monitor;
use crate::supervisor::Control;
use crate::telemetry::{EventBus, Metrics};

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
    /// Asked for on every route but the probes.
    pub token: Token,
}
