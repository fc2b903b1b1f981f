//! Where engines of ours are made: ports, GPUs, log files, records, and the actor who looks after each.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::actor::{Actor, Begin, Plan};
use super::ask::Asker;
use super::backoff::{Crashes, Policy};
use super::command;
use super::crew::Crew;
use super::memory::Memory;
use super::orders::{Goal, NotDone, Order};
use super::port::{Held, PortError, Ports};
use super::probe::Prober;
use super::recipe::Recipe;
use super::record::{Keeper, Record, Records};
use super::spawn::{Log, Process};
use super::stopping::Stopping;
use crate::config::{EngineLogs, EngineUrl, Restart};
use crate::engines::{Address, Engine, Local};
use crate::ids::EngineId;

/// Orders that may wait for one actor; an operator gives one after the other.
const ORDERS: usize = 16;

/// What all engines of ours are made from.
pub(super) struct Yard {
    /// Where engine logs are.
    pub(super) logs: PathBuf,
    /// What is left for the next supervisor.
    pub(super) records: Records,
    /// This program.
    pub(super) own_exe: PathBuf,
    /// How long attempts under way may go on at a stop.
    pub(super) drain: Duration,
    /// When engine logs are put aside.
    pub(super) rotation: EngineLogs,
    /// Asks engines.
    pub(super) asker: Arc<Asker>,
    /// Tells all to end.
    pub(super) stopping: Stopping,
    /// Ports, in the order in which they are given.
    pub(super) ports: Mutex<Ports>,
}

/// An engine of ours, and the way to the actor who looks after it.
pub(super) struct Member {
    /// The engine.
    pub(super) engine: Arc<Engine>,
    /// Which of its model, from 0.
    pub(super) replica: usize,
    orders: mpsc::Sender<Order>,
    /// Ends when the actor does.
    pub(super) task: JoinHandle<()>,
}

/// The way to an actor.
#[derive(Clone)]
pub(super) struct Line {
    /// Whose actor.
    pub(super) engine: Arc<Engine>,
    orders: mpsc::Sender<Order>,
}

impl Member {
    /// The way to its actor.
    pub(super) fn line(&self) -> Line {
        Line { engine: self.engine.clone(), orders: self.orders.clone() }
    }
}

impl Line {
    /// Has the engine reach `goal`, and waits for it.
    ///
    /// # Errors
    /// Why it does not.
    pub(super) async fn order(&self, goal: Goal) -> Result<(), NotDone> {
        let gone = |_| NotDone::Refused("the gateway is shutting down".into());
        let (reply, answer) = oneshot::channel();
        self.orders.send(Order { goal, reply }).await.map_err(|_| gone(()))?;
        answer.await.map_err(|_| gone(()))?
    }
}

impl Yard {
    /// The GPUs of engine number `replica` of `crew`; `None`: those that we see ourselves.
    ///
    /// # Errors
    /// Every reason why there are none, in words.
    pub(super) fn place(&self, crew: &Crew, replica: usize) -> Result<Option<Vec<String>>, String> {
        Ok(crew.listed(replica))
    }

    /// A port for an engine, held for it.
    pub(super) fn port(&self) -> Result<Held, PortError> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).hold()
    }

    /// The port of an engine that listens on it already.
    pub(super) fn port_of(&self, record: &Record) -> Result<Option<Held>, PortError> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).adopt(record.port)
    }

    /// From what engine number `replica` of `crew` is started.
    pub(super) fn recipe(&self, crew: &Crew, replica: usize, gpus: Option<Vec<String>>, port: u16) -> Recipe {
        Recipe {
            model: crew.model.clone(),
            replica,
            spawn: crew.spawn.clone(),
            gpus,
            port,
            drain: self.drain,
            own_exe: self.own_exe.clone(),
            adapters: crew.adapters.clone(),
        }
    }

    /// Engine number `replica` of `crew`, not started yet, and its actor, who waits for orders.
    pub(super) fn make(&self, crew: &Crew, replica: usize, gpus: Option<Vec<String>>, port: Held) -> Member {
        let id = EngineId::new(&crew.model.name, replica);
        let log = Log { path: self.logs.join(format!("{}.log", id.file_stem())), from: 0 };
        let recipe = self.recipe(crew, replica, gpus, port.port());
        let record = recipe.record(&super::kin::Marker::fresh(id.as_str()), &log.path);
        self.member(crew, recipe, port, log, record, Begin::Idle)
    }

    /// The engine that an earlier supervisor left with `record`, taken over.
    pub(super) fn adopt(&self, crew: &Crew, record: Record, port: Held, process: Process) -> Member {
        let log = Log { path: record.log.clone(), from: record.log_from };
        let gpus = Some(record.gpus.clone()).filter(|gpus| !gpus.is_empty());
        let recipe = self.recipe(crew, record.replica, gpus, record.port);
        let begin = Begin::Adopted(process, record.asleep);
        self.member(crew, recipe, port, log, record, begin)
    }

    fn member(&self, crew: &Crew, recipe: Recipe, port: Held, log: Log, record: Record, begin: Begin) -> Member {
        let (model, spawn, replica) = (&crew.model, &crew.spawn, recipe.replica);
        let url = EngineUrl { tls: false, host: "127.0.0.1".into(), port: port.port() };
        let address = Address { url, api_key: model.api_key.clone() };
        let socket = SocketAddr::from(([127, 0, 0, 1], port.port()));
        let local = Local { gpus: recipe.gpus.clone(), log: log.path.clone() };
        let engine = Engine::new(EngineId::new(&model.name, replica), address, Some(socket)).with_local(local);
        let engine = Arc::new(match command::keep_alive(spawn) {
            Some(time) => engine.with_keep_alive(time),
            None => engine,
        });
        let prober = Prober::new(model, engine.clone(), crew.pool.clone(), self.asker.clone(), false);
        let plan = Plan {
            engine: engine.clone(),
            memory: Memory::new(recipe.gpus.clone().unwrap_or_default()),
            recipe,
            log,
            record: Keeper::new(self.records.clone(), record),
            port,
            crashes: spawn.restart.map(|restart| Crashes::new(policy(restart))),
            start_timeout: spawn.start_timeout,
            stop_timeout: spawn.stop_timeout,
            drain: self.drain,
            hang_after: spawn.hang_after,
            rotation: self.rotation,
            needed: Prober::thresholds(model),
        };
        let (orders, received) = mpsc::channel(ORDERS);
        let actor = Actor::new(plan, prober.with_limit(spawn.hang_after), self.stopping.clone(), received);
        Member { engine, replica, orders, task: tokio::spawn(actor.run(begin)) }
    }
}

fn policy(restart: Restart) -> Policy {
    let Restart { first, most, crashes, within } = restart;
    Policy { first, max: most, crashes, within }
}
