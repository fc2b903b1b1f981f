//! One model as the fleet keeps it: what is wanted of it, its engines, and the replacement of these.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::actual::{ActualReplica, Placement};
use super::desired::DesiredModel;
use super::on_demand::OnDemand;
use super::rollout::Roll;
use crate::api::{EngineState, RollFailure};
use crate::engines::{Owner, Pool};
use crate::ids::Name;
use crate::supervisor::engine::factory::NewEngine;
use crate::supervisor::engine::handle::EngineHandle;
use crate::supervisor::launch::spec::{LaunchSpec, StartedWith};
use crate::supervisor::lifecycle::orders::{Done, Goal};
use crate::supervisor::lifecycle::terms::Stage;
use crate::supervisor::store::orders::Orders;
use crate::supervisor::terms::ControlError;

/// One model.
pub(super) struct ManagedModel {
    /// How its engines are to be run.
    pub(super) spec: Arc<LaunchSpec>,
    /// Whether the configuration has it; its engines end otherwise.
    pub(super) is_wanted: bool,
    /// Where requests find its engines.
    pub(super) pool: Arc<Pool>,
    /// Its engines, in the order of their numbers.
    pub(super) replicas: Vec<Replica>,
    /// The replacement of its engines.
    pub(super) roll: Roll,
    /// What changes several of its engines, so that nothing else may.
    pub(super) change: Option<Change>,
    /// An adapter that engines are just being told of: nobody can ask for it yet.
    pub(super) new_adapter: Option<Name>,
    /// When a request last found no engine.
    pub(super) last_demand: Option<Instant>,
    /// Whether it has GPUs, where it is loaded on demand.
    pub(super) on_demand: OnDemand,
    /// Whether requests are under way on it or wait for it, when that was looked at last.
    pub(super) is_busy: bool,
    /// Whether the fleet will hear when requests can go to other engines of a model that is not wanted any more.
    pub(super) is_handover_awaited: bool,
}

/// A change of several engines of a model that is under way.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// What it is, for people.
    pub(super) what: &'static str,
    /// Tells it from every other one.
    token: Arc<()>,
}

impl Change {
    /// One that begins.
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, token: Arc::default() }
    }
}

/// One engine.
pub(super) struct Replica {
    /// Which of its model, from 0.
    pub(super) number: usize,
    /// The engine, and the way to its actor.
    pub(super) handle: EngineHandle,
    /// Its actor's task.
    pub(super) task: tokio::task::Id,
    /// How it goes on.
    pub(super) spec: Arc<LaunchSpec>,
    /// What it was started with; the GPUs it has are the engine's to tell.
    pub(super) started_with: StartedWith,
    /// Of which roll it is; see [`Roll::generation`].
    pub(super) generation: u64,
    /// Where it is.
    pub(super) stage: Stage,
    /// See [`ActualReplica::is_settled`].
    pub(super) is_settled: bool,
    /// Whether it sleeps or is waking up.
    pub(super) is_asleep: bool,
    /// Whether it was told to end for good.
    pub(super) is_leaving: bool,
    /// Whether it did not sleep when it was told to.
    pub(super) cannot_sleep: bool,
    /// Whether an operator wants it started anew, also where it sleeps.
    pub(super) is_restart_ordered: bool,
    /// Whether GPUs were found for it.
    pub(super) placement: Placement,
    /// The start order that it was told it waits for.
    pub(super) waits_for: Option<u32>,
    /// Who waits for its end.
    pub(super) gone: Vec<oneshot::Sender<Done>>,
}

impl Replica {
    /// What it was started with, and the GPUs it has.
    pub(super) fn started_with(&self) -> StartedWith {
        let gpus = self.handle.engine.process.gpus().map(|gpus| gpus.to_vec()).unwrap_or_default();
        StartedWith { gpus, ..self.started_with.clone() }
    }

    /// Has it start, without anybody waiting for it.
    pub(super) fn start(&mut self) {
        self.stage = Stage::Starting;
        drop(self.handle.order(Goal::Start));
    }

