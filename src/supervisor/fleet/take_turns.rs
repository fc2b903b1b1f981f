//! Has models that are loaded on demand take turns, as `turns` decides.

use tokio::time::Instant;

use super::actor::Fleet;
use super::actual::Placement;
use super::model::{ManagedModel, Replica};
use super::on_demand::Use;
use super::turns::{self, Contender, Decision, Engines, Room, Turn, Unsettled};
use crate::ids::Name;
use crate::placement::{Demand, Held};
use crate::supervisor::allocator::Occupancy;
use crate::supervisor::lifecycle::terms::Stage;
use crate::supervisor::terms::ControlError;

impl Fleet {
    /// Decides whose turn it is, until nothing changes.
    pub(super) fn take_turns(&mut self) {
        let now = Instant::now();
        self.look_at_use(now);
        if !self.models.iter().any(|model| self.takes_turns(model)) {
            self.look_at = None;
            return;
        }
        // Each model goes at most from its place to `Next` to `In`, or out.
        for _ in 0..=2 * self.models.len() {
            let room = FleetRoom { fleet: self, occupancy: self.parts.factory.allocator.look() };
            let taking = self.models.iter().filter(|model| self.takes_turns(model));
            let contenders: Vec<Contender> = taking.map(|model| contender(model, &room)).collect();
            let decision = turns::decide(&contenders, &room, self.is_unsettled(), now);
            self.tell_obstacles(&decision, &room);
            self.look_at = decision.look_at;
            if decision.turns.iter().filter(|(name, turn)| self.set_turn(name, *turn, now)).count() == 0 {
                break;
            }
        }
    }

    /// Whether `model` is loaded and unloaded as it is used. One that an operator stopped is left alone, and one that is loaded
    /// on demand no more takes its last turn.
    fn takes_turns(&self, model: &ManagedModel) -> bool {
        let is_stopped = self.orders.is_stopped(model.name());
        model.is_wanted && !is_stopped && (model.is_on_demand() || model.on_demand.turn != Turn::In)
    }

    /// Takes note of what requests do.
    fn look_at_use(&mut self, now: Instant) {
        for model in &mut self.models {
            let is_stopped = self.orders.is_stopped(model.name());
            model.pool.set_loads_on_demand(model.is_wanted && model.is_on_demand() && !is_stopped);
            if !model.is_on_demand() && model.on_demand.turn != Turn::In && model.is_wanted {
                // It is to be loaded for good.
                model.on_demand.want();
            }
            if is_stopped && model.is_on_demand() {
                let why = ControlError::Refused(format!("`{}` was stopped meanwhile", model.name()));
                model.on_demand.forget(&Err(why));
                model.on_demand.set_turn(Turn::Out, now);
                continue;
            }
            let engines = model.pool.engines();
            let of = Use {
                in_flight: engines.iter().map(|engine| engine.in_flight()).sum(),
                waiting: model.pool.waiting(),
                begun: engines.iter().map(|engine| engine.begun()).sum(),
                passed_over: model.pool.was_passed_over(),
            };
            let is_ready = engines.iter().any(|engine| engine.is_ready());
            model.is_busy = model.on_demand.look(of, is_ready, now);
            model.answer_loads();
        }
    }

    /// What is under way that changes what is free on the GPUs.
    fn is_unsettled(&self) -> Unsettled {
        let mut all = self.models.iter().flat_map(|model| &model.replicas);
        // Engines of a model whose turn has just ended are not told yet.
        let is_out = |model: &&ManagedModel| self.takes_turns(model) && model.on_demand.turn != Turn::In;
        let mut untold = self.models.iter().filter(is_out).flat_map(|model| &model.replicas);
        Unsettled {
            is_placing: all.clone().any(|replica| replica.placement == Placement::Pending),
            is_leaving: all.any(|it| it.is_leaving || matches!(it.stage, Stage::FallingAsleep | Stage::Stopping))
                || untold.any(|it| it.stage != Stage::Asleep),
        }
    }

    fn set_turn(&mut self, name: &Name, turn: Turn, now: Instant) -> bool {
        let Some(at) = self.models.iter().position(|model| model.name() == name) else { return false };
        let sleepers = self.models[at].sleepers();
        if turn == Turn::In && self.parts.factory.allocator.rouse(&sleepers).is_err() {
            return false;
        }
        let on_demand = &mut self.models[at].on_demand;
        let from = on_demand.turn;
        // Where none of its engines sleeps, nothing rests.
        let turn = if turn == Turn::Resting && from == Turn::Next && sleepers.is_empty() { Turn::Out } else { turn };
        match turn {
            Turn::In => tracing::info!(model = %name, "the model is loaded: it is wanted, and there is room for it"),
            Turn::Resting if from == Turn::In => {
                tracing::info!(model = %name, "the engines of the model are put to sleep: nobody uses it, or another model is wanted");
            }
            Turn::Out if from != Turn::Next => {
                tracing::info!(model = %name, "the engines of the model end: nobody uses it, or another model is wanted");
            }
            Turn::Next | Turn::Resting | Turn::Out => {}
        }
        on_demand.set_turn(turn, now);
        true
    }

