//! The GPU memory of one engine: is it given back once the engine is gone?

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use crate::ids::EngineId;
use crate::inventory::{Inventory, Memories, Monitor, find, freed, gib, units};
use crate::supervisor::process::spawn::Process;

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

/// What to look for after an engine's end.
pub(crate) struct Watch<'a> {
    memory: &'a Memory,
    pids: Vec<u32>,
}

impl Memory {
    /// Of an engine on `gpus`.
    pub(crate) fn new(monitor: Monitor, gpus: Vec<String>) -> Self {
        Self { monitor, gpus, before: None }
    }

    /// It was given these.
    pub(crate) fn set_gpus(&mut self, gpus: Vec<String>) {
        self.gpus = gpus;
    }

    /// Whether it must be given GPUs again before it starts: one of its own fell off the bus, or they are known by
    /// indices and some other did: CUDA counts without that one, so an index may mean another GPU now.
    pub(crate) fn misplaced(&self) -> bool {
        let now = self.monitor.latest();
        let units = units(&now);
        let own = |gpu: &String| find(&units, gpu).is_ok_and(|unit| unit.gpu.lost);
        let indices = self.gpus.iter().any(|gpu| gpu.trim().parse::<u32>().is_ok());
        now.known && (self.gpus.iter().any(own) || indices && now.gpus.iter().any(|gpu| gpu.lost))
    }

    /// Notes what others hold, now that the engine is about to start.
    pub(crate) fn remember(&mut self) {
        if !self.gpus.is_empty() {
            self.before = Some(self.monitor.latest());
        }
    }

    /// Notes who of `process` may hold memory, before it is swept away.
    pub(crate) fn watch(&self, process: &Process) -> Watch<'_> {
        self.watch_pids(if self.gpus.is_empty() { vec![] } else { process.pids() })
    }

    /// The same for these processes.
    pub(crate) fn watch_pids(&self, pids: Vec<u32>) -> Watch<'_> {
        Watch { memory: self, pids }
    }
}

impl Watch<'_> {
    /// Returns when the memory is free or nobody knows, or tells after a while that it is not.
    pub(crate) async fn freed(self, engine: &EngineId) {
        let Memory { monitor, gpus, before } = self.memory;
        if gpus.is_empty() {
            return;
        }
        let until = Instant::now() + FREED_WITHIN;
        loop {
            let asked = std::time::Instant::now();
            let Ok(now) = timeout(LOOK_WITHIN, monitor.refreshed()).await else { return };
            if monitor.age().is_none_or(|age| age > asked.elapsed()) {
                // It is from before: the driver hangs, which is told by who reads it.
                return;
            }
            match freed(&now, before.as_deref(), gpus, &self.pids) {
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
