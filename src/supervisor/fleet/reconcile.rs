//! What is to be done so that what runs becomes what should run: pure and total, from any state.
//!
//! Whoever performs the actions has them show in the next [`Actual`] at once, so that they are not asked for again.

use std::collections::BTreeSet;

use super::actual::{Actual, ActualReplica, Placement};
use super::desired::{Desired, DesiredModel, Residency, RollPhase};
use super::roll::{self, Step};
use crate::api::StopReason;
use crate::ids::Name;
use crate::supervisor::lifecycle::terms::Stage;

/// Which engine: of which model, and which of it.
pub(super) type Which = (Name, usize);

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Make an engine, which is not started yet.
    Create(Which),
    /// Find GPUs for all of these together.
    Place(Vec<Which>),
    /// Tell an engine which start order it waits for.
    Wait(Which, u32),
    /// Start an engine.
    Start(Which),
    /// Stop an engine: an operator wanted it stopped.
    Stop(Which),
    /// Have an engine sleep once it has answered what it has.
    Rest(Which),
    /// Wake an engine.
    Wake(Which),
    /// Note that an engine which an operator stopped is no more: no other one is to be born stopped in its place.
    ForgetStop(Which),
    /// End an engine for good.
    Remove(Which, StopReason),
    /// Tell an engine of other settings.
    Retune(Which),
    /// Note that so many engines of a model are to be replaced.
    BeginRoll(Name, usize),
    /// Note that the replacement stopped, because this new engine failed.
    FailRoll(Which),
    /// Note that all engines of a model are replaced.
    FinishRoll(Name),
}

/// What is to be done now. `room`: whether there is room for one more engine of a model, as the allocator knows it.
pub(super) fn reconcile(desired: &Desired, actual: &Actual, room: &dyn Fn(&Name) -> bool) -> Vec<Action> {
    let mut actions = Vec::new();
    let wanted: BTreeSet<&Name> = desired.models.iter().map(|model| &model.name).collect();
    let is_left = |name: &Name| wanted.contains(name) || actual.serving_on.contains(name);
    for (name, replicas) in actual.models.iter().filter(|(name, _)| !is_left(name)) {
        let staying = replicas.iter().filter(|replica| !replica.is_leaving);
        actions.extend(staying.map(|replica| Action::Remove((name.clone(), replica.number), StopReason::Removed)));
    }
    let none = Vec::new();
    for model in &desired.models {
        let replicas = actual.models.get(&model.name).unwrap_or(&none);
        match model.residency {
            Residency::Kept | Residency::Loaded => actions.extend(sizes(model, replicas, room)),
            Residency::Asleep | Residency::None => actions.extend(unloads(model, replicas)),
        }
        actions.extend(orders(model, replicas));
    }
    // What is removed in this very turn needs nothing else.
    let removed: BTreeSet<Which> = actions.iter().filter_map(removed).collect();
    actions.retain(|action| !matches!(action, Action::Stop(which) | Action::Wake(which) | Action::Retune(which) if removed.contains(which)));
    actions.extend(starts(desired, actual, &removed));
    actions
}

fn removed(action: &Action) -> Option<Which> {
    match action {
        Action::Remove(which, _) => Some(which.clone()),
        _ => None,
    }
}

/// What becomes of the engines of a model that is not to have GPUs.
fn unloads(model: &DesiredModel, replicas: &[ActualReplica]) -> Vec<Action> {
    let present = replicas.iter().filter(|replica| !replica.is_leaving);
    let action = |replica: &ActualReplica| {
        let which = (model.name.clone(), replica.number);
        match replica.stage {
            _ if model.residency == Residency::None => Some(Action::Remove(which, StopReason::Unload)),
            Stage::Asleep | Stage::FallingAsleep => None,
            Stage::Ready if !replica.cannot_sleep => Some(Action::Rest(which)),
            _ => Some(Action::Remove(which, StopReason::Unload)),
        }
    };
    if model.is_held { vec![] } else { present.filter_map(action).collect() }
}

