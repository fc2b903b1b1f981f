//! Makes engines that run here: the engine as requests see it, its port, and the actor who lives its life.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::actor::{Actor, GpuShare, Inbox, Listeners};
use super::handle::{EngineHandle, Notice};
use super::memory::Memory;
use super::shutdown_signal::ShutdownSignal;
use crate::config::EngineUrl;
use crate::engines::health::Prober;
use crate::engines::{Address, Engine, EngineClient, Local, Owner, Pool};
use crate::inventory::Monitor;
use crate::supervisor::allocator::{GpuAllocator, GpuGrant};
use crate::supervisor::launch::command;
use crate::supervisor::launch::launcher::Job;
use crate::supervisor::launch::spec::LaunchSpec;
use crate::supervisor::lifecycle::machine::Lifecycle;
use crate::supervisor::lifecycle::terms::{Level, Stage};
use crate::telemetry::EventBus;

/// What all engines are made with.
pub(crate) struct EngineFactory {
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
    /// Where everybody hears what engines do.
    pub(crate) events: EventBus,
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
    /// `Some` where it runs already: at which level it sleeps, if it does.
    pub(crate) found: Option<Option<Level>>,
}

/// An engine that was just made.
pub(crate) struct NewEngine {
    /// The way to its actor.
    pub(crate) handle: EngineHandle,
    /// What its actor does, until the engine has ended for good.
    pub(crate) life: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl EngineFactory {
    /// A prober for `engine`, as `spec` has it.
    pub(crate) fn prober(&self, spec: &LaunchSpec, engine: Arc<Engine>, pool: Arc<Pool>) -> Prober {
        let prober = Prober::new(&spec.model, engine, pool, self.client.clone(), Owner::Us);
        prober.with_stall_timeout(spec.spawn.stall_timeout)
    }

    /// An engine that runs in `job`, or will once it is told to start.
    pub(crate) fn make(&self, blueprint: Blueprint, job: Job) -> NewEngine {
        let Blueprint { spec, replica, grant, pool, found } = blueprint;
        let port = job.port();
        let url = EngineUrl { tls: false, host: "127.0.0.1".into(), port, base: String::new() };
        let address = Address { url, api_key: spec.model.api_key.clone() };
        let socket = SocketAddr::from(([127, 0, 0, 1], port));
        let local = Local { log: job.log().path.clone() };
        let id = spec.engine_id(replica);
        let history = pool.history(&id);
        let engine = Engine::new(id, address, Some(socket)).with_local(local).with_history(history);
        let engine = Arc::new(match command::keep_alive(&spec.spawn) {
            Some(time) => engine.with_keep_alive(time),
            None => engine,
        });
        let gpus = grant.as_ref().and_then(GpuGrant::gpus).unwrap_or_default().to_vec();
        let (messages, received) = mpsc::unbounded_channel();
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
            listeners: Listeners { notices: self.notices.clone(), told: Stage::Idle, events: self.events.clone() },
            engine: engine.clone(),
            replica,
            spec,
        };
        actor.show_gpus();
        if found.is_some() {
            actor.show_found();
        }
        NewEngine { handle: EngineHandle::new(engine, messages), life: Box::pin(actor.run(found)) }
    }
}