    /// Has requests that wait know what is in the way.
    fn tell_obstacles(&self, decision: &Decision, room: &FleetRoom<'_>) {
        for model in self.models.iter().filter(|model| model.is_on_demand()) {
            let is_stuck = decision.stuck.contains(model.name());
            let why = || room.now(model.name()).err();
            let why = is_stuck.then(why).flatten();
            if let Some(why) = &why
                && model.pool.obstacle().is_none()
            {
                tracing::warn!(model = %model.name(), why, "the model is wanted, and cannot be loaded");
            }
            model.pool.set_obstacle(why);
        }
    }
}

fn contender(model: &ManagedModel, room: &FleetRoom<'_>) -> Contender {
    Contender {
        name: model.name().clone(),
        turn: model.on_demand.turn,
        wanted_since: model.on_demand.wanted_since(),
        is_busy: model.is_busy,
        used_at: model.on_demand.used_at(),
        engines: engines(model, room),
        can_sleep: model.spec.spawn.sleep_mode,
        idle: model.idle(),
    }
}

/// What the engines of a model do.
fn engines(model: &ManagedModel, room: &FleetRoom<'_>) -> Engines {
    let (leaving, present): (Vec<_>, Vec<_>) = model.replicas.iter().partition(|replica| replica.is_leaving);
    let all = |is_it: fn(Stage) -> bool| present.iter().all(|replica| is_it(replica.stage));
    let are_ending = || present.iter().any(|replica| matches!(replica.stage, Stage::FallingAsleep | Stage::Stopping));
    if model.on_demand.turn != Turn::In {
        let is_over = leaving.is_empty() && all(|stage| stage == Stage::Asleep);
        return if is_over { Engines::None } else { Engines::Leaving };
    }
    match model.on_demand.serves() {
        Some((since, took)) if present.iter().any(|replica| replica.stage == Stage::Ready) => {
            Engines::Serving { since, took }
        }
        _ if !leaving.is_empty() || are_ending() => Engines::Leaving,
        _ if !present.is_empty() && all(|stage| matches!(stage, Stage::Failed | Stage::Unhealthy)) => {
            let has_gpus = |replica: &&Replica| room.occupancy.is_held_by(&replica.handle.engine.id);
            if present.iter().copied().any(|it| has_gpus(&it)) { Engines::Failed } else { Engines::Displaced }
        }
        _ => Engines::Loading,
    }
}

/// The room that there is for models.
struct FleetRoom<'a> {
    fleet: &'a Fleet,
    occupancy: Occupancy,
}

impl FleetRoom<'_> {
    fn model(&self, name: &Name) -> Option<&ManagedModel> {
        self.fleet.models.iter().find(|model| model.name() == name)
    }

    /// What those engines of a model want that do not have it.
    fn lacks(&self, model: &ManagedModel) -> Vec<Demand> {
        let orders = &self.fleet.orders;
        let stopped = orders.stopped(model.name());
        let numbers = (0..model.wanted_replicas(orders)).filter(|number| !stopped.contains(number));
        let demands = numbers.map(|number| model.demand(number));
        demands.filter(|demand| !self.occupancy.is_held_by(&demand.engine)).collect()
    }

    /// Whether a model can be loaded now beside all others that have their turn, or every reason why not.
    fn now(&self, name: &Name) -> Result<(), String> {
        let is_in = |model: &&ManagedModel| {
            let has_turn = self.fleet.takes_turns(model) && model.on_demand.turn == Turn::In;
            model.name() == name || has_turn
        };
        let models = self.fleet.models.iter().filter(is_in);
        let demands: Vec<Demand> = models.flat_map(|model| self.lacks(model)).collect();
        self.occupancy.has_room(&demands, &|_| false)
    }
}

impl Room for FleetRoom<'_> {
    fn fits(&self, models: &[&Name]) -> bool {
        let fleet = self.fleet;
        let stays = |model: &ManagedModel| !fleet.takes_turns(model) || models.contains(&model.name());
        let staying = fleet.models.iter().filter(|model| model.is_wanted && stays(model));
        let demands: Vec<Demand> = staying.flat_map(|model| self.lacks(model)).collect();
        // What the configuration has no more is about to go, too.
        let leaving = |held: &Held| self.model(&held.model).is_none_or(|model| !model.is_wanted || !stays(model));
        self.occupancy.has_room(&demands, &leaving).is_ok()
    }

    fn is_free(&self, model: &Name) -> bool {
        self.now(model).is_ok()
    }
}