/// Which engines of a model there are to be.
fn sizes(model: &DesiredModel, replicas: &[ActualReplica], room: &dyn Fn(&Name) -> bool) -> Vec<Action> {
    if model.is_held {
        return vec![];
    }
    let which = |number: usize| (model.name.clone(), number);
    let present: Vec<&ActualReplica> = replicas.iter().filter(|replica| !replica.is_leaving).collect();
    let is_leaving = present.len() < replicas.len();
    if present.iter().any(|replica| replica.is_misnamed) {
        // Requests are rewritten to one name for all engines of the model: all that know it by another one go together.
        let misnamed = present.iter().filter(|replica| replica.is_misnamed);
        let mut actions: Vec<_> =
            misnamed.map(|replica| Action::Remove(which(replica.number), StopReason::Restart)).collect();
        if model.roll != RollPhase::Rolling {
            actions.push(Action::BeginRoll(model.name.clone(), present.len()));
        }
        return actions;
    }
    match roll::step(model, &present, is_leaving, || room(&model.name)) {
        Step::Nothing | Step::Wait => {}
        Step::Begin(count) => return vec![Action::BeginRoll(model.name.clone(), count)],
        Step::Replace(numbers) => {
            return numbers.into_iter().map(|number| Action::Remove(which(number), StopReason::Restart)).collect();
        }
        Step::AddOne => return vec![Action::Create(which(spare_number(model, replicas)))],
        Step::Fail(number) => return vec![Action::FailRoll(which(number))],
        Step::Finish => return vec![Action::FinishRoll(model.name.clone())],
    }
    if present.len() < model.replicas {
        // What is leaving may hold what they need. Only where nothing else serves, one is not to wait for it if it need not.
        let count = match is_leaving {
            false => model.replicas - present.len(),
            true => usize::from(model.roll == RollPhase::None && present.is_empty() && room(&model.name)),
        };
        return new_numbers(model, replicas, count).into_iter().map(|number| Action::Create(which(number))).collect();
    }
    if model.roll == RollPhase::None && !is_leaving {
        let is_there = |number: usize| present.iter().any(|replica| replica.number == number);
        let forgotten = model.stopped.iter().filter(|number| !is_there(**number));
        let actions: Vec<_> = forgotten.map(|number| Action::ForgetStop(which(*number))).collect();
        if !actions.is_empty() {
            return actions;
        }
    }
    // While engines are replaced there may be one more.
    let spare = usize::from(model.roll == RollPhase::Rolling && present.iter().any(|replica| replica.is_outdated));
    let surplus = present.len().saturating_sub(model.replicas + spare);
    let mut by_worth = present;
    by_worth.sort_by_key(|replica| (replica.is_ready(), !replica.is_outdated, std::cmp::Reverse(replica.number)));
    let ended = by_worth.into_iter().take(surplus);
    ended.map(|replica| Action::Remove(which(replica.number), StopReason::Stop)).collect()
}

/// Numbers for so many further engines: first of those that were stopped and have to be there again, then the lowest that are
/// free. Where not all of the model was stopped, at least one engine is not.
fn new_numbers(model: &DesiredModel, replicas: &[ActualReplica], count: usize) -> Vec<usize> {
    let is_free = |number: &usize| replicas.iter().all(|replica| replica.number != *number);
    let is_stopped = |number: &usize| model.stopped.contains(number);
    let there = replicas.iter().filter(|replica| !replica.is_leaving && is_stopped(&replica.number)).count();
    let most = if model.is_stopped { model.replicas } else { model.replicas.saturating_sub(1) };
    let stopped = model.stopped.iter().copied().filter(is_free).take(most.saturating_sub(there));
    let running = (0..).filter(|number| is_free(number) && !is_stopped(number));
    stopped.chain(running).take(count).collect()
}

/// The lowest number that is free for an engine that is to run.
fn spare_number(model: &DesiredModel, replicas: &[ActualReplica]) -> usize {
    let is_free = |number: &usize| replicas.iter().all(|replica| replica.number != *number);
    (0..).find(|number| is_free(number) && !model.stopped.contains(number)).unwrap_or(replicas.len())
}

/// What the engines of a model are to be told, each for itself.
fn orders(model: &DesiredModel, replicas: &[ActualReplica]) -> Vec<Action> {
    let mut actions = Vec::new();
    for replica in replicas.iter().filter(|replica| !replica.is_leaving) {
        let which = || (model.name.clone(), replica.number);
        if replica.is_untuned {
            actions.push(Action::Retune(which()));
        }
        let is_stopped = matches!(replica.stage, Stage::Stopping | Stage::Stopped);
        if model.stopped.contains(&replica.number) && !is_stopped {
            actions.push(Action::Stop(which()));
        } else if model.residency == Residency::Loaded && replica.stage == Stage::Asleep {
            actions.push(Action::Wake(which()));
        }
    }
    actions
}

/// Which engines get GPUs and start: those of the lowest start order first, the next when all of these were ready or have
/// failed.
fn starts(desired: &Desired, actual: &Actual, removed: &BTreeSet<Which>) -> Vec<Action> {
    if actual.is_clearing {
        return vec![];
    }
    let running = |model: &DesiredModel| {
        let replicas = actual.models.get(&model.name).map(Vec::as_slice).unwrap_or_default();
        let name = model.name.clone();
        let stopped = model.stopped.clone();
        replicas.iter().filter(move |replica| {
            let is_removed = removed.contains(&(name.clone(), replica.number));
            !replica.is_leaving && !is_removed && !stopped.contains(&replica.number)
        })
    };
    let loaded = || desired.models.iter().filter(|it| matches!(it.residency, Residency::Kept | Residency::Loaded));
    let unsettled = loaded().filter(|model| running(model).any(|replica| !replica.is_settled));
    let first = unsettled.map(DesiredModel::rank).min();
    let (mut placed, mut actions) = (Vec::new(), Vec::new());
    for model in loaded() {
        for replica in running(model) {
            let which = (model.name.clone(), replica.number);
            if replica.placement == Placement::Wanted {
                placed.push(which.clone());
            }
            if !matches!(replica.stage, Stage::Idle | Stage::Stopped) {
                continue;
            }
            match first {
                Some((false, order)) if model.rank() > (false, order) && !replica.is_settled => {
                    let is_told = replica.waits_for == Some(order);
                    actions.extend((!is_told).then_some(Action::Wait(which, order)));
                }
                _ if replica.placement == Placement::Settled => actions.push(Action::Start(which)),
                _ => {}
            }
        }
    }
    if !placed.is_empty() {
        actions.insert(0, Action::Place(placed));
    }
    actions
}

#[cfg(test)]
mod tests;
