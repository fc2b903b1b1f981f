//! Whether each model can be loaded, of which some have GPUs in turns.

use super::conflict::{self, Conflict};
use super::place::place;
use super::types::{Assignment, Demand, Held, Keeps, Place};
use crate::ids::Name;
use crate::inventory::Inventory;

/// Like [`place`], but for models of which not all are loaded at the same time: engines that are not `in_turns` all have their
/// GPUs together, and each model that is has room beside them, whatever the others of its kind take then.
///
/// # Errors
/// Every reason why a model cannot be loaded.
pub fn place_in_turns(
    inventory: &Inventory,
    demands: &[Demand],
    held: &[Held],
) -> Result<Vec<Assignment>, Vec<Conflict>> {
    let (in_turns, kept): (Vec<Demand>, Vec<Demand>) = demands.iter().cloned().partition(|demand| demand.in_turns);
    let (mut assigned, mut conflicts) = (Vec::new(), Vec::new());
    match place(inventory, &kept, held) {
        Ok(places) => assigned = places,
        Err(why) => conflicts = why,
    }
    let stays = kept.iter().zip(&assigned).filter_map(|(demand, assignment)| held_by(demand, assignment));
    let beside: Vec<Held> = held.iter().cloned().chain(stays).collect();
    let mut models: Vec<&Name> = in_turns.iter().map(|demand| &demand.model).collect();
    models.dedup();
    for model in models {
        let own: Vec<Demand> = in_turns.iter().filter(|demand| demand.model == *model).cloned().collect();
        match place(inventory, &own, &beside) {
            Ok(places) => assigned.extend(places),
            Err(why) => conflicts.extend(why),
        }
    }
    if !conflicts.is_empty() {
        return Err(conflict::together(conflicts));
    }
    let order = |assignment: &Assignment| demands.iter().position(|demand| demand.engine == assignment.engine);
    assigned.sort_by_key(order);
    Ok(assigned)
}

/// What an engine will hold that stays where it is put.
fn held_by(demand: &Demand, assignment: &Assignment) -> Option<Held> {
    let text = |place: &Place| place.text.clone();
    Some(Held {
        engine: demand.engine.clone(),
        model: demand.model.clone(),
        gpus: assignment.gpus.as_ref()?.iter().map(text).collect(),
        share: demand.share,
        pids: Vec::new(),
        keeps: Keeps::Share,
    })
}
