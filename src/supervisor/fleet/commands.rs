//! What operators order: one engine or all of a model, how many there are, a replacement of all.

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::actor::Fleet;
use super::desired::RollPhase;
use super::model::Change;
use super::request::{Pending, Reply, Request, answer};
use super::turns::Turn;
use super::work::{Finished, ScaleRoom};
use crate::ids::Name;
use crate::supervisor::lifecycle::orders::{Done, Goal};
use crate::supervisor::lifecycle::terms::Stage;
use crate::supervisor::terms::{Command, ControlError, Order};

impl Fleet {
    /// Does what is asked for, or begins to.
    pub(super) fn request(&mut self, request: Request) {
        match request {
            Request::Order(order, reply) => self.order(order, reply),
            Request::Written(done) => {
                let written = self.home.as_ref().map(|home| home.orders.written());
                tokio::spawn(async move {
                    if let Some(written) = written {
                        written.await;
                    }
                    let _ = done.send(());
                });
            }
            Request::Apply(prepared, done) => {
                let _ = done.send(self.apply(*prepared));
            }
        }
    }

    fn order(&mut self, order: Order, reply: Reply) {
        match order {
            Order::Engine(id, command) => answer(reply, self.command_engine(&id, command)),
            Order::Model(model, command) => answer(reply, self.command_model(&model, command)),
            Order::Roll(model) => answer(reply, self.roll(&model)),
            Order::CancelRoll(model) => answer(reply, self.cancel_roll(&model)),
            Order::Scale(model, count) => self.scale(&model, count, reply),
            Order::AddAdapter(model, adapter) => self.add_adapter(&model, adapter, reply),
            Order::RemoveAdapter(model, name) => self.remove_adapter(&model, &name, reply),
        }
    }

    /// The model of that name, by its place.
    pub(super) fn model_at(&self, name: &str) -> Result<usize, ControlError> {
        let at = self.models.iter().position(|model| model.is_wanted && **model.name() == *name);
        at.ok_or_else(|| ControlError::Unknown(format!("There is no model `{name}` whose engines are run here.")))
    }

    fn command_engine(&mut self, id: &str, command: Command) -> Result<Pending, ControlError> {
        let goal = Goal::of(command)?;
        let found = self.models.iter().enumerate().find_map(|(at, model)| {
            let mut replicas = model.replicas.iter().filter(|replica| !replica.is_leaving);
            Some((at, replicas.find(|replica| replica.handle.engine.id.as_str() == id)?.number))
        });
        let unknown = || ControlError::Unknown(format!("There is no engine `{id}` that is run here."));
        let (at, number) = found.ok_or_else(unknown)?;
        if let Some(pending) = self.command_on_demand(at, goal)? {
            return Ok(pending);
        }
        Ok(self.command(at, number, goal).into_iter().collect())
    }

    fn command_model(&mut self, model: &str, command: Command) -> Result<Pending, ControlError> {
        let (at, goal) = (self.model_at(model)?, Goal::of(command)?);
        if let Some(pending) = self.command_on_demand(at, goal)? {
            return Ok(pending);
        }
        let replicas = self.models[at].replicas.iter().filter(|replica| !replica.is_leaving);
        let numbers: Vec<usize> = replicas.map(|replica| replica.number).collect();
        Ok(numbers.into_iter().filter_map(|number| self.command(at, number, goal)).collect())
    }