    /// Notes where it is.
    pub(super) fn set_stage(&mut self, stage: Stage) {
        self.stage = stage;
        self.is_asleep = stage.sleeps() || (stage == Stage::Starting && self.is_asleep);
        self.is_settled |= !matches!(stage, Stage::Idle | Stage::Starting | Stage::Stopping);
    }
}

impl ManagedModel {
    /// A model that has no engines yet.
    pub(super) fn new(spec: LaunchSpec, pool: Arc<Pool>) -> Self {
        let on_demand = OnDemand::new(!spec.spawn.load.is_on_demand());
        Self {
            on_demand,
            is_busy: false,
            spec: Arc::new(spec),
            is_wanted: true,
            pool,
            replicas: vec![],
            roll: Roll::default(),
            change: None,
            new_adapter: None,
            last_demand: None,
            is_handover_awaited: false,
        }
    }

    /// Its name.
    pub(super) fn name(&self) -> &Name {
        &self.spec.model.name
    }

    /// Takes note of whether the configuration has it run here. Engines of a model that others run from now on serve until
    /// one of those does.
    pub(super) fn set_wanted(&mut self, is_wanted: bool) {
        self.is_wanted = is_wanted;
        if !is_wanted {
            let why = || ControlError::Failed(format!("a reload took `{}` away", self.spec.model.name));
            self.roll.waiting.drain(..).for_each(|waiting| _ = waiting.send(Err(why())));
        }
        self.replicas.iter().for_each(|replica| replica.handle.engine.set_retiring(!is_wanted));
    }

    /// Notes that `change` is over, if it was of this model.
    pub(super) fn end_change(&mut self, change: &Change) {
        if self.change.as_ref().is_some_and(|own| Arc::ptr_eq(&own.token, &change.token)) {
            (self.change, self.new_adapter) = (None, None);
        }
    }

    /// How many engines it is to have.
    pub(super) fn wanted_replicas(&self, orders: &Orders) -> usize {
        orders.replicas(self.name(), self.spec.spawn.replicas)
    }

    /// The replica of that number.
    pub(super) fn replica(&mut self, number: usize) -> Option<&mut Replica> {
        self.replicas.iter_mut().find(|replica| replica.number == number)
    }

    /// Takes in engine number `number`, which was just made, and has its actor run among `tasks`.
    pub(super) fn add(
        &mut self,
        number: usize,
        made: NewEngine,
        (started_with, placement): (StartedWith, Placement),
        tasks: &mut JoinSet<()>,
    ) {
        self.replicas.push(Replica {
            number,
            handle: made.handle,
            task: tasks.spawn(made.life).id(),
            spec: self.spec.clone(),
            started_with,
            generation: self.roll.generation,
            stage: Stage::Idle,
            is_settled: false,
            is_asleep: false,
            is_leaving: false,
            cannot_sleep: false,
            is_restart_ordered: false,
            placement,
            waits_for: None,
            gone: vec![],
        });
        self.replicas.sort_by_key(|replica| replica.number);
    }

    /// What should run of it.
    pub(super) fn desired(&self, orders: &Orders) -> DesiredModel {
        DesiredModel {
            name: self.name().clone(),
            replicas: self.wanted_replicas(orders),
            start_order: self.spec.spawn.start_order,
            stopped: orders.stopped(self.name()),
            is_stopped: orders.is_stopped(self.name()),
            roll: self.roll.phase(),
            is_held: self.change.is_some(),
            residency: self.residency(orders.is_stopped(self.name())),
        }
    }

    /// What runs of it.
    pub(super) fn actual(&self) -> Vec<ActualReplica> {
        self.replicas.iter().map(|replica| self.actual_replica(replica)).collect()
    }

    fn actual_replica(&self, replica: &Replica) -> ActualReplica {
        let is_misnamed = replica.spec.served_name() != self.spec.served_name();
        ActualReplica {
            number: replica.number,
            stage: replica.stage,
            is_settled: replica.is_settled,
            is_outdated: self.is_to_be_replaced(replica),
            is_misnamed,
            is_untuned: !self.is_outdated(replica) && !replica.spec.is_tuned_like(&self.spec),
            is_leaving: replica.is_leaving,
            cannot_sleep: replica.cannot_sleep,
            placement: replica.placement,
            waits_for: replica.waits_for,
        }
    }

