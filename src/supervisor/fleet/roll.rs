//! The rules by which the engines of a model are replaced: pure.
//!
//! Those that serve nobody go first. Of those that serve, one at a time is taken away, and only when all new ones have
//! arrived: where another one serves meanwhile it is replaced in its place; the last one is replaced by a further engine
//! that is started first, where there is room for one. A new engine that fails ends the roll.

use super::actual::ActualReplica;
use super::desired::{DesiredModel, RollPhase};
use crate::supervisor::lifecycle::terms::Stage;

/// What a roll does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is nothing to replace.
    Nothing,
    /// Engines are outdated, which nobody knows yet: so many.
    Begin(usize),
    /// What is under way has to arrive first, or the roll has failed.
    Wait,
    /// These end, and new ones take their places.
    Replace(Vec<usize>),
    /// A further engine is started first.
    AddOne,
    /// This new engine has failed.
    Fail(usize),
    /// All are replaced.
    Finish,
}

/// Decides for `model`, whose engines are `present`; `is_leaving`: others of it are about to end. `room`: whether there is
/// room for one more.
pub(super) fn step(
    model: &DesiredModel,
    present: &[&ActualReplica],
    is_leaving: bool,
    room: impl FnOnce() -> bool,
) -> Step {
    let (outdated, fresh): (Vec<_>, Vec<_>) = present.iter().copied().partition(|replica| replica.is_outdated);
    let has_arrived = |replica: &ActualReplica| match replica.stage {
        Stage::Ready | Stage::FallingAsleep | Stage::Asleep => true,
        Stage::Stopped => model.stopped.contains(&replica.number),
        _ => false,
    };
    let failed = fresh.iter().find(|replica| replica.stage == Stage::Failed);
    match (model.roll, failed) {
        (RollPhase::Failed, _) => return Step::Wait,
        (RollPhase::None, _) if outdated.is_empty() => return Step::Nothing,
        (RollPhase::None, _) => return Step::Begin(outdated.len()),
        (RollPhase::Rolling, Some(failed)) => return Step::Fail(failed.number),
        (RollPhase::Rolling, None) => {}
    }
    // Nobody misses what serves nobody.
    let down: Vec<usize> = outdated.iter().filter(|replica| replica.is_down()).map(|replica| replica.number).collect();
    if !down.is_empty() {
        return Step::Replace(down);
    }
    if is_leaving || present.len() < model.replicas || !fresh.iter().all(|replica| has_arrived(replica)) {
        return Step::Wait;
    }
    let Some(next) = outdated.iter().min_by_key(|replica| (replica.is_ready(), replica.number)) else {
        return Step::Finish;
    };
    let others_serve = present.iter().filter(|replica| replica.is_ready()).count() > 1;
    if !next.is_ready() || others_serve {
        return Step::Replace(vec![next.number]);
    }
    if present.len() > model.replicas {
        // The one that was to take over was stopped or put to sleep.
        let idle = fresh.iter().find(|replica| !replica.is_ready());
        return idle.map_or(Step::Wait, |idle| Step::Fail(idle.number));
    }
    if room() { Step::AddOne } else { Step::Replace(vec![next.number]) }
}