    /// Begins what means another thing of a model that is loaded on demand than of others, whichever of its engines was named:
    /// it is loaded when there is room for it, and what gives its GPUs back does so as a whole. `None`: it means the same.
    fn command_on_demand(&mut self, at: usize, goal: Goal) -> Result<Option<Pending>, ControlError> {
        let model = &mut self.models[at];
        let name = model.name().clone();
        let is_stopped = self.orders.is_stopped(&name);
        let means_the_same = !model.is_on_demand() || (!is_stopped && !matches!(goal, Goal::Sleep(_)));
        // One that was loaded on demand, and is to be loaded for good now, has to get its turn, too.
        if model.on_demand.turn == Turn::In && means_the_same {
            return Ok(None);
        }
        match goal {
            Goal::Start | Goal::Restart | Goal::Wake => {
                let stopped = self.orders.stopped(&name);
                stopped.into_iter().for_each(|number| self.orders.start(&name, number));
                model.roll.resume();
                return Ok(Some(vec![(name.to_string(), model.on_demand.order())]));
            }
            Goal::Stop if !is_stopped => {
                let count = model.wanted_replicas(&self.orders);
                (0..count).for_each(|number| self.orders.stop(&name, number, count));
            }
            Goal::Sleep(_) if model.on_demand.turn != Turn::In => {
                return Err(ControlError::Refused(format!("`{name}` is not loaded; the next request loads it")));
            }
            Goal::Sleep(_) if !model.spec.spawn.sleep_mode => {
                let why = "engines of this model cannot sleep; set `sleep_mode: true` and restart it".to_owned();
                return Err(ControlError::Refused(why));
            }
            Goal::Sleep(_) => model.on_demand.set_turn(Turn::Resting, Instant::now()),
            Goal::Stop | Goal::Rest(_) | Goal::Dismiss(_) => {}
        }
        Ok(Some(vec![]))
    }

    /// Has one engine reach `goal`, and remembers what that means for later.
    fn command(&mut self, at: usize, number: usize, goal: Goal) -> Option<(String, oneshot::Receiver<Done>)> {
        let model = &mut self.models[at];
        let name = model.name().clone();
        let is_outdated = model.is_outdated(model.replicas.iter().find(|replica| replica.number == number)?);
        let wants_start = matches!(goal, Goal::Start | Goal::Restart);
        if wants_start {
            model.roll.resume();
        }
        let replica = model.replica(number)?;
        let id = replica.handle.engine.id.to_string();
        let is_stopping = replica.stage == Stage::Stopping;
        let engines = model.replicas.iter().filter(|replica| !replica.is_leaving).count();
        match goal {
            Goal::Stop => self.orders.stop(&name, number, engines),
            // One that is stopping refuses; then it is to stay stopped.
            _ if wants_start && !is_stopping => self.orders.start(&name, number),
            _ => {}
        }
        if goal == Goal::Restart && is_outdated && !is_stopping {
            let replica = model.replica(number)?;
            // What is started anew is started as the configuration says now: that is the roll that goes on.
            replica.is_restart_ordered = true;
            let (done, waiting) = oneshot::channel();
            model.roll.waiting.push(done);
            return Some((id, waiting));
        }
        let replica = model.replica(number)?;
        let done = replica.handle.order(goal);
        match (goal, replica.stage) {
            (Goal::Stop, stage) if stage != Stage::Stopped => replica.set_stage(Stage::Stopping),
            (Goal::Start | Goal::Restart, Stage::Idle | Stage::Failed | Stage::Stopped) => {
                replica.set_stage(Stage::Starting);
            }
            _ => {}
        }
        Some((id, done))
    }

    fn roll(&mut self, model: &str) -> Result<Pending, ControlError> {
        let at = self.model_at(model)?;
        let model = &mut self.models[at];
        if let Some(change) = &model.change {
            return Err(busy(model.name(), change.what));
        }
        if model.replicas.iter().all(|replica| replica.is_leaving || replica.stage.sleeps()) {
            let why = format!("no engine of `{}` is awake: wake them first", model.name());
            return Err(ControlError::Refused(why));
        }
        model.roll.resume();
        model.roll.generation += 1;
        let (done, waiting) = oneshot::channel();
        model.roll.waiting.push(done);
        Ok(vec![(model.name().to_string(), waiting)])
    }

