//! Everything that looks after engines, from its start to its end.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, timeout};

use super::allocator::GpuAllocator;
use super::control::{Control, Inner};
use super::engine::factory::EngineFactory;
use super::engine::shutdown_signal::{self, ShutdownMode, ShutdownSender};
use super::fleet::{Fleet, FleetParts};
use super::process::port::Ports;
use super::startup::{Claim, StartError};
use crate::config::Config;
use crate::engines::{DemandReceiver, Engine, EngineClient, EngineRegistry, EngineState};
use crate::inventory::Monitor;
use crate::telemetry::EventBus;

/// How long the start waits for engines that were taken over; one that loads takes longer.
const ANSWERED_WITHIN: Duration = Duration::from_millis(500);

/// What actors may have to tell the fleet before they wait for it.
const NOTICES: usize = 256;

/// What the supervisor works with.
pub struct Dependencies {
    /// Where requests find engines. It must have the models of the configuration.
    pub registry: Arc<EngineRegistry>,
    /// Names models for which requests find no engine.
    pub demand: DemandReceiver,
    /// Asks engines.
    pub client: Arc<EngineClient>,
    /// The GPUs of this machine.
    pub monitor: Monitor,
    /// Hears what engines do.
    pub events: EventBus,
}

/// Everything that looks after engines. Dropped without [`Supervisor::stop`] or [`Supervisor::leave`], engines run on
/// until the runtime ends, and are killed then.
pub struct Supervisor {
    control: Control,
    shutdown: ShutdownSender,
    fleet: JoinHandle<()>,
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor").finish_non_exhaustive()
    }
}

impl Supervisor {
    /// Takes over the engines that an earlier gateway left, and starts the others that `config` has run here, on GPUs that
    /// the monitor tells of. Returns at once: how each does is told by its state. Call it on a multi-threaded tokio
    /// runtime.
    ///
    /// # Errors
    /// When nothing could be started at all; then nothing was, and what ran is left as it is.
    pub async fn start(config: &Config, claim: Claim, dependencies: Dependencies) -> Result<Self, StartError> {
        let Dependencies { registry, demand, client, monitor, events } = dependencies;
        let (shutdown, signal) = shutdown_signal::channel();
        let (requests, requested) = mpsc::unbounded_channel();
        let (notices, noticed) = mpsc::channel(NOTICES);
        let allocator = GpuAllocator::new(monitor.clone());
        let ports = Arc::new(Mutex::new(Ports::within(config.ports.clone())));
        let (view, on_names) = (Arc::<ArcSwap<_>>::default(), Arc::default());
        let factory =
            EngineFactory { allocator: allocator.clone(), monitor, client, shutdown: signal.clone(), notices, events };
        let parts = FleetParts {
            registry,
            factory,
            ports: ports.clone(),
            requests: requested,
            notices: noticed,
            demand,
            shutdown: signal,
            view: view.clone(),
            on_names: Arc::clone(&on_names),
        };
        let Claim { home, lock } = claim;
        let control =
            Control::new(Inner { requests, view, home, ports, allocator, on_names, is_closed: AtomicBool::new(false) });
        let prepared = control.prepare_with(config, lock).await?;
        let fleet = tokio::spawn(Fleet::new(parts).run());
        let found = control.send_prepared(prepared).await.unwrap_or_default();
        answered(&found).await;
        Ok(Self { control, shutdown, fleet })
    }

    /// The way to the fleet.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Stops all engines at once: they get no more requests, attempts under way may go on for `drain`, then SIGTERM to
    /// the process group, after `stop_timeout` SIGKILL, or as soon as `hurry` is ready. Returns when nothing of ours is left.
    pub async fn stop(mut self, drain: Duration, hurry: impl Future<Output = ()>) {
        self.shutdown.say(ShutdownMode::Stop(Instant::now() + drain));
        tokio::select! {
            ended = &mut self.fleet => return told(ended),
            () = hurry => self.shutdown.at_once(),
        }
        told(self.fleet.await);
    }

    /// Leaves all engines running. The next gateway on the same state directory takes them over.
    pub async fn leave(self) {
        self.shutdown.say(ShutdownMode::Leave);
        told(self.fleet.await);
    }
}

fn told(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "the task that keeps the engines failed; they were killed");
    }
}

/// Returns when engines that were taken over have answered, or soon: callers who come at once need not hear that a model
/// which serves is loading.
async fn answered(found: &[Arc<Engine>]) {
    let answered = found.iter().map(|engine| engine.reached(|state| !matches!(state, EngineState::Starting(_))));
    let _ = timeout(ANSWERED_WITHIN, futures::future::join_all(answered)).await;
}
