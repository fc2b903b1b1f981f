//! One model as the fleet keeps it: what is wanted of it, its engines, and the replacement of these.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::actual::{ActualReplica, Placement};
use super::desired::{DesiredModel, Residency, RollPhase};
use super::on_demand::OnDemand;
use super::turns::Turn;
use crate::api::{EngineState, RollFailure, RollState, RollStatus};
use crate::config::{Gpus, Idle, Load};
use crate::engines::{Owner, Pool};
use crate::ids::{EngineId, Name};
use crate::placement::Demand;
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

/// The replacement of a model's engines, one after the other.
#[derive(Default)]
pub(super) struct Roll {
    /// Engines of an earlier one are to be replaced although they were started as the configuration says.
    pub(super) generation: u64,
    /// The last one, and what is told of it.
    pub(super) status: Option<RollStatus>,
    /// Who waits for its end.
    pub(super) waiting: Vec<oneshot::Sender<Done>>,
}

impl Roll {
    /// Where it is.
    pub(super) fn phase(&self) -> RollPhase {
        match self.status.as_ref().map(|status| status.state) {
            Some(RollState::Rolling) => RollPhase::Rolling,
            Some(RollState::Failed | RollState::Cancelled) => RollPhase::Failed,
            Some(RollState::Done) | None => RollPhase::None,
        }
    }

    /// Lets a roll that failed or was cancelled go on.
    pub(super) fn resume(&mut self) {
        if self.phase() == RollPhase::Failed {
            self.status = None;
        }
    }

    /// Notes that `count` engines are to be replaced.
    pub(super) fn begin(&mut self, model: &Name, count: usize) {
        tracing::info!(%model, count, "the engines of a model are being replaced");
        self.status = Some(RollStatus { state: RollState::Rolling, done: 0, total: count, cause: None });
    }

    /// Notes how many are still to be replaced.
    pub(super) fn progress(&mut self, outdated: usize) {
        if let Some(status) = self.status.as_mut().filter(|status| status.state == RollState::Rolling) {
            status.total = status.total.max(outdated);
            status.done = status.total - outdated;
        }
    }

    /// Ends it where it is, because an operator wants that.
    pub(super) fn cancel(&mut self, model: &Name) {
        let Some(status) = &mut self.status else { return };
        status.state = RollState::Cancelled;
        let RollStatus { done, total, .. } = status;
        tracing::warn!(%model, done, total, "the replacement of a model's engines was cancelled; the others are left as they are");
        let told =
            format!("the roll was cancelled: {done} of {total} engines are replaced, the others are left as they are");
        self.waiting.drain(..).for_each(|waiting| _ = waiting.send(Err(ControlError::Failed(told.clone()))));
    }

    /// Notes its end, and tells those who waited for it.
    pub(super) fn end(&mut self, model: &Name, failure: Option<RollFailure>) {
        let done = match &failure {
            None => {
                tracing::info!(%model, "the engines of a model are replaced");
                Ok(())
            }
            Some(why) => {
                tracing::error!(%model, %why, "the replacement of a model's engines has stopped; the others are left as they were");
                Err(ControlError::Failed(format!("{why}. The others were left as they were.")))
            }
        };
        if let Some(status) = &mut self.status {
            status.state = if failure.is_some() { RollState::Failed } else { RollState::Done };
            status.cause = failure;
        }
        self.waiting.drain(..).for_each(|waiting| _ = waiting.send(done.clone()));
    }
}

impl Replica {
    /// What it was started with, and the GPUs it has.
    fn started_with(&self) -> StartedWith {
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

    /// Whether it is loaded when a request needs it.
    pub(super) fn is_on_demand(&self) -> bool {
        self.spec.spawn.load.is_on_demand()
    }

    /// When its engines give their GPUs back because nobody uses them.
    pub(super) fn idle(&self) -> Idle {
        match self.spec.spawn.load {
            Load::OnDemand(idle) => idle,
            Load::Eager => Idle::default(),
        }
    }

    /// Its engines that sleep.
    pub(super) fn sleepers(&self) -> Vec<EngineId> {
        let asleep = self.replicas.iter().filter(|replica| !replica.is_leaving && replica.stage == Stage::Asleep);
        asleep.map(|replica| replica.handle.engine.id.clone()).collect()
    }

    /// What engine number `number` is to have: what it has, where it sleeps.
    pub(super) fn demand(&self, number: usize) -> Demand {
        let demand = self.spec.demand(number);
        let asleep = self.replicas.iter().find(|it| it.number == number && it.stage == Stage::Asleep && !it.is_leaving);
        let gpus = asleep.map(|replica| replica.started_with().gpus).filter(|gpus| !gpus.is_empty());
        Demand { gpus: gpus.map_or(demand.gpus, Gpus::Listed), ..demand }
    }

    /// What is to become of its engines.
    fn residency(&self, is_stopped: bool) -> Residency {
        let is_present = self.replicas.iter().any(|replica| !replica.is_leaving);
        match self.on_demand.turn {
            Turn::In if self.is_on_demand() => Residency::Loaded,
            Turn::In => Residency::Kept,
            _ if is_stopped => Residency::Kept,
            Turn::Resting => Residency::Asleep,
            Turn::Next if is_present => Residency::Asleep,
            Turn::Next | Turn::Out => Residency::None,
        }
    }

    /// Tells operators who wait for it to be loaded.
    pub(super) fn answer_loads(&mut self) {
        if self.on_demand.turn != Turn::In {
            return;
        }
        let present = || self.replicas.iter().filter(|replica| !replica.is_leaving);
        if present().any(|replica| replica.stage == Stage::Ready) {
            self.on_demand.answer(&Ok(()));
        } else if present().next().is_some() && present().all(|replica| replica.stage == Stage::Failed) {
            let causes = present().filter_map(|replica| match &*replica.handle.engine.state() {
                EngineState::Failed(failure) => Some(failure.cause.to_string()),
                _ => None,
            });
            let why = causes.last().unwrap_or_else(|| "it failed".to_owned());
            self.on_demand.answer(&Err(ControlError::Failed(why)));
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
