//! The GPU memory of one engine: is it given back once the engine is gone?

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use crate::ids::EngineId;
use crate::inventory::{Inventory, Memories, Monitor, freed, gib};

/// How long a driver may take to give memory back; it is told then that it did not, and life goes on.
const FREED_WITHIN: Duration = Duration::from_secs(10);

/// How long one look may take. The cards are awake, as an engine just ran there: a driver that takes longer is in
/// trouble, and may never answer.
const LOOK_WITHIN: Duration = Duration::from_secs(3);

/// Least time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The GPUs of one engine.
#[derive(Clone)]
pub(crate) struct Memory {
    monitor: Monitor,
    /// Empty when nobody knows.
    gpus: Vec<String>,
    /// What was known when the engine started.
    before: Option<Arc<Inventory>>,
}

impl Memory {
    /// Of an engine that runs, or ran, on `gpus`.
    pub(crate) fn new(monitor: Monitor, gpus: Vec<String>) -> Self {
        Self { monitor, gpus, before: None }
    }

    /// The engine is about to start on `gpus`: what others hold there now is not its memory.
    pub(crate) fn started(&mut self, gpus: &[String]) {
        self.gpus = gpus.to_vec();
        self.before = (!gpus.is_empty()).then(|| self.monitor.latest());
    }

    /// Whether it is known where it runs.
    pub(crate) fn is_known(&self) -> bool {
        !self.gpus.is_empty()
    }

    /// Returns when the memory that `pids` held is free or nobody knows, or tells after a while that it is not.
    pub(crate) async fn freed(&self, engine: &EngineId, pids: &[u32]) {
        if self.gpus.is_empty() {
            return;
        }
        let until = Instant::now() + FREED_WITHIN;
        loop {
            let asked = std::time::Instant::now();
            let Ok(now) = timeout(LOOK_WITHIN, self.monitor.refreshed()).await else { return };
            if self.monitor.age().is_none_or(|age| age > asked.elapsed()) {
                // It is from before: the driver hangs, which is told by who reads it.
                return;
            }
            match freed(&now, self.before.as_deref(), &self.gpus, pids) {
                Memories::Freed | Memories::Unknown => return,
                Memories::Held { by, bytes } if Instant::now() >= until => {
                    let held = gib(bytes);
                    tracing::warn!(
                        %engine, ?by, held,
                        "the engine is gone, but its GPU memory is not free yet; what starts there next may not fit"
                    );
                    return;
                }
                Memories::Held { .. } => sleep_until((Instant::now() + LOOK_EVERY).min(until)).await,
            }
        }
    }
}
