//! Which engine runs on which GPUs: a pure function of what there is, what is wanted and what runs already.
//!
//! [`place`] tells the story: what runs is put down first and never moves (`ledger`), then engines whose GPUs are listed
//! (`listed`), then those that want so many of any (`choose`), the largest first. Either everybody has a place, or every
//! reason why not is told at once (`conflict`).

mod choose;
mod conflict;
mod demand;
mod ledger;
mod listed;
mod ranks;
mod table;
#[cfg(test)]
mod tests;

use crate::config::Gpus;
use crate::ids::{EngineId, Name};
use crate::inventory::{Inventory, NotFound, Unit, find, units};

pub use self::conflict::Conflict;
pub use self::demand::{DEFAULT_SHARE, demand, demands, share};
use self::ledger::Ledger;
pub use self::ranks::{Ranks, tensor_parallel_size};
pub use self::table::table;

/// Largest share of one GPU's memory that may be promised to engines; the rest is the driver's and CUDA's own.
pub const LARGEST_SHARE: f64 = 0.95;

/// Largest share that engines and strangers together may take: vLLM refuses to start when less is free than it asks for,
/// and what the driver reports wavers a little.
const LARGEST_WITH_STRANGERS: f64 = 0.98;

/// Sums of shares such as 0.45 + 0.5 are a little off.
const ROUNDING: f64 = 1e-9;

/// What one engine wants.
#[derive(Clone, Debug)]
pub struct Demand {
    /// The engine.
    pub engine: EngineId,
    /// Its model; engines of one model are kept apart where there is room.
    pub model: Name,
    /// Its GPUs: as many as it needs of any, or its own part of those that are listed.
    pub gpus: Gpus,
    /// Share of each GPU's memory that it will take; 0 when nobody knows.
    pub share: f64,
    /// How it spreads over its GPUs; `None` when that is not known here.
    pub ranks: Option<Ranks>,
}

/// An engine that runs already, and stays where it is.
#[derive(Clone, Debug)]
pub struct Held {
    /// The engine.
    pub engine: EngineId,
    /// Its model.
    pub model: Name,
    /// Indices or UUIDs, as [`Assignment::ids`] gave them; empty when it uses what our own environment shows.
    pub gpus: Vec<String>,
    /// Share of each GPU's memory that it takes.
    pub share: f64,
    /// Its processes: what they hold is no stranger's.
    pub pids: Vec<u32>,
}

/// What one engine gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The engine.
    pub engine: EngineId,
    /// Its GPUs, in order; `None`: the environment is left alone.
    pub gpus: Option<Vec<Place>>,
    /// Share of each one's memory.
    pub share: f64,
}

/// One GPU of an engine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// The word for `CUDA_VISIBLE_DEVICES`.
    pub text: String,
    /// Index of the card; `None` when no driver told.
    pub index: Option<u32>,
    /// Place among the card's MIG instances.
    pub mig: Option<u32>,
    /// UUID of the card or the instance.
    pub uuid: Option<String>,
    /// Name of the card or the instance.
    pub name: Option<String>,
    /// All of its memory in bytes.
    pub total: Option<u64>,
    /// Bytes that others hold who are no engines of ours.
    pub strangers: u64,
}

impl Assignment {
    /// What `CUDA_VISIBLE_DEVICES` is to be; `None`: it is left alone. Goes with `CUDA_DEVICE_ORDER=PCI_BUS_ID`.
    #[must_use]
    pub fn visible(&self) -> Option<String> {
        let words = self.gpus.as_ref()?.iter().map(|place| place.text.as_str());
        Some(words.collect::<Vec<_>>().join(","))
    }

    /// What names its GPUs for good: their UUIDs, or what stands for them.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let places = self.gpus.iter().flatten();
        places.map(|place| place.uuid.clone().unwrap_or_else(|| place.text.clone())).collect()
    }
}

/// Gives every demand its GPUs, in the order of the demands; engines in `held` are not moved.
///
/// Indices, UUIDs and beginnings of UUIDs are the same GPU. MIG instances are given by UUID only, one for each engine,
/// and a card in MIG mode is never given as a whole; how any GPUs are chosen is told in `choose`. Where no driver tells
/// which GPUs there are, listed ones are taken as they are written.
///
/// # Errors
/// Every reason why they cannot all run.
pub fn place(inventory: &Inventory, demands: &[Demand], held: &[Held]) -> Result<Vec<Assignment>, Vec<Conflict>> {
    let mut conflicts: Vec<Conflict> = demands.iter().filter_map(ranks::misfit).collect();
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
        conflicts.extend(choose::choose(&mut ledger, demands, &mut taken));
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
