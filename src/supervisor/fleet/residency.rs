//! What is to become of the engines of a model that may be loaded on demand.

use super::desired::Residency;
use super::model::ManagedModel;
use super::turns::Turn;
use crate::api::EngineState;
use crate::config::{Gpus, Idle, Load};
use crate::ids::EngineId;
use crate::placement::Demand;
use crate::supervisor::lifecycle::terms::Stage;
use crate::supervisor::terms::ControlError;

impl ManagedModel {
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
    pub(super) fn residency(&self, is_stopped: bool) -> Residency {
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
            let cause = |engine: &EngineState| match engine {
                EngineState::Failed(failure) => Some(failure.cause.to_string()),
                _ => None,
            };
            let why = present().find_map(|replica| cause(&replica.handle.engine.state()));
            let why = why.unwrap_or_else(|| "it failed".to_owned());
            self.on_demand.answer(&Err(ControlError::Failed(why)));
        }
    }
}
