//! Where engines of ours are made: ports, GPUs, log files, records, and the actor who looks after each.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::crew::Crew;
use super::engine::actor::{Actor, Begin, Plan};
use super::engine::memory::Memory;
use super::engine::shutdown_signal::ShutdownSignal;
use super::launch::command;
use super::launch::spec::LaunchSpec;
use super::lifecycle::backoff::{Crashes, Policy};
use super::lifecycle::orders::{Goal, NotDone, Order};
use super::process::group;
use super::process::marker::Marker;
use super::process::port::{HeldPort, PortError, Ports};
use super::process::spawn::{Log, Process};
use super::store::record::{Record, RecordKeeper, Records};
use super::store::rotate::{Rotation, Rotator};
use crate::config::{EngineUrl, Gpus, Restart};
use crate::engines::health::{Owner, Prober};
use crate::engines::{Address, Engine, EngineClient, Local};
use crate::ids::{EngineId, Name};
use crate::inventory::Monitor;
use crate::placement::{self, Assignment, Conflict, Demand};

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
    pub(super) rotation: Rotation,
    /// Asks engines.
    pub(super) client: Arc<EngineClient>,
    /// Tells all to end.
    pub(super) stopping: ShutdownSignal,
    /// Ports, in the order in which they are given.
    pub(super) ports: Mutex<Ports>,
    /// The GPUs of this machine.
    pub(super) monitor: Monitor,
    /// Who was given which of them.
    pub(super) placed: Mutex<BTreeMap<EngineId, Placed>>,
    /// Held from a look at what is placed until what was found is noted: two must not find the same room.
    pub(super) placing: Arc<tokio::sync::Mutex<()>>,
}

/// What an engine was given.
pub(super) struct Placed {
    engine: Arc<Engine>,
    model: Name,
    gpus: Vec<String>,
    share: f64,
    /// Whether the engine does not know of it yet.
    reserved: bool,
}

impl Placed {
    fn held(&self) -> placement::Held {
        // What its processes hold is no stranger's.
        let pids = self.engine.process.pid().map_or_else(Vec::new, group::members);
        placement::Held {
            engine: self.engine.id.clone(),
            model: self.model.clone(),
            gpus: self.gpus.clone(),
            share: self.share,
            pids,
        }
    }
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

/// What a member is made from, beside what all of its crew have.
struct Parts {
    recipe: LaunchSpec,
    /// Whether it wants GPUs and has none yet.
    wanting: bool,
    port: HeldPort,
    log: Log,
    record: Record,
    begin: Begin,
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
    /// The GPUs of each engine in `demands`, beside all that have some; `None`: those that we see
    /// ourselves. Whoever asks holds `placing`.
    ///
    /// # Errors
    /// Every reason why they cannot all run, in words.
    pub(super) async fn place(&self, demands: &[Demand]) -> Result<Vec<Option<Vec<String>>>, String> {
        if demands.iter().all(|demand| demand.gpus == Gpus::AsVisible) {
            return Ok(vec![None; demands.len()]);
        }
        let inventory = self.monitor.refreshed().await;
        let held: Vec<placement::Held> = self.placed().values().map(Placed::held).collect();
        let words = |conflicts: Vec<Conflict>| conflicts.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        let assigned = placement::place(&inventory, demands, &held).map_err(words)?;
        let texts = |assignment: &Assignment| {
            let places = assignment.gpus.as_ref()?;
            Some(places.iter().map(|place| place.text.clone()).collect())
        };
        Ok(assigned.iter().map(texts).collect())
    }

    fn placed(&self) -> MutexGuard<'_, BTreeMap<EngineId, Placed>> {
        self.placed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that `engine` has `gpus`; `reserved`: and will ask for them.
    fn note(&self, engine: &Arc<Engine>, demand: &Demand, gpus: Option<Vec<String>>, reserved: bool) {
        let placed = Placed {
            engine: engine.clone(),
            model: demand.model.clone(),
            gpus: gpus.clone().unwrap_or_default(),
            share: demand.share,
            reserved,
        };
        engine.process.set_gpus(gpus);
        self.placed().insert(engine.id.clone(), placed);
    }

    /// Finds GPUs for all these engines at once, before each of them asks. Where they cannot all have some, those that
    /// can do: one that cannot run is no reason for the others not to.
    pub(super) async fn reserve(&self, mut wanting: Vec<(Arc<Engine>, Demand)>) {
        let demands: Vec<Demand> = wanting.iter().map(|(_, demand)| demand.clone()).collect();
        if let Ok(all) = self.place(&demands).await {
            for ((engine, demand), gpus) in wanting.iter().zip(all) {
                self.note(engine, demand, gpus, true);
            }
            return;
        }
        // Those with the least choice first.
        wanting.sort_by_key(|(_, demand)| match demand.gpus {
            Gpus::Any(count) => (true, Reverse(count)),
            Gpus::Listed(_) | Gpus::AsVisible => (false, Reverse(0)),
        });
        for (engine, demand) in &wanting {
            if let Ok(mut gpus) = self.place(std::slice::from_ref(demand)).await {
                self.note(engine, demand, gpus.pop().flatten(), true);
            }
        }
    }

