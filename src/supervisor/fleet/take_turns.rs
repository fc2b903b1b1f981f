//! Has models that are loaded on demand take turns, as `turns` decides.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::actor::Fleet;
use super::actual::Placement;
use super::model::ManagedModel;
use super::on_demand::Use;
use super::turns::{self, Contender, Decision, Engines, Room, Turn};
use crate::ids::{EngineId, Name};
use crate::placement::{Demand, Held};
use crate::supervisor::lifecycle::terms::Stage;
use crate::supervisor::terms::ControlError;

impl Fleet {
    /// Decides whose turn it is, until nothing changes.
    pub(super) fn take_turns(&mut self) {
        let now = Instant::now();
        self.look_at_use(now);
        // Each model goes at most from its place to `Next` to `In`, or out.
        for _ in 0..=2 * self.models.len() {
            let contenders: Vec<Contender> =
                self.models.iter().filter(|model| self.takes_turns(model)).map(contender).collect();
            let room = FleetRoom { fleet: self };
            let decision = turns::decide(&contenders, &room, self.is_placing(), now);
            self.look_at = decision.look_at;
            self.tell_obstacles(&decision);
            let changed = decision.turns.iter().filter(|(name, turn)| self.set_turn(name, *turn, now)).count();
            if changed == 0 {
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
            };
            let is_ready = engines.iter().any(|engine| engine.is_ready());
            model.is_busy = model.on_demand.look(of, is_ready, now);
            model.answer_loads();
        }
    }

    /// Whether GPUs are being looked for, or are about to be.
    fn is_placing(&self) -> bool {
        self.models.iter().any(|model| {
            let all = model.replicas.iter().filter(|replica| !replica.is_leaving);
            let is_pending = all.clone().any(|replica| replica.placement == Placement::Pending);
            let loads = self.takes_turns(model) && model.on_demand.turn == Turn::In;
            let settled = all.filter(|replica| replica.placement == Placement::Settled).count();
            is_pending || loads && settled < model.wanted_replicas(&self.orders)
        })
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
    fn tell_obstacles(&self, decision: &Decision) {
        for model in self.models.iter().filter(|model| model.is_on_demand()) {
            let is_stuck = decision.stuck.contains(model.name());
            let why = || FleetRoom { fleet: self }.now(model.name()).err();
            let why = is_stuck.then(why).flatten();
            if let Some(why) = &why
                && model.pool.obstacle().is_none()
            {
                let why = why.replace('\n', " ");
                tracing::warn!(model = %model.name(), why, "the model is wanted, and cannot be loaded");
            }
            model.pool.set_obstacle(why);
        }
    }
}

fn contender(model: &ManagedModel) -> Contender {
    Contender {
        name: model.name().clone(),
        turn: model.on_demand.turn,
        wanted_since: model.on_demand.wanted_since(),
        is_busy: model.is_busy,
        used_at: model.on_demand.used_at(),
        engines: engines(model),
        can_sleep: model.spec.spawn.sleep_mode,
        idle: model.idle(),
    }
}

/// What the engines of a model do.
fn engines(model: &ManagedModel) -> Engines {
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
        _ if !present.is_empty() && all(|stage| matches!(stage, Stage::Failed | Stage::Unhealthy)) => Engines::Failed,
        _ => Engines::Loading,
    }
}

/// The room that there is for models.
struct FleetRoom<'a> {
    fleet: &'a Fleet,
}

impl FleetRoom<'_> {
    fn model(&self, name: &Name) -> Option<&ManagedModel> {
        self.fleet.models.iter().find(|model| model.name() == name)
    }

    /// What the engines of a model want that are not among the `holders` of GPUs.
    fn demands(&self, model: &ManagedModel, holders: &BTreeSet<EngineId>) -> Vec<Demand> {
        let orders = &self.fleet.orders;
        let stopped = orders.stopped(model.name());
        let demands = (0..model.wanted_replicas(orders)).filter(|number| !stopped.contains(number));
        let demands = demands.map(|number| model.demand(number));
        demands.filter(|demand| !holders.contains(&demand.engine)).collect()
    }

    /// Whether a model can be loaded now, or every reason why not.
    fn now(&self, name: &Name) -> Result<(), String> {
        let Some(model) = self.model(name) else { return Ok(()) };
        let demands = self.demands(model, &BTreeSet::new());
        self.fleet.parts.factory.allocator.would_fit(&demands, &|_| false)
    }
}

impl Room for FleetRoom<'_> {
    fn fits(&self, models: &[&Name]) -> bool {
        let fleet = self.fleet;
        let holders: BTreeSet<EngineId> = fleet.parts.factory.allocator.holders().into_iter().collect();
        let stays = |model: &ManagedModel| !fleet.takes_turns(model) || models.contains(&model.name());
        let staying = fleet.models.iter().filter(|model| model.is_wanted && stays(model));
        let demands: Vec<Demand> = staying.flat_map(|model| self.demands(model, &holders)).collect();
        let leaving = |held: &Held| self.model(&held.model).is_some_and(|model| !stays(model));
        fleet.parts.factory.allocator.would_fit(&demands, &leaving).is_ok()
    }

    fn is_free(&self, model: &Name) -> bool {
        self.now(model).is_ok()
    }
}