    fn cancel_roll(&mut self, model: &str) -> Result<Pending, ControlError> {
        let at = self.model_at(model)?;
        let model = &mut self.models[at];
        if model.roll.phase() != RollPhase::Rolling {
            return Err(ControlError::Refused(format!("no engine of `{}` is being replaced", model.name())));
        }
        let name = model.name().clone();
        model.roll.cancel(&name);
        Ok(vec![])
    }

    fn scale(&mut self, model: &str, count: usize, reply: Reply) {
        let at = match self.model_at(model) {
            Ok(at) => at,
            Err(error) => return answer(reply, Err(error)),
        };
        let model = &self.models[at];
        let name = model.name().clone();
        if let Some(change) = &model.change {
            return answer(reply, Err(busy(&name, change.what)));
        }
        if model.is_on_demand() && model.on_demand.turn != Turn::In {
            // They are made when it is loaded.
            self.orders.scale(&name, count, model.spec.spawn.replicas);
            return answer(reply, Ok(vec![]));
        }
        let taken: Vec<usize> = model.replicas.iter().map(|replica| replica.number).collect();
        let present = model.replicas.iter().filter(|replica| !replica.is_leaving).count();
        if count <= present {
            self.orders.scale(&name, count, model.spec.spawn.replicas);
            self.settle();
            return answer(reply, Ok(self.leaving(&name)));
        }
        let numbers: Vec<usize> = (0..).filter(|number| !taken.contains(number)).take(count - present).collect();
        let spec = model.spec.clone();
        let ports = match numbers.iter().map(|number| self.hold_port(&name, *number)).collect::<Result<Vec<_>, _>>() {
            Ok(ports) => ports,
            Err(error) => return answer(reply, Err(ControlError::Refused(error.to_string()))),
        };
        let change = Change::new("it is being scaled");
        self.models[at].change = Some(change.clone());
        let allocator = self.parts.factory.allocator.clone();
        self.work.spawn(async move {
            let demands: Vec<_> = numbers.iter().map(|number| spec.demand(*number)).collect();
            let grants = allocator.allocate(&demands).await;
            Finished::Scaled(ScaleRoom { model: name, change, count, numbers, ports, grants, reply })
        });
    }

    /// Room for further engines was looked for: they are made, or nothing comes of it.
    pub(super) fn scale_up(&mut self, room: ScaleRoom) {
        let ScaleRoom { model, change, count, numbers, ports, grants, reply } = room;
        self.models.iter_mut().for_each(|model| model.end_change(&change));
        let at = match self.model_at(&model) {
            Ok(at) => at,
            Err(error) => return answer(reply, Err(error)),
        };
        let grants = match grants {
            Ok(grants) => grants,
            Err(why) => return answer(reply, Err(ControlError::Refused(why))),
        };
        self.orders.scale(&model, count, self.models[at].spec.spawn.replicas);
        self.spare_ports.extend(ports);
        self.retry_now();
        let mut pending = Vec::new();
        for (number, grant) in numbers.into_iter().zip(grants) {
            if self.create(&model, number, Some(grant)) {
                pending.extend(self.command(at, number, Goal::Start));
            }
        }
        answer(reply, Ok(pending));
    }

    /// The engines of a model that are about to end, and when they have.
    fn leaving(&mut self, name: &Name) -> Pending {
        let models = self.models.iter_mut().filter(|model| model.name() == name);
        let leaving = models.flat_map(|model| &mut model.replicas).filter(|replica| replica.is_leaving);
        let pending = leaving.map(|replica| {
            let (gone, waiting) = oneshot::channel();
            replica.gone.push(gone);
            (replica.handle.engine.id.to_string(), waiting)
        });
        pending.collect()
    }
}

/// Something else changes several engines of a model.
pub(super) fn busy(model: &Name, change: &str) -> ControlError {
    ControlError::Refused(format!(
        "`{model}` is being changed by another request ({change}); try again when that is done"
    ))
}
