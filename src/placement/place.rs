//! Gives every engine its GPUs, or tells every reason why not.

use super::choose::choose;
use super::conflict::{self, Conflict};
use super::ledger::Ledger;
use super::types::{Assignment, Demand, Held};
use crate::config::Gpus;
use crate::inventory::Inventory;

/// Gives every demand its GPUs, in the order of the demands; engines in `held` are not moved.
///
/// Indices, UUIDs and beginnings of UUIDs are the same GPU. MIG instances are given by UUID only, one for each engine,
/// and a card in MIG mode is never given as a whole; `choose` says how any GPUs are chosen. Where no driver tells
/// which GPUs there are, listed ones are taken as they are written.
///
/// # Errors
/// Every reason why they cannot all run.
pub fn place(inventory: &Inventory, demands: &[Demand], held: &[Held]) -> Result<Vec<Assignment>, Vec<Conflict>> {
    let mut conflicts: Vec<Conflict> = demands.iter().filter_map(conflict::ranks).collect();
    let mut ledger = Ledger::new(inventory, demands, held);
    let mut taken: Vec<Option<Vec<usize>>> = demands.iter().map(|_| None).collect();
    for (demand, slots) in demands.iter().zip(&mut taken) {
        if let Gpus::Listed(texts) = &demand.gpus {
            match ledger.resolve(demand, texts) {
                Ok(found) => {
                    found.iter().for_each(|&slot| ledger.claim(slot, demand));
                    *slots = Some(found);
                }
                Err(why) => conflicts.extend(why),
            }
        }
    }
    conflicts.extend(ledger.overfull());
    if inventory.known {
        conflicts.extend(choose(&mut ledger, demands, &mut taken));
    } else {
        conflicts.extend(demands.iter().filter_map(|demand| conflict::blind(inventory, demand)));
    }
    if !conflicts.is_empty() {
        return Err(conflict::together(conflicts));
    }
    let assigned = demands.iter().zip(taken).map(|(demand, slots)| Assignment {
        engine: demand.engine.clone(),
        gpus: slots.map(|slots| ledger.places(demand, &slots)),
        share: demand.share,
    });
    Ok(assigned.collect())
}