    /// Finds GPUs for an engine that has none, or lost one.
    ///
    /// # Errors
    /// Every reason why there are none, in words.
    pub(super) async fn find(&self, engine: &Arc<Engine>, recipe: &mut LaunchSpec) -> Result<(), String> {
        let _placing = self.placing.lock().await;
        let mut reserved = None;
        if let Some(placed) = self.placed().get_mut(&engine.id).filter(|placed| placed.reserved) {
            placed.reserved = false;
            reserved = Some(placed.gpus.clone());
        }
        if reserved.is_some() {
            recipe.gpus = reserved;
            return Ok(());
        }
        self.forget(&engine.id);
        engine.process.set_gpus(Some(vec![]));
        let demand = recipe.demand();
        recipe.gpus = self.place(std::slice::from_ref(&demand)).await?.pop().flatten();
        self.note(engine, &demand, recipe.gpus.clone(), false);
        Ok(())
    }

    /// An engine is no more: its GPUs are free for others.
    pub(super) fn forget(&self, engine: &EngineId) {
        self.placed().remove(engine);
    }

    /// A port for an engine, held for it.
    pub(super) fn port(&self) -> Result<HeldPort, PortError> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).hold()
    }

    /// The port of an engine that listens on it already.
    pub(super) fn port_of(&self, record: &Record) -> Result<Option<HeldPort>, PortError> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).adopt(record.port)
    }

    /// From what engine number `replica` of `crew` is started.
    pub(super) fn recipe(&self, crew: &Crew, replica: usize, gpus: Option<Vec<String>>, port: u16) -> LaunchSpec {
        LaunchSpec {
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

    /// Engine number `replica` of `crew`, not started yet, and its actor, who waits for orders. Where it was not given
    /// the GPUs it wants, it looks for them when it is to start.
    pub(super) fn make(
        self: &Arc<Self>,
        crew: &Crew,
        replica: usize,
        gpus: Option<Vec<String>>,
        port: HeldPort,
    ) -> Member {
        let wanting = gpus.is_none() && crew.spawn.gpus != Gpus::AsVisible;
        let id = EngineId::new(&crew.model.name, replica);
        let log = Log { path: self.logs.join(format!("{}.log", id.file_stem())), from: 0 };
        let recipe = self.recipe(crew, replica, gpus, port.port());
        let record = recipe.record(&Marker::fresh(id.as_str()), &log.path);
        self.member(crew, Parts { recipe, wanting, port, log, record, begin: Begin::Idle })
    }

    /// The engine that an earlier supervisor left with `record`, taken over.
    pub(super) fn adopt(self: &Arc<Self>, crew: &Crew, record: Record, port: HeldPort, process: Process) -> Member {
        let log = Log { path: record.log.clone(), from: record.log_from };
        let gpus = Some(record.gpus.clone()).filter(|gpus| !gpus.is_empty());
        let recipe = self.recipe(crew, record.replica, gpus, record.port);
        let begin = Begin::Adopted(process, record.asleep);
        self.member(crew, Parts { recipe, wanting: false, port, log, record, begin })
    }

    /// Puts together an engine of `crew` and its actor, who begins at once.
    fn member(self: &Arc<Self>, crew: &Crew, parts: Parts) -> Member {
        let Parts { recipe, wanting, port, log, record, begin } = parts;
        let (model, spawn, replica) = (&crew.model, &crew.spawn, recipe.replica);
        let url = EngineUrl { tls: false, host: "127.0.0.1".into(), port: port.port() };
        let address = Address { url, api_key: model.api_key.clone() };
        let socket = SocketAddr::from(([127, 0, 0, 1], port.port()));
        let local = Local { log: log.path.clone() };
        let engine = Engine::new(EngineId::new(&model.name, replica), address, Some(socket)).with_local(local);
        let engine = Arc::new(match command::keep_alive(spawn) {
            Some(time) => engine.with_keep_alive(time),
            None => engine,
        });
        let prober = Prober::new(model, engine.clone(), crew.pool.clone(), self.client.clone(), Owner::Us);
        let plan = Plan {
            engine: engine.clone(),
            yard: self.clone(),
            wanting,
            memory: Memory::new(self.monitor.clone(), recipe.gpus.clone().unwrap_or_default()),
            recipe,
            log,
            record: RecordKeeper::new(self.records.clone(), record),
            port,
            crashes: spawn.restart.map(|restart| Crashes::new(policy(restart))),
            start_timeout: spawn.start_timeout,
            stop_timeout: spawn.stop_timeout,
            drain: self.drain,
            hang_after: spawn.stall_timeout,
            client: self.client.clone(),
            rotator: Rotator::new(self.rotation),
            needed: Prober::thresholds(model),
        };
        if wanting {
            engine.process.set_gpus(Some(vec![]));
        } else {
            self.note(&engine, &plan.recipe.demand(), plan.recipe.gpus.clone(), false);
        }
        if let Begin::Adopted(process, _) = &begin {
            engine.process.set_pid(u32::try_from(process.pid()).ok());
        }
        let (orders, received) = mpsc::channel(ORDERS);
        let actor = Actor::new(plan, prober.with_stall_timeout(spawn.stall_timeout), self.stopping.clone(), received);
        Member { engine, replica, orders, task: tokio::spawn(actor.run(begin)) }
    }
}

fn policy(restart: Restart) -> Policy {
    let Restart { initial_backoff, max_backoff, crashes, within } = restart;
    Policy { first: initial_backoff, max: max_backoff, crashes, within }
}
