//! Does what `reconcile` says. Each action that is done shows in what is compared next.

use super::actor::Fleet;
use super::actual::Placement;
use super::model::{ManagedModel, Replica};
use super::reconcile::{Action, Which};
use super::work::{Finished, Placed};
use crate::api::StopReason;
use crate::ids::Name;
use crate::supervisor::allocator::GpuGrant;
use crate::supervisor::engine::factory::Blueprint;
use crate::supervisor::engine::handle::Message;
use crate::supervisor::launch::spec::{LaunchSpec, StartedWith};
use crate::supervisor::lifecycle::orders::{Done, Goal};
use crate::supervisor::lifecycle::terms::Stage;

/// Weights are kept in host memory, so that an engine wakes within seconds.
const SLEEP_LEVEL: u8 = 1;

impl Fleet {
    /// Does it; whether it is done.
    pub(super) fn perform(&mut self, action: &Action) -> bool {
        tracing::debug!(?action, "fleet");
        match action {
            Action::Create((name, number)) => self.create(name, *number, None),
            Action::Place(all) => self.place(all),
            Action::Wait(which, order) => self.with(which, |_, replica| {
                replica.waits_for = Some(*order);
                replica.handle.tell(Message::WaitsFor(*order));
            }),
            Action::Start(which) => self.with(which, |_, replica| replica.start()),
            Action::Stop(which) => self.with(which, |_, replica| {
                replica.set_stage(Stage::Stopping);
                drop(replica.handle.order(Goal::Stop));
            }),
            Action::Rest(which) => self.rest(which),
            Action::Wake(which) => self.with(which, |_, replica| {
                replica.set_stage(Stage::Starting);
                drop(replica.handle.order(Goal::Wake));
            }),
            Action::ForgetStop((name, number)) => {
                self.orders.start(name, *number);
                true
            }
            Action::Remove(which, reason) => self.remove(which, *reason),
            Action::Retune(which) => self.retune(which),
            Action::BeginRoll(name, count) => self.with_model(name, |model| model.roll.begin(name, *count)),
            Action::FailRoll((name, number)) => self.with_model(name, |model| {
                let failure = model.failure(*number);
                model.roll.end(name, failure);
            }),
            Action::FinishRoll(name) => self.with_model(name, |model| model.roll.end(name, None)),
        }
    }

    fn with_model(&mut self, name: &Name, change: impl FnOnce(&mut ManagedModel)) -> bool {
        let model = self.models.iter_mut().find(|model| model.name() == name);
        model.map(change).is_some()
    }

    /// Changes an engine; what it is of stays as it is.
    fn with(&mut self, (name, number): &Which, change: impl FnOnce(&LaunchSpec, &mut Replica)) -> bool {
        let Some(model) = self.models.iter_mut().find(|model| model.name() == name) else { return false };
        let spec = model.spec.clone();
        model.replica(*number).map(|replica| change(&spec, replica)).is_some()
    }

    /// Makes an engine, on these GPUs where they were found already. Not while an earlier attempt just failed.
    pub(super) fn create(&mut self, name: &Name, number: usize, grant: Option<GpuGrant>) -> bool {
        let Some(launcher) = self.home.as_ref().map(|home| home.launcher.clone()) else { return false };
        if self.unmade.contains(name) {
            return false;
        }
        let port = match self.hold_port(name, number) {
            Ok(port) => port,
            Err(error) => {
                tracing::error!(model = %name, %error, "an engine cannot be started; it is tried again in a while");
                self.retry_later(name);
                return false;
            }
        };
        let Some(model) = self.models.iter_mut().find(|model| model.name() == name) else { return false };
        let spec = model.spec.clone();
        let placement = if grant.is_some() || !spec.wants_gpus() { Placement::Settled } else { Placement::Wanted };
        let started_with =
            StartedWith { fingerprint: spec.fingerprint().to_owned(), listed: spec.listed(number), gpus: vec![] };
        let job = launcher.job(&spec, number, port);
        model.name_pool();
        let blueprint = Blueprint { spec, replica: number, grant, pool: model.pool.clone(), found: None };
        model.add(number, self.parts.factory.make(blueprint, job), (started_with, placement), &mut self.engines);
        true
    }

    fn place(&mut self, all: &[Which]) -> bool {
        let mut demands = Vec::new();
        let mut tasks = Vec::new();
        for which in all {
            self.with(which, |spec, replica| {
                replica.placement = Placement::Pending;
                demands.push(spec.demand(replica.number));
                tasks.push(replica.task);
            });
        }
        let (allocator, is_any) = (self.parts.factory.allocator.clone(), !tasks.is_empty());
        self.work.spawn(async move {
            let grants = allocator.reserve(&demands).await;
            Finished::Placed(tasks.into_iter().zip(grants).map(|(task, grant)| Placed { task, grant }).collect())
        });
        is_any
    }

    /// GPUs were looked for. An engine that got none looks for itself when it starts, and tells why there are none.
    pub(super) fn placed(&mut self, all: Vec<Placed>) {
        for placed in all {
            let mut replicas = self.models.iter_mut().flat_map(|model| &mut model.replicas);
            let Some(replica) = replicas.find(|replica| replica.task == placed.task) else { continue };
            replica.placement = Placement::Settled;
            if let Some(grant) = placed.grant {
                replica.handle.tell(Message::Grant(grant));
            }
        }
    }

    /// Has an engine sleep. One that does not ends instead.
    fn rest(&mut self, which: &Which) -> bool {
        let Some(model) = self.models.iter_mut().find(|model| *model.name() == which.0) else { return false };
        let Some(replica) = model.replica(which.1) else { return false };
        replica.set_stage(Stage::FallingAsleep);
        let (task, done) = (replica.task, replica.handle.order(Goal::Rest(SLEEP_LEVEL)));
        self.work.spawn(async move { Finished::Rested(task, done.await.unwrap_or(Ok(()))) });
        true
    }

    /// An engine sleeps, or does not.
    pub(super) fn rested(&mut self, task: tokio::task::Id, done: Done) {
        let Err(error) = done else { return };
        let mut replicas = self.models.iter_mut().flat_map(|model| &mut model.replicas);
        let Some(replica) = replicas.find(|replica| replica.task == task) else { return };
        let engine = &replica.handle.engine.id;
        tracing::warn!(%engine, %error, "the engine does not sleep, and ends to make room");
        replica.cannot_sleep = true;
        if replica.stage == Stage::FallingAsleep {
            replica.set_stage(Stage::Ready);
        }
    }

    fn remove(&mut self, which: &Which, reason: StopReason) -> bool {
        let (name, number) = which;
        if reason == StopReason::Stop {
            // It is not there to stay stopped.
            self.orders.start(name, *number);
        }
        self.with(which, |_, replica| {
            replica.is_leaving = true;
            drop(replica.handle.order(Goal::Dismiss(reason)));
        })
    }

    fn retune(&mut self, which: &Which) -> bool {
        let Some(model) = self.models.iter_mut().find(|model| *model.name() == which.0) else { return false };
        let (spec, pool) = (model.spec.clone(), model.pool.clone());
        let Some(replica) = model.replica(which.1) else { return false };
        let prober = self.parts.factory.prober(&spec, replica.handle.engine.clone(), pool);
        replica.spec = spec.clone();
        replica.handle.tell(Message::Retune(spec, Box::new(prober)));
        true
    }
}
