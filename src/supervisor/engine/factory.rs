//! Makes engines that run here: the engine as requests see it, its port, and the actor who lives its life.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::actor::{Actor, Fleet, GpuShare, Inbox};
use super::handle::{EngineHandle, Message, Notice};
use super::memory::Memory;
use super::shutdown_signal::ShutdownSignal;
use crate::config::EngineUrl;
use crate::engines::health::{Owner, Prober};
use crate::engines::{Address, Engine, EngineClient, Local, Pool};
use crate::inventory::Monitor;
use crate::supervisor::allocator::{GpuAllocator, GpuGrant};
use crate::supervisor::launch::command;
use crate::supervisor::launch::launcher::{Job, Launcher};
use crate::supervisor::launch::spec::LaunchSpec;
use crate::supervisor::lifecycle::machine::Lifecycle;
use crate::supervisor::lifecycle::terms::{Level, Stage};
use crate::supervisor::process::port::{HeldPort, PortError, Ports};

/// Messages that may wait for one actor.
const MESSAGES: usize = 64;

/// What all engines that run here are made with.
pub(crate) struct EngineFactory {
    /// Runs their processes.
    pub(crate) launcher: Launcher,
    /// Gives them GPUs.
    pub(crate) allocator: GpuAllocator,
    /// The GPUs of this machine.
    pub(crate) monitor: Monitor,
    /// Asks engines.
    pub(crate) client: Arc<EngineClient>,
    /// Tells all actors to end.
    pub(crate) shutdown: ShutdownSignal,
    /// Where actors tell of their engines.
    pub(crate) notices: mpsc::Sender<Notice>,
    /// Ports, in the order in which they are given.
    pub(crate) ports: Mutex<Ports>,
}

/// One engine to be made.
pub(crate) struct Blueprint {
    /// How it is run.
    pub(crate) spec: Arc<LaunchSpec>,
    /// Which of its model, from 0.
    pub(crate) replica: usize,
    /// Its GPUs, where they were found already.
    pub(crate) grant: Option<GpuGrant>,
    /// The engines of its model.
    pub(crate) pool: Arc<Pool>,
}

impl EngineFactory {
    /// A port for an engine, held for it.
    ///
    /// # Errors
    /// When there is none, with the remedy.
    pub(crate) fn hold_port(&self) -> Result<HeldPort, PortError> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).hold()
    }

    /// The port of an engine that listens on it already; `None` when another gateway claims it.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn adopt_port(&self, port: u16) -> Result<Option<HeldPort>, PortError> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).adopt(port)
    }

    /// An engine that is not started yet; its actor waits among `tasks` for what it is told.
    pub(crate) fn make(&self, blueprint: Blueprint, port: HeldPort, tasks: &mut JoinSet<()>) -> EngineHandle {
        let address = port.port();
        let job = self.launcher.job(&blueprint.spec, blueprint.replica, port);
        self.assemble(blueprint, job, address, None, tasks)
    }

    /// An engine that runs already in `job`, listening on `port`; `asleep`: at which level, if it sleeps.
    pub(crate) fn adopt(
        &self,
        blueprint: Blueprint,
        job: Job,
        port: u16,
        asleep: Option<Level>,
        tasks: &mut JoinSet<()>,
    ) -> EngineHandle {
        self.assemble(blueprint, job, port, Some(asleep), tasks)
    }

    /// A prober for `engine`, as `spec` has it.
    pub(crate) fn prober(&self, spec: &LaunchSpec, engine: Arc<Engine>, pool: Arc<Pool>) -> Prober {
        let prober = Prober::new(&spec.model, engine, pool, self.client.clone(), Owner::Us);
        prober.with_stall_timeout(spec.spawn.stall_timeout)
    }

    fn assemble(
        &self,
        blueprint: Blueprint,
        job: Job,
        port: u16,
        found: Option<Option<Level>>,
        tasks: &mut JoinSet<()>,
    ) -> EngineHandle {
        let Blueprint { spec, replica, grant, pool } = blueprint;
        let url = EngineUrl { tls: false, host: "127.0.0.1".into(), port };
        let address = Address { url, api_key: spec.model.api_key.clone() };
        let socket = SocketAddr::from(([127, 0, 0, 1], port));
        let local = Local { log: job.log().path.clone() };
        let engine = Engine::new(spec.engine_id(replica), address, Some(socket)).with_local(local);
        let engine = Arc::new(match command::keep_alive(&spec.spawn) {
            Some(time) => engine.with_keep_alive(time),
            None => engine,
        });
        let gpus = grant.as_ref().and_then(GpuGrant::gpus).unwrap_or_default().to_vec();
        let (messages, received) = mpsc::channel::<Message>(MESSAGES);
        let mut actor = Actor {
            lifecycle: Lifecycle::new(spec.settings(), Instant::now()),
            prober: self.prober(&spec, engine.clone(), pool),
            job,
            gpus: GpuShare {
                allocator: self.allocator.clone(),
                grant,
                memory: Memory::new(self.monitor.clone(), gpus),
            },
            client: self.client.clone(),
            loading: None,
            operation: None,
            inbox: Inbox { messages: received, shutdown: self.shutdown.clone(), waiting: vec![] },
            fleet: Fleet { notices: self.notices.clone(), told: Stage::Idle },
            engine: engine.clone(),
            replica,
            spec,
        };
        actor.show_gpus();
        if found.is_some() {
            actor.show_found();
        }
        tasks.spawn(actor.run(found));
        EngineHandle::new(engine, messages)
    }
}