    /// Whether `replica` is to be replaced now. One that sleeps is replaced once it is awake: a new one would take the GPU
    /// memory that it was told to give back.
    fn is_to_be_replaced(&self, replica: &Replica) -> bool {
        let sleeps_on =
            replica.is_asleep && replica.spec.served_name() == self.spec.served_name() && !replica.is_restart_ordered;
        !sleeps_on && self.is_outdated(replica)
    }

    /// Whether `replica` was started with what the configuration does not say any more, or is to be replaced for another
    /// reason.
    pub(super) fn is_outdated(&self, replica: &Replica) -> bool {
        replica.generation != self.roll.generation
            || replica.spec.served_name() != self.spec.served_name()
            || self.spec.difference(replica.number, &replica.started_with()).is_some()
    }

    /// How many of its engines are to be replaced now.
    pub(super) fn outdated(&self) -> usize {
        self.replicas.iter().filter(|replica| !replica.is_leaving && self.is_to_be_replaced(replica)).count()
    }

    /// Takes another way to run its engines, which may be the same.
    pub(super) fn take(&mut self, mut spec: LaunchSpec, pool: Arc<Pool>) {
        if spec.spawn.lora == self.spec.spawn.lora {
            spec.adapters = self.spec.adapters.clone();
        } else if spec.spawn.takes_lora {
            // Those that operators added stay beside those of the file.
            let before = self.spec.adapters.load();
            let added = before.iter().filter(|(name, _)| !self.spec.spawn.lora.contains_key(*name));
            let mut all = spec.adapters.load().as_ref().clone();
            added.for_each(|(name, path)| _ = all.entry(name.clone()).or_insert_with(|| path.clone()));
            spec.adapters.store(Arc::new(all));
        }
        let starts_alike = spec.fingerprint() == self.spec.fingerprint() && spec.spawn.gpus == self.spec.spawn.gpus;
        if !starts_alike || spec.served_name() != self.spec.served_name() {
            self.roll.resume();
        }
        (self.spec, self.pool) = (Arc::new(spec), pool);
        self.set_wanted(true);
    }

    /// Has requests say the name that its engines know it by, unless they go to others yet, which know it by another one.
    pub(super) fn name_pool(&self) {
        let name = self.replicas.first().map_or(&self.spec, |replica| &replica.spec).served_name();
        if self.pool.served_name().as_ref() != Some(name) && self.pool.may_be_named(name) {
            self.pool.set_served_name(Some(name.clone()));
        }
    }

    /// Shows its engines to requests.
    pub(super) fn show_engines(&self) {
        let engines = self.replicas.iter().map(|replica| replica.handle.engine.clone());
        self.pool.set_engines(Owner::Us, engines.collect());
    }

    /// Tells requests what all of its engines serve. Returns whether the names that can be asked for have changed.
    pub(super) fn show(&self) -> bool {
        self.name_pool();
        let mut names: BTreeMap<Name, String> = self.spec.adapters.load().as_ref().clone();
        names.retain(|name, _| self.new_adapter.as_ref() != Some(name));
        for replica in self.replicas.iter().filter(|replica| !replica.is_leaving) {
            let known = replica.spec.adapters.load();
            names.retain(|name, _| known.contains_key(name));
        }
        let names: Vec<Name> = names.into_keys().collect();
        let is_new = *self.pool.adapters() != names;
        if is_new {
            self.pool.set_adapters(names);
        }
        is_new
    }

    /// Why its engine `number` failed.
    pub(super) fn failure(&mut self, number: usize) -> Option<RollFailure> {
        let engine = &self.replica(number)?.handle.engine;
        let cause = match &*engine.state() {
            EngineState::Failed(failure) => Some(failure.cause.clone()),
            _ => None,
        };
        Some(RollFailure { engine: engine.id.to_string(), cause })
    }

    /// How long its last start took that is known of.
    pub(super) fn start_took(&self) -> Option<Duration> {
        self.replicas.iter().filter_map(|replica| replica.handle.engine.process.start_took()).max()
    }
}
