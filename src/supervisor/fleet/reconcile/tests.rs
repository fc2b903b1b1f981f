//! What is decided for fleets of pure data.

use super::*;

mod always;
mod counts;
mod on_demand;
mod rolls;
mod world;

fn replica(number: usize, stage: Stage) -> ActualReplica {
    ActualReplica {
        number,
        stage,
        is_settled: !matches!(stage, Stage::Idle | Stage::Starting),
        is_outdated: false,
        is_misnamed: false,
        is_untuned: false,
        is_leaving: false,
        cannot_sleep: false,
        placement: Placement::Settled,
        waits_for: None,
    }
}

fn old(number: usize, stage: Stage) -> ActualReplica {
    ActualReplica { is_outdated: true, ..replica(number, stage) }
}

fn wanted(name: &str, replicas: usize) -> DesiredModel {
    DesiredModel {
        name: name.into(),
        replicas,
        start_order: None,
        stopped: BTreeSet::new(),
        is_stopped: false,
        roll: RollPhase::None,
        is_held: false,
        residency: Residency::Kept,
    }
}

fn rolling(replicas: usize) -> DesiredModel {
    DesiredModel { roll: RollPhase::Rolling, ..wanted("m", replicas) }
}

fn decide(model: DesiredModel, replicas: Vec<ActualReplica>, room: bool) -> Vec<Action> {
    let actual = Actual { models: [(model.name.clone(), replicas)].into(), ..Actual::default() };
    reconcile(&Desired { models: vec![model] }, &actual, &|_| room)
}

fn which(number: usize) -> Which {
    ("m".into(), number)
}

fn replaced(number: usize) -> Vec<Action> {
    vec![Action::Remove(which(number), StopReason::Restart)]
}
